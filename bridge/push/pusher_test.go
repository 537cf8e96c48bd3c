package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/sqlite"
)

func equal[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAPushGoesOutWhenNobodySawTheEvent(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.checkin("c1")
		w.pass(9 * time.Second)
		equal(t, "before the delay", w.webhook.types())
		w.pass(2 * time.Second)
		equal(t, "after it", w.webhook.types(), "push.checkin to bob", "push.checkin to carol")
		w.pass(time.Hour)
		equal(t, "later", w.webhook.types())
	})
}

func TestNoPushGoesOutToWhoSawTheEventInTime(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		e := w.checkin("c1")
		if !push.Matters(e) {
			t.Error("a check-in's acknowledgement is not asked for")
		}
		w.pass(9 * time.Second)
		w.pusher.Saw("bob", e.Stream, e.Seq)
		w.pass(time.Hour)
		equal(t, "pushes", w.webhook.types(), "push.checkin to carol")
	})
}

func TestOneCauseIsOnePushThoughItIsInSeveralPacts(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		data := pactwire.CheckinData{CheckinID: "c1", HabitName: "Run", Status: pactwire.StatusCompleted}
		w.happensIn("p", pactwire.CheckinCompleted, "alice", "c1", data)
		second := w.happensIn("q", pactwire.CheckinCompleted, "alice", "c1", data)
		w.happensIn("q", pactwire.StreakMilestone, "alice", "c1", pactwire.MilestoneData{HabitName: "Run", StreakDays: 7})
		w.pusher.Saw("carol", second.Stream, second.Seq) // in one of the pacts, which is enough
		w.pass(time.Minute)
		equal(t, "pushes", w.webhook.types(), "push.milestone to bob")
	})
}

func TestACheckinThatWasTakenBackIsNotPushed(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.checkin("c1")
		w.checkin("c2")
		w.happens(pactwire.CheckinCorrected, "alice", "c1", pactwire.CheckinData{CheckinID: "c1", Status: pactwire.StatusSkipped})
		w.happens(pactwire.CheckinCorrected, "alice", "c2", pactwire.CheckinData{CheckinID: "c2", Status: pactwire.StatusCompleted, Notes: "better"})
		w.pass(time.Minute)
		equal(t, "pushes", w.webhook.types(), "push.checkin to bob", "push.checkin to carol")
	})
}

func TestACelebrationIsPushedToItsTargetAlone(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.happens(pactwire.CelebrationSent, "alice", "x", map[string]any{"targetUserId": "bob", "message": "Go!"})
		w.happens(pactwire.EncouragementSent, "bob", "y", map[string]any{"targetUserId": "carol", "emoji": "💪"})
		w.happens(pactwire.ReactionAdded, "bob", "z", map[string]any{"activityId": "a1", "emoji": "💪"})
		w.pass(time.Minute)
		equal(t, "pushes", w.webhook.types(), "push.celebration to bob", "push.encouragement to carol")
	})
}

func TestAnEventIsPushedUnlessItsReceiverCausedIt(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		event := func(u pactwire.UserID, typ pactwire.EventType, by pactwire.UserID) {
			w.seq++
			ev := pactwire.Event{ID: "e", Seq: w.seq, Type: typ, Data: json.RawMessage(`{"fromUserName":"Alice","pact":{"id":"p","habitName":"Run"}}`), CreatedAt: pactwire.Time(time.Now())}
			payload, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			e := pactwire.Entry{Stream: pactwire.InboxOf(u), Seq: w.seq, Payload: payload}
			w.do(func(tx *sqlite.Tx) error { return w.rules.Event(tx, u, &ev, e, fmt.Sprint(w.seq), by) })
		}
		event("bob", pactwire.EventPactInvitation, "alice")
		event("carol", "SERVER:SEND_DIRECT_MESSAGE", "alice")
		event("alice", "SERVER:SEND_DIRECT_MESSAGE", "alice") // the sender's own copy
		event("alice", pactwire.EventStreakMilestone, "alice")
		event("bob", pactwire.EventCommandDone, "bob")
		event("bob", pactwire.EventLeftPact, "alice")
		w.pass(time.Minute)
		got, _ := w.webhook.take()
		var list []string
		for _, m := range got {
			list = append(list, m.Type+" to "+string(m.User)+" "+string(m.Pact))
		}
		slices.Sort(list)
		equal(t, "pushes", list, "push.invitation to bob p", "push.message to carol p", "push.milestone to alice p")
	})
}

func TestQuietHoursHoldPushesUntilTheMorning(t *testing.T) {
	inWorld(t, push.Config{Poll: 10 * time.Second}, func(w *world) { // the bubble's clock starts at midnight UTC
		w.person(pactwire.User{ID: "bob", UserName: "Bob", TimeZone: "America/New_York", DayStartsAt: "00:00", Locale: "fr-CA",
			QuietHours: &pactwire.QuietHours{From: "22:00", To: "07:30"}}) // there it is 19:00
		w.person(pactwire.User{ID: "carol", TimeZone: "UTC", DayStartsAt: "00:00", QuietHours: &pactwire.QuietHours{From: "09:00", To: "17:00"}})
		w.pass(3*time.Hour + time.Minute) // 22:01 in New York
		w.checkin("c1")
		read := w.happens(pactwire.MessageSent, "carol", "m1", pactwire.MessageData{Message: "hello"})
		w.happens(pactwire.MessageSent, "alice", "m2", pactwire.MessageData{Message: "good night"})
		w.pass(time.Minute)
		equal(t, "at night", w.webhook.types(), "push.message to alice", "push.summary to carol")
		w.pusher.Saw("bob", read.Stream, read.Seq) // one of three he reads in bed
		w.pass(9*time.Hour + 26*time.Minute)
		equal(t, "just before the morning", w.webhook.types())
		w.pass(3 * time.Minute)
		got, at := w.webhook.take()
		if len(got) != 1 {
			t.Fatalf("in the morning came %v", got)
		}
		var body struct {
			Type string `json:"type"`
			Data struct {
				UserID, Title, Body string
				Count               int
				Events              []struct{ Type string }
			} `json:"data"`
		}
		if err := json.Unmarshal(got[0].Body, &body); err != nil {
			t.Fatal(err)
		}
		if d := body.Data; body.Type != "push.summary" || d.UserID != "bob" || d.Count != 2 || len(d.Events) != 2 ||
			d.Title != "2 nouvelles de tes pactes" || d.Body != "alice l'a fait aujourd'hui · alice: good night" {
			t.Errorf("merged into %+v", body)
		}
		zone, err := time.LoadLocation("America/New_York")
		if err != nil {
			t.Fatal(err)
		}
		if clock := at[0].In(zone).Format("15:04"); clock != "07:30" {
			t.Errorf("released at %s", clock)
		}
	})
}

func TestWhatWasSeenWhileItWasHeldIsNotPushed(t *testing.T) {
	inWorld(t, push.Config{Poll: time.Minute}, func(w *world) {
		for _, u := range []pactwire.UserID{"bob", "carol"} {
			w.person(pactwire.User{ID: u, QuietHours: &pactwire.QuietHours{From: "00:00", To: "06:00"}})
		}
		e := w.checkin("c1")
		w.pass(5 * time.Hour)
		w.pusher.Saw("bob", e.Stream, e.Seq)
		w.pusher.Saw("carol", e.Stream, e.Seq)
		w.pass(24 * time.Hour)
		equal(t, "pushes", w.webhook.types())
	})
}

func TestTheDayHasACap(t *testing.T) {
	inWorld(t, push.Config{DailyCap: 2, Poll: 20 * time.Second}, func(w *world) {
		w.person(pactwire.User{ID: "bob", TimeZone: "Asia/Tokyo"}) // there it is 09:00
		w.person(pactwire.User{ID: "carol", Push: pactwire.PushSettings{Off: []pactwire.PushKind{pactwire.PushCheckin}}})
		for i := range 4 {
			w.checkin(fmt.Sprint("c", i))
			w.pass(time.Minute)
		}
		equal(t, "the first day", w.webhook.types(), "push.checkin to bob", "push.checkin to bob")
		w.pass(15 * time.Hour) // past midnight in Tokyo
		w.checkin("next")
		w.pass(time.Minute)
		equal(t, "the next day", w.webhook.types(), "push.checkin to bob")
	})
}

func TestPeopleDecideWhatTheyArePushedAbout(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.person(pactwire.User{ID: "bob", Push: pactwire.PushSettings{Off: []pactwire.PushKind{pactwire.PushCheckin}}})
		w.person(pactwire.User{ID: "carol", Push: pactwire.PushSettings{MutedPacts: []pactwire.PactID{"p"}}})
		w.checkin("c1")
		w.happens(pactwire.MessageSent, "alice", "m1", pactwire.MessageData{Message: "hi"})
		w.happensIn("q", pactwire.MessageSent, "alice", "m2", pactwire.MessageData{Message: "hi"})
		w.pass(time.Minute)
		equal(t, "pushes", w.webhook.types(), "push.message to carol", "push.summary to bob")
	})
}

func TestRetriesComeAfter2And10And60SecondsUnderOneID(t *testing.T) {
	inWorld(t, push.Config{Poll: 2 * time.Second}, func(w *world) {
		w.person(pactwire.User{ID: "carol", Push: pactwire.PushSettings{MutedPacts: []pactwire.PactID{"p"}}})
		w.webhook.answers(func(push.Message) error { return push.Refused(503, 0, "not now") })
		w.checkin("c1")
		w.pass(25 * time.Hour)
		got, at := w.webhook.take()
		var waits []time.Duration
		for i := 1; i < len(at); i++ {
			waits = append(waits, at[i].Sub(at[i-1]))
			if got[i].ID != got[0].ID || string(got[i].Body) != string(got[0].Body) {
				t.Fatalf("attempt %d has the id %s and not %s", i, got[i].ID, got[0].ID)
			}
		}
		want := []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
		for i, d := range want {
			if len(waits) <= i || waits[i] < d || waits[i] > d+d/10+2*time.Second { // jitter, and the next look at the store
				t.Fatalf("waits %v, want about %v", waits, want)
			}
		}
		if whole := at[len(at)-1].Sub(at[0]); whole > 24*time.Hour || whole < 22*time.Hour {
			t.Errorf("tried for %v", whole)
		}
		dead, err := w.pusher.Pending(context.Background(), true, "", 10)
		if err != nil || len(dead) != 1 || dead[0].Error != "HTTP 503: not now" {
			t.Fatalf("dead: %+v, %v", dead, err)
		}
		// An operator tries again.
		w.webhook.answers(nil)
		if err := w.pusher.Retry(context.Background(), dead[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := w.pusher.Retry(context.Background(), dead[0].ID); pactwire.CodeOf(err) != pactwire.NotFound {
			t.Errorf("revived twice: %v", err)
		}
		w.pass(2 * time.Second)
		if again, _ := w.webhook.take(); len(again) != 1 || again[0].ID != got[0].ID {
			t.Errorf("after the retry: %v", again)
		}
		if left, err := w.pusher.Pending(context.Background(), false, "", 10); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})
}

func TestRefusalsThatAreFinalAreNotTriedAgain(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410, 413, 422, 301, 408, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inWorld(t, push.Config{}, func(w *world) {
				w.webhook.answers(func(push.Message) error { return push.Refused(status, 0, "no") })
				w.happens(pactwire.CelebrationSent, "alice", "x", map[string]any{"targetUserId": "bob"})
				w.pass(20 * time.Second)
				got, _ := w.webhook.take()
				again := status == 408 || status == 429 || status >= 500
				if again != (len(got) > 1) || len(got) == 0 {
					t.Errorf("%d attempts", len(got))
				}
				dead, err := w.pusher.Pending(context.Background(), true, "", 10)
				if err != nil || again != (len(dead) == 0) {
					t.Errorf("dead %v, %v", dead, err)
				}
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.webhook.answers(func(push.Message) error { return push.Refused(429, 20*time.Minute, "slowly") })
		w.happens(pactwire.CelebrationSent, "alice", "x", map[string]any{"targetUserId": "bob"})
		w.pass(21 * time.Minute)
		got, at := w.webhook.take()
		if len(got) != 2 || at[1].Sub(at[0]) < 20*time.Minute {
			t.Errorf("%d attempts at %v", len(got), at)
		}
	})
}

func TestWhatWasSeenBetweenAttemptsIsNotTriedAgain(t *testing.T) {
	inWorld(t, push.Config{Poll: 5 * time.Second}, func(w *world) {
		w.webhook.answers(func(push.Message) error { return errors.New("no answer") })
		e := w.happens(pactwire.CelebrationSent, "alice", "x", map[string]any{"targetUserId": "bob"})
		w.pass(15 * time.Second)
		if got, _ := w.webhook.take(); len(got) == 0 {
			t.Fatal("not tried")
		}
		w.pusher.Saw("bob", e.Stream, e.Seq)
		w.pass(24 * time.Hour)
		equal(t, "pushes", w.webhook.types())
	})
}

func TestWhoLeftThePactIsNotPushedAboutIt(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.checkin("c1")
		w.pass(time.Second)
		w.do(func(tx *sqlite.Tx) error { return w.rules.Over(tx, "bob", "p") })
		w.pass(time.Minute)
		equal(t, "pushes", w.webhook.types(), "push.checkin to carol")
	})
}

func TestACrashBetweenRetriesLosesNothingAndKeepsTheID(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.webhook.answers(func(push.Message) error { return errors.New("no answer") })
		w.happens(pactwire.CelebrationSent, "alice", "x", map[string]any{"targetUserId": "bob"})
		w.happens(pactwire.EncouragementSent, "alice", "y", map[string]any{"targetUserId": "carol"})
		w.pass(12 * time.Second)
		first, _ := w.webhook.take()
		w.crash(push.Config{})
		w.webhook.answers(nil)
		w.pass(2 * time.Minute)
		second, _ := w.webhook.take()
		ids := func(list []push.Message) (ids []string) {
			for _, m := range list {
				ids = append(ids, m.ID)
			}
			slices.Sort(ids)
			return slices.Compact(ids)
		}
		if len(second) != 2 || !slices.Equal(ids(first), ids(second)) {
			t.Errorf("before the crash %v, after it %v", ids(first), ids(second))
		}
	})
}

func TestACrashDuringAnAttemptSendsItAgainUnderTheSameID(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		claimed := make(chan struct{})
		w.webhook.answers(func(push.Message) error { close(claimed); return errors.New("the process dies here") })
		w.happens(pactwire.CelebrationSent, "alice", "x", map[string]any{"targetUserId": "bob"})
		<-claimed
		first, _ := w.webhook.take()
		w.webhook.answers(nil)
		w.crash(push.Config{})
		w.pass(time.Minute)
		second, _ := w.webhook.take()
		if len(first) != 1 || len(second) != 1 || first[0].ID != second[0].ID {
			t.Errorf("before %v, after %v", first, second)
		}
	})
}

func TestADeadTokenIsForgotten(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		ctx := context.Background()
		bob := pactwire.Identity{UserID: "bob"}
		for _, token := range []string{"phone", "old phone"} {
			if _, err := w.pusher.Register(ctx, bob, pactwire.PushTokenInput{Kind: pactwire.TokenFCM, Token: token}); err != nil {
				t.Fatal(err)
			}
		}
		w.fcm.answers(func(m push.Message) error {
			if m.Token.Token == "old phone" {
				return &push.Refusal{Gone: true, Cause: errors.New("unregistered")}
			}
			return nil
		})
		for range 2 {
			w.happens(pactwire.CelebrationSent, "alice", fmt.Sprint("x", w.seq), map[string]any{"targetUserId": "bob"})
			w.pass(time.Minute)
		}
		got, _ := w.fcm.take()
		var list []string
		for _, m := range got {
			list = append(list, m.Token.Token)
		}
		slices.Sort(list)
		equal(t, "sent to", list, "old phone", "phone", "phone")
		tokens, err := w.pusher.Tokens(ctx, bob)
		if err != nil || len(tokens) != 1 || tokens[0].Token != "phone" {
			t.Errorf("tokens %v, %v", tokens, err)
		}
		if err := w.pusher.Unregister(ctx, pactwire.Identity{UserID: "carol"}, tokens[0].ID); pactwire.CodeOf(err) != pactwire.NotFound {
			t.Errorf("another's token: %v", err)
		}
		if err := w.pusher.Unregister(ctx, bob, tokens[0].ID); err != nil {
			t.Error(err)
		}
	})
}

// TestManyJobsAreAllSent has more people, and more messages, than one transaction or the attempts at a time hold.
func TestManyJobsAreAllSent(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		const people = 150
		for i := range people {
			w.rules.Delay = 10 * time.Second
			u := pactwire.UserID(fmt.Sprint("u", i))
			ev := pactwire.Event{ID: "e", Seq: 1, Type: pactwire.EventPactInvitation, Data: json.RawMessage(`{}`), CreatedAt: pactwire.Time(time.Now())}
			e := pactwire.Entry{Stream: pactwire.InboxOf(u), Seq: 1, Payload: []byte(`{"type":"SERVER:PACT_INVITATION","data":{}}`)}
			w.do(func(tx *sqlite.Tx) error { return w.rules.Event(tx, u, &ev, e, "i", "alice") })
		}
		w.pass(time.Minute)
		got, _ := w.webhook.take()
		seen := map[pactwire.UserID]int{}
		for _, m := range got {
			seen[m.User]++
		}
		if len(got) != people || len(seen) != people {
			t.Errorf("%d pushes to %d people", len(got), len(seen))
		}
	})
}

// TestTwoNodesSendEachPushOnce has two pushers on one store, as two nodes on one database.
func TestTwoNodesSendEachPushOnce(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		other := push.New(push.Config{}, store{w.db}, []push.Channel{w.webhook, w.fcm}, slog.New(slog.DiscardHandler), nil)
		other.Start()
		defer other.Stop()
		for i := range 40 {
			w.happens(pactwire.CelebrationSent, "alice", fmt.Sprint(i), map[string]any{"targetUserId": "bob"})
			w.happens(pactwire.EncouragementSent, "alice", fmt.Sprint("e", i), map[string]any{"targetUserId": "carol"})
			w.pass(11 * time.Second)
			got, _ := w.webhook.take()
			if len(got) != 2 && i < 20 || len(got) != 0 && i >= 20 { // 20 is the day's cap
				t.Fatalf("round %d: %d pushes", i, len(got))
			}
		}
		// What one node's client acknowledged stops what the other would send.
		e := w.happens(pactwire.MessageSent, "bob", "m", pactwire.MessageData{Message: "hi"})
		other.Saw("alice", e.Stream, e.Seq)
		w.pass(time.Minute)
		equal(t, "pushes", w.webhook.types())
	})
}
