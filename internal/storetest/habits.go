package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
)

var habitsTests = []test{
	{"people", on(testUsers)},
	{"names from tokens", on(testTouchUser)},
	{"goals", on(testGoals)},
	{"a pact with its members", on(testPact)},
	{"pacts of many people", on(testPactsOf)},
	{"active pacts of a person and habit", on(testActivePacts)},
	{"codes", on(testCodes)},
	{"where a member's story starts", on(testJoined)},
}

// same compares what was written with what was read; times are compared as instants.
func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b pactwire.Time) bool { return a.Std().Equal(b.Std()) })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testUsers(t *testing.T, s Store) {
	u := pactwire.User{ID: "alice", UserName: "Alice", TimeZone: "Europe/Berlin", DayStartsAt: "03:00", Locale: "de-DE",
		QuietHours: &pactwire.QuietHours{From: "22:00", To: "07:00"}}
	if _, ok, err := s.ReadUser(ctx, "alice"); ok || err != nil {
		t.Fatalf("unknown: %v, %v", ok, err)
	}
	must(t, s, func(tx Tx) error {
		if _, ok, err := tx.User("alice"); ok || err != nil {
			t.Errorf("unknown: %v, %v", ok, err)
		}
		if err := tx.PutUser(u); err != nil {
			return err
		}
		got, ok, err := tx.User("alice")
		if !ok {
			t.Error("not there in its own transaction")
		}
		same(t, "user", u, got)
		return err
	})
	u.QuietHours, u.UserName = nil, "Al"
	must(t, s, func(tx Tx) error { return tx.PutUser(u) })
	got, ok, err := s.ReadUser(ctx, "alice")
	if !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	same(t, "user", u, got)
}

func testTouchUser(t *testing.T, s Store) {
	touch := func(name string) pactwire.User {
		t.Helper()
		must(t, s, func(tx Tx) error { return tx.TouchUser("alice", name, noon) })
		u, ok, err := s.ReadUser(ctx, "alice")
		if !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		return u
	}
	same(t, "new", pactwire.User{ID: "alice", UserName: "Alice", TimeZone: "UTC", DayStartsAt: "00:00"}, touch("Alice"))
	must(t, s, func(tx Tx) error {
		return tx.PutUser(pactwire.User{ID: "alice", UserName: "Alice", TimeZone: "Asia/Tokyo", DayStartsAt: "01:00"})
	})
	same(t, "renamed", pactwire.User{ID: "alice", UserName: "Al", TimeZone: "Asia/Tokyo", DayStartsAt: "01:00"}, touch("Al"))
	same(t, "nameless", pactwire.User{ID: "alice", UserName: "Al", TimeZone: "Asia/Tokyo", DayStartsAt: "01:00"}, touch(""))
}

func testGoals(t *testing.T, s Store) {
	run := pactwire.Goal{ID: "run", Name: "Run", Emoji: "🏃", Description: "5 km", FrequencyType: "custom", FrequencyCount: 2,
		TargetDaysOfWeek: []int{1, 4}, CreatedByUserID: "alice", CreatedAt: pactwire.Time(noon)}
	read := pactwire.Goal{ID: "read", Name: "Read", FrequencyType: "daily", FrequencyCount: 1, CreatedByUserID: "bob",
		CreatedAt: pactwire.Time(noon.Add(time.Second))}
	other := pactwire.Goal{ID: "other", Name: "Other", FrequencyType: "daily", FrequencyCount: 1, CreatedByUserID: "carol",
		CreatedAt: pactwire.Time(noon)}
	must(t, s, func(tx Tx) error {
		for _, g := range []pactwire.Goal{run, read, other} {
			if err := tx.PutGoal(g); err != nil {
				return err
			}
		}
		got, ok, err := tx.Goal("run")
		if !ok {
			t.Error("not there")
		}
		same(t, "goal", run, got)
		if _, ok, err := tx.Goal("walk"); ok || err != nil {
			t.Errorf("unknown: %v, %v", ok, err)
		}
		return err
	})
	run.Name = "Run far"
	must(t, s, func(tx Tx) error {
		if err := tx.PutGoal(run); err != nil {
			return err
		}
		return tx.PutPact(pact("p", "read", "bob", "alice"))
	})
	got, err := s.ReadGoals(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "own goals and those of own pacts", []pactwire.Goal{run, read}, got)
	if got, err := s.ReadGoals(ctx, "nobody"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	byID, err := s.ReadGoalsByID(ctx, []pactwire.GoalID{"run", "walk", "read"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "goals by id", map[pactwire.GoalID]pactwire.Goal{run.ID: run, read.ID: read}, byID)
}

// pact is an active pact between people, the first of whom made it.
func pact(id pactwire.PactID, goal pactwire.GoalID, users ...pactwire.UserID) pactwire.Pact {
	p := pactwire.Pact{ID: id, Status: pactwire.PactActive, HabitGoalID: goal, CreatorUserID: users[0], CreatedAt: pactwire.Time(noon),
		StartDate: timePtr(noon)}
	for i, u := range users {
		m := pactwire.Member{UserID: u, Role: pactwire.RolePartner, Status: pactwire.MemberActive, JoinedAt: timePtr(noon)}
		if i == 0 {
			m.Role = pactwire.RoleCreator
		}
		p.Members = append(p.Members, m)
	}
	return p
}

func testPact(t *testing.T, s Store) {
	p := pact("p", "run", "alice", "bob")
	p.Status, p.PactType, p.DurationDays, p.StartDate = pactwire.PactPending, "duo", 30, nil
	p.Members[1].Status, p.Members[1].JoinedAt = pactwire.MemberPending, nil
	must(t, s, func(tx Tx) error {
		if _, ok, err := tx.Pact("p"); ok || err != nil {
			t.Errorf("unknown: %v, %v", ok, err)
		}
		if err := tx.PutPact(p); err != nil {
			return err
		}
		got, ok, err := tx.Pact("p")
		if !ok {
			t.Error("not there")
		}
		same(t, "pact of people and a habit that are not known yet", p, got)
		return err
	})
	must(t, s, func(tx Tx) error {
		if err := tx.PutGoal(pactwire.Goal{ID: "run", Name: "Run", Emoji: "🏃", CreatedByUserID: "alice"}); err != nil {
			return err
		}
		if err := tx.PutUser(pactwire.User{ID: "alice", UserName: "Alice"}); err != nil {
			return err
		}
		p.Status, p.StartDate, p.EndDate = pactwire.PactCompleted, timePtr(noon), timePtr(noon.AddDate(0, 0, 30))
		p.EndedAt, p.EndReason = timePtr(noon.AddDate(0, 0, 30)), "done"
		p.Members[1].Status, p.Members[1].JoinedAt = pactwire.MemberActive, timePtr(noon)
		p.Members = append(p.Members[:2:2], pactwire.Member{UserID: "carol", Role: pactwire.RolePartner, Status: pactwire.MemberDeclined})
		p.HeadSeq = 7 // not the pact's business
		return tx.PutPact(p)
	})
	p.HabitName, p.HabitEmoji, p.Members[0].UserName, p.HeadSeq = "Run", "🏃", "Alice", 0
	got, ok, err := s.ReadPact(ctx, "p")
	if !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	same(t, "pact", p, got)
	if _, ok, err := s.ReadPact(ctx, "q"); ok || err != nil {
		t.Errorf("unknown: %v, %v", ok, err)
	}

	p.Members = []pactwire.Member{p.Members[2], p.Members[0]} // order and absence count
	must(t, s, func(tx Tx) error { return tx.PutPact(p) })
	got, _, err = s.ReadPact(ctx, "p")
	same(t, "members written anew", p, got)
	if err != nil {
		t.Fatal(err)
	}
}

func testPactsOf(t *testing.T, s Store) {
	ended := pact("ended", "run", "alice", "carol")
	ended.Status, ended.EndedAt = pactwire.PactAbandoned, timePtr(noon)
	left := pact("left", "run", "bob", "alice")
	left.Members[1].Status = pactwire.MemberLeft
	must(t, s, func(tx Tx) error {
		for _, p := range []pactwire.Pact{pact("one", "run", "alice", "bob"), ended, left} {
			if err := tx.PutPact(p); err != nil {
				return err
			}
		}
		return nil
	})
	got, err := s.ReadPactsOf(ctx, []pactwire.UserID{"alice", "bob", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	one := pact("one", "run", "alice", "bob")
	same(t, "alice's", []pactwire.Pact{one, ended, left}, got["alice"])
	same(t, "bob's", []pactwire.Pact{one, left}, got["bob"])
	if len(got["nobody"]) != 0 {
		t.Errorf("nobody's: %v", got["nobody"])
	}
	if got, err := s.ReadPactsOf(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("no users: %v, %v", got, err)
	}
}

func testActivePacts(t *testing.T, s Store) {
	ended := pact("ended", "run", "alice", "bob")
	ended.Status = pactwire.PactCompleted
	left := pact("left", "run", "bob", "alice")
	left.Members[1].Status = pactwire.MemberLeft
	must(t, s, func(tx Tx) error {
		for _, p := range []pactwire.Pact{pact("a", "run", "alice", "bob"), ended, left, pact("b", "read", "alice", "bob"), pact("c", "run", "carol", "alice")} {
			if err := tx.PutPact(p); err != nil {
				return err
			}
		}
		for _, tt := range []struct {
			u    pactwire.UserID
			g    pactwire.GoalID
			want []pactwire.PactID
		}{
			{"alice", "run", []pactwire.PactID{"a", "c"}}, {"alice", "read", []pactwire.PactID{"b"}},
			{"bob", "run", []pactwire.PactID{"a", "left"}}, {"dave", "run", nil}, {"alice", "swim", nil},
		} {
			got, err := tx.ActivePacts(tt.u, tt.g)
			if err != nil {
				return err
			}
			same(t, string(tt.u)+" "+string(tt.g), tt.want, got)
		}
		return nil
	})
}

func testCodes(t *testing.T, s Store) {
	expires := noon.Add(48 * time.Hour)
	must(t, s, func(tx Tx) error {
		if _, _, ok, err := tx.Code("PACT-1"); ok || err != nil {
			t.Errorf("unknown: %v, %v", ok, err)
		}
		return tx.PutCode("PACT-1", "p", expires)
	})
	if err := do(t, s, func(tx Tx) error { return tx.PutCode("PACT-1", "q", expires) }); pactwire.CodeOf(err) != pactwire.Conflict {
		t.Errorf("taken: %v", err)
	}
	must(t, s, func(tx Tx) error {
		p, e, ok, err := tx.Code("PACT-1")
		if p != "p" || !e.Equal(expires) || !ok {
			t.Errorf("%v %v %v", p, e, ok)
		}
		return err
	})
}

func testJoined(t *testing.T, s Store) {
	p := pact("p", "run", "alice", "bob")
	must(t, s, func(tx Tx) error {
		if err := tx.PutPact(p); err != nil {
			return err
		}
		if err := tx.Joined("p", "bob", 5); err != nil {
			return err
		}
		return tx.Joined("remote", "bob", 9)
	})
	must(t, s, func(tx Tx) error { return tx.PutPact(p) })
	got, err := s.JoinedAt(ctx, []pactwire.UserID{"alice", "bob", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "places", map[pactwire.PactID]pactwire.Seq{"p": 5, "remote": 9}, got["bob"])
	if len(got["alice"]) != 0 || len(got["nobody"]) != 0 {
		t.Errorf("places of who joined nothing: %v", got)
	}
	must(t, s, func(tx Tx) error { return tx.Joined("p", "bob", 12) }) // left and came back
	if got, err := s.JoinedAt(ctx, []pactwire.UserID{"bob"}); err != nil || got["bob"]["p"] != 12 {
		t.Errorf("%v, %v", got, err)
	}
}
