package storetest

import (
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var checkinTests = []test{
	{"one word a day, the last one wins", on(testCheckin)},
	{"completed dates ascend", on(testCompletedDates)},
	{"milestones that were said", on(testAnnounced)},
	{"streaks", on(testStreaks)},
	{"a bad date is refused", on(testBadDate)},
}

func testCheckin(t *testing.T, s Store) {
	c := pactwire.Checkin{ID: "c1", PactID: "p", HabitGoalID: "run", UserID: "alice", Status: pactwire.StatusPartial,
		LocalDate: "2026-05-01", Notes: "Ä 🎉\x01", ProofMedia: []pactwire.Media{}, CreatedAt: pactwire.Time(noon), UpdatedAt: pactwire.Time(noon)}
	must(t, s, func(tx Tx) error {
		if _, ok, err := tx.Checkin("alice", "run", "2026-05-01"); ok || err != nil {
			t.Errorf("none yet: %v, %v", ok, err)
		}
		if err := tx.PutCheckin(c); err != nil {
			return err
		}
		got, ok, err := tx.Checkin("alice", "run", "2026-05-01")
		if !ok {
			t.Error("not there")
		}
		same(t, "check-in", c, got)
		return err
	})
	c.Status, c.PactID, c.Notes, c.UpdatedAt = pactwire.StatusCompleted, "q", "", pactwire.Time(noon.Add(time.Hour))
	c.ProofMedia = []pactwire.Media{{Path: "a/b.jpg", Type: "image"}}
	again := c
	again.ID = "c2"
	must(t, s, func(tx Tx) error { return tx.PutCheckin(again) })
	must(t, s, func(tx Tx) error {
		got, ok, err := tx.CheckinByID("c1")
		if !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		same(t, "the id that stood", c, got)
		if _, ok, err := tx.CheckinByID("c2"); ok || err != nil {
			t.Errorf("the second id: %v, %v", ok, err)
		}
		for _, miss := range []struct {
			u pactwire.UserID
			g pactwire.GoalID
			d pactwire.LocalDate
		}{{"bob", "run", "2026-05-01"}, {"alice", "read", "2026-05-01"}, {"alice", "run", "2026-05-02"}} {
			if _, ok, err := tx.Checkin(miss.u, miss.g, miss.d); ok || err != nil {
				t.Errorf("%v: %v, %v", miss, ok, err)
			}
		}
		return nil
	})
	must(t, s, func(tx Tx) error {
		if err := tx.DeleteCheckin("unknown"); err != nil {
			return err
		}
		return tx.DeleteCheckin("c1")
	})
	must(t, s, func(tx Tx) error {
		_, ok, err := tx.Checkin("alice", "run", "2026-05-01")
		if ok {
			t.Error("deleted and still there")
		}
		return err
	})
}

func testCompletedDates(t *testing.T, s Store) {
	put := func(tx Tx, id string, d pactwire.LocalDate, st pactwire.CheckinStatus, g pactwire.GoalID) error {
		return tx.PutCheckin(pactwire.Checkin{ID: id, PactID: "p", HabitGoalID: g, UserID: "alice", Status: st, LocalDate: d,
			CreatedAt: pactwire.Time(noon), UpdatedAt: pactwire.Time(noon)})
	}
	must(t, s, func(tx Tx) error {
		for i, d := range []pactwire.LocalDate{"2026-05-03", "2025-12-31", "2026-05-01", "2026-01-01"} {
			if err := put(tx, string(rune('a'+i)), d, pactwire.StatusCompleted, "run"); err != nil {
				return err
			}
		}
		if err := put(tx, "x", "2026-05-02", pactwire.StatusSkipped, "run"); err != nil {
			return err
		}
		return put(tx, "y", "2026-05-04", pactwire.StatusCompleted, "read")
	})
	must(t, s, func(tx Tx) error {
		got, err := tx.CompletedDates("alice", "run")
		same(t, "dates", []pactwire.LocalDate{"2025-12-31", "2026-01-01", "2026-05-01", "2026-05-03"}, got)
		if none, err := tx.CompletedDates("bob", "run"); len(none) > 0 || err != nil {
			t.Errorf("%v, %v", none, err)
		}
		return err
	})
}

func testAnnounced(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		for _, a := range []pactwire.AnnouncedMilestone{
			{From: "2026-05-01", To: "2026-05-07", Days: 7}, {From: "2026-05-01", To: "2026-05-03", Days: 3},
			{From: "2026-05-01", To: "2026-05-08", Days: 7},
		} {
			if err := tx.PutAnnounced("alice", "run", a); err != nil {
				return err
			}
		}
		return tx.PutAnnounced("alice", "read", pactwire.AnnouncedMilestone{From: "2026-05-01", To: "2026-05-03", Days: 3})
	})
	must(t, s, func(tx Tx) error {
		got, err := tx.Announced("alice", "run")
		same(t, "said", []pactwire.AnnouncedMilestone{
			{From: "2026-05-01", To: "2026-05-03", Days: 3}, {From: "2026-05-01", To: "2026-05-08", Days: 7},
		}, got)
		return err
	})
}

func testStreaks(t *testing.T, s Store) {
	run := pactwire.StreakRow{GoalID: "run", Length: 5, Longest: 9, GraceLeft: 1, LastDate: "2026-05-01"}
	read := pactwire.StreakRow{GoalID: "read", GraceLeft: 1} // nothing completed
	must(t, s, func(tx Tx) error {
		for _, r := range []pactwire.StreakRow{{GoalID: "run", Length: 4, Longest: 9, LastDate: "2026-04-30"}, run, read} {
			if err := tx.PutStreak("alice", r); err != nil {
				return err
			}
		}
		return tx.PutStreak("bob", run)
	})
	got, err := s.ReadStreaks(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "streaks", []pactwire.StreakRow{run, read}, got)
	of, err := s.ReadStreaksOf(ctx, "run", []pactwire.UserID{"alice", "bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "of many", map[pactwire.UserID]pactwire.StreakRow{"alice": run, "bob": run}, of)
}

func testBadDate(t *testing.T, s Store) {
	for _, d := range []pactwire.LocalDate{"today", "2026-5-1", "2026/05/01", "2026-05-0x"} {
		err := do(t, s, func(tx Tx) error {
			return tx.PutCheckin(pactwire.Checkin{ID: "c", PactID: "p", HabitGoalID: "g", UserID: "u", Status: pactwire.StatusCompleted, LocalDate: d})
		})
		if err == nil {
			t.Errorf("%q was accepted", d)
		}
	}
}
