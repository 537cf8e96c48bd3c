// Package evening_test plays an evening of two friends, with all their things, against a real server, and holds what
// everybody heard against a transcript. Read testdata/evening.txt: it is also the shortest way to see the protocol at work.
package evening_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// eveningZone is a time zone in which it is between seven and eight in the evening, so that no midnight comes in between.
func eveningZone(now time.Time) (zone string, today time.Time) {
	east := 19 - now.UTC().Hour()
	if east > 14 {
		east -= 24
	}
	zone = fmt.Sprintf("Etc/GMT%+d", -east) // these names count to the west
	if east == 0 {
		zone = "UTC"
	}
	return zone, now.UTC().Add(time.Duration(east) * time.Hour).Truncate(24 * time.Hour)
}

func TestAnEveningOfTwoFriends(t *testing.T) {
	s := testkit.Start(t, map[string]string{"presence.grace": "1s"})
	zone, today := eveningZone(time.Now())
	st := newStage(t, s)
	st.names.today = today
	for _, u := range []pactwire.UserID{"alice", "bob"} {
		s.Must(u, http.MethodPatch, "/v1/me", map[string]string{"timeZone": zone}, nil)
	}
	pact := s.NewPact("alice", "bob")
	p := string(pact.ID)
	st.names.call(p, "(pact)")
	st.names.call(string(pact.HabitGoalID), "(habit)")
	button := s.NewDevice("alice", pact.ID)
	st.names.call(string(button.ID), "(button)")
	day := func(ago int) string { return today.AddDate(0, 0, -ago).Format(time.DateOnly) }

	phone := st.client("Alice's phone", "alice", 5, true, "phone")
	watch := st.client("Alice's watch", "alice", 4, false, "watch")
	bob := st.client("Bob's phone", "bob", 5, true, "phone")
	press := st.client("the button", "alice", 4, false, "")
	press.opts = rawmqtt.Options{Version: 4, ClientID: "button", Username: button.Username, Password: button.Secret, Clean: true, KeepAlive: 60}
	mallory := st.client("Mallory", "mallory", 4, false, "")

	st.play("Alice takes her phone", func() {
		phone.connect()
		phone.subscribe("pacts/"+p+"/#", "users/alice/inbox", "users/alice/replies/#")
	})
	st.play("Her watch comes along, speaking 3.1.1", func() {
		watch.connect()
		watch.subscribe("pacts/+/activity", "users/alice/inbox")
	})
	st.play("Bob comes home", func() {
		bob.connect()
		bob.subscribe("pacts/+/activity", "pacts/+/presence/+", "users/bob/inbox")
	})
	st.play("Somebody else tries to listen, and to check in for Alice", func() {
		mallory.connect()
		mallory.subscribe("pacts/"+p+"/activity", "pacts/+/activity", "users/alice/inbox", "users/mallory/inbox", "#")
		mallory.publish("pacts/"+p+"/checkins", "done")
	})
	st.play("Alice writes down the last two days on her phone", func() {
		phone.publish("pacts/"+p+"/checkins", `[{"id":"d2","status":"completed","scheduledDate":"`+day(2)+`"},`+
			`{"id":"d1","status":"completed","notes":"in the rain","scheduledDate":"`+day(1)+`"}]`)
	})
	st.play("Alice comes in from her run and presses the button in the hall", func() {
		press.connect()
		press.subscribe("devices/" + string(button.ID) + "/replies")
		press.publish("devices/"+string(button.ID)+"/checkins", "done")
	})
	st.play("Her watch says so too; it counts once", func() {
		watch.publish("pacts/"+p+"/checkins", "done")
	})
	st.play("Bob celebrates, and adds an emoji to nothing that is there", func() {
		bob.publish("pacts/"+p+"/celebrations", `{"id":"party","checkinId":"`+checkinOfToday(s, pact.ID)+`","message":"Three days!"}`)
		bob.publish("pacts/"+p+"/reactions", `{"id":"clap","activityId":"none","emoji":"👏"}`)
	})
	st.play("The celebration is sent again, as after a lost ack: it happened once", func() {
		bob.publish("pacts/"+p+"/celebrations", `{"id":"party","checkinId":"`+checkinOfToday(s, pact.ID)+`","message":"Three days!"}`)
	})
	st.play("Bob's train goes into a tunnel", func() { bob.drop() })
	st.play("Meanwhile Alice writes to the pact, and to him alone", func() {
		phone.publish("pacts/"+p+"/messages", `{"id":"m1","message":"Your turn tomorrow"}`)
		watch.publish("users/bob/messages", `{"id":"m2","message":"Coffee after?"}`)
	})
	st.play("The tunnel ends: he gets what he missed, once and in order", func() { bob.connect() })
	st.play("Alice's token ends soon; her phone renews it, and nobody notices", func() {
		phone.renew(testkit.TokenFor("alice", 2*time.Hour))
	})
	st.play("She has read her news on the watch; her phone knows", func() {
		watch.publish("users/alice/notifications", `{"commandId":"read","all":true,"isUnread":false}`)
	})
	st.play("Bob goes to bed early and says so", func() {
		bob.publish("users/bob/presence", "away")
	})
	st.play("Lights out", func() {
		bob.disconnect()
		watch.disconnect()
	})
	st.end()
}

// checkinOfToday is the id of the newest check-in of the pact.
func checkinOfToday(s *testkit.Server, p pactwire.PactID) (id string) {
	for _, a := range s.Activities("bob", p) {
		if a.Type == pactwire.CheckinCompleted {
			var d pactwire.CheckinData
			if json.Unmarshal(a.Data, &d) == nil {
				id = d.CheckinID
			}
		}
	}
	return id
}
