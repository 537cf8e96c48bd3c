package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
)

// signed is a webhook as a habits-service sends it.
func signed(t *testing.T, id string, at time.Time, typ string, data any) (http.Header, []byte) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"type": typ, "timestamp": at, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := wh.Sign(id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, sig)
	return h, body
}

func (n *node) event(t *testing.T, id, typ string, data any) error {
	t.Helper()
	h, body := signed(t, id, time.Now(), typ, data)
	return n.bridge.Event(t.Context(), h, body)
}

func TestWebhookMustBeSignedAndFresh(t *testing.T) {
	inBubble(t, newScript(), bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		refused := func(what string, h http.Header, body []byte) {
			t.Helper()
			if err := n.bridge.Event(t.Context(), h, body); !errors.Is(err, bridge.ErrSignature) || pactwire.CodeOf(err) != pactwire.Denied {
				t.Errorf("%s: %v", what, err)
			}
		}
		h, body := signed(t, "m1", time.Now(), "user.updated", map[string]string{})
		if err := n.bridge.Event(t.Context(), h, body); err != nil {
			t.Errorf("a good one: %v", err)
		}
		refused("another body", h, append(body, ' '))
		refused("no headers", http.Header{}, body)
		other := h.Clone()
		other.Set(standardwebhooks.HeaderWebhookID, "m2")
		refused("another id", other, body)
		h, body = signed(t, "m1", time.Now().Add(-6*time.Minute), "user.updated", nil)
		refused("an old one", h, body)
		h, body = signed(t, "m1", time.Now().Add(6*time.Minute), "user.updated", nil)
		refused("one of the future", h, body)
		if err := n.event(t, "m3", "something.else", 7); err != nil {
			t.Errorf("an unknown type: %v", err)
		}
		if err := n.event(t, "m4", "pact.updated", map[string]int{"pactId": 4}); pactwire.CodeOf(err) != pactwire.Invalid {
			t.Errorf("nonsense: %v", err)
		}
	})
	inBubble(t, newScript(), bridge.Config{}, func(t *testing.T, n *node) {
		if err := n.event(t, "m1", "user.updated", nil); !errors.Is(err, bridge.ErrSignature) {
			t.Errorf("without a secret: %v", err)
		}
	})
}

func TestWebhookTellsOfCheckinsMadeElsewhere(t *testing.T) {
	p, q := activePact("p1", "g1", alice, bob), activePact("p2", "g1", alice, carol)
	s := newScript(p, q)
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		upserted := func(status string) map[string]any {
			return map[string]any{"id": "c7", "userId": "alice", "userName": "Alice", "pactId": "p1", "habitGoalId": "g1", "status": status,
				"scheduledDate": "2026-01-02T00:00:00Z", "notes": "elsewhere", "habitGoal": map[string]string{"name": "Run"},
				"streakUpdate": map[string]any{"before": 6, "after": 7, "longest": 7}}
		}
		send := func(id, typ string, data any) {
			t.Helper()
			for range 2 { // the second has no effect
				if err := n.event(t, id, typ, data); err != nil {
					t.Fatalf("%s: %v", typ, err)
				}
			}
		}
		send("1", "checkin.upserted", upserted("completed"))
		send("2", "checkin.upserted", upserted("completed")) // nothing new
		send("3", "checkin.upserted", upserted("partial"))
		send("4", "streak.milestone", map[string]any{"userId": "alice", "habitGoalId": "g1", "habitName": "Run", "pactId": "p1", "checkinId": "c7", "streakDays": 7})
		send("5", "streak.milestone", map[string]any{"userId": "alice", "habitGoalId": "g1", "habitName": "Run", "pactId": "p1", "checkinId": "c7", "streakDays": 7})
		send("6", "checkin.deleted", map[string]any{"id": "c7", "userId": "alice", "habitGoal": map[string]string{"name": "Run"}})
		send("7", "checkin.deleted", map[string]any{"id": "c7", "userId": "alice"})
		send("8", "checkin.deleted", map[string]any{"id": "never-seen", "userId": "alice"})
		send("9", "streak.broken", map[string]any{"userId": "alice", "habitGoalId": "g1", "habitName": "Run", "streakDays": 7})
		want := []pactwire.ActivityType{pactwire.CheckinCompleted, pactwire.CheckinCorrected, pactwire.StreakMilestone, pactwire.CheckinCorrected, pactwire.StreakBroken}
		for _, id := range []pactwire.PactID{"p1", "p2"} {
			list := n.told.activities(t, id)
			if got := activityTypes(list); !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", id, got, want)
			}
			var data pactwire.CheckinData
			_ = json.Unmarshal(list[0].Data, &data)
			if data.LocalDate != "2026-01-02" || data.HabitName != "Run" || data.Notes != "elsewhere" || list[0].UserName != "Alice" || list[0].CommandID != nil {
				t.Errorf("%+v", data)
			}
			_ = json.Unmarshal(list[3].Data, &data)
			if data.Status != pactwire.StatusDeleted || data.PreviousStatus != pactwire.StatusPartial {
				t.Errorf("%s", list[3].Data)
			}
		}
		if got := types(n.told.events(t, "alice")); !slices.Equal(got, []pactwire.EventType{pactwire.EventStreakMilestone}) {
			t.Errorf("the inbox has %v", got)
		}
		if err := n.event(t, "10", "checkin.upserted", map[string]any{"id": "c8", "userId": "a b"}); pactwire.CodeOf(err) != pactwire.Invalid {
			t.Errorf("nonsense: %v", err)
		}
	})
}

// TestADeletionNeedsTheIDAlone as the contract has it.
func TestADeletionNeedsTheIDAlone(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		events := []struct {
			typ  string
			data map[string]any
		}{
			{"checkin.upserted", map[string]any{"id": "c1", "userId": "alice", "userName": "Alice", "habitGoalId": "g1", "status": "completed", "scheduledDate": "2026-01-02"}},
			{"checkin.deleted", map[string]any{"id": "c1"}},
			{"checkin.deleted", map[string]any{"id": "c1"}},
			{"checkin.deleted", map[string]any{"id": "unknown"}},
		}
		for i, e := range events {
			if err := n.event(t, fmt.Sprint(i), e.typ, e.data); err != nil {
				t.Errorf("%s %v: %v", e.typ, e.data, err)
			}
		}
		if err := n.event(t, "x", "checkin.deleted", map[string]any{"userId": "alice"}); pactwire.CodeOf(err) != pactwire.Invalid {
			t.Errorf("without an id: %v", err)
		}
		list := n.told.activities(t, "p1")
		if got := activityTypes(list); !slices.Equal(got, []pactwire.ActivityType{pactwire.CheckinCompleted, pactwire.CheckinCorrected}) || list[1].UserID != "alice" {
			t.Errorf("%v", got)
		}
	})
}

// TestADeletionThatComesFirstIsRemembered, also when it says no more than the id.
func TestADeletionThatComesFirstIsRemembered(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		began := time.Now()
		written := func(id string, at time.Duration) map[string]any {
			return map[string]any{"id": id, "userId": "alice", "habitGoalId": "g1", "status": "completed",
				"scheduledDate": began.Format(time.DateOnly), "updatedAt": began.Add(at)}
		}
		wait(time.Minute)
		for i, e := range []struct {
			typ  string
			data map[string]any
			told int
		}{
			{"checkin.deleted", map[string]any{"id": "c1"}, 0},
			{"checkin.upserted", written("c1", 30*time.Second), 0},
			{"checkin.upserted", written("c1", time.Minute), 0}, // in the same moment: it cannot have been made anew by then
			{"checkin.upserted", written("c1", time.Minute+300*time.Microsecond), 0},
			{"checkin.deleted", map[string]any{"id": "c2", "userId": "alice"}, 0},
			{"checkin.upserted", written("c2", 40*time.Second), 0},
			{"checkin.upserted", written("c2", time.Minute), 0},
			{"checkin.deleted", map[string]any{"id": strings.Repeat("c", 9000)}, 0}, // no id of ours to remember
			{"checkin.upserted", written("c1", 2*time.Minute), 1},                   // made anew
		} {
			if err := n.event(t, fmt.Sprint(i), e.typ, e.data); err != nil {
				t.Fatalf("%s %v: %v", e.typ, e.data, err)
			}
			if list := n.told.activities(t, "p1"); len(list) != e.told {
				t.Fatalf("after %s %v: %v", e.typ, e.data, activityTypes(list))
			}
		}
	})
}

// TestOfDaysThatAreForgottenNothingIsTold: whether it was told before is not known any more.
func TestOfDaysThatAreForgottenNothingIsTold(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{Secret: secret, Retention: 100 * 24 * time.Hour}, func(t *testing.T, n *node) {
		for i, c := range []struct{ age, told int }{{400, 0}, {101, 0}, {100, 1}, {1, 2}} {
			err := n.event(t, fmt.Sprint(i), "checkin.upserted", map[string]any{"id": fmt.Sprint("c", i), "userId": "alice", "habitGoalId": "g1",
				"status": "completed", "scheduledDate": time.Now().UTC().AddDate(0, 0, -c.age).Format(time.DateOnly)})
			if list := n.told.activities(t, "p1"); err != nil || len(list) != c.told {
				t.Errorf("of %d days ago: %v, %v", c.age, activityTypes(list), err)
			}
		}
	})
}

// TestALateWebhookDoesNotUndoALaterWord: one that was sent away comes again after those that followed it.
func TestALateWebhookDoesNotUndoALaterWord(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		sent, began := 0, time.Now()
		send := func(typ, id, status string, day, at int) {
			t.Helper()
			sent++
			data := map[string]any{"id": id, "userId": "alice", "pactId": "p1", "habitGoalId": "g1", "status": status,
				"scheduledDate": began.AddDate(0, 0, day).Format(time.DateOnly), "updatedAt": began.Add(time.Duration(at) * time.Second)}
			if err := n.event(t, fmt.Sprint(sent), "checkin."+typ, data); err != nil {
				t.Fatal(err)
			}
		}
		says := func(what string, want ...pactwire.CheckinStatus) {
			t.Helper()
			var got []pactwire.CheckinStatus
			for _, a := range n.told.activities(t, "p1") {
				var data pactwire.CheckinData
				_ = json.Unmarshal(a.Data, &data)
				got = append(got, data.Status)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
		send("upserted", "c1", "completed", 0, 10)
		send("upserted", "c1", "skipped", 0, 5)
		says("an earlier word", "completed")
		send("upserted", "c1", "partial", 0, 10)
		says("one of the same moment", "completed", "partial")
		send("deleted", "c1", "deleted", 0, 30)
		send("upserted", "c1", "completed", 0, 20)
		says("one from before it was deleted", "completed", "partial", "deleted")
		send("upserted", "c1", "skipped", 0, 40)
		says("one from after", "completed", "partial", "deleted", "skipped")
		send("upserted", "c1", "completed", -1, 35)
		says("one from when it was of another day", "completed", "partial", "deleted", "skipped")

		send("deleted", "c2", "deleted", -2, 50)
		send("upserted", "c2", "completed", -2, 45)
		says("one that was deleted before it was told of", "completed", "partial", "deleted", "skipped")
		send("deleted", "c3", "deleted", 0, 60) // was of a day that c1 has now
		send("deleted", "c1", "deleted", 0, 70)
		says("all the same", "completed", "partial", "deleted", "skipped", "deleted")
	})
}

// TestWebhookWaitsForTheCallThatCausedIt: a service may tell of a check-in before it answers the call that made it. The
// activity is the command's.
func TestWebhookWaitsForTheCallThatCausedIt(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	var answer chan struct{}
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		answer = make(chan struct{})
		s.answer = func(_ context.Context, _ pactwire.CheckinRequest) error { <-answer; return nil }
		n.hold(t, alice)
		if err := n.accept(t, done(alice, p.ID, "mine", "x")); err != nil {
			t.Fatal(err)
		}
		wait(0)
		date := time.Now().UTC().Format(time.DateOnly)
		event := map[string]any{"id": "c-alice" + date, "userId": "alice", "pactId": "p1", "habitGoalId": "g1", "status": "completed", "scheduledDate": date, "notes": "x"}
		told := make(chan error, 1)
		h, body := signed(t, "1", time.Now(), "checkin.upserted", event)
		go func() { told <- n.bridge.Event(t.Context(), h, body) }()
		wait(100 * time.Millisecond)
		close(answer)
		if err := <-told; err != nil {
			t.Fatal(err)
		}
		list := n.told.activities(t, "p1")
		if len(list) != 1 || list[0].CommandID == nil || *list[0].CommandID != "mine" {
			t.Errorf("%v", list)
		}
	})
}

// TestABusyPersonsWebhookIsSentAwayAtOnce: the sender sends one at a time, so a webhook that waited for a person whose check-ins
// are under way would hold up everybody's.
func TestABusyPersonsWebhookIsSentAwayAtOnce(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(context.Context, pactwire.CheckinRequest) error { return errDown }
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		if err := n.accept(t, done(alice, p.ID, "mine", "x")); err != nil {
			t.Fatal(err)
		}
		date, began := time.Now().UTC().Format(time.DateOnly), time.Now()
		upserted := func(u string) map[string]any {
			return map[string]any{"id": "c-" + u, "userId": u, "pactId": "p1", "habitGoalId": "g1", "status": "partial", "scheduledDate": date}
		}
		if err := n.event(t, "1", "checkin.upserted", upserted("alice")); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("alice's: %v", err)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("alice's was held for %s", took)
		}
		if err := n.event(t, "2", "checkin.upserted", upserted("bob")); err != nil {
			t.Errorf("bob's: %v", err)
		}
	})
}

func TestWebhookMakesARemovalTakeEffectAtOnce(t *testing.T) {
	p := activePact("p1", "g1", alice, bob, carol)
	s := newScript(p)
	inBubble(t, s, bridge.Config{Secret: secret}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob, carol)
		synctest.Wait() // what was read first is recorded after it is known
		after := p
		after.Members = slices.Clone(p.Members)
		after.Members[1].Status = pactwire.MemberRemoved
		s.set(func() { s.pacts["p1"] = after })
		for i := range 2 {
			if err := n.event(t, fmt.Sprint(i), "pact.updated", map[string]string{"pactId": "p1"}); err != nil {
				t.Fatal(err)
			}
		}
		if n.members.CanRead("bob", "p1") {
			t.Error("bob can still read")
		}
		list := n.told.activities(t, "p1")
		if len(list) != 1 || list[0].Type != pactwire.MemberLeftPact || list[0].UserID != "alice" {
			t.Errorf("%v", list)
		}
		s.set(func() { s.down = true })
		if err := n.event(t, "x", "pact.updated", map[string]string{"pactId": "p1"}); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("the service is away, so the event must come again: %v", err)
		}
	})
}
