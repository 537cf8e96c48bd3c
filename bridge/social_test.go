package bridge_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/sqlite"
)

func celebrate(id pactwire.Identity, p pactwire.PactID, key, checkin string) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandCelebration, ID: key, Sender: id, Pact: p, ReceivedAt: time.Now(),
		Celebration: &pactwire.CelebrationCommand{CheckinID: checkin, Message: "well done"}}
}

func encourage(id pactwire.Identity, p pactwire.PactID, key string, to pactwire.UserID) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandEncouragement, ID: key, Sender: id, Pact: p, ReceivedAt: time.Now(),
		Encouragement: &pactwire.EncouragementCommand{Target: to, Message: "go", Emoji: "💪"}}
}

func react(id pactwire.Identity, p pactwire.PactID, activity, emoji string) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandReaction, Sender: id, Pact: p, ReceivedAt: time.Now(),
		Reaction: &pactwire.ReactionCommand{ActivityID: activity, Emoji: emoji}}
}

func write(id pactwire.Identity, to pactwire.UserID, words string) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandDirectMessage, Sender: id, User: to, ReceivedAt: time.Now(),
		Message: &pactwire.MessageCommand{Message: words}}
}

func step(id pactwire.Identity, to pactwire.UserID, a pactwire.ConnectionAction) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandConnection, Sender: id, User: to, ReceivedAt: time.Now(),
		Connection: &pactwire.ConnectionCommand{Action: a}}
}

// do carries out one command and returns what it came to.
func (n *node) do(t testing.TB, cmd pactwire.Command) (pactwire.CommandDone, error) {
	t.Helper()
	res, err := n.bridge.Do(t.Context(), []pactwire.Command{cmd})
	var d pactwire.CommandDone
	if err == nil && json.Unmarshal(res[0].Answer.Data, &d) != nil {
		t.Fatalf("answered with %s", res[0].Answer.Data)
	}
	return d, err
}

// must carries out a command that must succeed, and says whether it changed anything.
func (n *node) must(t testing.TB, cmd pactwire.Command) pactwire.CommandDone {
	t.Helper()
	d, err := n.do(t, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// refused checks a refusal.
func (n *node) refused(t testing.TB, cmd pactwire.Command, code pactwire.Code, field string) {
	t.Helper()
	_, err := n.do(t, cmd)
	if e := pactwire.AsError(err); err == nil || e.Code != code || e.Field != field {
		t.Errorf("%s of %s: %v, want %s (%s)", cmd.Kind, cmd.Sender.UserID, err, code, field)
	}
}

// checkedIn makes a check-in and returns its id.
func (n *node) checkedIn(t testing.TB, id pactwire.Identity, p pactwire.PactID) string {
	t.Helper()
	res, err := n.bridge.Do(t.Context(), []pactwire.Command{done(id, p, "", uuid.NewString())})
	if err != nil {
		t.Fatal(err)
	}
	var logged pactwire.CheckinLogged
	if err := json.Unmarshal(res[0].Answer.Data, &logged); err != nil {
		t.Fatal(err)
	}
	return logged.Checkin.ID
}

// last is the last event of a type in an inbox, its data read into out; how many there are is returned.
func (p *told) last(t testing.TB, u pactwire.UserID, typ pactwire.EventType, out any) (n int) {
	t.Helper()
	for _, e := range p.inbox(t, u) {
		if e.Type != typ {
			continue
		}
		n++
		if err := json.Unmarshal(e.Data, out); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestACheckinIsCelebratedWhileItIsKept: who has celebrated one is forgotten some time after its activity is.
func TestACheckinIsCelebratedWhileItIsKept(t *testing.T) {
	inBubble(t, newScript(activePact("p1", "g1", alice, bob)), bridge.Config{Retention: 100 * 24 * time.Hour}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		wait(0)
		for age, want := range map[int]pactwire.Code{99: "", 100: "", 101: pactwire.NotFound, 400: pactwire.NotFound} {
			c := pactwire.Checkin{ID: fmt.Sprint("c", age), UserID: "bob", HabitGoalID: "g1", Status: pactwire.StatusCompleted,
				LocalDate: pactwire.LocalDate(time.Now().UTC().AddDate(0, 0, -age).Format(time.DateOnly))}
			err := n.db.Update(t.Context(), func(tx *sqlite.Tx) error { _, _, err := tx.SeenCheckin(c); return err })
			if err != nil {
				t.Fatal(err)
			}
			if want == "" {
				n.must(t, celebrate(alice, "p1", "", c.ID))
			} else {
				n.refused(t, celebrate(alice, "p1", "", c.ID), want, "checkinId")
			}
		}
	})
}

func TestCelebrationReachesItsTargetAndTheFeed(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	checkin := n.checkedIn(t, bob, p.ID)
	d := n.must(t, celebrate(alice, p.ID, "k", checkin))
	feed := n.told.activities(t, p.ID)
	a := feed[len(feed)-1]
	var data pactwire.CelebrationData
	if err := json.Unmarshal(a.Data, &data); err != nil || a.Type != pactwire.CelebrationSent || a.UserID != "alice" || *a.CommandID != "k" ||
		data.TargetUserID != "bob" || data.CheckinID != checkin || data.Message != "well done" || *d.ActivityID != a.ID || *d.ActivitySeq != a.Seq || *d.PactID != p.ID {
		t.Errorf("activity %+v %s, answer %+v", a, a.Data, d)
	}
	var got pactwire.CelebrationReceived
	want := pactwire.CelebrationReceived{FromUserName: "Alice", Message: "well done", Celebration: pactwire.Celebration{ID: data.CelebrationID, PactID: p.ID,
		FromUserID: "alice", ToUserID: "bob", CheckinID: checkin, Message: "well done"}}
	if c := n.told.last(t, "bob", pactwire.EventCelebration, &got); c != 1 || got != want {
		t.Errorf("%d times %+v, want %+v", c, got, want)
	}
	if c := n.told.last(t, "carol", pactwire.EventCelebration, &got); c != 0 {
		t.Error("a third person was told in their inbox")
	}
}

func TestCelebrationIsOfAPartnersCheckinInThisPact(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	own, bobs := n.checkedIn(t, alice, p.ID), n.checkedIn(t, bob, p.ID)
	other := pactOf(t, n.service, bob, carol)
	elsewhere := n.checkedIn(t, bob, other.ID)
	n.refused(t, celebrate(alice, p.ID, "", own), pactwire.Invalid, "checkinId")
	n.refused(t, celebrate(alice, p.ID, "", "no-such"), pactwire.NotFound, "checkinId")
	n.refused(t, celebrate(alice, p.ID, "", elsewhere), pactwire.NotFound, "checkinId")
	n.refused(t, celebrate(carol, p.ID, "", bobs), pactwire.Denied, "")
	mistaken := celebrate(alice, p.ID, "", bobs)
	mistaken.Celebration.Target = "carol"
	n.refused(t, mistaken, pactwire.NotFound, "checkinId")
	mistaken.Celebration.Target = "alice"
	n.refused(t, mistaken, pactwire.Invalid, "targetUserId")
	// Of the same habit, and from before carol was in the pact: it was never an activity of it.
	late := pactAbout(t, n.service, p.HabitGoalID, alice, carol)
	n.refused(t, celebrate(carol, late.ID, "", own), pactwire.NotFound, "checkinId")
	n.must(t, celebrate(carol, late.ID, "", n.checkedIn(t, alice, p.ID))) // corrected, it is
	named := celebrate(alice, p.ID, "", bobs)
	named.Celebration.Target = "bob"
	n.must(t, named)
	if _, err := n.service.Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	n.refused(t, celebrate(alice, p.ID, "", bobs), pactwire.Conflict, "") // the pact is over
}

func TestPromise2ACelebrationHappensOnce(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	checkin := n.checkedIn(t, bob, p.ID)
	first := n.must(t, celebrate(alice, p.ID, "k", checkin))
	again := n.must(t, celebrate(alice, p.ID, "k", checkin))
	if !again.Duplicate || *again.ActivityID != *first.ActivityID {
		t.Errorf("sent again: %+v, first %+v", again, first)
	}
	n.refused(t, celebrate(alice, p.ID, "k2", checkin), pactwire.Conflict, "checkinId")
	n.refused(t, celebrate(alice, p.ID, "", checkin), pactwire.Conflict, "checkinId")
	n.must(t, celebrate(carol, p.ID, "k", checkin)) // another sender
	var got pactwire.CelebrationReceived
	if c := n.told.last(t, "bob", pactwire.EventCelebration, &got); c != 2 {
		t.Errorf("told %d times", c)
	}
}

func TestRemoteCheckinsCanBeCelebrated(t *testing.T) {
	p := pactwire.Pact{ID: "p", Status: pactwire.PactActive, HabitGoalID: "g", CreatorUserID: "alice", Members: []pactwire.Member{
		{UserID: "alice", UserName: "Alice", Role: pactwire.RoleCreator, Status: pactwire.MemberActive},
		{UserID: "bob", UserName: "Bob", Role: pactwire.RolePartner, Status: pactwire.MemberActive}}}
	n := openNode(t, filepath.Join(t.TempDir(), "p.db"), newScript(p), bridge.Config{})
	t.Cleanup(func() { n.close(t) })
	n.hold(t, alice, bob)
	if err := n.accept(t, done(bob, "p", "k", "")); err != nil {
		t.Fatal(err)
	}
	n.told.until(t, "the check-in", func() bool { return len(n.told.activities(t, "p")) == 1 })
	var logged pactwire.CheckinLogged
	n.told.until(t, "its answer", func() bool { return n.told.last(t, "bob", pactwire.EventCheckinLogged, &logged) == 1 })
	n.must(t, celebrate(alice, "p", "", logged.Checkin.ID))
	n.refused(t, celebrate(alice, "p", "", logged.Checkin.ID), pactwire.Conflict, "checkinId")
	n.refused(t, celebrate(alice, "p", "", "c-alice"), pactwire.NotFound, "checkinId")
	n.must(t, encourage(alice, "p", "", "bob"))
	n.must(t, write(alice, "bob", "hi"))
}

func TestFiveEncouragementsADayForOnePerson(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	for i := range pactwire.MaxEncouragements {
		n.must(t, encourage(alice, p.ID, fmt.Sprint(i), "bob"))
	}
	n.refused(t, encourage(alice, p.ID, "6", "bob"), pactwire.TooMany, "")
	if d := n.must(t, encourage(alice, p.ID, "1", "bob")); !d.Duplicate {
		t.Error("one that was sent again counts anew")
	}
	n.must(t, encourage(alice, p.ID, "c", "carol"))
	n.must(t, encourage(carol, p.ID, "c", "bob"))
	tomorrow := encourage(alice, p.ID, "t", "bob")
	tomorrow.ReceivedAt = tomorrow.ReceivedAt.Add(24 * time.Hour)
	n.must(t, tomorrow)
	for i := range pactwire.MaxEncouragements - 1 { // back over the date line: tomorrow's count goes on
		n.must(t, encourage(alice, p.ID, fmt.Sprint("w", i), "bob"))
	}
	n.refused(t, encourage(alice, p.ID, "w", "bob"), pactwire.TooMany, "")
	var got pactwire.EncouragementReceived
	if c := n.told.last(t, "bob", pactwire.EventEncouragement, &got); c != 11 || got.FromUserName != "Alice" || *got.Encouragement.Emoji != "💪" ||
		got.Encouragement.ToUserID != "bob" || got.Encouragement.PactID != p.ID || got.Message != "go" {
		t.Errorf("%d times, last %+v", c, got)
	}
	n.refused(t, encourage(alice, p.ID, "", "alice"), pactwire.Invalid, "targetUserId")
	n.refused(t, encourage(alice, p.ID, "", "mallory"), pactwire.NotFound, "targetUserId")
	if _, err := n.service.Act(t.Context(), carol, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	n.refused(t, encourage(alice, p.ID, "", "carol"), pactwire.NotFound, "targetUserId")
}

func TestAReactionIsOneAPersonAndCanBeTakenBack(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.checkedIn(t, bob, p.ID)
	about := n.told.activities(t, p.ID)[2]
	emojis := func() (list []string) {
		for _, a := range n.told.activities(t, p.ID) {
			var d pactwire.ReactionData
			if a.Type != pactwire.ReactionAdded {
				continue
			}
			if err := json.Unmarshal(a.Data, &d); err != nil || d.ActivityID != about.ID {
				t.Errorf("%s, %v", a.Data, err)
			}
			if d.Emoji == nil {
				list = append(list, "null")
			} else {
				list = append(list, *d.Emoji)
			}
		}
		return list
	}
	for _, s := range []struct {
		emoji     string
		duplicate bool
	}{{"", true}, {"🎉", false}, {"🎉", true}, {"💛", false}, {"", false}, {"", true}, {"🎉", false}} {
		if d := n.must(t, react(alice, p.ID, about.ID, s.emoji)); d.Duplicate != s.duplicate || d.Duplicate != (d.ActivityID == nil) {
			t.Errorf("%q: %+v", s.emoji, d)
		}
	}
	if got, want := emojis(), []string{"🎉", "💛", "null", "🎉"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	feed := n.told.activities(t, p.ID)
	n.refused(t, react(bob, p.ID, feed[len(feed)-1].ID, "🎉"), pactwire.Invalid, "activityId")
}

func TestAReactionIsToAnActivityOfThePact(t *testing.T) {
	n := newNode(t)
	p, other := pactOf(t, n.service, alice, bob), pactOf(t, n.service, bob, carol)
	elsewhere := n.told.activities(t, other.ID)[0]
	n.refused(t, react(alice, p.ID, elsewhere.ID, "🎉"), pactwire.NotFound, "activityId")
	n.refused(t, react(alice, p.ID, "nothing", "🎉"), pactwire.NotFound, "activityId")
	n.refused(t, react(alice, p.ID, uuid.Must(uuid.NewV7()).String(), "🎉"), pactwire.NotFound, "activityId")
	n.refused(t, react(alice, p.ID, "00000000-0000-7000-8000-000000000000", "🎉"), pactwire.NotFound, "activityId")
	n.refused(t, react(alice, other.ID, elsewhere.ID, "🎉"), pactwire.Denied, "") // before anything is read
	n.must(t, react(bob, other.ID, elsewhere.ID, "🎉"))
}

// TestAnOldActivityIsFound: far behind the newest, and also where a clock was set back while the feed was written.
func TestAnOldActivityIsFound(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	for i := range 300 {
		if err := n.accept(t, say(alice, p.ID, "", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	feed := n.told.activities(t, p.ID)
	for _, i := range []int{0, 1, 2, 100, 200, 250, 251, 252, len(feed) - 1} {
		n.must(t, react(bob, p.ID, feed[i].ID, "👀"))
	}
}

func TestDirectMessageComesToBothInboxes(t *testing.T) {
	n := newNode(t)
	pactOf(t, n.service, alice, bob)
	cmd := write(alice, "bob", "hi")
	cmd.ID = "k"
	n.must(t, cmd)
	if d := n.must(t, cmd); !d.Duplicate {
		t.Error("sent again")
	}
	var his, hers pactwire.DirectMessageSent
	if c := n.told.last(t, "bob", pactwire.EventDirectMessage, &his); c != 1 {
		t.Errorf("bob has %d", c)
	}
	if c := n.told.last(t, "alice", pactwire.EventDirectMessage, &hers); c != 1 {
		t.Errorf("alice has %d", c)
	}
	if his.ContextUserID != "alice" || hers.ContextUserID != "bob" || his.Message != hers.Message || his.Message.Text != "hi" ||
		his.Message.FromUserID != "alice" || his.Message.FromUserName != "Alice" || his.Message.ToUserID != "bob" || his.Message.ID == "" {
		t.Errorf("%+v\n%+v", his, hers)
	}
}

func TestPromise5NobodyLearnsByADirectMessageWhoIsThere(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	pactOf(t, n.service, bob, carol) // carol is there, and shares a pact with bob alone
	_, unknown := n.do(t, write(alice, "nobody-at-all", "hi"))
	_, stranger := n.do(t, write(alice, "carol", "hi"))
	n.must(t, step(bob, "alice", pactwire.ConnectionBlock))
	_, blocked := n.do(t, write(alice, "bob", "hi"))
	for name, err := range map[string]error{"a stranger": stranger, "who has blocked": blocked} {
		if pactwire.CodeOf(err) != pactwire.Denied || err.Error() != unknown.Error() {
			t.Errorf("%s: %v, of nobody: %v", name, err, unknown)
		}
	}
	n.refused(t, write(alice, "alice", "hi"), pactwire.Invalid, "topic")
	n.refused(t, write(bob, "alice", "hi"), pactwire.Conflict, "") // bob blocked her, and is told so
	n.must(t, step(bob, "alice", pactwire.ConnectionUnblock))
	n.must(t, write(alice, "bob", "hi"))
	if _, err := n.service.Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	n.refused(t, write(alice, "bob", "hi"), pactwire.Denied, "")
	n.must(t, step(alice, "bob", pactwire.ConnectionRequest))
	n.refused(t, write(alice, "bob", "hi"), pactwire.Denied, "")
	n.must(t, step(bob, "alice", pactwire.ConnectionAccept))
	n.must(t, write(alice, "bob", "hi"))
}

// TestOperatorsPublishNothing whichever way they come; over MQTT the topic's rules say so. What they have read is their own business.
func TestOperatorsPublishNothing(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	checkin := n.checkedIn(t, bob, p.ID)
	operator := alice
	operator.Roles = pactwire.RoleOperator
	for _, c := range []pactwire.Command{write(operator, "bob", "hi"), step(operator, "bob", pactwire.ConnectionRequest), say(operator, p.ID, "", "hi"),
		done(operator, p.ID, "", ""), celebrate(operator, p.ID, "", checkin), encourage(operator, p.ID, "", "bob")} {
		n.refused(t, c, pactwire.Denied, "")
	}
	n.must(t, pactwire.Command{Kind: pactwire.CommandNotification, Sender: operator, User: "alice", ReceivedAt: time.Now(),
		Notification: &pactwire.NotificationCommand{All: true}})
}

func TestBlockedPersonReachesNobodyWhoBlockedThem(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	checkin := n.checkedIn(t, bob, p.ID)
	n.must(t, step(bob, "alice", pactwire.ConnectionBlock))
	before := len(n.told.inbox(t, "bob"))
	n.refused(t, celebrate(alice, p.ID, "", checkin), pactwire.Denied, "targetUserId")
	n.refused(t, encourage(alice, p.ID, "", "bob"), pactwire.Denied, "targetUserId")
	n.must(t, step(alice, "bob", pactwire.ConnectionRequest)) // as to anyone who does not answer
	pactAboutPending(t, n, alice, "bob")
	if got := n.told.inbox(t, "bob"); len(got) != before {
		t.Errorf("bob was told %v", types(got[before:]))
	}
	n.must(t, celebrate(bob, p.ID, "", n.checkedIn(t, alice, p.ID)))
	if feed := n.told.activities(t, p.ID); feed[len(feed)-1].Type != pactwire.CelebrationSent {
		t.Error("who blocks can still celebrate")
	}
}

func pactAboutPending(t *testing.T, n *node, by pactwire.Identity, with pactwire.UserID) {
	t.Helper()
	g, err := n.service.CreateGoal(t.Context(), by, pactwire.GoalInput{Name: "Read"})
	if err == nil {
		_, err = n.service.CreatePact(t.Context(), by, pactwire.PactInput{HabitGoalID: g.ID, PartnerUserIDs: []pactwire.UserID{with}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestNotificationsAreForOnesOwnAffairs(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	checkin := n.checkedIn(t, bob, p.ID) // no notification for alice: the feed has it
	n.must(t, celebrate(alice, p.ID, "", checkin))
	n.must(t, encourage(alice, p.ID, "", "bob"))
	n.must(t, write(alice, "bob", "one"))
	n.must(t, write(alice, "bob", "two"))
	n.must(t, step(carol, "bob", pactwire.ConnectionRequest))
	n.must(t, step(bob, "carol", pactwire.ConnectionAccept))
	page, err := n.bridge.Notifications(t.Context(), bob, pactwire.NotificationQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range page.Items {
		got = append(got, fmt.Sprintf("%s %s %d", x.Type, x.FromUserID, x.Count))
	}
	want := []string{"connection_request carol 1", "message alice 2", "encouragement alice 1", "celebration alice 1", "pact_invitation alice 1"}
	if !slices.Equal(got, want) || page.UnreadCount != 3 || page.HasMore {
		t.Errorf("%v, %d unread, want %v", got, page.UnreadCount, want)
	}
	var changed pactwire.NotificationChanged
	if c := n.told.last(t, "bob", pactwire.EventNotificationCreated, &changed); c != 5 || changed.UnreadCount != 4 || !changed.IsUnread {
		t.Errorf("%d created, the last %+v", c, changed)
	}
	if c := n.told.last(t, "bob", pactwire.EventNotificationUpdated, &changed); c != 3 || changed.Type != pactwire.NotifyConnectionRequest || changed.IsUnread || changed.UnreadCount != 3 {
		t.Errorf("%d updated, the last %+v", c, changed)
	}
	if page, err = n.bridge.Notifications(t.Context(), carol, pactwire.NotificationQuery{}); err != nil || len(page.Items) != 1 || page.Items[0].Type != pactwire.NotifyConnectionAccepted {
		t.Errorf("the requester has %+v, %v", page, err)
	}
	if page, err = n.bridge.Notifications(t.Context(), alice, pactwire.NotificationQuery{}); err != nil || len(page.Items) != 0 {
		t.Errorf("alice has %+v, %v", page, err)
	}
}

// TestWhoAnswersHasReadTheQuestion: an invitation and a request to connect are no news any more once they are answered, either
// way; asked again, they are.
func TestWhoAnswersHasReadTheQuestion(t *testing.T) {
	n := newNode(t)
	goal := pactOf(t, n.service, alice).HabitGoalID
	unread := func(want ...string) {
		t.Helper()
		page, err := n.bridge.Notifications(t.Context(), bob, pactwire.NotificationQuery{Unread: true})
		var got []string
		for _, x := range page.Items {
			got = append(got, string(x.Type))
		}
		if err != nil || !slices.Equal(got, want) || page.UnreadCount != len(want) {
			t.Errorf("unread: %v of %d, %v; want %v", got, page.UnreadCount, err, want)
		}
	}
	for _, answer := range []pactwire.PactAction{pactwire.ActAccept, pactwire.ActDecline} {
		p, err := n.service.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: goal, PartnerUserIDs: []pactwire.UserID{"bob", "carol"}})
		if err != nil {
			t.Fatal(err)
		}
		unread("pact_invitation")
		if _, err := n.service.Act(t.Context(), carol, p.ID, answer); err != nil {
			t.Fatal(err)
		}
		unread("pact_invitation") // that was somebody else's answer
		if _, err := n.service.Act(t.Context(), bob, p.ID, answer); err != nil {
			t.Fatal(err)
		}
		unread()
		var changed pactwire.NotificationChanged
		if n.told.last(t, "bob", pactwire.EventNotificationUpdated, &changed); changed.PactID != p.ID || changed.IsUnread || changed.UnreadCount != 0 {
			t.Errorf("his devices were told %+v", changed)
		}
	}
	for _, answer := range []pactwire.ConnectionAction{pactwire.ConnectionDecline, pactwire.ConnectionAccept} {
		n.must(t, step(carol, "bob", pactwire.ConnectionRequest))
		unread("connection_request")
		n.must(t, step(bob, "carol", answer))
		unread()
	}
}

func TestReadMarksReachAllDevicesThroughTheInbox(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	for i := range 3 {
		n.must(t, encourage(alice, p.ID, fmt.Sprint(i), "bob"))
	}
	page, err := n.bridge.Notifications(t.Context(), bob, pactwire.NotificationQuery{Limit: 2})
	if err != nil || !page.HasMore || len(page.Items) != 2 {
		t.Fatalf("%+v, %v", page, err)
	}
	mark := func(in pactwire.NotificationCommand) pactwire.Command {
		return pactwire.Command{Kind: pactwire.CommandNotification, Sender: bob, User: "bob", ReceivedAt: time.Now(), Notification: &in}
	}
	one := page.Items[1].ID
	if d := n.must(t, mark(pactwire.NotificationCommand{ID: one})); d.Duplicate {
		t.Error("the first mark")
	}
	if d := n.must(t, mark(pactwire.NotificationCommand{ID: one})); !d.Duplicate {
		t.Error("the second mark is none")
	}
	var changed pactwire.NotificationChanged
	if c := n.told.last(t, "bob", pactwire.EventNotificationUpdated, &changed); c != 2 || changed.ID != one || changed.IsUnread || changed.UnreadCount != 2 {
		t.Errorf("%d: %+v", c, changed)
	}
	n.must(t, mark(pactwire.NotificationCommand{ID: one, Unread: true}))
	n.must(t, mark(pactwire.NotificationCommand{All: true}))
	if d := n.must(t, mark(pactwire.NotificationCommand{All: true})); !d.Duplicate {
		t.Error("nothing was unread")
	}
	var all pactwire.NotificationsMarked
	if c := n.told.last(t, "bob", pactwire.EventNotificationUpdated, &all); c != 4 || !all.All || all.IsUnread || all.UnreadCount != 0 {
		t.Errorf("%d: %+v", c, all)
	}
	if page, err = n.bridge.Notifications(t.Context(), bob, pactwire.NotificationQuery{Unread: true}); err != nil || len(page.Items) != 0 || page.UnreadCount != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	n.refused(t, mark(pactwire.NotificationCommand{ID: "none"}), pactwire.NotFound, "id")
	foreign := mark(pactwire.NotificationCommand{ID: one, Unread: true})
	foreign.Sender, foreign.User = alice, "alice"
	n.refused(t, foreign, pactwire.NotFound, "id")
}
