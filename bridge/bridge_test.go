package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
)

// store adapts the real embedded store.
type store struct{ *sqlite.DB }

func (s store) Submit(ctx context.Context, fn func(bridge.Tx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

type hostStore struct{ *sqlite.DB }

func (s hostStore) Submit(ctx context.Context, fn func(habits.HostTx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

type embedded struct{ *habits.Embedded }

func (e embedded) Checkin(ctx context.Context, tx bridge.Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	return e.Embedded.Checkin(ctx, tx.(habits.Tx), req)
}

type remote struct{ *habits.Client }

func (r remote) Checkin(ctx context.Context, _ bridge.Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	return r.Client.Checkin(ctx, req)
}

type recorder struct{ *bridge.Bridge }

func (r recorder) Do(ctx context.Context, fn func(habits.Tx) ([]pactwire.Change, error)) error {
	return r.Record(ctx, func(tx bridge.Tx) ([]pactwire.Change, error) { return fn(tx.(habits.Tx)) })
}

// told is a publisher that keeps what it is given.
type told struct {
	mu      sync.Mutex
	entries map[pactwire.Stream][]pactwire.Entry
	direct  []pactwire.Event
	sizes   []int // of their payloads
	about   []pactwire.PactID
	states  map[pactwire.PactID]int // how often it was told that one is another
	lists   map[pactwire.UserID]int // how often it was told that one's list of pacts is another
	changed chan struct{}
}

func newTold() *told {
	return &told{entries: map[pactwire.Stream][]pactwire.Entry{}, states: map[pactwire.PactID]int{}, lists: map[pactwire.UserID]int{}, changed: make(chan struct{}, 1)}
}

// forget drops the answers that were told so far.
func (p *told) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.direct, p.sizes, p.about = nil, nil, nil
}

func (p *told) Publish(e pactwire.Entry) {
	p.mu.Lock()
	p.entries[e.Stream] = append(p.entries[e.Stream], e)
	p.mu.Unlock()
	p.ping()
}

func (p *told) Direct(_ pactwire.UserID, about pactwire.PactID, _ string, payload, _ []byte) {
	var e pactwire.Event
	if err := json.Unmarshal(payload, &e); err != nil {
		panic(err)
	}
	p.mu.Lock()
	p.direct = append(p.direct, e)
	p.sizes, p.about = append(p.sizes, len(payload)), append(p.about, about)
	p.mu.Unlock()
	p.ping()
}

func (p *told) ping() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *told) PactsChanged(u pactwire.UserID, _ []pactwire.Membership, _ []pactwire.PactID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lists[u]++
}

func (p *told) listed(u pactwire.UserID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lists[u]
}

func (p *told) StateChanged(id pactwire.PactID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states[id]++
}

func (p *told) stated(id pactwire.PactID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[id]
}

// events are the published events of an inbox, without those about notifications, which go along with others.
func (p *told) events(t testing.TB, u pactwire.UserID) (list []pactwire.Event) {
	t.Helper()
	return slices.DeleteFunc(p.inbox(t, u), func(e pactwire.Event) bool {
		return e.Type == pactwire.EventNotificationCreated || e.Type == pactwire.EventNotificationUpdated
	})
}

// inbox are all published events of an inbox.
func (p *told) inbox(t testing.TB, u pactwire.UserID) (list []pactwire.Event) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries[pactwire.InboxOf(u)] {
		var ev pactwire.Event
		if err := json.Unmarshal(e.Payload, &ev); err != nil {
			t.Fatal(err)
		}
		list = append(list, ev)
	}
	return list
}

func (p *told) activities(t testing.TB, pact pactwire.PactID) (list []pactwire.Activity) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.entries[pactwire.ActivityOf(pact)] {
		var a pactwire.Activity
		if err := json.Unmarshal(e.Payload, &a); err != nil {
			t.Fatal(err)
		}
		if a.Seq != e.Seq || a.Seq != p.entries[pactwire.ActivityOf(pact)][0].Seq+pactwire.Seq(i) {
			t.Fatalf("activity %d of %s has seq %d", i, pact, a.Seq)
		}
		list = append(list, a)
	}
	return list
}

// until waits until ok, looking again whenever something is published.
func (p *told) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for !ok() {
		select {
		case <-p.changed:
		case <-limit.C:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// node is a bridge over a real store, with the embedded habits-service.
type node struct {
	db      *sqlite.DB
	bridge  *bridge.Bridge
	members *bridge.Membership
	service *habits.Service
	engine  *habits.Embedded // nil with a remote habits-service
	told    *told
}

var quiet = slog.New(slog.DiscardHandler)

func openNode(t testing.TB, path string, remoteHabits bridge.Habits, cfg bridge.Config) *node {
	t.Helper()
	testkit.Migrated(t, path, create)
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{db: db, told: newTold()}
	h := remoteHabits
	var engine *habits.Embedded
	if h == nil {
		engine = habits.NewEmbedded(db, habits.EngineOptions{})
		db.OnRollback(func(bool) { engine.Forget() })
		h = embedded{engine}
	} else {
		cfg.Remote = true
	}
	cfg.LocalDay = func(_ bridge.Tx, _ pactwire.UserID, at time.Time) (pactwire.LocalDate, string, error) {
		return pactwire.LocalDate(at.UTC().Format(time.DateOnly)), "UTC", nil
	}
	cfg.RetryAfter = habits.RetryAfter
	n.members = bridge.NewMembership(bridge.MembershipConfig{Remote: cfg.Remote}, h, store{db}, quiet)
	n.bridge = bridge.New(cfg, store{db}, h, n.members, quiet, nil)
	n.bridge.Bind(n.told)
	n.engine = engine
	n.service = habits.NewService(recorder{n.bridge}, db, engine, habits.ServiceOptions{})
	if err := n.bridge.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) close(t testing.TB) {
	t.Helper()
	n.bridge.Stop()
	n.members.Stop()
	if err := n.db.Close(); err != nil {
		t.Fatal(err)
	}
}

func newNode(t testing.TB) *node {
	n := openNode(t, filepath.Join(t.TempDir(), "p.db"), nil, bridge.Config{})
	t.Cleanup(func() { n.close(t) })
	return n
}

var (
	alice = pactwire.Identity{UserID: "alice", UserName: "Alice"}
	bob   = pactwire.Identity{UserID: "bob", UserName: "Bob"}
	carol = pactwire.Identity{UserID: "carol", UserName: "Carol"}
)

// pactOf makes an active pact of the first with the others about a new goal.
func pactOf(t testing.TB, s *habits.Service, who ...pactwire.Identity) pactwire.Pact {
	t.Helper()
	ctx := context.Background()
	g, err := s.CreateGoal(ctx, who[0], pactwire.GoalInput{Name: "Run"})
	if err != nil {
		t.Fatal(err)
	}
	return pactAbout(t, s, g.ID, who...)
}

func pactAbout(t testing.TB, s *habits.Service, g pactwire.GoalID, who ...pactwire.Identity) pactwire.Pact {
	t.Helper()
	ctx := context.Background()
	in := pactwire.PactInput{HabitGoalID: g}
	for _, id := range who[1:] {
		in.PartnerUserIDs = append(in.PartnerUserIDs, id.UserID)
	}
	p, err := s.CreatePact(ctx, who[0], in)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range who[1:] {
		if p, err = s.Act(ctx, id, p.ID, pactwire.ActAccept); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (n *node) hold(t testing.TB, who ...pactwire.Identity) {
	t.Helper()
	for _, id := range who {
		if err := n.members.Ensure(context.Background(), id.UserID); err != nil {
			t.Fatal(err)
		}
	}
}

func done(id pactwire.Identity, p pactwire.PactID, key, notes string) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandCheckin, ID: key, Sender: id, Pact: p, Topic: "pacts/" + string(p) + "/checkins",
		ReceivedAt: time.Now(), Checkin: &pactwire.CheckinCommand{Status: pactwire.StatusCompleted, Notes: notes}}
}

// accept waits for the acknowledgement.
func (n *node) accept(t testing.TB, cmds ...pactwire.Command) error {
	t.Helper()
	acked := make(chan error, 2)
	if err := n.bridge.Accept(context.Background(), cmds, func(err error) { acked <- err }); err != nil {
		return err
	}
	return <-acked
}

func TestFirstAcceptanceWritesJoinedThenStarted(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	var got []string
	for _, a := range n.told.activities(t, p.ID) {
		got = append(got, fmt.Sprintf("%d %s %s", a.Seq, a.Type, a.UserID))
	}
	want := []string{"1 partner_joined bob", "2 pact_started bob", "3 partner_joined carol"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if ev := n.told.events(t, "bob"); len(ev) != 1 || ev[0].Type != pactwire.EventPactInvitation {
		t.Errorf("bob's inbox: %v", ev)
	}
}

func TestPromise2OnceWhateverIsSentAgain(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice, bob)
	for range 3 {
		if err := n.accept(t, done(alice, p.ID, "k1", "first")); err != nil {
			t.Fatal(err)
		}
	}
	other := done(alice, p.ID, "k1", "another payload under the same key")
	if err := n.accept(t, other); err != nil {
		t.Fatal(err)
	}
	res, err := n.bridge.Do(t.Context(), []pactwire.Command{done(alice, p.ID, "k1", "over HTTP")})
	if err != nil {
		t.Fatal(err)
	}
	var logged pactwire.CheckinLogged
	if err := json.Unmarshal(res[0].Answer.Data, &logged); err != nil || !logged.Duplicate || logged.Checkin.Notes != "first" || *logged.ActivitySeq != 3 {
		t.Errorf("over HTTP: %s", res[0].Answer.Data)
	}
	for range 2 { // without a key, the date is the key
		if err := n.accept(t, done(alice, p.ID, "", "first")); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.told.activities(t, p.ID); len(got) != 3 {
		t.Errorf("%d activities, want partner_joined, pact_started and one check-in", len(got))
	}
	var answers []bool
	for _, e := range n.told.events(t, "alice") {
		var logged pactwire.CheckinLogged
		if json.Unmarshal(e.Data, &logged) == nil && e.Type == pactwire.EventCheckinLogged {
			answers = append(answers, logged.Duplicate)
		}
	}
	if want := []bool{false, true, true, true, true, true}; !slices.Equal(answers, want) {
		t.Errorf("duplicate in the answers: %v, want %v", answers, want)
	}
}

func TestPromise5OnlyActiveMembersCommand(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	invited, err := n.service.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: p.HabitGoalID, PartnerUserIDs: []pactwire.UserID{"carol"}})
	if err != nil {
		t.Fatal(err)
	}
	n.hold(t, alice, bob, carol)
	if err := n.accept(t, done(carol, p.ID, "", "")); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("an outsider: %v", err)
	}
	if err := n.accept(t, done(carol, "no-such-pact", "", "")); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("a pact that is not: %v", err)
	}
	if err := n.accept(t, done(carol, invited.ID, "", "")); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("who is invited: %v", err)
	}
	if _, err := n.service.Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	if err := n.accept(t, done(bob, p.ID, "", "")); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("who left: %v", err)
	}
	if err := n.accept(t, done(alice, p.ID, "", "")); pactwire.CodeOf(err) != pactwire.Conflict {
		t.Errorf("a pact that ended: %v", err)
	}
	var types []pactwire.ActivityType
	for _, a := range n.told.activities(t, p.ID) {
		types = append(types, a.Type)
	}
	want := []pactwire.ActivityType{pactwire.PartnerJoined, pactwire.PactStarted, pactwire.MemberLeftPact, pactwire.PactAbandonedA}
	if !slices.Equal(types, want) {
		t.Errorf("%v, want %v", types, want)
	}
	if e := n.told.events(t, "bob"); e[len(e)-1].Type != pactwire.EventLeftPact {
		t.Errorf("bob's last event is %s", e[len(e)-1].Type)
	}
}

func TestOneCheckinTellsEveryPactOfTheHabit(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	q := pactAbout(t, n.service, p.HabitGoalID, alice, carol)
	n.hold(t, alice)
	if err := n.accept(t, done(alice, q.ID, "x", "")); err != nil {
		t.Fatal(err)
	}
	inP, inQ := n.told.activities(t, p.ID)[2:], n.told.activities(t, q.ID)[2:]
	if len(inP) != 1 || len(inQ) != 1 || *inP[0].CommandID != "x" || inP[0].Type != pactwire.CheckinCompleted {
		t.Errorf("%v and %v", inP, inQ)
	}
	var logged pactwire.CheckinLogged
	_ = json.Unmarshal(n.told.events(t, "alice")[0].Data, &logged)
	if logged.Checkin.PactID != q.ID || *logged.ActivityID != inQ[0].ID {
		t.Errorf("the answer names %s %s", logged.Checkin.PactID, *logged.ActivityID)
	}
	corrected := done(alice, q.ID, "y", "")
	corrected.Checkin.Status = pactwire.StatusSkipped
	if err := n.accept(t, corrected); err != nil {
		t.Fatal(err)
	}
	var data pactwire.CheckinData
	last := n.told.activities(t, p.ID)[3]
	_ = json.Unmarshal(last.Data, &data)
	if last.Type != pactwire.CheckinCorrected || data.PreviousStatus != pactwire.StatusCompleted || data.Status != pactwire.StatusSkipped {
		t.Errorf("%s %s", last.Type, last.Data)
	}
}

func TestBatchIsAnsweredItemByItem(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	today := time.Now().UTC()
	var cmds []pactwire.Command
	for i, ago := range []int{2, 9, 1, 0} { // nine days ago is too late
		c := done(alice, p.ID, "", "")
		c.Checkin.ScheduledDate = pactwire.LocalDate(today.AddDate(0, 0, -ago).Format(time.DateOnly))
		c.Index = &i
		cmds = append(cmds, c)
	}
	if err := n.accept(t, cmds...); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range n.told.events(t, "alice") {
		if e.Index != nil {
			got = append(got, fmt.Sprintf("%d %s", *e.Index, e.Type))
		} else {
			got = append(got, string(e.Type))
		}
	}
	want := []string{"0 SERVER:CHECKIN_LOGGED", "1 SERVER:ERROR", "2 SERVER:CHECKIN_LOGGED", "3 SERVER:CHECKIN_LOGGED", "SERVER:STREAK_MILESTONE"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestHistoryPages(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	for i := range 10 {
		if err := n.accept(t, pactwire.Command{Kind: pactwire.CommandMessage, Sender: alice, Pact: p.ID, ReceivedAt: time.Now(),
			Message: &pactwire.MessageCommand{Message: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	seq := func(n int) *pactwire.Seq { s := pactwire.Seq(n); return &s }
	for _, c := range []struct {
		q    pactwire.HistoryQuery
		want []int
		more bool
	}{
		{pactwire.HistoryQuery{}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, false},
		{pactwire.HistoryQuery{Limit: 3}, []int{10, 11, 12}, true},
		{pactwire.HistoryQuery{Before: seq(4), Limit: 3}, []int{1, 2, 3}, false},
		{pactwire.HistoryQuery{Before: seq(4), Limit: 2}, []int{2, 3}, true},
		{pactwire.HistoryQuery{After: seq(0), Limit: 2}, []int{1, 2}, true},
		{pactwire.HistoryQuery{After: seq(10)}, []int{11, 12}, false},
		{pactwire.HistoryQuery{After: seq(12)}, nil, false},
	} {
		page, err := n.bridge.History(t.Context(), alice, p.ID, c.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, item := range page.Items {
			var a struct{ Seq int }
			_ = json.Unmarshal(item, &a)
			got = append(got, a.Seq)
		}
		if !slices.Equal(got, c.want) || page.HasMore != c.more || page.HeadSeq != 12 {
			t.Errorf("%+v: %v more %v head %d", c.q, got, page.HasMore, page.HeadSeq)
		}
	}
	if _, err := n.bridge.History(t.Context(), carol, p.ID, pactwire.HistoryQuery{}); pactwire.CodeOf(err) != pactwire.NotFound {
		t.Errorf("an outsider: %v", err)
	}
}

// TestPromise3SeqIsGapFree lets several people do all kinds of things at once.
func TestPromise3SeqIsGapFree(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	n.hold(t, alice, bob, carol)
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c", "d"}), 1, 30).Draw(rt, "keys")
		var wg sync.WaitGroup
		for i, key := range keys {
			who := []pactwire.Identity{alice, bob, carol}[i%3]
			wg.Go(func() {
				if err := n.accept(t, done(who, p.ID, key, fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n.told.activities(t, p.ID) // checks the numbers
	})
	page, err := n.bridge.History(t.Context(), alice, p.ID, pactwire.HistoryQuery{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.told.activities(t, p.ID); page.HeadSeq != got[len(got)-1].Seq || got[0].Seq != 1 {
		t.Errorf("the log ends at %d, what was told at %d", page.HeadSeq, got[len(got)-1].Seq)
	}
}

// service is a real habits-service behind a door that can be shut.
type service struct {
	*habits.Host
	db     *sqlite.DB
	url    string
	shut   atomic.Bool
	calls  atomic.Int64
	server *httptest.Server
}

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func newService(t *testing.T) *service {
	t.Helper()
	path := filepath.Join(t.TempDir(), "h.db")
	testkit.Migrated(t, path, create)
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	host, err := habits.NewHost(hostStore{db}, habits.HostConfig{Secret: secret}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Host: host, db: db}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if s.shut.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		host.Handler().ServeHTTP(w, r)
	}))
	s.url = s.server.URL
	t.Cleanup(func() {
		s.server.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *service) client(t *testing.T) bridge.Habits {
	t.Helper()
	c, err := habits.NewClient(habits.ClientConfig{URL: s.url, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return remote{c}
}

// TestPromise8ServiceAwayKeepsCheckins shuts the habits-service, checks in, restarts the node meanwhile, and opens again.
func TestPromise8ServiceAwayKeepsCheckins(t *testing.T) {
	s := newService(t)
	p := pactOf(t, s.Service(), alice, bob)
	path := filepath.Join(t.TempDir(), "n.db")
	n := openNode(t, path, s.client(t), bridge.Config{Told: 50 * time.Millisecond})
	n.hold(t, alice, bob)
	s.shut.Store(true)
	for i := range 5 {
		if err := n.accept(t, done(alice, p.ID, fmt.Sprint("k", i), fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	pending := func() (count int) {
		for _, e := range n.told.events(t, "alice") {
			if e.Type == pactwire.EventCheckinPending {
				count++
			}
		}
		return count
	}
	n.told.until(t, "all are told to be pending", func() bool { return pending() == 5 })
	n.close(t)

	n = openNode(t, path, s.client(t), bridge.Config{Told: 50 * time.Millisecond})
	defer n.close(t)
	s.shut.Store(false)
	n.hold(t, alice, bob)
	n.told.until(t, "all are logged", func() bool { return len(n.told.activities(t, p.ID)) == 5 })
	for i, a := range n.told.activities(t, p.ID) {
		if *a.CommandID != fmt.Sprint("k", i) || a.Seq != pactwire.Seq(i+1) {
			t.Errorf("activity %d answers %s", a.Seq, *a.CommandID)
		}
	}
	n.told.until(t, "all are answered", func() bool { return len(n.told.events(t, "alice")) >= 5 })
	for _, e := range n.told.events(t, "alice") {
		if e.Type == pactwire.EventCheckinPending {
			t.Error("told twice to be pending")
		}
	}
}

func TestRemoteRefusalIsFinal(t *testing.T) {
	s := newService(t)
	p := pactOf(t, s.Service(), alice, bob)
	n := openNode(t, filepath.Join(t.TempDir(), "n.db"), s.client(t), bridge.Config{})
	defer n.close(t)
	n.hold(t, alice)
	if _, err := s.Service().Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil { // and nobody tells us
		t.Fatal(err)
	}
	if err := n.accept(t, done(alice, p.ID, "late", "")); err != nil {
		t.Fatal(err)
	}
	n.told.until(t, "an answer", func() bool { return len(n.told.events(t, "alice")) > 0 })
	e := n.told.events(t, "alice")[0]
	var data pactwire.ErrorData
	if err := json.Unmarshal(e.Data, &data); err != nil || e.Type != pactwire.EventError || data.Code != pactwire.Conflict {
		t.Errorf("%s %s", e.Type, e.Data)
	}
}

func TestRemoteChangesAreSeen(t *testing.T) {
	s := newService(t)
	p := pactOf(t, s.Service(), alice, bob)
	n := openNode(t, filepath.Join(t.TempDir(), "n.db"), s.client(t), bridge.Config{})
	defer n.close(t)
	n.hold(t, alice, bob)
	if err := n.bridge.Refresh(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if got := n.told.activities(t, p.ID); len(got) != 0 {
		t.Errorf("at first sight %v was written", got)
	}
	if _, err := s.Service().Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.bridge.Refresh(t.Context(), p.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.told.activities(t, p.ID); len(got) != 2 || got[0].Type != pactwire.MemberLeftPact || got[1].Type != pactwire.PactAbandonedA {
		t.Errorf("%v", got)
	}
	if n.members.CanRead("bob", p.ID) {
		t.Error("bob can still read")
	}
}

func BenchmarkAcceptCheckin(b *testing.B) {
	n := newNode(b)
	p := pactOf(b, n.service, alice, bob)
	n.hold(b, alice, bob)
	b.ReportAllocs()
	var wg sync.WaitGroup
	for i := 0; b.Loop(); i++ {
		wg.Add(1)
		if err := n.bridge.Accept(context.Background(), []pactwire.Command{done(alice, p.ID, "", fmt.Sprint(i))}, func(error) { wg.Done() }); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}

// create makes an empty database.
func create(path string) error {
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, nil, nil)
	if err != nil {
		return err
	}
	return db.Close()
}
