package bridge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
)

// TestALeftPactLeavesTheHabitsSchedule: a streak in a habit of somebody else's is reckoned by its days, also once the pact is left.
func TestALeftPactLeavesTheHabitsSchedule(t *testing.T) {
	n := newNode(t)
	last := time.Now().UTC().AddDate(0, 0, -2)
	g, err := n.service.CreateGoal(t.Context(), alice, pactwire.GoalInput{Name: "Swim", FrequencyType: "custom", TargetDaysOfWeek: []int{int(last.Weekday())}})
	if err != nil {
		t.Fatal(err)
	}
	p := pactAbout(t, n.service, g.ID, alice, bob, carol)
	n.hold(t, bob)
	c := done(bob, p.ID, "", "")
	c.Checkin.ScheduledDate = pactwire.LocalDate(last.Format(time.DateOnly))
	if err := n.accept(t, c); err != nil {
		t.Fatal(err)
	}
	want := pactwire.Streak{}
	for _, when := range []string{"a member", "no member"} {
		list, err := n.service.Streaks(t.Context(), bob)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %v", when, list, err)
		}
		if when == "a member" {
			want = list[0]
		} else if !cmp.Equal(list[0], want) {
			t.Errorf("%s: %+v, want %+v", when, list[0], want)
		}
		members, err := n.service.MemberStreaks(t.Context(), g.ID, []pactwire.UserID{"bob", "carol"})
		if err != nil || len(members) != 1 || !cmp.Equal(members["bob"], want) {
			t.Errorf("for the state of pacts: %+v, %v, want %+v", members, err, want)
		}
		if when == "a member" {
			if _, err := n.service.Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want.Current != 1 || want.GraceLeft == 0 {
		t.Errorf("two days after a habit of one day a week: %+v", want)
	}
}
