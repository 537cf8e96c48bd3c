package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var socialTests = []test{
	{"a check-in is celebrated once", on(testCelebrated)},
	{"encouragements are counted by day", on(testEncouragements)},
	{"one reaction of a person", on(testReaction)},
	{"each has a side of a connection", on(testConnection)},
	{"connections are counted", on(testCountConnections)},
	{"connections in pages", on(testReadConnections)},
	{"notifications are kept as they are", on(testNotification)},
	{"a renewed notification is on top", on(testRenewedNotification)},
	{"read marks", on(testReadMarks)},
	{"notifications in pages", on(testReadNotifications)},
	{"the oldest notifications go", on(testMaxNotifications)},
}

func testCelebrated(t *testing.T, s Store) {
	is := func(u pactwire.UserID, checkin string, want bool) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, err := tx.Celebrated(u, checkin)
			if got != want {
				t.Errorf("%s, %s: %v", u, checkin, got)
			}
			return err
		})
	}
	is("alice", "c1", false)
	for range 2 {
		must(t, s, func(tx Tx) error { return tx.PutCelebrated("alice", "c1", noon) })
	}
	s = s.Reopen(t)
	is("alice", "c1", true)
	is("alice", "c2", false)
	is("bob", "c1", false)
}

func testEncouragements(t *testing.T, s Store) {
	count := func(from, to pactwire.UserID, day pactwire.LocalDate, want int) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, err := tx.Encouragements(from, to, day)
			if got != want {
				t.Errorf("%s, %s, %s: %d, want %d", from, to, day, got, want)
			}
			return err
		})
	}
	count("alice", "bob", "2026-05-01", 0)
	must(t, s, func(tx Tx) error { return tx.PutEncouragements("alice", "bob", "2026-05-01", 4) })
	must(t, s, func(tx Tx) error { return tx.PutEncouragements("alice", "carol", "2026-05-01", 1) })
	s = s.Reopen(t)
	count("alice", "bob", "2026-05-01", 4)
	count("bob", "alice", "2026-05-01", 0)
	count("alice", "bob", "2026-05-02", 0)
	must(t, s, func(tx Tx) error { return tx.PutEncouragements("alice", "bob", "2026-05-02", 1) })
	count("alice", "bob", "2026-05-02", 1)
	count("alice", "bob", "2026-05-01", 1) // in another zone: no new count, and the latest day stays
	must(t, s, func(tx Tx) error { return tx.PutEncouragements("alice", "bob", "2026-05-01", 2) })
	count("alice", "bob", "2026-05-02", 2)
	s = s.Reopen(t)
	count("alice", "bob", "2026-05-01", 2)
	count("alice", "bob", "2026-05-02", 2)
	count("alice", "bob", "2026-05-03", 0)
	count("alice", "carol", "2026-05-01", 1)
}

func testReaction(t *testing.T, s Store) {
	is := func(u pactwire.UserID, want string) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, err := tx.Reaction("a1", u)
			if got != want {
				t.Errorf("%s: %q, want %q", u, got, want)
			}
			return err
		})
	}
	put := func(u pactwire.UserID, emoji string) {
		t.Helper()
		must(t, s, func(tx Tx) error { return tx.PutReaction("a1", u, emoji) })
	}
	is("alice", "")
	put("alice", "🎉")
	put("bob", "💪")
	put("alice", "❤️")
	s = s.Reopen(t)
	is("alice", "❤️")
	is("bob", "💪")
	put("alice", "")
	put("carol", "")
	is("alice", "")
	is("bob", "💪")
}

func testConnection(t *testing.T, s Store) {
	side := func(u, other pactwire.UserID, want *pactwire.Connection) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, ok, err := tx.Connection(u, other)
			if ok != (want != nil) {
				t.Errorf("%s, %s: %v", u, other, ok)
			} else if ok {
				same(t, "side", *want, got)
			}
			return err
		})
	}
	side("alice", "bob", nil)
	c := pactwire.Connection{UserID: "bob", Status: pactwire.ConnectionRequested, Asked: 2, UpdatedAt: pactwire.Time(noon)}
	must(t, s, func(tx Tx) error { return tx.PutConnection("alice", c) })
	side("alice", "bob", &c)
	side("bob", "alice", nil)
	must(t, s, func(tx Tx) error { return tx.TouchUser("bob", "Bob", noon) })
	c.UserName = "Bob"
	side("alice", "bob", &c)
	c.Status, c.IsBlocked, c.Asked, c.UpdatedAt = pactwire.ConnectionEnded, true, 0, pactwire.Time(noon.Add(time.Minute))
	must(t, s, func(tx Tx) error { return tx.PutConnection("alice", c) })
	s = s.Reopen(t)
	side("alice", "bob", &c)
}

func testCountConnections(t *testing.T, s Store) {
	count := func(u pactwire.UserID, want pactwire.ConnectionCounts) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, err := tx.CountConnections(u)
			same(t, "counts", want, got)
			return err
		})
	}
	count("alice", pactwire.ConnectionCounts{})
	must(t, s, func(tx Tx) error {
		for i, status := range []pactwire.ConnectionStatus{"requested", "pending", "accepted", "accepted", "accepted", "declined", "ended", "requested"} {
			c := pactwire.Connection{UserID: pactwire.UserID(fmt.Sprint("u", i)), Status: status, UpdatedAt: pactwire.Time(noon)}
			if err := tx.PutConnection("alice", c); err != nil {
				return err
			}
		}
		return tx.PutConnection("bob", pactwire.Connection{UserID: "alice", Status: "accepted", UpdatedAt: pactwire.Time(noon)})
	})
	count("alice", pactwire.ConnectionCounts{Accepted: 3, Requested: 2, All: 8})
}

func testReadConnections(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		for _, c := range []pactwire.Connection{{UserID: "dora", Status: "accepted"}, {UserID: "carol", Status: "pending"},
			{UserID: "bob", Status: "accepted"}, {UserID: "Zoe", Status: "ended", IsBlocked: true}} {
			c.UpdatedAt = pactwire.Time(noon)
			if err := tx.PutConnection("alice", c); err != nil {
				return err
			}
		}
		return tx.TouchUser("bob", "Bob", noon)
	})
	read := func(status pactwire.ConnectionStatus, after pactwire.UserID, limit int, want string) {
		t.Helper()
		list, err := s.ReadConnections(ctx, "alice", status, after, limit)
		var got []string
		for _, c := range list {
			got = append(got, string(c.UserID)+c.UserName)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q after %q: %v, %v, want %s", status, after, got, err, want)
		}
	}
	read("", "", 10, "Zoe bobBob carol dora") // by bytes
	read("", "", 2, "Zoe bobBob")
	read("", "bob", 2, "carol dora")
	read("accepted", "", 10, "bobBob dora")
	read("accepted", "bob", 10, "dora")
	read("", "dora", 10, "")
	if list, err := s.ReadConnections(ctx, "nobody", "", "", 10); len(list) != 0 || err != nil {
		t.Errorf("of nobody: %v, %v", list, err)
	}
	must(t, s, func(tx Tx) error {
		c := pactwire.Connection{UserID: "alice", Status: "ended", UpdatedAt: pactwire.Time(noon)}
		return tx.PutConnection("dora", c)
	})
	some, err := s.HaveConnections(ctx, []pactwire.UserID{"nobody", "alice", "bob", "dora"})
	if err != nil || len(some) != 1 || some[0] != "alice" {
		t.Errorf("with connections: %v, %v", some, err)
	}
}

func notification(u pactwire.UserID, id, subject string) pactwire.Notification {
	return pactwire.Notification{ID: id, UserID: u, Type: pactwire.NotifyMessage, Subject: subject, IsUnread: true, FromUserID: "bob",
		FromUserName: "Bob", PactID: "p", Count: 1, Data: json.RawMessage(`{"message":"é"}`), CreatedAt: pactwire.Time(noon), UpdatedAt: pactwire.Time(noon)}
}

func add(t *testing.T, s Store, list ...pactwire.Notification) {
	t.Helper()
	must(t, s, func(tx Tx) error {
		for _, n := range list {
			if err := tx.AddNotification(n); err != nil {
				return err
			}
		}
		return nil
	})
}

func testNotification(t *testing.T, s Store) {
	a, b := notification("alice", "n1", "message:bob"), notification("alice", "n2", "")
	add(t, s, a, b, notification("carol", "n3", ""))
	s = s.Reopen(t)
	must(t, s, func(tx Tx) error {
		got, ok, err := tx.Notification("alice", "n1")
		if !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		same(t, "by id", a, got)
		got, ok, err = tx.UnreadAbout("alice", "message:bob")
		if !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		same(t, "by subject", a, got)
		for _, id := range []string{"n3", "", "none"} {
			if _, ok, err := tx.Notification("alice", id); ok || err != nil {
				t.Errorf("%s of another: %v, %v", id, ok, err)
			}
		}
		if _, ok, err := tx.UnreadAbout("alice", ""); ok || err != nil {
			t.Errorf("no subject is none: %v, %v", ok, err)
		}
		n, err := tx.CountUnread("alice")
		if n != 2 {
			t.Errorf("%d unread", n)
		}
		return err
	})
}

// listed writes the ids of a page in one line.
func listed(t *testing.T, s Store, q pactwire.NotificationQuery) (ids string, unread int) {
	t.Helper()
	list, unread, err := s.ReadNotifications(ctx, "alice", q)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		ids += n.ID + " "
	}
	return strings.TrimSpace(ids), unread
}

func testRenewedNotification(t *testing.T, s Store) {
	a := notification("alice", "a", "message:bob")
	add(t, s, a, notification("alice", "b", ""))
	a.Count, a.UpdatedAt = 2, pactwire.Time(noon.Add(time.Minute))
	add(t, s, a)
	if got, unread := listed(t, s, pactwire.NotificationQuery{Limit: 9}); got != "a b" || unread != 2 {
		t.Errorf("%s, %d", got, unread)
	}
	must(t, s, func(tx Tx) error {
		got, _, err := tx.UnreadAbout("alice", "message:bob")
		same(t, "renewed", a, got)
		return err
	})
}

func testReadMarks(t *testing.T, s Store) {
	add(t, s, notification("alice", "a", "x"), notification("alice", "b", ""), notification("alice", "c", ""), notification("carol", "d", ""))
	later := noon.Add(time.Hour)
	must(t, s, func(tx Tx) error {
		if err := tx.MarkNotification("carol", "a", false, later); err != nil {
			return err
		}
		return tx.MarkNotification("alice", "a", false, later)
	})
	must(t, s, func(tx Tx) error {
		if _, ok, err := tx.UnreadAbout("alice", "x"); ok || err != nil {
			t.Errorf("a read one is taken for unread: %v", err)
		}
		got, _, err := tx.Notification("alice", "a")
		if got.IsUnread || !got.UpdatedAt.Std().Equal(later) {
			t.Errorf("%+v", got)
		}
		return err
	})
	if got, unread := listed(t, s, pactwire.NotificationQuery{Limit: 9, Unread: true}); got != "c b" || unread != 2 {
		t.Errorf("%s, %d", got, unread)
	}
	for _, want := range []int{2, 0} {
		must(t, s, func(tx Tx) error {
			n, err := tx.ReadAllNotifications("alice", later)
			if n != want {
				t.Errorf("%d marked, want %d", n, want)
			}
			return err
		})
	}
	must(t, s, func(tx Tx) error { return tx.MarkNotification("alice", "b", true, later) })
	s = s.Reopen(t)
	if got, unread := listed(t, s, pactwire.NotificationQuery{Limit: 9, Unread: true}); got != "b" || unread != 1 {
		t.Errorf("%s, %d", got, unread)
	}
	if got, _ := listed(t, s, pactwire.NotificationQuery{Limit: 9}); got != "c b a" {
		t.Errorf("marks do not move: %s", got)
	}
}

func testReadNotifications(t *testing.T, s Store) {
	if got, unread := listed(t, s, pactwire.NotificationQuery{Limit: 9}); got != "" || unread != 0 {
		t.Errorf("%s, %d", got, unread)
	}
	var list []pactwire.Notification
	for i := range 7 {
		n := notification("alice", fmt.Sprint(i), "")
		n.IsUnread = i%2 == 0
		list = append(list, n)
	}
	add(t, s, list...)
	for _, tt := range []struct {
		q    pactwire.NotificationQuery
		want string
	}{
		{pactwire.NotificationQuery{Limit: 3}, "6 5 4"}, {pactwire.NotificationQuery{Limit: 3, Before: "4"}, "3 2 1"},
		{pactwire.NotificationQuery{Limit: 3, Before: "4", Unread: true}, "2 0"}, {pactwire.NotificationQuery{Limit: 3, Before: "0"}, ""},
		{pactwire.NotificationQuery{Limit: 3, Before: "gone"}, ""}, {pactwire.NotificationQuery{}, ""},
	} {
		if got, unread := listed(t, s, tt.q); got != tt.want || unread != 4 {
			t.Errorf("%+v: %s, %d unread, want %s", tt.q, got, unread, tt.want)
		}
	}
}

func testMaxNotifications(t *testing.T, s Store) {
	const extra = 5
	for from := 0; from < pactwire.MaxNotifications+extra; from += 201 {
		var list []pactwire.Notification
		for i := from; i < min(from+201, pactwire.MaxNotifications+extra); i++ {
			list = append(list, notification("alice", fmt.Sprint(i), ""))
		}
		add(t, s, list...)
	}
	items, unread, err := s.ReadNotifications(ctx, "alice", pactwire.NotificationQuery{Limit: 2 * pactwire.MaxNotifications})
	if err != nil || len(items) != pactwire.MaxNotifications || unread != pactwire.MaxNotifications {
		t.Fatalf("%d kept, %d unread, %v", len(items), unread, err)
	}
	if first, last := items[0].ID, items[len(items)-1].ID; first != fmt.Sprint(pactwire.MaxNotifications+extra-1) || last != fmt.Sprint(extra) {
		t.Errorf("%s … %s are kept", first, last)
	}
}
