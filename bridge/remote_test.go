package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
)

// The tests of this file run in a bubble of fake time, so the habits-service is a script in this process: the real one,
// over HTTP, is in bridge_test.go.

// call is one attempt that the script saw.
type call struct {
	at   time.Time
	user pactwire.UserID
	key  string
	date pactwire.LocalDate
	note string
}

// script is a habits-service that does what a test says.
type script struct {
	mu       sync.Mutex
	pacts    map[pactwire.PactID]pactwire.Pact
	answer   func(ctx context.Context, req pactwire.CheckinRequest) error
	down     bool          // for reads
	hangs    bool          // for reads of a person's pacts
	takes    time.Duration // a read of a person's pacts
	onRead   func()        // called when a pact has been read, before the reader gets it
	calls    []call
	reads    int
	underway map[pactwire.UserID]int
	most     int
}

func newScript(pacts ...pactwire.Pact) *script {
	s := &script{pacts: map[pactwire.PactID]pactwire.Pact{}, underway: map[pactwire.UserID]int{},
		answer: func(context.Context, pactwire.CheckinRequest) error { return nil }}
	for _, p := range pacts {
		s.pacts[p.ID] = p
	}
	return s
}

func (s *script) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *script) Checkin(ctx context.Context, tx bridge.Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	s.mu.Lock()
	s.calls = append(s.calls, call{time.Now(), req.UserID, req.IdempotencyKey, req.ScheduledDate, req.Notes})
	s.underway[req.UserID]++
	if s.underway[req.UserID] > 1 || tx != nil {
		panic("two calls of one person at a time, or inside a transaction")
	}
	total := 0
	for _, n := range s.underway {
		total += n
	}
	s.most = max(s.most, total)
	answer := s.answer
	s.mu.Unlock()
	defer s.set(func() { s.underway[req.UserID]-- })
	if err := answer(ctx, req); err != nil {
		return pactwire.CheckinResult{}, err
	}
	return pactwire.CheckinResult{HabitName: "Run", Streak: &pactwire.StreakUpdate{After: 1}, Checkin: pactwire.Checkin{
		ID: "c-" + string(req.UserID) + string(req.ScheduledDate), PactID: req.PactID, UserID: req.UserID, HabitGoalID: req.HabitGoalID,
		Status: req.Status, LocalDate: req.ScheduledDate, Notes: req.Notes}}, nil
}

func (s *script) Pact(_ context.Context, id pactwire.PactID) (pactwire.Pact, error) {
	s.mu.Lock()
	onRead := s.onRead
	s.onRead = nil
	if onRead != nil {
		defer onRead()
	}
	defer s.mu.Unlock()
	if id != bridge.NobodysPact {
		s.reads++
	}
	if s.down {
		return pactwire.Pact{}, errDown
	}
	p, ok := s.pacts[id]
	if !ok {
		return p, pactwire.Errorf(pactwire.NotFound, "no such pact")
	}
	return p, nil
}

func (s *script) PactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.hangs {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	if s.takes > 0 {
		s.mu.Unlock()
		<-time.After(s.takes)
		s.mu.Lock()
	}
	if s.down {
		return nil, errDown
	}
	out := map[pactwire.UserID][]pactwire.Pact{}
	for _, u := range users {
		for _, p := range s.pacts {
			if _, ok := p.Member(u); ok {
				out[u] = append(out[u], p)
			}
		}
	}
	return out, nil
}

var errDown = pactwire.Errorf(pactwire.Unavailable, "down")

// asked is an error that asks to be tried again after a time.
type asked struct{ after time.Duration }

func (a asked) Error() string   { return fmt.Sprintf("try again in %s", a.after) }
func (a asked) Retryable() bool { return true }

// activePact is an active pact of people about a habit.
func activePact(id pactwire.PactID, goal pactwire.GoalID, who ...pactwire.Identity) pactwire.Pact {
	p := pactwire.Pact{ID: id, Status: pactwire.PactActive, HabitGoalID: goal, HabitName: "Run", CreatorUserID: who[0].UserID}
	for i, w := range who {
		role := pactwire.RolePartner
		if i == 0 {
			role = pactwire.RoleCreator
		}
		p.Members = append(p.Members, pactwire.Member{UserID: w.UserID, UserName: w.UserName, Role: role, Status: pactwire.MemberActive})
	}
	return p
}

// inBubble runs a test in fake time, with a node whose habits-service is a script.
func inBubble(t *testing.T, s *script, cfg bridge.Config, f func(t *testing.T, n *node)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n.db")
	synctest.Test(t, func(t *testing.T) {
		n := openScripted(t, path, s, cfg)
		defer n.close(t)
		f(t, n)
	})
}

func openScripted(t *testing.T, path string, s *script, cfg bridge.Config) *node {
	t.Helper()
	testkit.Migrated(t, path, create)
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	return scripted(t, db, s, cfg)
}

// scripted is a node on a store that is open.
func scripted(t *testing.T, db *sqlite.DB, s *script, cfg bridge.Config) *node {
	t.Helper()
	cfg.Remote = true
	cfg.LocalDay = func(_ bridge.Tx, _ pactwire.UserID, at time.Time) (pactwire.LocalDate, string, error) {
		return pactwire.LocalDate(at.UTC().Format(time.DateOnly)), "UTC", nil
	}
	cfg.RetryAfter = func(err error) (time.Duration, bool) {
		var a asked
		ok := errors.As(err, &a)
		return a.after, ok
	}
	n := &node{db: db, told: newTold()}
	n.members = bridge.NewMembership(bridge.MembershipConfig{Remote: true}, s, store{db}, quiet)
	n.bridge = bridge.New(cfg, store{db}, s, n.members, quiet, nil)
	n.bridge.Bind(n.told)
	if err := n.bridge.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return n
}

// wait lets time pass, and everything happen that needs no more time.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *script) of(u pactwire.UserID) (list []call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.user == u {
			list = append(list, c)
		}
	}
	return list
}

func types(list []pactwire.Event) (names []pactwire.EventType) {
	for _, e := range list {
		names = append(names, e.Type)
	}
	return names
}

// TestMembersWithoutANameAreCalledByWhatIsKnown: a habits-service need not name them.
func TestMembersWithoutANameAreCalledByWhatIsKnown(t *testing.T) {
	nameless := func(u pactwire.UserID) pactwire.Identity { return pactwire.Identity{UserID: u} }
	p := activePact("p1", "g1", alice, nameless("bob"))
	s := newScript(p)
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, bob)
		if err := n.accept(t, done(bob, p.ID, "", "")); err != nil { // his token names him
			t.Fatal(err)
		}
		wait(0)
		after := activePact("p1", "g1", alice, nameless("carol")) // bob has left, carol has come
		s.set(func() { s.pacts["p1"] = after })
		if err := n.bridge.Refresh(t.Context(), "p1"); err != nil {
			t.Fatal(err)
		}
		want := map[pactwire.ActivityType]string{pactwire.MemberLeftPact: "Bob", pactwire.PartnerJoined: "carol"}
		for _, a := range n.told.activities(t, "p1")[1:] {
			var data pactwire.MembershipData
			if err := json.Unmarshal(a.Data, &data); err != nil || a.UserName != want[a.Type] || data.MemberUserName != want[a.Type] {
				t.Errorf("%s of %q about %q, want %q", a.Type, a.UserName, data.MemberUserName, want[a.Type])
			}
			delete(want, a.Type)
		}
		if len(want) > 0 {
			t.Errorf("missing: %v", want)
		}
	})
}

// TestTheServiceGetsNoIDForAName: it would keep it as the name of who it knows better.
func TestTheServiceGetsNoIDForAName(t *testing.T) {
	dave := pactwire.Identity{UserID: "dave"}
	p := activePact("p1", "g1", alice, dave)
	s := newScript(p)
	got := map[pactwire.UserID]string{}
	s.answer = func(_ context.Context, req pactwire.CheckinRequest) error {
		s.set(func() { got[req.UserID] = req.UserName })
		return nil
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		for _, who := range []pactwire.Identity{alice, dave} {
			n.hold(t, who)
			if err := n.accept(t, done(who, p.ID, "", "")); err != nil {
				t.Fatal(err)
			}
		}
		wait(0)
		if name, asked := got["dave"]; !asked || name != "" || got["alice"] != "Alice" {
			t.Errorf("names at the service: %q", got)
		}
		for _, a := range n.told.activities(t, "p1") {
			if a.UserID == "dave" && a.UserName != "dave" {
				t.Errorf("%s of %q, want the id for a name here", a.Type, a.UserName)
			}
		}
	})
}

func TestOnePersonsCommandsGoInOrderAndNobodyWaits(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	failing := true
	s.answer = func(_ context.Context, req pactwire.CheckinRequest) error {
		if req.UserID == "alice" && failing {
			return errDown
		}
		return nil
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		for i := range 5 {
			if err := n.accept(t, done(alice, p.ID, fmt.Sprint("a", i), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		wait(30 * time.Second) // alice alone has been failing for long
		start := time.Now()
		for i := range 5 {
			if err := n.accept(t, done(bob, p.ID, fmt.Sprint("b", i), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		wait(0)
		if got := s.of("bob"); len(got) != 5 || got[4].at.Sub(start) > 50*time.Millisecond {
			t.Fatalf("bob waited for alice: %v", got)
		}
		s.set(func() { failing = false })
		wait(15 * time.Second)
		var keys, notes []string
		for _, c := range s.of("alice") {
			if !slices.Contains(keys, c.key) {
				keys, notes = append(keys, c.key), append(notes, c.note)
			}
		}
		if want := []string{"0", "1", "2", "3", "4"}; !slices.Equal(notes, want) {
			t.Errorf("alice's went as %v", notes)
		}
		if got := len(n.told.activities(t, p.ID)); got != 10 {
			t.Errorf("%d activities", got)
		}
	})
}

func TestFirstRetryWithinASecondThenDoublingToFifteen(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(_ context.Context, req pactwire.CheckinRequest) error {
		if req.UserID == "alice" {
			return errDown
		}
		return nil
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		_ = n.accept(t, done(alice, p.ID, "", "x"))
		for i := range 90 { // others are served, so it is hers alone that fails
			_ = n.accept(t, done(bob, p.ID, "", fmt.Sprint(i)))
			wait(time.Second)
		}
		calls := s.of("alice")
		var last time.Duration
		for i := 1; i < len(calls); i++ {
			gap := calls[i].at.Sub(calls[i-1].at)
			if i == 1 && gap > time.Second || gap > 15*time.Second || gap < last*3/4 {
				t.Errorf("attempt %d came %s after the one before", i, gap)
			}
			last = gap
			if calls[i].key != calls[0].key || calls[i].key == "" {
				t.Errorf("attempt %d has another key", i)
			}
		}
		if len(calls) < 8 || len(calls) > 14 {
			t.Errorf("%d attempts in 90 s", len(calls))
		}
	})
}

// TestHealthSaysThatTheServiceIsAwayThoughNobodyCalls: nor does one unanswered question make it so.
func TestHealthSaysThatTheServiceIsAwayThoughNobodyCalls(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		says := func(what string, away bool) {
			t.Helper()
			if causes := n.bridge.Health(); (len(causes) == 1) != away || away && (causes[0].Name != "habits" || !causes[0].Degraded) {
				t.Errorf("%s: %v", what, causes)
			}
		}
		wait(time.Minute)
		says("at first", false)
		s.set(func() { s.down = true })
		wait(3 * time.Second)
		says("after one question", false)
		wait(7 * time.Second)
		says("ten seconds down", true)
		wait(time.Hour)
		says("an hour down", true)
		s.set(func() { s.down = false })
		wait(5 * time.Second)
		says("back", false)
		s.answer = func(context.Context, pactwire.CheckinRequest) error { return errDown } // it answers questions alone
		n.hold(t, alice)
		if err := n.accept(t, done(alice, "p1", "", "")); err != nil {
			t.Fatal(err)
		}
		wait(5 * time.Minute)
		says("check-ins fail", true)
	})
}

// TestHealthIsOneSentence: what an operator reads says once what is amiss, and what the last call failed of.
func TestHealthIsOneSentence(t *testing.T) {
	refused := errors.New("dial tcp 127.0.0.1:8090: connect: connection refused")
	s := newScript(activePact("p1", "g1", alice, bob))
	s.answer = func(context.Context, pactwire.CheckinRequest) error {
		told := &pactwire.Error{Code: pactwire.Unavailable, Message: "the habits-service does not answer; try again later", Cause: refused}
		return fmt.Errorf("habits-service did not answer: %w", told)
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		if err := n.accept(t, done(alice, "p1", "", "")); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		causes := n.bridge.Health()
		const want = "the habits-service does not answer; check-ins are kept and retried: dial tcp 127.0.0.1:8090: connect: connection refused"
		if len(causes) != 1 || causes[0].Err.Error() != want {
			t.Fatalf("health is %v", causes)
		}
		if !errors.Is(causes[0].Err, refused) {
			t.Error("the cause is lost")
		}
	})
}

func TestBreakerProbesAndBacklogIsOfferedSoon(t *testing.T) {
	people := make([]pactwire.Identity, 40)
	s := newScript()
	for i := range people {
		people[i] = pactwire.Identity{UserID: pactwire.UserID(fmt.Sprint("u", i)), UserName: "U"}
		p := activePact(pactwire.PactID(fmt.Sprint("p", i)), "g", people[i], bob)
		s.pacts[p.ID] = p
	}
	s.answer = func(context.Context, pactwire.CheckinRequest) error { return errDown }
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, people...)
		for i, u := range people {
			for j := range 3 {
				if err := n.accept(t, done(u, pactwire.PactID(fmt.Sprint("p", i)), "", fmt.Sprint(j))); err != nil {
					t.Fatal(err)
				}
			}
		}
		wait(time.Minute)
		if causes := n.bridge.Health(); len(causes) != 1 || causes[0].Name != "habits" {
			t.Errorf("health is %v", causes)
		}
		s.set(func() { s.calls = nil })
		before := time.Now()
		wait(5 * time.Minute)
		s.mu.Lock()
		for _, c := range s.calls {
			if gap := c.at.Sub(before); gap > 5*time.Second {
				t.Errorf("no probe for %s", gap)
			}
			before = c.at
		}
		if n := len(s.calls); n > 5*60/2 {
			t.Errorf("%d calls in 5 min while it is down", n)
		}
		s.calls, s.most = nil, 0
		s.answer = func(context.Context, pactwire.CheckinRequest) error { <-time.After(100 * time.Millisecond); return nil }
		s.mu.Unlock()
		wait(20 * time.Second)
		for i := range people {
			if got := len(n.told.activities(t, pactwire.PactID(fmt.Sprint("p", i)))); got != 3 {
				t.Errorf("p%d has %d activities 20 s after the return", i, got)
			}
		}
		if s.most > 64 || s.most < 10 {
			t.Errorf("%d calls at the same time", s.most)
		}
		if causes := n.bridge.Health(); len(causes) != 0 {
			t.Errorf("health is %v", causes)
		}
	})
}

func TestRetryAfterHoldsBackOnePersonAlone(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	first := true
	s.answer = func(_ context.Context, req pactwire.CheckinRequest) error {
		if req.UserID == "alice" && first {
			first = false
			return asked{2 * time.Minute}
		}
		return nil
	}
	path := filepath.Join(t.TempDir(), "n.db")
	synctest.Test(t, func(t *testing.T) {
		n := openScripted(t, path, s, bridge.Config{})
		n.hold(t, alice, bob)
		start := time.Now()
		_ = n.accept(t, done(alice, p.ID, "a", ""))
		_ = n.accept(t, done(alice, p.ID, "a2", "2"))
		_ = n.accept(t, done(bob, p.ID, "b", ""))
		wait(30 * time.Second)
		if len(s.of("bob")) != 1 || len(s.of("alice")) != 1 {
			t.Errorf("after 30 s: %v and %v", s.of("bob"), s.of("alice"))
		}
		n.close(t) // a restart does not forget it
		n = openScripted(t, path, s, bridge.Config{})
		wait(80 * time.Second)
		if len(s.of("alice")) != 1 {
			t.Errorf("asked again after %s", time.Since(start))
		}
		wait(12 * time.Second)
		calls := s.of("alice")
		if len(calls) != 3 {
			t.Fatalf("after %s: %v", time.Since(start), calls)
		}
		if calls[0].key != calls[1].key || calls[0].date != calls[1].date || calls[1].key == calls[2].key {
			t.Errorf("keys and dates over the restart: %v", calls)
		}
		n.close(t)
	})
}

// TestNobodyWaitsForAClockThatWasAhead: a command that says it was accepted in an hour keeps nobody else from being told.
func TestNobodyWaitsForAClockThatWasAhead(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(context.Context, pactwire.CheckinRequest) error { return errDown }
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		if err := n.accept(t, done(bob, p.ID, "b1", "x")); err != nil {
			t.Fatal(err)
		}
		recs, err := n.db.PendingCommands(t.Context(), 0, 1)
		if err != nil || len(recs) != 1 {
			t.Fatal(recs, err)
		}
		committed := make(chan error, 1)
		err = n.db.Submit(t.Context(), func(tx *sqlite.Tx) (err error) {
			ahead := recs[0]
			ahead.Key, ahead.AcceptedAt = "b2", time.Now().Add(time.Hour)
			if ahead.ID, err = tx.NextCommandID(); err != nil {
				return err
			}
			return tx.PutCommand(ahead)
		}, func(err error) { committed <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		if err := n.accept(t, done(alice, p.ID, "a1", "x")); err != nil {
			t.Fatal(err)
		}
		wait(10 * time.Second)
		if got := types(n.told.events(t, "alice")); !slices.Equal(got, []pactwire.EventType{pactwire.EventCheckinPending}) {
			t.Errorf("alice was told %v", got)
		}
	})
}

func TestPendingIsToldOnceTwoSecondsAfterTheCommit(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(_ context.Context, req pactwire.CheckinRequest) error {
		if req.Notes == "slow" {
			<-time.After(4 * time.Second)
		}
		return nil
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		_ = n.accept(t, done(alice, p.ID, "q", "quick"))
		_ = n.accept(t, done(alice, p.ID, "s", "slow"))
		topical := done(bob, p.ID, "t", "slow")
		topical.Answer = pactwire.Answer{Topic: "users/bob/replies/x", Correlation: []byte{1}}
		_ = n.accept(t, topical)
		wait(1900 * time.Millisecond)
		if got := types(n.told.events(t, "alice")); !slices.Equal(got, []pactwire.EventType{pactwire.EventCheckinLogged}) {
			t.Fatalf("before 2 s: %v", got)
		}
		wait(200 * time.Millisecond)
		events := n.told.events(t, "alice")
		if len(events) != 2 || events[1].Type != pactwire.EventCheckinPending || *events[1].CommandID != "s" {
			t.Fatalf("after 2 s: %v", types(events))
		}
		var data pactwire.CheckinPending
		if err := json.Unmarshal(events[1].Data, &data); err != nil || data.PactID != "p1" || data.HabitGoalID != "g1" ||
			data.Status != "completed" || data.LocalDate != pactwire.LocalDate(time.Now().UTC().Format(time.DateOnly)) {
			t.Errorf("pending says %s", events[1].Data)
		}
		wait(10 * time.Second)
		want := []pactwire.EventType{pactwire.EventCheckinLogged, pactwire.EventCheckinPending, pactwire.EventCheckinLogged}
		if got := types(n.told.events(t, "alice")); !slices.Equal(got, want) {
			t.Errorf("in the end: %v", got)
		}
		if got := types(n.told.directs()); !slices.Equal(got, []pactwire.EventType{pactwire.EventCheckinPending, pactwire.EventCheckinLogged}) {
			t.Errorf("on the response topic: %v", got)
		}
		if got := n.told.events(t, "bob"); len(got) != 0 {
			t.Errorf("bob's inbox has %v", types(got))
		}
	})
}

func TestGivesUpInTheEnd(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(context.Context, pactwire.CheckinRequest) error { return errDown }
	inBubble(t, s, bridge.Config{GiveUp: 10 * time.Minute}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		_ = n.accept(t, done(alice, p.ID, "a", ""))
		_ = n.accept(t, done(bob, p.ID, "b", ""))
		wait(9 * time.Minute)
		for _, u := range []pactwire.UserID{"alice", "bob"} {
			if got := types(n.told.events(t, u)); !slices.Equal(got, []pactwire.EventType{pactwire.EventCheckinPending}) {
				t.Errorf("%s has %v", u, got)
			}
		}
		wait(time.Minute + time.Second)
		for _, u := range []pactwire.UserID{"alice", "bob"} {
			events := n.told.events(t, u)
			var data pactwire.ErrorData
			_ = json.Unmarshal(events[len(events)-1].Data, &data)
			if len(events) != 2 || data.Code != pactwire.Unavailable || !data.Retryable || data.Topic == "" {
				t.Errorf("%s has %v: %+v", u, types(events), data)
			}
		}
		s.set(func() { s.answer = func(context.Context, pactwire.CheckinRequest) error { return nil } })
		wait(time.Minute)
		if got := n.told.activities(t, p.ID); len(got) != 0 {
			t.Errorf("done after all: %v", got)
		}
		// The key now has its first result.
		if err := n.accept(t, done(alice, p.ID, "a", "")); err != nil {
			t.Error(err)
		}
		if got := types(n.told.events(t, "alice")); got[len(got)-1] != pactwire.EventError {
			t.Errorf("again: %v", got)
		}
	})
}

func TestFinalRefusalOfTheServiceIsNotRetried(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(context.Context, pactwire.CheckinRequest) error {
		return pactwire.FieldErrorf("notes", "not these words")
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		if err := n.accept(t, done(alice, p.ID, "a", "")); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		events := n.told.events(t, "alice")
		var data pactwire.ErrorData
		_ = json.Unmarshal(events[0].Data, &data)
		if len(events) != 1 || events[0].Type != pactwire.EventError || data.Code != pactwire.Invalid || data.Field != "notes" || data.Retryable || len(s.of("alice")) != 1 {
			t.Errorf("%v %+v after %d calls", types(events), data, len(s.of("alice")))
		}
	})
}

func TestHTTPWaitsTwoSecondsThenPends(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(_ context.Context, req pactwire.CheckinRequest) error {
		if req.Notes == "slow" {
			<-time.After(3 * time.Second)
		}
		return nil
	}
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		res, err := n.bridge.Do(t.Context(), []pactwire.Command{done(alice, p.ID, "quick", "quick")})
		if err != nil || res[0].Pending || res[0].Answer.Type != pactwire.EventCheckinLogged {
			t.Fatalf("%v %v", res, err)
		}
		wait(10 * time.Second)
		if got := n.told.events(t, "alice"); len(got) != 0 {
			t.Errorf("the answer went to HTTP, and the inbox has %v", types(got))
		}
		start := time.Now()
		res, err = n.bridge.Do(t.Context(), []pactwire.Command{done(alice, p.ID, "slow", "slow")})
		if err != nil || !res[0].Pending || time.Since(start) > 2100*time.Millisecond {
			t.Fatalf("after %s: %v %v", time.Since(start), res, err)
		}
		wait(10 * time.Second)
		got := types(n.told.events(t, "alice"))
		if !slices.Equal(got, []pactwire.EventType{pactwire.EventCheckinPending, pactwire.EventCheckinLogged}) {
			t.Errorf("the inbox has %v", got)
		}
		res, err = n.bridge.Do(t.Context(), []pactwire.Command{done(alice, p.ID, "slow", "other words")})
		var logged pactwire.CheckinLogged
		if err != nil || json.Unmarshal(res[0].Answer.Data, &logged) != nil || !logged.Duplicate || logged.Checkin.Notes != "slow" {
			t.Errorf("again: %s %v", res[0].Answer.Data, err)
		}
	})
}

func TestLanesAreBoundedAndEveryoneIsServed(t *testing.T) {
	s := newScript()
	var people []pactwire.Identity
	for i := range 60 {
		u := pactwire.Identity{UserID: pactwire.UserID(fmt.Sprint("u", i)), UserName: "U"}
		people = append(people, u)
		p := activePact(pactwire.PactID(fmt.Sprint("p", i)), "g", u, bob)
		s.pacts[p.ID] = p
	}
	s.answer = func(context.Context, pactwire.CheckinRequest) error { <-time.After(50 * time.Millisecond); return nil }
	path := filepath.Join(t.TempDir(), "n.db")
	synctest.Test(t, func(t *testing.T) {
		n := openScripted(t, path, s, bridge.Config{Lanes: 4})
		n.hold(t, people...)
		for j := range 3 {
			for i, u := range people {
				if err := n.accept(t, done(u, pactwire.PactID(fmt.Sprint("p", i)), "", fmt.Sprint(j))); err != nil {
					t.Fatal(err)
				}
			}
		}
		wait(500 * time.Millisecond)
		n.close(t) // in the middle
		n = openScripted(t, path, s, bridge.Config{Lanes: 4})
		defer n.close(t)
		wait(time.Minute)
		if s.most > 4 {
			t.Errorf("%d calls at the same time", s.most)
		}
		for i, u := range people {
			page, err := n.bridge.History(t.Context(), u, pactwire.PactID(fmt.Sprint("p", i)), pactwire.HistoryQuery{})
			if err != nil || page.HeadSeq != 3 {
				t.Errorf("%s: %d activities, %v", u.UserID, page.HeadSeq, err)
			}
		}
	})
}

// directs are the unlogged messages so far.
func (p *told) directs() []pactwire.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.direct)
}

func (s *script) readCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}
