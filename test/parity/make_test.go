package parity_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// noAnswerAndNoError: no action was acknowledged, and what failed failed in silence. Each command has an answer that names it,
// and each that cannot be done an error that says why.
func noAnswerAndNoError(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", inbox(alice), in(pact, "activity"))
	b := connect(t, w.Server, bob, "phone", inbox(bob))
	b.do(in(pact, "checkins"), `{"id":"theirs","status":"completed"}`)
	checkin := data[pactwire.CheckinData](t, a.activity(pact, pactwire.CheckinCompleted, 1).Data).CheckinID
	for i, c := range []struct {
		topic, good string
		answer      pactwire.EventType
	}{
		{in(pact, "checkins"), `"status":"completed"`, pactwire.EventCheckinLogged},
		{in(pact, "celebrations"), `"checkinId":"` + checkin + `"`, pactwire.EventCommandDone},
		{in(pact, "encouragements"), `"targetUserId":"` + string(bob) + `"`, pactwire.EventCommandDone},
		{in(pact, "reactions"), `"activityId":"` + a.activity(pact, pactwire.CheckinCompleted, 1).ID + `","emoji":"🎉"`, pactwire.EventCommandDone},
		{in(pact, "messages"), `"message":"hello"`, pactwire.EventCommandDone},
		{in(pact, "history"), `"limit":1`, pactwire.EventPactHistory},
		{"users/" + string(bob) + "/messages", `"message":"hello"`, pactwire.EventCommandDone},
		{"users/" + string(bob) + "/connections", `"action":"request"`, pactwire.EventCommandDone},
		{"users/" + string(alice) + "/notifications", `"all":true,"isUnread":false`, pactwire.EventCommandDone},
	} {
		id, key := fmt.Sprintf("c%d", i), "id"
		if strings.HasSuffix(c.topic, "/notifications") {
			key = "commandId" // "id" names the notification
		}
		a.do(c.topic, fmt.Sprintf(`{"%s":"%s",%s}`, key, id, c.good))
		answers := func(typ pactwire.EventType) int {
			return len(slices.DeleteFunc(a.events(typ), func(e pactwire.Event) bool { return e.CommandID == nil || *e.CommandID != id }))
		}
		testkit.Eventually(t, limit, c.topic+" has an answer", func() bool { return answers(c.answer) == 1 })

		refused := len(a.events(pactwire.EventError))
		if reason := a.say(c.topic, `{"id":7}`); reason != 0x99 {
			t.Errorf("%s: a number for an id is acked with %#x, want 0x99", c.topic, reason)
		}
		e := data[pactwire.ErrorData](t, a.event(pactwire.EventError, refused+1).Data)
		if e.Code != pactwire.Invalid || e.Message == "" || e.Topic != c.topic {
			t.Errorf("%s: %+v", c.topic, e)
		}
	}
}

// noReplayAndNoIDs: what was not heard was gone, and one event had another key for each who heard it.
func noReplayAndNoIDs(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", in(pact, "activity"))
	for i := range 3 {
		a.do(in(pact, "messages"), fmt.Sprintf(`{"message":"%d"}`, i))
	}
	a.activity(pact, pactwire.MessageSent, 3)
	late := connect(t, w.Server, bob, "new phone")
	late.subscribeAfter("0", in(pact, "activity"))
	late.activity(pact, pactwire.MessageSent, 3)
	theirs := late.activities(pact)
	if once(t, theirs); theirs[0].Seq != 1 {
		t.Errorf("starts with %d", theirs[0].Seq)
	}
	for _, x := range a.activities(pact) {
		if y := theirs[x.Seq-1]; y.ID == "" || x.ID != y.ID {
			t.Errorf("activity %d is %q to one and %q to the other", x.Seq, x.ID, y.ID)
		}
	}
}

// lostToADeadConnection: what went to a socket that nobody read any more was lost, and a message that did so was stored as read.
func lostToADeadConnection(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	w.NewPact(alice, bob)
	w.Must(bob, http.MethodPatch, "/v1/notifications", map[string]any{"all": true, "isUnread": false}, nil) // of the invitation
	b := pick(t, w.Server, bob, "phone")
	b.opts.HoldAcks = true // it stands, and nobody reads
	b.open()
	b.subscribe(inbox(bob))
	a := connect(t, w.Server, alice, "phone")
	a.do("users/"+string(bob)+"/messages", `{"message":"are you there?"}`)
	b.event(pactwire.EventDirectMessage, 1)
	b.drop()
	b.opts.HoldAcks = false
	b.open()
	again := b.event(pactwire.EventDirectMessage, 2)
	if first := b.event(pactwire.EventDirectMessage, 1); first.Seq != again.Seq || first.ID != again.ID {
		t.Errorf("%d %s came again as %d %s", first.Seq, first.ID, again.Seq, again.ID)
	}
	var page pactwire.NotificationPage
	w.Must(bob, http.MethodGet, "/v1/notifications?unread=true", nil, &page)
	if page.UnreadCount != 1 || page.Items[0].Type != pactwire.NotifyMessage {
		t.Errorf("%+v", page)
	}
}

// eventsAheadOfTheirEffects: an event could come before what it told of could be read, and HTTP and socket knew no common order.
func eventsAheadOfTheirEffects(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", in(pact, "activity"))
	b := connect(t, w.Server, bob, "phone", in(pact, "activity"))
	var logged pactwire.CheckinLogged
	w.Must(alice, http.MethodPost, "/v1/pacts/"+string(pact)+"/checkins", map[string]string{"status": "completed"}, &logged)
	told := b.activity(pact, pactwire.CheckinCompleted, 1)
	if logged.ActivitySeq == nil || told.Seq != *logged.ActivitySeq {
		t.Errorf("HTTP says %v, the feed %d", logged.ActivitySeq, told.Seq)
	}
	if all := w.Activities(bob, pact); all[told.Seq-1].ID != told.ID {
		t.Error("what was told cannot be read yet")
	}
	b.do(in(pact, "celebrations"), `{"checkinId":"`+logged.Checkin.ID+`"}`)
	for _, p := range []*phone{a, b} {
		if c := p.activity(pact, pactwire.CelebrationSent, 1); c.Seq <= told.Seq {
			t.Errorf("the celebration is %d, what it celebrates %d", c.Seq, told.Seq)
		}
		once(t, p.activities(pact))
	}
}

// oneDeviceAPerson: the second device took the place of the first, presence began with the next change, and nobody knew since when
// somebody was away.
func oneDeviceAPerson(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	first := connect(t, w.Server, bob, "phone", in(pact, "activity"), inbox(bob))
	second := connect(t, w.Server, bob, "watch", in(pact, "activity"), inbox(bob))
	a := connect(t, w.Server, alice, "phone", in(pact, "#"))
	a.sees(pact, bob, pactwire.PresenceActive) // from the snapshot, without a change
	a.do(in(pact, "messages"), `{"message":"hello"}`)
	a.do("users/"+string(bob)+"/messages", `{"message":"hello"}`)
	for _, p := range []*phone{first, second} {
		p.activity(pact, pactwire.MessageSent, 1)
		p.event(pactwire.EventDirectMessage, 1)
	}
	first.drop()
	second.drop()
	if x := a.sees(pact, bob, pactwire.PresenceOffline); x.LastSeen == nil || x.LastSeen.Std().IsZero() {
		t.Errorf("last seen %v", x.LastSeen)
	}
}

// identityFromThePayload: who one was, and whom one spoke for, was what one said.
func identityFromThePayload(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", in(pact, "activity"), inbox(alice))
	a.do(in(pact, "messages"), `{"message":"I am Bob","userId":"`+string(bob)+`","userName":"Bob"}`)
	if x := a.activity(pact, pactwire.MessageSent, 1); x.UserID != alice {
		t.Errorf("%s speaks for %s", alice, x.UserID)
	}
	a.do(in(pact, "checkins"), `{"status":"completed","userId":"`+string(bob)+`"}`)
	if x := a.activity(pact, pactwire.CheckinCompleted, 1); x.UserID != alice {
		t.Errorf("%s checks in for %s", alice, x.UserID)
	}
	for _, topic := range []string{"presence", "notifications"} {
		if reason := a.say("users/"+string(bob)+"/"+topic, `{"status":"offline"}`); reason != 0x87 {
			t.Errorf("another's %s: %#x, want 0x87", topic, reason)
		}
	}
}

// everythingToEverybody: who entered or left a room was told to all clients of all rooms.
func everythingToEverybody(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	var others []*phone
	for i := range 5 {
		u := w.who(fmt.Sprintf("other%d", i))
		others = append(others, connect(t, w.Server, u, "phone", "pacts/#", inbox(u)))
	}
	a := connect(t, w.Server, alice, "phone", "pacts/#", inbox(alice))
	b := connect(t, w.Server, bob, "phone", "pacts/#")
	a.sees(pact, bob, pactwire.PresenceActive)
	a.do(in(pact, "checkins"), "done")
	a.do(in(pact, "messages"), `{"message":"hello"}`)
	b.activity(pact, pactwire.MessageSent, 1)
	b.drop()
	a.sees(pact, bob, pactwire.PresenceOffline)
	for _, o := range others {
		// What they cause themselves comes after what they were sent before.
		o.say("users/"+string(alice)+"/messages", `{"message":"hello"}`)
		o.event(pactwire.EventError, 1)
		if got := o.messages(""); len(got) != 1 {
			t.Errorf("%s got %v", o.user, got)
		}
	}
}

// datesOfTheServersZone: times were written out in the server's zone and language.
func datesOfTheServersZone(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", "pacts/#", inbox(alice), "users/"+string(alice)+"/pacts")
	b := connect(t, w.Server, bob, "phone", "pacts/#")
	b.do(in(pact, "checkins"), "done")
	b.do("users/"+string(alice)+"/messages", `{"message":"hello"}`)
	b.drop()
	a.event(pactwire.EventDirectMessage, 1)
	a.sees(pact, bob, pactwire.PresenceOffline)
	written := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	times := 0
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(k, x)
			}
		case []any:
			for _, x := range v {
				walk(key, x)
			}
		case string:
			if strings.HasSuffix(key, "At") || key == "time" || key == "lastSeen" {
				if times++; !written.MatchString(v) {
					t.Errorf("%s is %q", key, v)
				}
			}
		}
	}
	for _, m := range a.messages("") {
		var v any
		if err := json.Unmarshal([]byte(m.payload), &v); err != nil {
			t.Fatal(err)
		}
		walk("", v)
	}
	if times < 10 {
		t.Errorf("%d times were looked at", times)
	}
}

// removedMemberKeepsReceiving: who might enter a room was asked once, if ever.
func removedMemberKeepsReceiving(t *testing.T, w world) {
	alice, bob, carol := w.who("alice"), w.who("bob"), w.who("carol")
	pact := w.NewPact(alice, bob, carol).ID
	b := connect(t, w.Server, bob, "phone", in(pact, "#"), "pacts/+/activity", inbox(bob))
	c := connect(t, w.Server, carol, "phone", in(pact, "#"))
	w.Must(alice, http.MethodPost, "/v1/pacts/"+string(pact)+"/remove", map[string]any{"userId": bob}, nil)
	c.do(in(pact, "messages"), `{"message":"is he gone?"}`)
	last := c.activity(pact, pactwire.MessageSent, 1).Seq
	b.event(pactwire.EventLeftPact, 1)
	// Only time can show that nothing comes.
	testkit.Never(t, 500*time.Millisecond, "who was removed heard what was said afterwards", func() bool {
		return slices.ContainsFunc(b.activities(pact), func(a pactwire.Activity) bool { return a.Seq >= last })
	})
	if reason := b.say(in(pact, "messages"), `{"message":"hello"}`); reason != 0x87 {
		t.Errorf("who was removed speaks: %#x, want 0x87", reason)
	}
	if codes := b.subscribe(in(pact, "activity")); codes[0] != 0x87 {
		t.Errorf("who was removed subscribes: %#x, want 0x87", codes[0])
	}
}
