package storetest

import (
	"fmt"
	"testing"

	"github.com/pactwire/pactwire"
)

var presenceTests = []test{
	{"presence is kept", on(testSeen)},
	{"who hides when they were seen", on(testLastSeenVisibility)},
}

func testSeen(t *testing.T, s Store) {
	alice := pactwire.Seen{User: "alice", LastSeen: noon, Version: 7, Online: true}
	bob := pactwire.Seen{User: "bob", Version: 1}
	many := []pactwire.Seen{alice, bob}
	for i := range 200 {
		many = append(many, pactwire.Seen{User: pactwire.UserID(fmt.Sprint("u", i)), LastSeen: noon, Version: 1})
	}
	if err := s.SaveSeen(ctx, many); err != nil {
		t.Fatal(err)
	}
	s = s.Reopen(t)
	got, err := s.LastSeen(ctx, []pactwire.UserID{"alice", "bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "seen", map[pactwire.UserID]pactwire.Seen{"alice": alice, "bob": bob}, got)
	online, err := s.WereOnline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "online", []pactwire.UserID{"alice"}, online)
	alice.Online, alice.Version = false, 8
	if err := s.SaveSeen(ctx, []pactwire.Seen{alice}); err != nil {
		t.Fatal(err)
	}
	if online, err := s.WereOnline(ctx); err != nil || len(online) != 0 {
		t.Errorf("%v, %v", online, err)
	}
}

func testLastSeenVisibility(t *testing.T, s Store) {
	put := func(u pactwire.UserID, v pactwire.LastSeenVisibility) {
		must(t, s, func(tx Tx) error {
			return tx.PutUser(pactwire.User{ID: u, UserName: string(u), TimeZone: "UTC", DayStartsAt: "00:00", LastSeenVisibility: v})
		})
	}
	put("alice", pactwire.LastSeenHidden)
	put("bob", pactwire.LastSeenRounded)
	put("carol", pactwire.LastSeenExact)
	must(t, s, func(tx Tx) error { return tx.TouchUser("alice", "Alice B.", noon) }) // a token with another name changes nothing else
	hidden := func() map[pactwire.UserID]pactwire.LastSeenVisibility {
		got, err := s.LastSeenVisibility(ctx, []pactwire.UserID{"alice", "bob", "carol", "nobody"})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	s = s.Reopen(t)
	same(t, "set", map[pactwire.UserID]pactwire.LastSeenVisibility{"alice": pactwire.LastSeenHidden, "bob": pactwire.LastSeenRounded}, hidden())
	if u, _, err := s.ReadUser(ctx, "alice"); err != nil || u.LastSeenVisibility != pactwire.LastSeenHidden {
		t.Errorf("%+v %v", u, err)
	}
	put("alice", pactwire.LastSeenExact)
	same(t, "one shows all again", map[pactwire.UserID]pactwire.LastSeenVisibility{"bob": pactwire.LastSeenRounded}, hidden())
}
