package main

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// story is a week in two pacts: every kind of line.
func story(t *testing.T, f *screen) {
	t.Helper()
	f.know(pactwire.Pact{ID: "run", HabitName: "Morning run", Members: []pactwire.Member{{UserID: "alice", UserName: "Alice"}, {UserID: "bob", UserName: "Bob"}}})
	f.know(pactwire.Pact{ID: "read", HabitName: "Read", Members: []pactwire.Member{{UserID: "alice", UserName: "Alice"}, {UserID: "wilhelmina", UserName: "Wilhelmina the Very Patient"}}})
	at := time.Date(2026, 11, 22, 22, 50, 0, 0, time.UTC) // a quarter to midnight in Berlin
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tell := func(pact pactwire.PactID, who, name, typ, data string) {
		t.Helper()
		at = at.Add(4 * time.Minute)
		must(f.activity(pactwire.Activity{PactID: pact, Type: pactwire.ActivityType(typ), UserID: pactwire.UserID(who), UserName: name,
			Data: json.RawMessage(data), CreatedAt: pactwire.Time(at)}))
	}
	event := func(typ pactwire.EventType, data string) {
		t.Helper()
		must(f.event(pactwire.Event{Type: typ, Data: json.RawMessage(data), CreatedAt: pactwire.Time(at)}))
	}
	must(f.presence(pactwire.Presence{UserID: "bob", UserName: "Bob", Status: pactwire.PresenceActive}, at))
	tell("run", "bob", "Bob", "partner_joined", `{"memberUserId":"bob","memberUserName":"Bob"}`)
	tell("run", "bob", "Bob", "pact_started", `{}`)
	tell("run", "alice", "Alice", "checkin_completed", `{"habitName":"Morning run","status":"completed","localDate":"2026-11-23","notes":"in the rain!","streakUpdate":{"before":6,"after":7,"longest":7,"isNewRecord":false,"graceUsed":0}}`)
	tell("run", "alice", "Alice", "streak_milestone", `{"habitName":"Morning run","streakDays":7,"isNewRecord":true}`)
	tell("run", "bob", "Bob", "celebration_sent", `{"targetUserId":"alice","message":"You are on fire"}`)
	tell("run", "bob", "Bob", "reaction_added", `{"activityId":"x","emoji":"👏"}`)
	tell("run", "bob", "Bob", "reaction_added", `{"activityId":"x","emoji":null}`)
	tell("read", "alice", "Alice", "encouragement_sent", `{"targetUserId":"wilhelmina","message":"Only one page!","emoji":"📖"}`)
	tell("read", "wilhelmina", "Wilhelmina the Very Patient", "checkin_partial", `{"habitName":"Read","status":"partial","localDate":"2026-11-23","notes":"half a page","streakUpdate":null}`)
	tell("run", "bob", "Bob", "checkin_skipped", `{"habitName":"Morning run","status":"skipped","localDate":"2026-11-21","notes":""}`)
	tell("run", "bob", "Bob", "checkin_corrected", `{"habitName":"Morning run","status":"completed","previousStatus":"skipped","localDate":"2026-11-21","notes":"I did go","streakUpdate":{"before":0,"after":3,"longest":9,"isNewRecord":false,"graceUsed":1}}`)
	tell("run", "bob", "Bob", "checkin_corrected", `{"habitName":"Morning run","status":"deleted","previousStatus":"completed","localDate":"2026-11-21","notes":""}`)
	tell("run", "bob", "Bob", "message_sent", `{"message":"Tomorrow\nagain? 🙂"}`)
	tell("run", "mallory", "\x1b[2J\x1b]0;title\x07Mallory\u202e", "message_sent", `{"message":"\u001b[31mred\u0007 \u202etxet\u2066 \u0000end"}`)
	tell("run", "bob", "Bob", "streak_broken", `{"habitName":"Morning run","streakDays":9}`)
	tell("run", "alice", "Alice", "member_left", `{"memberUserId":"bob","memberUserName":"Bob","reason":"removed"}`)
	tell("run", "alice", "Alice", "pact_abandoned", `{"reason":"too_few_members"}`)
	tell("read", "alice", "Alice", "pact_completed", `{}`)
	tell("read", "alice", "Alice", "pact_expired", `{}`)
	tell("read", "alice", "Alice", "something_new", `[1]`)
	lastSeen := pactwire.Time(at)
	must(f.presence(pactwire.Presence{UserID: "bob", UserName: "Bob", Status: pactwire.PresenceAway}, at))
	must(f.presence(pactwire.Presence{UserID: "bob", UserName: "Bob", Status: pactwire.PresenceOffline, LastSeen: &lastSeen}, at))
	event(pactwire.EventError, `{"code":"conflict","message":"this pact is over"}`)
	event(pactwire.EventPactInvitation, `{"pact":{"id":"p9","habitName":"Swim"},"fromUserId":"bob","fromUserName":"Bob"}`)
	event(pactwire.EventLeftPact, `{"pactId":"run","reason":"removed"}`)
	event(pactwire.EventLeftPact, `{"pactId":"unknown","reason":"removed"}`)
	event(pactwire.EventCheckinPending, `{}`)
	event(pactwire.EventFeedReset, `{}`)
	event(pactwire.EventTokenExpiring, `{}`)
	event(pactwire.EventCheckinLogged, `{}`)
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestScreenInAPipe(t *testing.T) {
	var b strings.Builder
	story(t, newScreen(&b, false, berlin(t), "alice"))
	golden(t, "testdata/screen.txt", b.String())
	for _, r := range b.String() {
		if r < ' ' && r != '\n' || r == '\u202e' || r == '\u2066' || r == 0x7f {
			t.Fatalf("%q reaches the terminal", r)
		}
	}
}

// Colours say nothing that the words do not.
func TestScreenOnATerminal(t *testing.T) {
	t.Setenv("TTY_FORCE", "1")
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("CLICOLOR_FORCE", "1")
	var b strings.Builder
	story(t, newScreen(&b, true, berlin(t), "alice"))
	golden(t, "testdata/screen.ansi", b.String())
	if !strings.Contains(b.String(), "\x1b[") {
		t.Error("no colours")
	}
}

func TestOneLineIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"a\nb\tc\r\nd":         "a b c d",
		"\x1b[31mred\x1b[0m":   "[31mred[0m",
		"\u009b31mC1":          "31mC1",
		"\u202eevil\u2069":     "evil",
		"👩\u200d🚀":             "👩\u200d🚀",
		"bad\xffutf":           "badutf",
		"  many   spaces     ": "many spaces",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
