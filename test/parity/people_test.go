package parity_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// loginSpoof: whoever said LOGIN with another's id got what was meant for them.
func loginSpoof(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	w.NewPact(alice, bob)
	m := pick(t, w.Server, bob, "phone")
	m.opts.Password = testkit.Token(alice) // calls herself Bob, with a token of her own
	m.open()
	if codes := m.subscribe(inbox(bob), "users/"+string(bob)+"/#", inbox(alice)); codes[0] != 0x87 || codes[1] != 0x87 || codes[2] != 1 {
		t.Errorf("SUBACK %#x: the token says who one is", codes)
	}
	forged := pick(t, w.Server, bob, "forged")
	forged.opts.Password = testkit.Token(bob) + "x"
	if err := forged.try(); err == nil {
		t.Error("a forged token is believed")
	}
	none := pick(t, w.Server, bob, "none")
	none.opts.Password, none.opts.AuthMethod = "", ""
	if err := none.try(); err == nil {
		t.Error("nobody needs a token")
	}
}

// foreignPactSubscribe: anybody could enter any room.
func foreignPactSubscribe(t *testing.T, w world) {
	pact := w.NewPact(w.who("alice"), w.who("bob")).ID
	m := connect(t, w.Server, w.who("mallory"), "phone")
	for _, f := range []string{in(pact, "activity"), in(pact, "#"), in(pact, "state"), in(pact, "presence/+"), in("no-such-pact", "activity")} {
		if codes := m.subscribe(f); codes[0] != 0x87 {
			t.Errorf("%s: %#x, want 0x87", f, codes[0])
		}
	}
}

// whoLeftIsCutOff: who left went on hearing. Whoever it is, nothing that is said a second later reaches them.
func whoLeftIsCutOff(t *testing.T, w world) {
	alice, bob, carol := w.who("alice"), w.who("bob"), w.who("carol")
	pact := w.NewPact(alice, bob, carol).ID
	b := connect(t, w.Server, bob, "phone", in(pact, "activity"), "pacts/+/activity")
	a := connect(t, w.Server, alice, "phone", in(pact, "activity"))
	w.Must(bob, http.MethodPost, "/v1/pacts/"+string(pact)+"/leave", nil, nil)
	left := time.Now()
	var heard pactwire.Seq // the first of what was said too late to be heard
	for i := 0; heard == 0; i++ {
		late := time.Since(left) >= time.Second
		a.do(in(pact, "messages"), fmt.Sprintf(`{"message":"%d"}`, i))
		if said := a.activity(pact, pactwire.MessageSent, i+1); late {
			heard = said.Seq
		}
	}
	if slices.ContainsFunc(b.activities(pact), func(x pactwire.Activity) bool { return x.Seq >= heard }) {
		t.Error("who left hears what is said a second later")
	}
}

// olderOfTwoDevicesDrops: when the older of two devices went, its owner was shown as away.
func olderOfTwoDevicesDrops(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	older := connect(t, w.Server, bob, "phone", inbox(bob))
	connect(t, w.Server, bob, "watch", inbox(bob))
	a := connect(t, w.Server, alice, "phone", in(pact, "presence/"+string(bob)))
	a.sees(pact, bob, pactwire.PresenceActive)
	older.drop()
	testkit.Never(t, 3*300*time.Millisecond, "who is here with one of two devices was announced as gone", func() bool {
		for _, m := range a.messages(in(pact, "presence/")) {
			if !decode[pactwire.Presence](t, m.payload).IsOnline {
				return true
			}
		}
		return false
	})
}

// reconnectMissesEvents: after a minute without a network everything since was gone.
func reconnectMissesEvents(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", in(pact, "activity"))
	b := connect(t, w.Server, bob, "phone", "pacts/+/activity", inbox(bob))
	a.do(in(pact, "messages"), `{"message":"before"}`)
	b.activity(pact, pactwire.MessageSent, 1)
	b.drop()
	const missed = 40
	for i := range missed {
		a.do(in(pact, "messages"), fmt.Sprintf(`{"message":"%d"}`, i))
		a.do("users/"+string(bob)+"/messages", fmt.Sprintf(`{"message":"%d"}`, i))
	}
	b.open() // and asks for nothing: the session knows
	a.do(in(pact, "messages"), `{"message":"after"}`)
	b.activity(pact, pactwire.MessageSent, missed+2)
	once(t, b.activities(pact))
	b.event(pactwire.EventDirectMessage, missed)
	for i, e := range b.events(pactwire.EventDirectMessage) {
		if text := data[pactwire.DirectMessageSent](t, e.Data).Message.Text; text != fmt.Sprint(i) {
			t.Errorf("message %d says %q", i, text)
		}
	}
	all := b.events("")
	for i := 1; i < len(all); i++ {
		if all[i].Seq <= all[i-1].Seq {
			t.Errorf("%d follows %d in the inbox", all[i].Seq, all[i-1].Seq)
		}
	}
}

// groupOfSix: in a pact of six only one partner was told.
func groupOfSix(t *testing.T, w world) {
	var people []pactwire.UserID
	for i := range 6 {
		people = append(people, w.who(fmt.Sprintf("p%d", i)))
	}
	pact := w.NewPact(people...).ID
	var phones []*phone
	for _, u := range people {
		phones = append(phones, connect(t, w.Server, u, "phone", in(pact, "activity")))
	}
	for _, p := range phones {
		p.do(in(pact, "checkins"), "done")
	}
	for _, p := range phones {
		p.activity(pact, pactwire.CheckinCompleted, len(people))
		once(t, p.activities(pact))
	}
}

// directMessageToADeadConnection: it was stored as read, no notification was made, and nobody ever saw it. Here it stays unread
// until it is read, on all of the person's devices, and comes when they are back.
func directMessageToADeadConnection(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	w.NewPact(alice, bob)
	w.Must(bob, http.MethodPatch, "/v1/notifications", map[string]any{"all": true, "isUnread": false}, nil) // of the invitation
	b := connect(t, w.Server, bob, "phone", inbox(bob))
	watch := connect(t, w.Server, bob, "watch", inbox(bob))
	b.drop()
	watch.drop()
	a := connect(t, w.Server, alice, "phone", inbox(alice))
	a.do("users/"+string(bob)+"/messages", `{"id":"m1","message":"call me"}`)
	a.event(pactwire.EventDirectMessage, 1) // the sender's own devices have it too
	var page pactwire.NotificationPage
	unread := func() int {
		w.Must(bob, http.MethodGet, "/v1/notifications?unread=true", nil, &page)
		return page.UnreadCount
	}
	if unread() != 1 {
		t.Fatalf("%+v", page)
	}
	b.open()
	got := data[pactwire.DirectMessageSent](t, b.event(pactwire.EventDirectMessage, 1).Data)
	if got.ContextUserID != alice || got.Message.Text != "call me" {
		t.Errorf("%+v", got)
	}
	if unread() != 1 {
		t.Error("what was delivered counts as read")
	}
	b.do("users/"+string(bob)+"/notifications", `{"id":"`+page.Items[0].ID+`","isUnread":false}`)
	watch.open()
	for _, p := range []*phone{b, watch} {
		if n := data[pactwire.NotificationChanged](t, p.event(pactwire.EventNotificationUpdated, 1).Data); n.IsUnread || n.UnreadCount != 0 {
			t.Errorf("%+v", n)
		}
	}
	if unread() != 0 {
		t.Errorf("%+v", page)
	}
}

// acceptanceReachesTheRequester: the notice of an acceptance went to a room without a name.
func acceptanceReachesTheRequester(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	a := connect(t, w.Server, alice, "phone", inbox(alice))
	a.do("users/"+string(bob)+"/connections", `{"action":"request"}`)
	a.event(pactwire.EventConnectionCreated, 1)
	a.drop() // nobody is there to hear it
	b := connect(t, w.Server, bob, "phone")
	b.subscribeAfter("0", inbox(bob))
	if c := data[pactwire.ConnectionChanged](t, b.event(pactwire.EventConnectionCreated, 1).Data).Connection; c.UserID != alice || c.Status != pactwire.ConnectionPending {
		t.Errorf("%+v", c)
	}
	b.do("users/"+string(alice)+"/connections", `{"action":"accept"}`)
	if c := data[pactwire.ConnectionChanged](t, b.event(pactwire.EventConnectionUpdated, 1).Data).Connection; c.Status != pactwire.ConnectionAccepted {
		t.Errorf("who accepted is told %+v", c)
	}
	a.open()
	if c := data[pactwire.ConnectionChanged](t, a.event(pactwire.EventConnectionUpdated, 1).Data).Connection; c.UserID != bob || c.Status != pactwire.ConnectionAccepted {
		t.Errorf("who asked is told %+v", c)
	}
	if n := data[pactwire.NotificationChanged](t, a.event(pactwire.EventNotificationCreated, 1).Data); n.Type != pactwire.NotifyConnectionAccepted || n.FromUserID != bob {
		t.Errorf("%+v", n)
	}
}

// brokenConnectionToldToBoth: who was left by a connection was told, and the one who ended it not.
func brokenConnectionToldToBoth(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	a := connect(t, w.Server, alice, "phone", inbox(alice))
	b := connect(t, w.Server, bob, "phone", inbox(bob))
	a.do("users/"+string(bob)+"/connections", `{"action":"request"}`)
	b.event(pactwire.EventConnectionCreated, 1)
	b.do("users/"+string(alice)+"/connections", `{"action":"accept"}`)
	a.event(pactwire.EventConnectionUpdated, 1)
	a.do("users/"+string(bob)+"/connections", `{"action":"end"}`)
	for _, p := range []*phone{a, b} {
		if c := data[pactwire.ConnectionChanged](t, p.event(pactwire.EventConnectionUpdated, 2).Data).Connection; c.Status != pactwire.ConnectionEnded {
			t.Errorf("%s is told %+v", p.user, c)
		}
	}
	if reason := b.say("users/"+string(alice)+"/messages", `{"message":"hello?"}`); reason != 0x87 {
		t.Errorf("a stranger again: %#x, want 0x87", reason)
	}
}

// tokenRefresh: a new token needed a new connection.
func tokenRefresh(t *testing.T, w world) {
	alice := w.who("alice")
	const life = 3 * time.Second
	a := pick(t, w.Server, alice, "phone")
	a.opts.Password = testkit.TokenFor(alice, life)
	ends := time.Now().Add(life)
	a.open()
	a.subscribe(inbox(alice))
	if err := a.conn.Auth(testkit.Token(alice)); err != nil {
		t.Fatal(err)
	}
	if reason := receive(a, "AUTH", a.auth); reason != 0 {
		t.Fatalf("AUTH %#x", reason)
	}
	testkit.Never(t, time.Until(ends)+2*time.Second, "the connection ended with the old token", a.ended)
}

// eveningCheckin: what was done in the evening counted for the server's day. There is always a zone whose day is another than
// UTC's.
func eveningCheckin(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	zone := "Etc/GMT+12"
	if time.Now().UTC().Hour() >= 11 {
		zone = "Pacific/Kiritimati" // UTC+14
	}
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	w.Must(alice, http.MethodPatch, "/v1/me", map[string]string{"timeZone": zone}, nil)
	pact := w.NewPact(alice, bob).ID
	b := connect(t, w.Server, bob, "phone", in(pact, "activity"))
	a := connect(t, w.Server, alice, "phone")
	before := time.Now().In(where).Format(time.DateOnly)
	a.do(in(pact, "checkins"), "done")
	got := data[pactwire.CheckinData](t, b.activity(pact, pactwire.CheckinCompleted, 1).Data).LocalDate
	if after := time.Now().In(where).Format(time.DateOnly); string(got) != before && string(got) != after {
		t.Errorf("counts for %s; it is %s there", got, after)
	}
	if utc := time.Now().UTC().Format(time.DateOnly); string(got) == utc {
		t.Errorf("counts for %s, which is UTC's day", got)
	}
}

// backdatedCheckin: days of long ago, and days to come, could be filled in to make a streak.
func backdatedCheckin(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", inbox(alice), in(pact, "activity"))
	day := func(n int) string {
		return `{"status":"completed","scheduledDate":"` + time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) + `"}`
	}
	for i, n := range []int{-30, -10, -4, 2, 30} {
		if reason := a.say(in(pact, "checkins"), day(n)); reason != 0x99 {
			t.Errorf("%d days from now: %#x, want 0x99", n, reason)
		}
		if e := data[pactwire.ErrorData](t, a.event(pactwire.EventError, i+1).Data); e.Field != "scheduledDate" {
			t.Errorf("%+v", e)
		}
	}
	a.do(in(pact, "checkins"), day(0))
	logged := data[pactwire.CheckinLogged](t, a.event(pactwire.EventCheckinLogged, 1).Data)
	if logged.StreakUpdate == nil || logged.StreakUpdate.After != 1 {
		t.Errorf("streak %+v, want one day", logged.StreakUpdate)
	}
}

// celebrationSentTwice: whoever pressed twice, or whose phone sent twice, celebrated twice.
func celebrationSentTwice(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone", in(pact, "activity"), inbox(alice))
	b := connect(t, w.Server, bob, "phone", in(pact, "activity"), inbox(bob))
	a.do(in(pact, "checkins"), "done")
	checkin := data[pactwire.CheckinData](t, b.activity(pact, pactwire.CheckinCompleted, 1).Data).CheckinID
	for range 2 {
		b.do(in(pact, "celebrations"), `{"id":"once","checkinId":"`+checkin+`"}`)
	}
	if done := data[pactwire.CommandDone](t, b.event(pactwire.EventCommandDone, 2).Data); !done.Duplicate {
		t.Errorf("the second is answered %+v", done)
	}
	if reason := b.say(in(pact, "celebrations"), `{"id":"again","checkinId":"`+checkin+`"}`); reason != 0x80 {
		t.Errorf("another celebration of the same: %#x, want 0x80", reason)
	}
	if e := data[pactwire.ErrorData](t, b.event(pactwire.EventError, 1).Data); e.Code != pactwire.Conflict {
		t.Errorf("%+v", e)
	}
	b.do(in(pact, "messages"), `{"message":"well done"}`)
	a.activity(pact, pactwire.MessageSent, 1)
	n := 0
	for _, x := range a.activities(pact) {
		if x.Type == pactwire.CelebrationSent {
			n++
		}
	}
	if got := len(a.events(pactwire.EventCelebration)); n != 1 || got != 1 {
		t.Errorf("%d in the feed and %d in the inbox, want one each", n, got)
	}
}

// forgedActivity: clients could say what only the server knows.
func forgedActivity(t *testing.T, w world) {
	alice, bob := w.who("alice"), w.who("bob")
	pact := w.NewPact(alice, bob).ID
	a := connect(t, w.Server, alice, "phone")
	b := connect(t, w.Server, bob, "phone", in(pact, "#"), inbox(bob))
	forged := `{"type":"streak_milestone","data":{"streakDays":365},"seq":9}`
	for _, topic := range []string{in(pact, "activity"), in(pact, "state"), in(pact, "presence/"+string(bob)), inbox(bob), inbox(alice)} {
		if reason := a.say(topic, forged); reason != 0x87 {
			t.Errorf("%s: %#x, want 0x87", topic, reason)
		}
	}
	a.do(in(pact, "messages"), `{"message":"hello","type":"streak_milestone","seq":99}`)
	if x := b.activity(pact, pactwire.MessageSent, 1); x.Seq != 3 {
		t.Errorf("seq %d, want the next", x.Seq)
	}
	for _, m := range b.messages("") {
		if m.payload == forged {
			t.Errorf("came on %s", m.topic)
		}
	}
}
