package bridge_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// side is how u stands to other: "status", with "!" when u has blocked them, "" for nothing.
func (n *node) side(t rapid.TB, u, other pactwire.UserID) string {
	t.Helper()
	list, _, err := n.bridge.Connections(context.Background(), pactwire.Identity{UserID: u}, "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.UserID == other {
			if c.IsBlocked {
				return string(c.Status) + "!"
			}
			return string(c.Status)
		}
	}
	return ""
}

func TestConnectionSteps(t *testing.T) {
	const a, b = "a", "b"
	for name, tt := range map[string]struct {
		steps string // who:step, and what came of it where that is not "done"
		want  string // a's side and b's
	}{
		"asked":                       {"a:request", "requested pending"},
		"asked twice":                 {"a:request a:request=duplicate", "requested pending"},
		"accepted":                    {"a:request b:accept b:accept=duplicate a:request=conflict", "accepted accepted"},
		"asked by both":               {"a:request b:request", "accepted accepted"},
		"declined":                    {"a:request b:decline b:decline=duplicate", "declined declined"},
		"declined by ending":          {"a:request b:end", "declined declined"},
		"withdrawn":                   {"a:request a:end a:end=duplicate b:accept=conflict", "ended ended"},
		"ended":                       {"a:request b:accept a:end b:end=duplicate", "ended ended"},
		"accepted by who asked":       {"a:request a:accept=conflict a:decline=conflict", "requested pending"},
		"nothing to answer":           {"a:accept=conflict a:decline=conflict a:end=conflict a:unblock=duplicate", " "},
		"asked too often":             {"a:request b:decline a:request b:decline a:request b:decline a:request=too_many", "declined declined"},
		"withdrawn too often":         {"a:request a:end a:request a:end a:request a:end a:request=too_many", "ended ended"},
		"then the other asks":         {"a:request b:decline a:request b:decline a:request b:decline b:request a:accept", "accepted accepted"},
		"connected, the count is new": {"a:request a:end a:request b:accept a:end a:request a:end a:request a:end a:request", "requested pending"},
		"blocked":                     {"a:block a:block=duplicate a:request=conflict", "ended! "},
		"blocked while connected":     {"a:request b:accept a:block", "ended! ended"},
		"blocked while asked":         {"b:request a:block", "ended! requested"},
		"blocked while asking":        {"b:request b:block a:accept=conflict", "ended ended!"},
		"asking who has blocked":      {"a:block b:request b:request=duplicate", "ended! requested"},
		"and withdrawing":             {"a:block b:request b:end", "ended! ended"},
		"a block that both have":      {"a:block b:block a:unblock b:unblock a:request b:accept", "accepted accepted"},
		"unblocked, nobody is told":   {"a:block b:request a:unblock", "ended requested"},
		"unblocked, then wanted":      {"a:block b:request a:unblock a:request", "accepted accepted"},
		"oneself":                     {"a:request/a=invalid a:block/a=invalid", " "},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			people := map[string]pactwire.Identity{"a": {UserID: a, UserName: "A"}, "b": {UserID: b, UserName: "B"}}
			for s := range strings.FieldsSeq(tt.steps) {
				s, want, _ := strings.Cut(s, "=")
				who, action, _ := strings.Cut(s, ":")
				other := pactwire.UserID("b")
				if who == "b" {
					other = "a"
				}
				if act, self, ok := strings.Cut(action, "/"); ok {
					action, other = act, pactwire.UserID(self)
				}
				d, err := n.do(t, step(people[who], other, pactwire.ConnectionAction(action)))
				got := string(pactwire.CodeOf(err))
				if d.Duplicate {
					got = "duplicate"
				}
				if got != want {
					t.Fatalf("%s: %q (%v), want %q", s, got, err, want)
				}
			}
			if got := n.side(t, a, b) + " " + n.side(t, b, a); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestBothAreToldOfEveryStepTheyMayKnow(t *testing.T) {
	n := newNode(t)
	var hers, his pactwire.ConnectionChanged
	told := func(what string, typ pactwire.EventType, a, b pactwire.ConnectionStatus) {
		t.Helper()
		n.told.last(t, "alice", typ, &hers)
		n.told.last(t, "bob", typ, &his)
		if hers.Connection.Status != a || his.Connection.Status != b || hers.Connection.UserID != "bob" || his.Connection.UserID != "alice" || his.Connection.UserName != "Alice" {
			t.Errorf("%s: alice was told %+v, bob %+v", what, hers, his)
		}
	}
	n.must(t, step(alice, "bob", pactwire.ConnectionRequest))
	told("request", pactwire.EventConnectionCreated, pactwire.ConnectionRequested, pactwire.ConnectionPending)
	n.must(t, step(bob, "alice", pactwire.ConnectionAccept))
	told("accept", pactwire.EventConnectionUpdated, pactwire.ConnectionAccepted, pactwire.ConnectionAccepted)
	n.must(t, step(alice, "bob", pactwire.ConnectionEnd))
	told("end", pactwire.EventConnectionUpdated, pactwire.ConnectionEnded, pactwire.ConnectionEnded)
	n.must(t, step(alice, "bob", pactwire.ConnectionBlock))
	before := len(n.told.inbox(t, "bob"))
	if n.told.last(t, "alice", pactwire.EventConnectionUpdated, &hers); !hers.Connection.IsBlocked {
		t.Errorf("alice was told %+v", hers)
	}
	n.must(t, step(bob, "alice", pactwire.ConnectionRequest))
	if n.told.last(t, "bob", pactwire.EventConnectionCreated, &his); his.Connection.Status != pactwire.ConnectionRequested || his.Connection.IsBlocked {
		t.Errorf("who is blocked was told %+v", his)
	}
	n.must(t, step(alice, "bob", pactwire.ConnectionUnblock))
	if got := n.told.inbox(t, "bob"); len(got) != before+1 {
		t.Errorf("bob was told %v", types(got[before:]))
	}
}

func TestRequestsThatWaitAreBounded(t *testing.T) {
	n := newNode(t)
	for i := range pactwire.MaxRequests {
		n.must(t, step(alice, pactwire.UserID(fmt.Sprint("u", i)), pactwire.ConnectionRequest))
	}
	n.refused(t, step(alice, "one-more", pactwire.ConnectionRequest), pactwire.TooMany, "")
	n.must(t, step(alice, "u7", pactwire.ConnectionEnd))
	n.must(t, step(alice, "one-more", pactwire.ConnectionRequest))
}

// TestTwoSidesAgree: whatever two people do, the sides fit together, and only a block makes them differ.
func TestTwoSidesAgree(t *testing.T) {
	n := newNode(t)
	run := 0
	actions := []pactwire.ConnectionAction{pactwire.ConnectionRequest, pactwire.ConnectionAccept, pactwire.ConnectionDecline,
		pactwire.ConnectionEnd, pactwire.ConnectionBlock, pactwire.ConnectionUnblock}
	rapid.Check(t, func(rt *rapid.T) {
		run++
		var two [2]pactwire.Identity
		for i := range two {
			two[i].UserID = pactwire.UserID(fmt.Sprintf("r%d-%d", run, i))
		}
		var held [2]bool // who asks while the other has them blocked, or did since
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			me := rapid.IntRange(0, 1).Draw(rt, "who")
			them := 1 - me
			action := rapid.SampledFrom(actions).Draw(rt, "action")
			_, err := n.do(t, step(two[me], two[them].UserID, action))
			if code := pactwire.CodeOf(err); err != nil && code != pactwire.Conflict && code != pactwire.TooMany {
				rt.Fatal(err)
			}
			var s [2]string
			for i := range s {
				s[i] = n.side(rt, two[i].UserID, two[1-i].UserID)
			}
			for i := range s {
				mine, theirs := s[i], s[1-i]
				if mine == "requested" && strings.HasSuffix(theirs, "!") {
					held[i] = true
				} else if mine != "requested" {
					held[i] = false
				}
				switch {
				case mine == "accepted" && theirs != "accepted",
					mine == "pending" && theirs != "requested",
					mine == "requested" && theirs != "pending" && !held[i],
					strings.HasSuffix(mine, "!") && mine != "ended!":
					rt.Fatalf("after %s of %d: %q and %q", action, me, mine, theirs)
				}
			}
		}
	})
}
