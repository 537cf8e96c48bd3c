package payload_test

import (
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/payload"
	"github.com/pactwire/pactwire/topics"
)

var (
	celebrations   = topics.Topic{Kind: topics.CelebrationsKind, Pact: "p"}
	encouragements = topics.Topic{Kind: topics.EncouragementKind, Pact: "p"}
	reactions      = topics.Topic{Kind: topics.ReactionsKind, Pact: "p"}
	userMessages   = topics.Topic{Kind: topics.UserMessagesKind, User: "bob"}
	connections    = topics.Topic{Kind: topics.ConnectionsKind, User: "bob"}
	notifications  = topics.Topic{Kind: topics.NotificationsKind, User: "alice"}
)

func TestWhatPeopleSayToEachOther(t *testing.T) {
	long := strings.Repeat("é", pactwire.MaxShort)
	for _, tt := range []struct {
		topic topics.Topic
		body  string
		want  pactwire.Command
	}{
		{celebrations, `{"id":"k","targetUserId":"bob","checkinId":"c","message":"` + long + `","userId":"mallory"}`,
			pactwire.Command{Kind: pactwire.CommandCelebration, ID: "k", Pact: "p",
				Celebration: &pactwire.CelebrationCommand{Target: "bob", CheckinID: "c", Message: long}}},
		{celebrations, `{"checkinId":"c"}`, pactwire.Command{Kind: pactwire.CommandCelebration, Pact: "p",
			Celebration: &pactwire.CelebrationCommand{CheckinID: "c"}}},
		{encouragements, `{"targetUserId":"bob","emoji":"👩‍👩‍👧‍👦"}`, pactwire.Command{Kind: pactwire.CommandEncouragement, Pact: "p",
			Encouragement: &pactwire.EncouragementCommand{Target: "bob", Emoji: "👩‍👩‍👧‍👦"}}},
		{reactions, `{"activityId":"a","emoji":"🎉"}`, pactwire.Command{Kind: pactwire.CommandReaction, Pact: "p",
			Reaction: &pactwire.ReactionCommand{ActivityID: "a", Emoji: "🎉"}}},
		{reactions, `{"id":"k","activityId":"a","emoji":null}`, pactwire.Command{Kind: pactwire.CommandReaction, ID: "k", Pact: "p",
			Reaction: &pactwire.ReactionCommand{ActivityID: "a"}}},
		{userMessages, `{"message":"hi"}`, pactwire.Command{Kind: pactwire.CommandDirectMessage, User: "bob",
			Message: &pactwire.MessageCommand{Message: "hi"}}},
		{connections, `{"action":"request"}`, pactwire.Command{Kind: pactwire.CommandConnection, User: "bob",
			Connection: &pactwire.ConnectionCommand{Action: pactwire.ConnectionRequest}}},
		{notifications, `{"id":"n","isUnread":false}`, pactwire.Command{Kind: pactwire.CommandNotification, User: "alice",
			Notification: &pactwire.NotificationCommand{ID: "n"}}},
		{notifications, `{"all":true,"isUnread":false,"commandId":"k"}`, pactwire.Command{Kind: pactwire.CommandNotification, ID: "k", User: "alice",
			Notification: &pactwire.NotificationCommand{All: true}}},
	} {
		cmds, err := parse(tt.topic, tt.body)
		if err != nil || len(cmds) != 1 {
			t.Errorf("%s %s: %v %v", tt.topic, tt.body, cmds, err)
			continue
		}
		if diff := cmp.Diff(tt.want, cmds[0]); diff != "" {
			t.Errorf("%s %s: %s", tt.topic, tt.body, diff)
		}
	}
}

func TestWhatPeopleSayIsRefusedByName(t *testing.T) {
	long := strings.Repeat("x", pactwire.MaxShort+1)
	for _, tt := range []struct {
		topic       topics.Topic
		body, field string
	}{
		{celebrations, "", "payload"}, {celebrations, "done", "payload"}, {celebrations, "{}", "checkinId"},
		{celebrations, `{"checkinId":"a/b"}`, "checkinId"}, {celebrations, `{"checkinId":7}`, "checkinId"},
		{celebrations, `{"checkinId":"c","targetUserId":"no one"}`, "targetUserId"},
		{celebrations, `{"checkinId":"c","message":"` + long + `"}`, "message"},
		{celebrations, `{"checkinId":"c","message":"\u0000"}`, "message"},
		{celebrations, `{"checkinId":"c","id":"` + long + `"}`, "id"},
		{encouragements, `{"message":"go"}`, "targetUserId"}, {encouragements, `{"targetUserId":"bob","emoji":"a b"}`, "emoji"},
		{encouragements, `{"targetUserId":"bob","emoji":"` + long + `"}`, "emoji"},
		{reactions, `{"emoji":"🎉"}`, "activityId"}, {reactions, `{"activityId":"a","emoji":""}`, "emoji"}, {reactions, `{"activityId":"a"}`, "emoji"}, {reactions, `{"activityId":"a","emoji":1}`, "emoji"},
		{userMessages, `{"message":" "}`, "message"}, {userMessages, `{}`, "message"},
		{connections, `{}`, "action"}, {connections, `{"action":"ACCEPT"}`, "action"}, {connections, `{"action":3}`, "action"},
		{notifications, `{"isUnread":false}`, "id"}, {notifications, `{"id":"n"}`, "isUnread"}, {notifications, `{"id":"n","isUnread":"no"}`, "isUnread"},
		{notifications, `{"id":"n","all":true,"isUnread":false}`, "all"}, {notifications, `{"all":true,"isUnread":true}`, "isUnread"},
		{notifications, `{"id":"n","isUnread":true,"commandId":"` + long + `"}`, "commandId"},
	} {
		cmds, err := parse(tt.topic, tt.body)
		if e := pactwire.AsError(err); err == nil || e.Code != pactwire.Invalid || e.Field != tt.field {
			t.Errorf("%s %.60s: %v, want field %s", tt.topic, tt.body, err, tt.field)
		}
		if len(cmds) != 1 || cmds[0].Kind == "" {
			t.Errorf("%s %.60s: the answer cannot name the command: %v", tt.topic, tt.body, cmds)
		}
	}
}

func TestCelebrationInCBOR(t *testing.T) {
	body, err := cbor.Marshal(map[string]any{"id": "k", "checkinId": "c", "message": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	cmds, err := payload.Parse(celebrations, "application/cbor", body)
	if err != nil || cmds[0].ID != "k" || cmds[0].Celebration.CheckinID != "c" || cmds[0].Celebration.Message != "yes" {
		t.Errorf("%+v, %v", cmds, err)
	}
}
