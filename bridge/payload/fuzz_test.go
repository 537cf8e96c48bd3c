package payload_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/payload"
	"github.com/pactwire/pactwire/topics"
)

// FuzzPayload holds Parse to its word: it never panics, every refusal is Invalid and names a field, and what it lets through
// keeps every limit.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{"done", "1", `"partial"`, "{}", "[]", `{"status":"completed","notes":"x","ageMs":1e3,"occurredAt":"2026-01-02T03:04:05Z","id":"k"}`,
		`[{"status":"skipped"},"done",{},null,[1]]`, `{"message":"hi"}`, `{"afterSeq":3,"limit":9}`, `{"status":"away"}`, "\x00", "\xff", `{"status":"completed","proofMedia":[{"path":"p","type":"image"}],"scheduledDate":"2026-01-31"}`} {
		f.Add(uint8(0), []byte(s))
		f.Add(uint8(1), []byte(s))
		f.Add(uint8(2), []byte(s))
	}
	for _, v := range []any{"done", 1, map[string]any{"status": "completed", "ageMs": 3.5}, []any{"done", map[string]any{"id": 3}}} {
		b, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(4), b)
	}
	for i, s := range []string{`{"id":"k","checkinId":"c","targetUserId":"bob","message":"yes"}`, `{"targetUserId":"bob","message":"go","emoji":"💪"}`,
		`{"activityId":"a","emoji":"🎉"}`, `{"activityId":"a","emoji":null}`, `{"message":"hi"}`, `{"action":"request"}`,
		`{"id":"n","isUnread":false,"commandId":"k"}`, `{"all":true,"isUnread":false}`} {
		for kind := range uint8(10) {
			f.Add(kind<<3, []byte(s))
		}
		f.Add(uint8(i)<<3|4, []byte(s)) //nolint:gosec // eight of them
	}
	kinds := []topics.Topic{checkins, messages, history, {Kind: topics.DeviceCheckinKind, Device: "d"},
		{Kind: topics.CelebrationsKind, Pact: "p"}, {Kind: topics.EncouragementKind, Pact: "p"}, {Kind: topics.ReactionsKind, Pact: "p"},
		{Kind: topics.UserMessagesKind, User: "bob"}, {Kind: topics.ConnectionsKind, User: "bob"}, {Kind: topics.NotificationsKind, User: "alice"}}
	f.Fuzz(func(t *testing.T, how uint8, body []byte) {
		contentType := ""
		if how&4 != 0 {
			contentType = "application/cbor"
		}
		if _, err := payload.Parse(topics.Topic{Kind: topics.UserPresenceKind, User: "alice"}, contentType, body); err != nil {
			checkRefusal(t, pactwire.AsError(err))
		}
		topic := kinds[(int(how&3)+int(how>>3))%len(kinds)]
		cmds, err := payload.Parse(topic, contentType, body)
		if err != nil {
			checkRefusal(t, pactwire.AsError(err))
			return
		}
		if len(cmds) == 0 || len(cmds) > pactwire.MaxBatch {
			t.Fatalf("%d commands", len(cmds))
		}
		for i, c := range cmds {
			if c.Index != nil && *c.Index != i || c.Index == nil && len(cmds) > 1 {
				t.Fatalf("item %d has index %v", i, c.Index)
			}
			if c.Refused != nil {
				checkRefusal(t, c.Refused)
				continue
			}
			checkText(t, "id", c.ID, pactwire.MaxCommandIDLength)
			switch c.Kind {
			case pactwire.CommandCheckin:
				checkCheckin(t, c.Checkin)
			case pactwire.CommandMessage, pactwire.CommandDirectMessage:
				checkText(t, "message", c.Message.Message, pactwire.MaxMessage)
				if strings.TrimSpace(c.Message.Message) == "" {
					t.Fatal("an empty message")
				}
			case pactwire.CommandHistory:
				if q := c.History; q.After != nil && q.Before != nil || q.Limit < 0 || q.Limit > 200 {
					t.Fatalf("history %+v", q)
				}
			default:
				checkSocial(t, topic, c)
			}
		}
	})
}

func checkRefusal(t *testing.T, e *pactwire.Error) {
	t.Helper()
	if e.Code != pactwire.Invalid || e.Field == "" || e.Message == "" || !utf8.ValidString(e.Field+e.Message) {
		t.Fatalf("refused with %+v", e)
	}
}

func checkText(t *testing.T, field, s string, limit int) {
	t.Helper()
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > limit || strings.ContainsRune(s, 0) {
		t.Fatalf("%s %.100q", field, s)
	}
}

func checkCheckin(t *testing.T, in *pactwire.CheckinCommand) {
	t.Helper()
	switch in.Status {
	case pactwire.StatusCompleted, pactwire.StatusPartial, pactwire.StatusSkipped:
	default:
		t.Fatalf("status %q", in.Status)
	}
	checkText(t, "notes", in.Notes, pactwire.MaxNotes)
	if in.HabitGoalID != "" && !pactwire.ValidID(in.HabitGoalID) || len(in.ProofMedia) > pactwire.MaxProofMedia {
		t.Fatalf("%+v", in)
	}
	for _, m := range in.ProofMedia {
		checkText(t, "path", m.Path, 1024)
		if m.Path == "" || m.Type != "image" && m.Type != "video" {
			t.Fatalf("media %+v", m)
		}
	}
	if d := in.ScheduledDate; d != "" {
		if at, err := time.Parse(time.DateOnly, string(d)); err != nil || at.Format(time.DateOnly) != string(d) {
			t.Fatalf("date %q", d)
		}
	}
	if in.Age != nil && *in.Age < 0 {
		t.Fatalf("age %s", *in.Age)
	}
	if in.OccurredAt != nil {
		if y := in.OccurredAt.UTC().Year(); y < 1 || y > 9999 {
			t.Fatalf("occurred at %s", in.OccurredAt)
		}
	}
}

func checkSocial(t *testing.T, topic topics.Topic, c pactwire.Command) {
	t.Helper()
	if c.Pact != topic.Pact || c.User != topic.User {
		t.Fatalf("a command about %q %q from %s", c.Pact, c.User, topic)
	}
	switch c.Kind {
	case pactwire.CommandCelebration:
		in := c.Celebration
		checkText(t, "message", in.Message, pactwire.MaxShort)
		if !pactwire.ValidID(in.CheckinID) || in.Target != "" && !pactwire.ValidID(in.Target) {
			t.Fatalf("%+v", in)
		}
	case pactwire.CommandEncouragement:
		in := c.Encouragement
		checkText(t, "message", in.Message, pactwire.MaxShort)
		checkText(t, "emoji", in.Emoji, pactwire.MaxEmoji)
		if !pactwire.ValidID(in.Target) {
			t.Fatalf("%+v", in)
		}
	case pactwire.CommandReaction:
		checkText(t, "emoji", c.Reaction.Emoji, pactwire.MaxEmoji)
		if !pactwire.ValidID(c.Reaction.ActivityID) || strings.ContainsAny(c.Reaction.Emoji, " \t\n\r") {
			t.Fatalf("%+v", c.Reaction)
		}
	case pactwire.CommandConnection:
		if c.Connection.Action == "" {
			t.Fatal("no action")
		}
	case pactwire.CommandNotification:
		if in := c.Notification; in.All == (in.ID != "") || in.All && in.Unread || in.ID != "" && !pactwire.ValidID(in.ID) {
			t.Fatalf("%+v", in)
		}
	default:
		t.Fatalf("a command of the kind %q", c.Kind)
	}
}
