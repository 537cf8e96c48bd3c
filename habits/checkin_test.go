package habits_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/sqlite"
)

func TestLastWordWins(t *testing.T) {
	everywhere(t, func(t *testing.T, s service) {
		p := s.pair(t)
		first := s.must(t, on(p, noon))
		if first.PreviousStatus != "" || first.Duplicate || first.HabitName != "Read" || first.Checkin.LocalDate != "2026-06-15" || first.Checkin.PactID != p.ID {
			t.Fatalf("first: %+v", first)
		}
		if diff := cmp.Diff(&pactwire.StreakUpdate{After: 1, Longest: 1}, first.Streak); diff != "" {
			t.Error(diff)
		}
		again := s.must(t, on(p, noon.Add(time.Minute)))
		if !again.Duplicate || again.Checkin.ID != first.Checkin.ID || again.PreviousStatus != pactwire.StatusCompleted {
			t.Fatalf("again: %+v", again)
		}
		if diff := cmp.Diff(&pactwire.StreakUpdate{Before: 1, After: 1, Longest: 1}, again.Streak); diff != "" {
			t.Error(diff)
		}
		noted := on(p, noon.Add(2*time.Minute))
		noted.Notes = "chapter two"
		if r := s.must(t, noted); r.Duplicate || r.Checkin.ID != first.Checkin.ID || r.Checkin.Notes != "chapter two" || r.PreviousStatus != pactwire.StatusCompleted {
			t.Fatalf("noted: %+v", r)
		}
		noted.Status = pactwire.StatusSkipped
		r := s.must(t, noted)
		if r.PreviousStatus != pactwire.StatusCompleted || r.Checkin.Status != pactwire.StatusSkipped {
			t.Fatalf("skipped: %+v", r)
		}
		if diff := cmp.Diff(&pactwire.StreakUpdate{Before: 1}, r.Streak); diff != "" {
			t.Error(diff)
		}
		late := on(p, noon.Add(time.Minute)) // received before what stands, and done after it
		late.Status = pactwire.StatusPartial
		if last := s.must(t, late); !last.Checkin.UpdatedAt.Std().After(r.Checkin.UpdatedAt.Std()) {
			t.Errorf("the last word is of %v, the one before of %v", last.Checkin.UpdatedAt.Std(), r.Checkin.UpdatedAt.Std())
		}
	})
}

func TestOnlyCompletedExtends(t *testing.T) {
	everywhere(t, func(t *testing.T, s service) {
		p := s.pair(t)
		s.must(t, on(p, noon))
		partial := on(p, noon.AddDate(0, 0, 1))
		partial.Status = pactwire.StatusPartial
		if r := s.must(t, partial); r.Streak.Before != 1 || r.Streak.After != 1 {
			t.Fatalf("%+v", r.Streak)
		}
		if r := s.must(t, on(p, noon.AddDate(0, 0, 2))); r.Streak.After != 2 || r.Streak.GraceUsed != 1 {
			t.Fatalf("%+v", r.Streak)
		}
		if r := s.must(t, on(p, noon.AddDate(0, 0, 4))); r.Streak.After != 1 || r.Streak.Longest != 2 || r.Streak.GraceUsed != 0 {
			t.Fatalf("%+v", r.Streak)
		}
	})
}

// TestMilestonesInAnyOrder checks in for a week that arrives in a shuffled order: the same streak, each milestone once.
func TestMilestonesInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1, 0}, {3, 0, 6, 1, 5, 2, 4}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			everywhere(t, func(t *testing.T, s service) {
				p := s.pair(t)
				said := map[int]int{}
				var last pactwire.CheckinResult
				for _, back := range order {
					req := on(p, noon)
					at := pactwire.Time(noon.AddDate(0, 0, -back))
					req.OccurredAt, req.ScheduledDate = &at, pactwire.LocalDate(at.Std().Format(time.DateOnly))
					last = s.must(t, req)
					for _, m := range last.Milestones {
						said[m.StreakDays]++
					}
				}
				if diff := cmp.Diff(map[int]int{3: 1, 7: 1}, said); diff != "" {
					t.Error(diff)
				}
				if last.Streak.After != 7 || last.Streak.Longest != 7 {
					t.Errorf("%+v", last.Streak)
				}
				streaks, err := s.Streaks(t.Context(), alice)
				date := pactwire.LocalDate("2026-06-15")
				want := []pactwire.Streak{{HabitGoalID: p.HabitGoalID, Current: 7, Longest: 7, GraceLeft: 2, LastDate: &date}}
				if diff := cmp.Diff(want, streaks); err != nil || diff != "" {
					t.Error(err, diff)
				}
			})
		})
	}
}

func TestMilestoneIsNotSaidAgainAfterACorrection(t *testing.T) {
	s := embedded(t, habits.EngineOptions{})
	p := s.pair(t)
	s.must(t, on(p, noon))
	s.must(t, on(p, noon.AddDate(0, 0, 1)))
	third := on(p, noon.AddDate(0, 0, 2))
	if r := s.must(t, third); len(r.Milestones) != 1 || r.Milestones[0].StreakDays != 3 {
		t.Fatalf("%+v", r.Milestones)
	}
	back := third
	back.Status = pactwire.StatusSkipped
	s.must(t, back)
	if r := s.must(t, third); r.Streak.Before != 2 || r.Streak.After != 3 || len(r.Milestones) != 0 {
		t.Fatalf("said again: %+v %+v", r.Streak, r.Milestones)
	}
}

func TestStreakAsOfToday(t *testing.T) {
	s := embedded(t, habits.EngineOptions{})
	p := s.pair(t)
	for d := range 3 {
		s.must(t, on(p, noon.AddDate(0, 0, d)))
	}
	for _, tc := range []struct{ later, current, left int }{{2, 3, 1}, {3, 3, 1}, {4, 3, 0}, {5, 0, 1}} {
		s.clock.set(noon.AddDate(0, 0, tc.later))
		got, err := s.Streaks(t.Context(), alice)
		if err != nil || len(got) != 1 || got[0].Current != tc.current || got[0].GraceLeft != tc.left || got[0].Longest != 3 {
			t.Errorf("after %d days: %+v %v", tc.later, got, err)
		}
	}
}

func TestDeletedCheckinLeavesTheStreak(t *testing.T) {
	everywhere(t, func(t *testing.T, s service) {
		p := s.pair(t)
		s.must(t, on(p, noon))
		r := s.must(t, on(p, noon.AddDate(0, 0, 1)))
		wantCode(t, s.remove(t.Context(), bob, r.Checkin.ID), pactwire.NotFound, "")
		if err := s.remove(t.Context(), alice, r.Checkin.ID); err != nil {
			t.Fatal(err)
		}
		wantCode(t, s.remove(t.Context(), alice, r.Checkin.ID), pactwire.NotFound, "")
		got, err := s.Streaks(t.Context(), alice)
		if err != nil || len(got) != 1 || got[0].Current != 1 || *got[0].LastDate != "2026-06-15" {
			t.Fatalf("%+v %v", got, err)
		}
		if again := s.must(t, on(p, noon.AddDate(0, 0, 1))); again.Checkin.ID == r.Checkin.ID || again.PreviousStatus != "" || again.Streak.After != 2 {
			t.Fatalf("%+v", again)
		}
	})
}

func TestWindow(t *testing.T) {
	everywhere(t, func(t *testing.T, s service) {
		p := s.pair(t)
		back := func(days int, late bool) pactwire.CheckinRequest {
			req := on(p, noon)
			req.ScheduledDate = pactwire.LocalDate(noon.AddDate(0, 0, -days).Format(time.DateOnly))
			if late {
				at := pactwire.Time(noon.AddDate(0, 0, -days))
				req.OccurredAt = &at
			}
			return req
		}
		for _, tc := range []struct {
			name  string
			req   func() pactwire.CheckinRequest
			field string // "" = taken
		}{
			{"today", func() pactwire.CheckinRequest { return back(0, false) }, ""},
			{"two days back", func() pactwire.CheckinRequest { return back(2, false) }, ""},
			{"three days back", func() pactwire.CheckinRequest { return back(3, false) }, "scheduledDate"},
			{"seven days late", func() pactwire.CheckinRequest { return back(7, true) }, ""},
			{"eight days late", func() pactwire.CheckinRequest { return back(8, true) }, "scheduledDate"},
			{"tomorrow", func() pactwire.CheckinRequest { return back(-1, false) }, "scheduledDate"},
			{"tomorrow with a time", func() pactwire.CheckinRequest {
				req := back(-1, false)
				at := pactwire.Time(noon)
				req.OccurredAt = &at
				return req
			}, "scheduledDate"},
			{"a day beside its time", func() pactwire.CheckinRequest {
				req := back(3, true)
				req.ScheduledDate = "2026-06-11"
				return req
			}, ""},
			{"two days beside its time", func() pactwire.CheckinRequest {
				req := back(3, true)
				req.ScheduledDate = "2026-06-10"
				return req
			}, "scheduledDate"},
			{"a clock five minutes ahead", func() pactwire.CheckinRequest {
				req := on(p, noon)
				at := pactwire.Time(noon.Add(5 * time.Minute))
				req.OccurredAt = &at
				return req
			}, ""},
			{"a clock further ahead", func() pactwire.CheckinRequest {
				req := on(p, noon)
				at := pactwire.Time(noon.Add(5*time.Minute + time.Second))
				req.OccurredAt = &at
				return req
			}, "occurredAt"},
			{"no date", func() pactwire.CheckinRequest {
				req := on(p, noon)
				req.ScheduledDate = "yesterday"
				return req
			}, "scheduledDate"},
			{"another habit", func() pactwire.CheckinRequest {
				req := on(p, noon)
				req.HabitGoalID = "other"
				return req
			}, "habitGoalId"},
			{"no status", func() pactwire.CheckinRequest {
				req := on(p, noon)
				req.Status = "missed"
				return req
			}, "status"},
			{"an unknown zone", func() pactwire.CheckinRequest {
				req := on(p, noon)
				req.TimeZone = "Mars/Olympus"
				return req
			}, "timeZone"},
		} {
			s.clock.set(noon)
			_, err := s.checkin(t.Context(), tc.req())
			if tc.field == "" {
				if err != nil {
					t.Errorf("%s: %v", tc.name, err)
				}
				continue
			}
			t.Run(tc.name, func(t *testing.T) { wantCode(t, err, pactwire.Invalid, tc.field) })
		}
	})
}

func TestWhoMayCheckIn(t *testing.T) {
	everywhere(t, func(t *testing.T, s service) {
		p := s.pair(t)
		stranger := on(p, noon)
		stranger.UserID = "mallory"
		nowhere := on(p, noon)
		nowhere.PactID = "no-such-pact"
		for _, req := range []pactwire.CheckinRequest{stranger, nowhere} {
			_, err := s.checkin(t.Context(), req)
			wantCode(t, err, pactwire.Denied, "")
			if e := pactwire.AsError(err); e.Message != "you are not a member of this pact" {
				t.Errorf("the two can be told apart: %s", e.Message)
			}
		}
		s.must(t, on(p, noon))
		if _, err := s.Act(t.Context(), alice, p.ID, pactwire.ActComplete); err != nil {
			t.Fatal(err)
		}
		_, err := s.checkin(t.Context(), on(p, noon))
		wantCode(t, err, pactwire.Conflict, "")
	})
}

// TestZoneChangeIsSeenAtOnce moves alice from UTC to the far east: her next check-in is of her new local day, and what was
// written stays.
func TestZoneChangeIsSeenAtOnce(t *testing.T) {
	s := embedded(t, habits.EngineOptions{})
	p := s.pair(t)
	req := on(p, time.Date(2026, 6, 15, 20, 0, 0, 0, time.UTC))
	req.ScheduledDate = ""
	if r := s.must(t, req); r.Checkin.LocalDate != "2026-06-15" {
		t.Fatal(r.Checkin.LocalDate)
	}
	zone := "Asia/Tokyo"
	if _, err := s.UpdateProfile(t.Context(), alice, pactwire.UserPatch{TimeZone: &zone}); err != nil {
		t.Fatal(err)
	}
	if r := s.must(t, req); r.Checkin.LocalDate != "2026-06-16" || r.Streak.After != 2 {
		t.Fatalf("%s %+v", r.Checkin.LocalDate, r.Streak)
	}
	starts := "06:00" // it is five in the morning in Tokyo
	if _, err := s.UpdateProfile(t.Context(), alice, pactwire.UserPatch{DayStartsAt: &starts}); err != nil {
		t.Fatal(err)
	}
	if r := s.must(t, req); r.Checkin.LocalDate != "2026-06-15" || !r.Duplicate {
		t.Fatalf("%+v", r.Checkin)
	}
}

// TestRollbackLeavesNothingInTheCache makes a check-in that is undone after the engine wrote it.
func TestRollbackLeavesNothingInTheCache(t *testing.T) {
	db := openStore(t)
	e := habits.NewEmbedded(db, habits.EngineOptions{})
	db.OnRollback(func(bool) { e.Forget() })
	s := service{Service: habits.NewService(&recorder{db: db}, db, e, habits.ServiceOptions{}), clock: newClock()}
	p := s.pair(t)
	later := errors.New("the log is full")
	err := db.Update(t.Context(), func(tx *sqlite.Tx) error {
		if _, err := e.Checkin(t.Context(), tx, on(p, noon)); err != nil {
			return err
		}
		return later
	})
	if !errors.Is(err, later) {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *sqlite.Tx) error {
		r, err := e.Checkin(t.Context(), tx, on(p, noon))
		if err == nil && (r.Duplicate || r.Streak.Before != 0 || r.Streak.After != 1) {
			t.Errorf("remembered what was undone: %+v %+v", r, r.Streak)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// countingTx counts the reads of a transaction.
type countingTx struct {
	habits.Tx
	reads int
}

func (c *countingTx) Pact(id pactwire.PactID) (pactwire.Pact, bool, error) {
	c.reads++
	return c.Tx.Pact(id)
}
func (c *countingTx) User(u pactwire.UserID) (pactwire.User, bool, error) {
	c.reads++
	return c.Tx.User(u)
}
func (c *countingTx) Goal(g pactwire.GoalID) (pactwire.Goal, bool, error) {
	c.reads++
	return c.Tx.Goal(g)
}

func (c *countingTx) Checkin(u pactwire.UserID, g pactwire.GoalID, d pactwire.LocalDate) (pactwire.Checkin, bool, error) {
	c.reads++
	return c.Tx.Checkin(u, g, d)
}

func (c *countingTx) CompletedDates(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.LocalDate, error) {
	c.reads++
	return c.Tx.CompletedDates(u, g)
}

func (c *countingTx) Announced(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.AnnouncedMilestone, error) {
	c.reads++
	return c.Tx.Announced(u, g)
}

func TestCorrectionOfTheSameDayReadsNothing(t *testing.T) {
	db := openStore(t)
	e := habits.NewEmbedded(db, habits.EngineOptions{})
	s := service{Service: habits.NewService(&recorder{db: db}, db, e, habits.ServiceOptions{})}
	p := s.pair(t)
	err := db.Update(t.Context(), func(tx *sqlite.Tx) error {
		c := &countingTx{Tx: tx}
		for i := range 10 {
			if i == 1 {
				c.reads = 0
			}
			req := on(p, noon)
			req.Notes = fmt.Sprint("note ", i)
			if _, err := e.Checkin(t.Context(), c, req); err != nil {
				return err
			}
		}
		if c.reads != 0 {
			t.Errorf("%d reads", c.reads)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// discardTx takes check-in rows and does nothing with them: what remains is the engine's own cost.
type discardTx struct{ habits.Tx }

func (discardTx) PutCheckin(pactwire.Checkin) error { return nil }

func BenchmarkCorrection(b *testing.B) {
	db := openStore(b)
	e := habits.NewEmbedded(db, habits.EngineOptions{})
	s := service{Service: habits.NewService(&recorder{db: db}, db, e, habits.ServiceOptions{}), clock: newClock()}
	p := s.pair(b)
	s.checkin = func(ctx context.Context, req pactwire.CheckinRequest) (res pactwire.CheckinResult, err error) {
		return res, db.Update(ctx, func(tx *sqlite.Tx) error { _, err := e.Checkin(ctx, tx, req); return err })
	}
	for d := range 100 {
		s.must(b, on(p, noon.AddDate(0, 0, d)))
	}
	req := on(p, noon.AddDate(0, 0, 99))
	err := db.Update(b.Context(), func(tx *sqlite.Tx) error {
		b.ReportAllocs()
		notes := [2]string{"one", "two"}
		for i := 0; b.Loop(); i++ {
			req.Notes = notes[i%2]
			if _, err := e.Checkin(b.Context(), discardTx{tx}, req); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
