package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a log, a session store, a membership and snapshots in memory: what the hub stands on.
type world struct {
	mu       sync.Mutex
	entries  map[pactwire.Stream][]pactwire.Entry
	floor    map[pactwire.Stream]pactwire.Seq
	sessions map[pactwire.SessionKey]pactwire.Session
	members  map[pactwire.PactID]map[pactwire.UserID]pactwire.Seq // readers, and where each joined
	version  uint64                                               // of everybody's presence
	failing  bool                                                 // the database is away
	recalls  bool                                                 // presence is known without it
	unread   pactwire.PactID                                      // whose presence cannot be read
	reads    int                                                  // of the log
	saves    int
	stale    atomic.Bool                           // what Stale says
	asked    atomic.Pointer[func(pactwire.PactID)] // called by CanRead
	news     func([]pactwire.PactID) error         // what Learn does; nil = nothing
	mute     bool                                  // Learn has no answer
	held     gate                                  // what reads of the log wait at
	slow     chan struct{}                         // sessions are read once it is closed; nil = at once
	expired  []pactwire.SessionKey                 // by ExpireSessions
}

var errAway = pactwire.Errorf(pactwire.Unavailable, "the database is away")

func (w *world) fail(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = yes
}

func (w *world) setVersion(v uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version = v
}

func (w *world) stored(k pactwire.SessionKey) (pactwire.Session, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.sessions[k]
	return s, ok
}

func newWorld() *world {
	return &world{entries: map[pactwire.Stream][]pactwire.Entry{}, floor: map[pactwire.Stream]pactwire.Seq{},
		sessions: map[pactwire.SessionKey]pactwire.Session{}, members: map[pactwire.PactID]map[pactwire.UserID]pactwire.Seq{}}
}

func (w *world) join(p pactwire.PactID, u pactwire.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.members[p] == nil {
		w.members[p] = map[pactwire.UserID]pactwire.Seq{}
	}
	w.members[p][u] = pactwire.Seq(len(w.entries[pactwire.ActivityOf(p)]) + 1)
}

func (w *world) leave(p pactwire.PactID, u pactwire.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.members[p], u)
}

// commit appends an entry; publishing it is the caller's.
func (w *world) commit(s pactwire.Stream) pactwire.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	seq := pactwire.Seq(len(w.entries[s]) + 1)
	e := pactwire.Entry{Stream: s, Seq: seq, Payload: fmt.Appendf(nil, `{"seq":%d}`, seq)}
	w.entries[s] = append(w.entries[s], e)
	return e
}

func (w *world) ReadMany(_ context.Context, reqs []pactwire.ReadRequest) ([][]pactwire.Entry, error) {
	w.held.pass()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return nil, errAway
	}
	w.reads++
	out := make([][]pactwire.Entry, len(reqs))
	for i, r := range reqs {
		all := w.entries[r.Stream]
		from := min(max(int(r.After), int(w.floor[r.Stream])), len(all))
		out[i] = slices.Clone(all[from:min(from+r.Limit, len(all))])
	}
	return out, nil
}

func (w *world) Bounds(_ context.Context, ss []pactwire.Stream) ([]pactwire.Bounds, error) {
	w.held.pass()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return nil, errAway
	}
	w.reads++
	out := make([]pactwire.Bounds, len(ss))
	for i, s := range ss {
		out[i] = pactwire.Bounds{Floor: w.floor[s], Head: pactwire.Seq(len(w.entries[s]))}
	}
	return out, nil
}

func (w *world) LoadSession(_ context.Context, k pactwire.SessionKey) (pactwire.Session, bool, error) {
	if w.slow != nil {
		<-w.slow
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return pactwire.Session{}, false, errAway
	}
	s, ok := w.sessions[k]
	return s, ok, nil
}

// written counts the calls of SaveSessions.
func (w *world) written() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saves
}

func (w *world) SaveSessions(_ context.Context, list []pactwire.Session) ([]pactwire.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return nil, errAway
	}
	w.saves++
	var fenced []pactwire.Session
	for _, s := range list {
		if s.Epoch > 0 && s.Epoch != w.sessions[s.Key].Epoch {
			fenced = append(fenced, s)
			continue
		}
		s.Received = w.sessions[s.Key].Received
		if w.sessions[s.Key] = s; s.Expiry <= 0 {
			delete(w.sessions, s.Key)
		}
	}
	return fenced, nil
}

func (w *world) DeleteSession(_ context.Context, k pactwire.SessionKey) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return errAway
	}
	delete(w.sessions, k)
	return nil
}

// receive is a transaction that takes in a QoS 2 publish.
func (w *world) receive(in *pactwire.Inbound) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.sessions[in.Session]; ok {
		s.Received = append(slices.Clip(s.Received), in.PacketID)
		w.sessions[in.Session] = s
	}
}

// ReleaseReceived notes the release at once, or fails.
func (w *world) ReleaseReceived(_ context.Context, in pactwire.Inbound, done func(error)) error {
	w.mu.Lock()
	var err error
	if w.failing {
		err = errAway
	} else if s, ok := w.sessions[in.Session]; ok {
		s.Received = slices.DeleteFunc(slices.Clone(s.Received), func(id uint16) bool { return id == in.PacketID })
		w.sessions[in.Session] = s
	}
	w.mu.Unlock()
	done(err)
	return nil
}

func (w *world) ExpireSessions(_ context.Context, now time.Time) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, s := range w.sessions {
		if !s.GoneAt.IsZero() && !s.GoneAt.Add(s.Expiry).After(now) {
			delete(w.sessions, k)
			w.expired = append(w.expired, k)
			n++
		}
	}
	return n, nil
}

func (w *world) Ensure(context.Context, pactwire.UserID) error { return nil }
func (w *world) Release(pactwire.UserID)                       {}

func (w *world) Learn(ctx context.Context, _ pactwire.UserID, pacts []pactwire.PactID) error {
	if w.mute {
		<-ctx.Done()
		return ctx.Err()
	}
	if w.news == nil {
		return nil
	}
	return w.news(pacts)
}

func (w *world) CanRead(u pactwire.UserID, p pactwire.PactID) bool {
	if asked := w.asked.Load(); asked != nil {
		(*asked)(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.members[p][u]
	return ok
}

func (w *world) Stale(pactwire.UserID) bool { return w.stale.Load() }

func (w *world) Pacts(u pactwire.UserID) (list []pactwire.Membership) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, m := range w.members {
		if at, ok := m[u]; ok {
			list = append(list, pactwire.Membership{Pact: p, JoinedAt: at})
		}
	}
	return list
}

func (w *world) Readers(p pactwire.PactID, f func(pactwire.UserID) bool) {
	w.mu.Lock()
	var users []pactwire.UserID
	for u := range w.members[p] {
		users = append(users, u)
	}
	w.mu.Unlock()
	for _, u := range users {
		if !f(u) {
			return
		}
	}
}

func (w *world) States(_ context.Context, pacts []pactwire.PactID) ([][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return nil, errAway
	}
	out := make([][]byte, len(pacts))
	for i, p := range pacts {
		out[i] = fmt.Appendf(nil, `{"pact":%q}`, p)
	}
	return out, nil
}

func (w *world) Presences(_ context.Context, pacts []pactwire.PactID) (map[pactwire.PactID][]pactwire.Presence, error) {
	w.mu.Lock()
	failing, unread, version := w.failing && !w.recalls, w.unread, w.version
	w.mu.Unlock()
	if failing {
		return nil, errAway
	}
	people := make(map[pactwire.PactID][]pactwire.Presence)
	var err error
	for _, p := range pacts {
		if p == unread {
			err = errAway
			continue
		}
		w.Readers(p, func(u pactwire.UserID) bool {
			people[p] = append(people[p], pactwire.Presence{PactID: p, UserID: u, Version: version})
			return true
		})
	}
	return people, err
}

func (w *world) PactList(context.Context, pactwire.UserID) ([]byte, error) {
	return []byte(`{"items":[]}`), nil
}

func (w *world) ActiveConnections(context.Context, []pactwire.UserID) (map[pactwire.UserID]pactwire.Event, error) {
	return nil, nil
}

func newHub(t testing.TB, w *world) *delivery.Hub {
	return delivery.New(delivery.Config{}, w, w, w, w, slog.New(slog.DiscardHandler), nil)
}

var quietLog = slog.New(slog.DiscardHandler)

// eventually waits for what other goroutines are about to bring about.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come to pass in time")
		}
	}
}

func stop(t testing.TB, h *delivery.Hub) {
	t.Helper()
	if err := h.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// connect opens a client of a user.
func connect(t testing.TB, h *delivery.Hub, in pactwire.Connecting) (*delivery.Client, *wireEnd, bool) {
	t.Helper()
	if in.Version == 0 {
		in.Version = 5
	}
	if in.ClientID == "" {
		in.ClientID = "phone"
	}
	end := &wireEnd{t: t, version: in.Version}
	c, present, err := h.Open(context.Background(), in, end)
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	return c, end, present
}

func user(u pactwire.UserID) pactwire.Connecting {
	return pactwire.Connecting{Identity: pactwire.Identity{UserID: u}, Expiry: time.Hour, Version: 5}
}

func subscribe(t testing.TB, c *delivery.Client, qos byte, filters ...string) []byte {
	t.Helper()
	var subs []pactwire.Subscription
	for _, f := range filters {
		subs = append(subs, pactwire.Subscription{Filter: f, QoS: qos})
	}
	codes := c.Subscribe(context.Background(), subs)
	c.AfterSuback()
	return codes
}

// pass lets time go by, which in a bubble takes none.
func pass(d time.Duration) { <-time.After(d) }

// seqs are the numbers of the activities among messages.
func seqs(t testing.TB, pks []packets.Packet) (list []int) {
	t.Helper()
	for _, pk := range pks {
		if !strings.HasSuffix(pk.TopicName, "/activity") {
			continue
		}
		var body struct{ Seq int }
		if err := json.Unmarshal(pk.Payload, &body); err != nil {
			t.Fatal(err)
		}
		list = append(list, body.Seq)
	}
	return list
}

func upTo(n int) (list []int) {
	for i := 1; i <= n; i++ {
		list = append(list, i)
	}
	return list
}

var feed = pactwire.ActivityOf("p")

func subscribeQuietly(c *delivery.Client, filters ...string) {
	var subs []pactwire.Subscription
	for _, f := range filters {
		subs = append(subs, pactwire.Subscription{Filter: f, QoS: 1, RetainHandling: 2})
	}
	c.Subscribe(context.Background(), subs)
	c.AfterSuback()
}

func names(pks []packet) (list []string) {
	for _, pk := range pks {
		list = append(list, pk.TopicName)
	}
	return list
}

func seqPtr(n pactwire.Seq) *pactwire.Seq { return &n }
