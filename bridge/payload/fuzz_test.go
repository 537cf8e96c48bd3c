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
	kinds := []topics.Topic{checkins, messages, history, {Kind: topics.DeviceCheckinKind, Device: "d"}}
	f.Fuzz(func(t *testing.T, how uint8, body []byte) {
		contentType := ""
		if how&4 != 0 {
			contentType = "application/cbor"
		}
		if _, err := payload.Presence(contentType, body); err != nil {
			checkRefusal(t, pactwire.AsError(err))
		}
		cmds, err := payload.Parse(kinds[how&3], contentType, body)
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
			case pactwire.CommandMessage:
				checkText(t, "message", c.Message.Message, pactwire.MaxMessage)
				if strings.TrimSpace(c.Message.Message) == "" {
					t.Fatal("an empty message")
				}
			case pactwire.CommandHistory:
				if q := c.History; q.After != nil && q.Before != nil || q.Limit < 0 || q.Limit > 200 {
					t.Fatalf("history %+v", q)
				}
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
