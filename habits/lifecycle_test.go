package habits_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
)

func kinds(cs []pactwire.Change) (out []string) {
	for _, c := range cs {
		s := string(c.Kind)
		if c.Member != "" {
			s += " " + string(c.Member)
		}
		if c.Reason != "" {
			s += " (" + c.Reason + ")"
		}
		out = append(out, s)
	}
	return out
}

func (s service) told() []string {
	out := kinds(*s.changes)
	*s.changes = nil
	return out
}

// life is a service with a goal of alice's.
func life(t *testing.T) (service, pactwire.GoalID) {
	s := embedded(t, habits.EngineOptions{})
	g, err := s.CreateGoal(t.Context(), alice, pactwire.GoalInput{Name: "Run"})
	if err != nil {
		t.Fatal(err)
	}
	return s, g.ID
}

func (s service) create(t *testing.T, g pactwire.GoalID, partners ...pactwire.UserID) pactwire.Pact {
	t.Helper()
	p, err := s.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: g, PartnerUserIDs: partners})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s service) act(t *testing.T, id pactwire.Identity, p pactwire.PactID, a pactwire.PactAction) pactwire.Pact {
	t.Helper()
	out, err := s.Act(t.Context(), id, p, a)
	if err != nil {
		t.Fatalf("%s %s: %v", id.UserID, a, err)
	}
	return out
}

func statusOf(p pactwire.Pact, u pactwire.UserID) pactwire.MemberStatus {
	m, _ := p.Member(u)
	return m.Status
}

func TestLifeOfAPact(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g, "bob", "carol", "bob")
	if p.Status != pactwire.PactPending || p.StartDate != nil || len(p.Members) != 3 || statusOf(p, "alice") != pactwire.MemberActive || statusOf(p, "bob") != pactwire.MemberPending || p.HabitName != "Run" {
		t.Fatalf("%+v", p)
	}
	if diff := cmp.Diff([]string{"created", "invited bob", "invited carol"}, s.told()); diff != "" {
		t.Error(diff)
	}
	p = s.act(t, bob, p.ID, pactwire.ActAccept)
	if p.Status != pactwire.PactActive || p.StartDate == nil || p.EndDate.Std().Sub(p.StartDate.Std()) != 30*24*time.Hour {
		t.Fatalf("%+v", p)
	}
	if m, _ := p.Member("bob"); m.UserName != "Bob" || m.Role != pactwire.RolePartner || m.JoinedAt == nil {
		t.Fatalf("%+v", m)
	}
	if diff := cmp.Diff([]string{"joined bob", "started"}, s.told()); diff != "" {
		t.Error(diff)
	}
	again := s.act(t, bob, p.ID, pactwire.ActAccept)
	if diff := cmp.Diff(p, again, cmp.Comparer(func(a, b pactwire.Time) bool { return a.Std().Equal(b.Std()) })); diff != "" || len(s.told()) != 0 {
		t.Error("accepting again changed something:", diff)
	}
	s.clock.add(time.Hour)
	later := s.act(t, carol, p.ID, pactwire.ActAccept)
	if !later.StartDate.Std().Equal(p.StartDate.Std()) {
		t.Error("a later acceptance moved the start")
	}
	if diff := cmp.Diff([]string{"joined carol"}, s.told()); diff != "" {
		t.Error(diff)
	}
	left := s.act(t, carol, p.ID, pactwire.ActLeave)
	if left.Status != pactwire.PactActive || len(left.Members) != 1 || left.Members[0].Status != pactwire.MemberLeft {
		t.Fatalf("who left sees %+v", left)
	}
	s.act(t, carol, p.ID, pactwire.ActLeave)
	if diff := cmp.Diff([]string{"left carol (left)"}, s.told()); diff != "" {
		t.Error(diff)
	}
	_, err := s.Service.Pact(t.Context(), carol, p.ID)
	wantCode(t, err, pactwire.NotFound, "")
	s.act(t, bob, p.ID, pactwire.ActLeave)
	if diff := cmp.Diff([]string{"left bob (left)", "abandoned (abandoned_partner)"}, s.told()); diff != "" {
		t.Error(diff)
	}
	p, err = s.Service.Pact(t.Context(), alice, p.ID)
	if err != nil || p.Status != pactwire.PactAbandoned || p.EndedAt == nil || p.EndReason != "abandoned_partner" {
		t.Fatalf("%+v %v", p, err)
	}
	_, err = s.Act(t.Context(), alice, p.ID, pactwire.ActComplete)
	wantCode(t, err, pactwire.Conflict, "")
	s.clock.add(31 * 24 * time.Hour)
	_, err = s.Service.Pact(t.Context(), alice, p.ID)
	wantCode(t, err, pactwire.NotFound, "")
}

func TestEndsAreIdempotent(t *testing.T) {
	for action, change := range map[pactwire.PactAction]string{
		pactwire.ActAbandon: "abandoned (abandoned_partner)", pactwire.ActComplete: "completed (completed)",
	} {
		s, g := life(t)
		p := s.create(t, g, "bob")
		s.act(t, bob, p.ID, pactwire.ActAccept)
		s.told()
		s.act(t, bob, p.ID, action)
		s.act(t, alice, p.ID, action)
		if diff := cmp.Diff([]string{change}, s.told()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDeclineAndInviteAgain(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g, "bob")
	s.told()
	s.act(t, bob, p.ID, pactwire.ActDecline)
	s.act(t, bob, p.ID, pactwire.ActDecline)
	_, err := s.Act(t.Context(), bob, p.ID, pactwire.ActAccept)
	wantCode(t, err, pactwire.NotFound, "")
	if _, err := s.Invite(t.Context(), alice, p.ID, []pactwire.UserID{"bob"}); err != nil {
		t.Fatal(err)
	}
	s.act(t, bob, p.ID, pactwire.ActAccept)
	if diff := cmp.Diff([]string{"declined bob", "invited bob", "joined bob", "started"}, s.told()); diff != "" {
		t.Error(diff)
	}
}

func TestRemove(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g, "bob", "carol")
	s.act(t, bob, p.ID, pactwire.ActAccept)
	s.told()
	_, err := s.Remove(t.Context(), bob, p.ID, "carol")
	wantCode(t, err, pactwire.Denied, "")
	_, err = s.Remove(t.Context(), alice, p.ID, "alice")
	wantCode(t, err, pactwire.Invalid, "userId")
	_, err = s.Remove(t.Context(), alice, p.ID, "nobody")
	wantCode(t, err, pactwire.NotFound, "userId")
	for _, u := range []pactwire.UserID{"carol", "carol", "bob"} {
		if _, err := s.Remove(t.Context(), alice, p.ID, u); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"declined carol (removed)", "left bob (removed)", "abandoned (abandoned_creator)"}, s.told()); diff != "" {
		t.Error(diff)
	}
}

func TestClaimCode(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g)
	inv, err := s.InviteCode(t.Context(), alice, p.ID)
	if err != nil || len(inv.Code) != 13 || !strings.HasPrefix(inv.Code, "PACT-") || !inv.ExpiresAt.Std().Equal(noon.AddDate(0, 0, 14)) {
		t.Fatalf("%+v %v", inv, err)
	}
	s.told()
	for range 2 {
		got, err := s.Claim(t.Context(), bob, " "+strings.ToLower(inv.Code)+" ")
		if err != nil || got.ID != p.ID || got.Status != pactwire.PactActive {
			t.Fatalf("%+v %v", got, err)
		}
	}
	if diff := cmp.Diff([]string{"joined bob", "started"}, s.told()); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Remove(t.Context(), alice, p.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Claim(t.Context(), carol, inv.Code)
	wantCode(t, err, pactwire.Conflict, "")
	_, err = s.Claim(t.Context(), carol, "PACT-ZZZZZZZZ")
	wantCode(t, err, pactwire.NotFound, "code")
	s.clock.add(14 * 24 * time.Hour)
	_, err = s.Claim(t.Context(), carol, inv.Code)
	wantCode(t, err, pactwire.NotFound, "code")
}

func TestSixAtMost(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g, "u1", "u2", "u3", "u4", "u5")
	_, err := s.Invite(t.Context(), alice, p.ID, []pactwire.UserID{"u1", "u6"})
	wantCode(t, err, pactwire.Conflict, "userIds")
	_, err = s.InviteCode(t.Context(), alice, p.ID)
	wantCode(t, err, pactwire.Conflict, "")
	s.act(t, pactwire.Identity{UserID: "u5"}, p.ID, pactwire.ActDecline)
	if _, err = s.Invite(t.Context(), alice, p.ID, []pactwire.UserID{"u1", "u6"}); err != nil {
		t.Fatal(err)
	}
}

// TestStrangersLearnNothing tries everything with a pact that is somebody else's, and with one that is not there.
func TestStrangersLearnNothing(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g, "bob")
	for _, id := range []pactwire.PactID{p.ID, "no-such-pact"} {
		calls := map[string]func() error{
			"pact":   func() error { _, err := s.Service.Pact(t.Context(), carol, id); return err },
			"invite": func() error { _, err := s.Invite(t.Context(), carol, id, []pactwire.UserID{"x"}); return err },
			"code":   func() error { _, err := s.InviteCode(t.Context(), carol, id); return err },
			"remove": func() error { _, err := s.Remove(t.Context(), carol, id, "bob"); return err },
		}
		for _, a := range []pactwire.PactAction{"accept", "decline", "leave", "abandon", "complete"} {
			calls[string(a)] = func() error { _, err := s.Act(t.Context(), carol, id, a); return err }
		}
		for name, call := range calls {
			if e := pactwire.AsError(call()); e.Code != pactwire.NotFound || e.Message != "no such pact" || e.Field != "" {
				t.Errorf("%s: %v", name, e)
			}
		}
	}
	_, err := s.CreatePact(t.Context(), carol, pactwire.PactInput{HabitGoalID: g})
	wantCode(t, err, pactwire.NotFound, "habitGoalId")
}

// Operators read every pact, as they do over MQTT, and change none.
func TestOperatorsReadPacts(t *testing.T) {
	s, g := life(t)
	p := s.create(t, g, "bob")
	op := pactwire.Identity{UserID: "olga", Roles: pactwire.RoleOperator}
	if got, err := s.Service.Pact(t.Context(), op, p.ID); err != nil || got.ID != p.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Service.Pact(t.Context(), op, "none"); pactwire.CodeOf(err) != pactwire.NotFound {
		t.Errorf("a pact that is not there: %v", err)
	}
	for _, a := range []pactwire.PactAction{pactwire.ActAccept, pactwire.ActLeave, pactwire.ActAbandon, pactwire.ActComplete} {
		if _, err := s.Act(t.Context(), op, p.ID, a); pactwire.CodeOf(err) != pactwire.NotFound {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestWrongInput(t *testing.T) {
	s, g := life(t)
	many := []pactwire.UserID{"1", "2", "3", "4", "5", "6"}
	for field, in := range map[string]pactwire.PactInput{
		"habitGoalId":    {},
		"durationDays":   {HabitGoalID: g, DurationDays: 31},
		"pactType":       {HabitGoalID: g, PactType: "war"},
		"partnerUserIds": {HabitGoalID: g, PartnerUserIDs: many},
	} {
		_, err := s.CreatePact(t.Context(), alice, in)
		wantCode(t, err, pactwire.Invalid, field)
	}
	for _, u := range []pactwire.UserID{"alice", "a/b", ""} {
		_, err := s.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: g, PartnerUserIDs: []pactwire.UserID{u}})
		wantCode(t, err, pactwire.Invalid, "partnerUserIds")
	}
	for field, in := range map[string]pactwire.GoalInput{
		"name": {Name: " \t"}, "emoji": {Name: "a", Emoji: strings.Repeat("x", 11)}, "frequencyType": {Name: "a", FrequencyType: "hourly"},
		"frequencyCount": {Name: "a", FrequencyCount: -1}, "targetDaysOfWeek": {Name: "a", TargetDaysOfWeek: []int{7}},
		"description": {Name: "a", Description: "\x00"},
	} {
		_, err := s.CreateGoal(t.Context(), alice, in)
		wantCode(t, err, pactwire.Invalid, field)
	}
}

func TestProfile(t *testing.T) {
	s, _ := life(t)
	u, err := s.Profile(t.Context(), bob)
	if diff := cmp.Diff(pactwire.User{ID: "bob", UserName: "Bob", TimeZone: "UTC", DayStartsAt: "00:00", LastSeenVisibility: pactwire.LastSeenExact}, u); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	str := func(s string) *string { return &s }
	quiet := &pactwire.QuietHours{From: "22:00", To: "07:00"}
	if _, err := s.UpdateProfile(t.Context(), bob, pactwire.UserPatch{TimeZone: str("Europe/Berlin"), QuietHours: quiet}); err != nil {
		t.Fatal(err)
	}
	u, err = s.UpdateProfile(t.Context(), bob, pactwire.UserPatch{DayStartsAt: str("03:00")})
	want := pactwire.User{ID: "bob", UserName: "Bob", TimeZone: "Europe/Berlin", DayStartsAt: "03:00", QuietHours: quiet, LastSeenVisibility: pactwire.LastSeenExact}
	if diff := cmp.Diff(want, u); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	for field, in := range map[string]pactwire.UserPatch{
		"timeZone": {TimeZone: str("Mars")}, "dayStartsAt": {DayStartsAt: str("13:00")}, "locale": {Locale: str("x y")},
		"quietHours.to": {QuietHours: &pactwire.QuietHours{From: "22:00", To: "7"}},
	} {
		_, err := s.UpdateProfile(t.Context(), bob, in)
		wantCode(t, err, pactwire.Invalid, field)
	}
	if again, err := s.Profile(t.Context(), bob); err != nil || !cmp.Equal(again, want) {
		t.Fatalf("a refused patch changed something: %+v %v", again, err)
	}
}

func TestPactLists(t *testing.T) {
	s, g := life(t)
	a, b, c := s.create(t, g, "bob"), s.create(t, g, "bob", "carol"), s.create(t, g, "bob")
	s.act(t, bob, a.ID, pactwire.ActAccept)
	s.act(t, carol, b.ID, pactwire.ActAccept)
	s.act(t, bob, c.ID, pactwire.ActDecline)
	for status, want := range map[string][]pactwire.PactID{"": {a.ID, b.ID}, "active": {a.ID, b.ID}, "pending": {b.ID}, "completed": nil} {
		ps, err := s.Pacts(t.Context(), bob, status)
		var got []pactwire.PactID
		for _, p := range ps {
			got = append(got, p.ID)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v %v, want %v", status, got, err, want)
		}
	}
	_, err := s.Pacts(t.Context(), bob, "over")
	wantCode(t, err, pactwire.Invalid, "status")
}
