package habits_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/sqlite"
)

// TestACheckinDoesNotHideABreak: when a check-in begins a new streak before the scheduler has come, as while a backlog is worked off
// after a night's outage, the end of the old one is said all the same, once.
func TestACheckinDoesNotHideABreak(t *testing.T) {
	for _, tc := range []struct {
		name  string
		look  bool                                      // the scheduler comes first
		first func(*testing.T, *process, pactwire.Pact) // what comes before the new streak
		want  []int
	}{
		{name: "check-in first", want: []int{4}},
		{name: "scheduler first", look: true},
		{name: "after a word about the day that is missed", want: []int{4}, first: func(t *testing.T, s *process, p pactwire.Pact) {
			skipped := on(p, s.clock.now())
			skipped.Status, skipped.ScheduledDate = pactwire.StatusSkipped, "2026-06-19"
			s.must(t, skipped)
		}},
		{name: "after a day in the middle was taken back", want: []int{3}, first: func(t *testing.T, s *process, p pactwire.Pact) {
			s.takeBack(t, p, "2026-06-16")
		}},
		{name: "a correction had ended it", first: func(t *testing.T, s *process, p pactwire.Pact) {
			s.takeBack(t, p, "2026-06-18")
		}},
		{name: "a day that was written late keeps it", first: func(t *testing.T, s *process, p pactwire.Pact) {
			late := on(p, s.clock.now())
			late.ScheduledDate = "2026-06-19"
			s.must(t, late)
		}},
		{name: "of before the scheduler was", first: func(t *testing.T, s *process, p pactwire.Pact) {
			err := s.db.Update(t.Context(), func(tx *sqlite.Tx) error { return tx.PutDue("streak alice "+string(p.HabitGoalID), time.Unix(0, 0)) })
			if err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, s := alone(t)
			p := s.pair(t)
			for _, date := range []string{"2026-06-15", "2026-06-16", "2026-06-17", "2026-06-18"} {
				s.must(t, on(p, s.clock.on(date)))
			}
			l.told()
			s.clock.set(s.clock.on("2026-06-21"))
			if tc.look {
				s.look(t)
				wantTold(t, l, "broken alice 4")
			}
			if tc.first != nil {
				tc.first(t, &s, p)
			}
			var got []int
			for range 3 { // the second and the third say nothing
				for _, c := range s.must(t, on(p, s.clock.now())).Broken {
					if c.Kind != pactwire.ChangeStreakBroken || c.User != "alice" || len(c.Pacts) != 1 || c.Pacts[0] != p.ID {
						t.Errorf("%+v", c)
					}
					got = append(got, c.Broken.StreakDays)
				}
				s.clock.add(24 * time.Hour)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("said with the check-ins (-want +got):\n%s", diff)
			}
			s.look(t)
			wantTold(t, l)
		})
	}
}

// takeBack deletes what alice checked in on a date.
func (p *process) takeBack(t *testing.T, pact pactwire.Pact, date pactwire.LocalDate) {
	t.Helper()
	err := p.db.Update(t.Context(), func(tx *sqlite.Tx) error {
		c, _, err := tx.Checkin("alice", pact.HabitGoalID, date)
		if err == nil {
			_, err = p.engine.DeleteCheckin(t.Context(), tx, "alice", c.ID, p.clock.now())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHostTellsOfABreakWithTheCheckin: the serving node, which sent the check-in, learns of it by webhook.
func TestHostTellsOfABreakWithTheCheckin(t *testing.T) {
	db, c := openStore(t), newClock()
	cfg := habits.HostConfig{Secret: testSecret, EventsURL: "http://127.0.0.1:1/", Service: habits.ServiceOptions{Now: c.now}}
	h, err := habits.NewHost(hostStore{db}, cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := service{Service: h.Service(), clock: c}.pair(t)
	for _, date := range []string{"2026-06-15", "2026-06-20"} {
		if _, _, err := h.Checkin(t.Context(), on(p, c.on(date)), false); err != nil {
			t.Fatal(err)
		}
	}
	list, err := db.DueWebhooks(t.Context(), "events", c.now().Add(time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range list {
		if strings.Contains(string(w.Body), `"streak.broken"`) {
			got = append(got, string(w.Body))
		}
	}
	if len(got) != 1 || !strings.Contains(got[0], `"streakDays":1`) {
		t.Errorf("%q", got)
	}
}
