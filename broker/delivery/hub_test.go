package delivery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

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
	failing  bool                                                 // the database is away
	reads    int                                                  // of the log
	saves    int
	expired  []pactwire.SessionKey // by ExpireSessions
}

var errAway = pactwire.Errorf(pactwire.Unavailable, "the database is away")

func (w *world) fail(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = yes
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

func (w *world) SaveSessions(_ context.Context, list []pactwire.Session) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return errAway
	}
	w.saves++
	for _, s := range list {
		if w.sessions[s.Key] = s; s.Expiry <= 0 {
			delete(w.sessions, s.Key)
		}
	}
	return nil
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

func (w *world) CanRead(u pactwire.UserID, p pactwire.PactID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.members[p][u]
	return ok
}

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

func (w *world) Presences(_ context.Context, p pactwire.PactID) (list []pactwire.Presence, err error) {
	w.mu.Lock()
	failing := w.failing
	w.mu.Unlock()
	if failing {
		return nil, errAway
	}
	w.Readers(p, func(u pactwire.UserID) bool {
		list = append(list, pactwire.Presence{PactID: p, UserID: u})
		return true
	})
	return list, nil
}

func (w *world) PactList(context.Context, pactwire.UserID) ([]byte, error) {
	return []byte(`{"items":[]}`), nil
}

// wireEnd is the far end of a connection: it decodes what was sent, and acknowledges when told.
type wireEnd struct {
	t       testing.TB
	version byte

	mu      sync.Mutex
	got     []packets.Packet
	stuck   bool // the kernel takes nothing
	pending int
	reason  byte
	closed  bool
	drained func()
}

func (e *wireEnd) Send(p []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("closed")
	}
	if e.stuck {
		e.pending += len(p)
	}
	for r := bytes.NewReader(p); r.Len() > 0; {
		first, _ := r.ReadByte()
		var fh packets.FixedHeader
		if err := fh.Decode(first); err != nil {
			panic(err)
		}
		n, _, err := packets.DecodeLength(r)
		if err != nil {
			panic(err)
		}
		body := make([]byte, n)
		_, _ = r.Read(body)
		fh.Remaining = n
		pk := packets.Packet{FixedHeader: fh, ProtocolVersion: e.version}
		if fh.Type == packets.Publish {
			if err := pk.PublishDecode(body); err != nil {
				panic(err)
			}
		}
		e.got = append(e.got, pk)
	}
	return nil
}

func (e *wireEnd) Pending() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pending
}

func (e *wireEnd) Disconnect(reason byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed, e.reason = true, reason
	}
}

// aborted is what wireEnd notes as the reason of Abort.
const aborted = 0xff

func (e *wireEnd) Abort() { e.Disconnect(aborted) }

func (e *wireEnd) OnDrained(f func()) { e.drained = f }

func (e *wireEnd) isClosed() (bool, byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed, e.reason
}

// take returns the messages that came since the last take.
func (e *wireEnd) take() []packets.Packet {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.got
	e.got = nil
	return slices.DeleteFunc(got, func(p packets.Packet) bool { return p.FixedHeader.Type != packets.Publish })
}

func (e *wireEnd) unstick() {
	e.mu.Lock()
	e.stuck, e.pending = false, 0
	f := e.drained
	e.mu.Unlock()
	f()
}

func newHub(t testing.TB, w *world) *delivery.Hub {
	return delivery.New(delivery.Config{}, w, w, w, w, slog.New(slog.DiscardHandler), nil)
}

var quietLog = slog.New(slog.DiscardHandler)

type packet = packets.Packet

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

func TestPromise5OutsidersReceiveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		mallory, end, _ := connect(t, h, user("mallory"))
		codes := subscribe(t, mallory, 1, "pacts/p/activity", "pacts/p/#", "pacts/+/activity", "pacts/p/presence/alice",
			"users/alice/inbox", "$share/g/pacts/p/activity", "pacts/+/#", "a+")
		if want := []byte{0x87, 0x87, 1, 0x87, 0x87, 0x9e, 0x87, 0x8f}; !bytes.Equal(codes, want) {
			t.Fatalf("codes %x, want %x", codes, want)
		}
		alice, aliceEnd, _ := connect(t, h, user("alice"))
		subscribe(t, alice, 1, "pacts/+/activity")
		for range 5 {
			h.Publish(w.commit(feed))
			h.Publish(w.commit(pactwire.InboxOf("alice")))
			h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
			h.StateChanged("p")
		}
		pass(3 * time.Second)
		if got := end.take(); len(got) != 0 {
			t.Fatalf("mallory received %v", got)
		}
		if got := seqs(t, aliceEnd.take()); !slices.Equal(got, upTo(5)) {
			t.Fatalf("alice received %v", got)
		}
	})
}

func TestPromise5WhoLeavesReceivesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		bob, end, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/p/activity", "pacts/+/activity", "pacts/p/presence/+")
		h.Publish(w.commit(feed))
		synctest.Wait()
		end.take()
		w.leave("p", "bob")
		h.PactsChanged("bob", nil, []pactwire.PactID{"p"})
		h.Publish(w.commit(feed))
		h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
		pass(2 * time.Second)
		if got := end.take(); len(got) != 0 {
			t.Fatalf("bob received %v", got)
		}
		bob.Detach()
		_, end, present := connect(t, h, user("bob"))
		pass(2 * time.Second)
		if got := end.take(); !present || len(got) != 0 {
			t.Fatalf("on return (present %v) bob received %v", present, got)
		}
	})
}

func TestRevocationCutsWhoHasBytesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		bob, end, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/p/activity")
		synctest.Wait()
		end.stuck = true
		h.Publish(w.commit(feed))
		w.leave("p", "bob")
		h.PactsChanged("bob", nil, []pactwire.PactID{"p"})
		if closed, reason := end.isClosed(); !closed || reason != aborted {
			t.Fatalf("closed %v, reason %#x", closed, reason)
		}
	})
}

func TestPactJoinedLaterFlowsIntoTheWildcard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		bob, end, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/+/activity", "pacts/+/state")
		w.commit(feed) // before bob
		w.join("p", "bob")
		joined := w.commit(feed) // bob's own partner_joined
		h.PactsChanged("bob", []pactwire.Membership{{Pact: "p", JoinedAt: joined.Seq}}, nil)
		h.Publish(joined)
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3}) {
			t.Fatalf("received %v", got)
		}
	})
}

func TestTakeoverServesOneAtATime(t *testing.T) {
	w := newWorld()
	h := newHub(t, w)
	defer stop(t, h)
	var served sync.Map
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			end := &wireEnd{t: t, version: 5}
			c, _, err := h.Open(context.Background(), pactwire.Connecting{Identity: pactwire.Identity{UserID: "a"}, ClientID: "x", Version: 5}, end)
			if err != nil {
				t.Error(err)
				return
			}
			c.Start()
			served.Store(end, true)
			if n := h.Connections("a"); n > 1 {
				t.Errorf("%d connections at once", n)
			}
		})
	}
	wg.Wait()
	open := 0
	served.Range(func(k, _ any) bool {
		if closed, reason := k.(*wireEnd).isClosed(); !closed {
			open++
		} else if reason != 0x8e {
			t.Errorf("ended with %#x", reason)
		}
		return true
	})
	if open != 1 || h.Connections("a") != 1 {
		t.Errorf("%d stand, the hub knows %d", open, h.Connections("a"))
	}
}

func TestSeventeenthConnectionIsRefused(t *testing.T) {
	w := newWorld()
	h := newHub(t, w)
	defer stop(t, h)
	open := func(i int) error {
		_, _, err := h.Open(context.Background(), pactwire.Connecting{Identity: pactwire.Identity{UserID: "a"},
			ClientID: fmt.Sprint(i), Version: 5}, &wireEnd{t: t, version: 5})
		return err
	}
	for i := range 16 {
		if err := open(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(16); pactwire.CodeOf(err) != pactwire.TooMany {
		t.Errorf("the 17th: %v", err)
	}
	if err := open(3); err != nil {
		t.Errorf("one's own id again: %v", err)
	}
}

func TestSnapshotsComeBeforeReplayAndCarryRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		for range 3 {
			w.commit(feed)
		}
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		zero := pactwire.Seq(0)
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/#", QoS: 1, After: &zero}})
		c.AfterSuback()
		synctest.Wait()
		var order []string
		for _, pk := range end.take() {
			order = append(order, fmt.Sprintf("%s %v", pk.TopicName, pk.FixedHeader.Retain))
		}
		slices.Sort(order[1:3]) // presence comes in any order
		want := []string{"pacts/p/state true", "pacts/p/presence/alice true", "pacts/p/presence/bob true",
			"pacts/p/activity false", "pacts/p/activity false", "pacts/p/activity false"}
		if !slices.Equal(order, want) {
			t.Fatalf("order %v", order)
		}
	})
}

func TestStateIsToldAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 0, "pacts/p/state")
		synctest.Wait()
		end.take()
		for range 30 {
			h.StateChanged("p")
			pass(100 * time.Millisecond)
		}
		pass(2 * time.Second)
		if n := len(end.take()); n < 3 || n > 5 {
			t.Fatalf("%d states in 3 seconds", n)
		}
	})
}

func TestPromise7WhoTakesNothingIsEndedAndNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		alice, aliceEnd, _ := connect(t, h, user("alice"))
		subscribe(t, alice, 1, "pacts/p/activity")
		bob, bobEnd, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 0, "pacts/p/activity")
		for range 500 {
			h.Publish(w.commit(feed))
		}
		pass(time.Second)
		if n := len(aliceEnd.take()); n != 64 {
			t.Fatalf("a window of 64 let %d through", n)
		}
		if got := seqs(t, bobEnd.take()); !slices.Equal(got, upTo(500)) {
			t.Fatalf("bob has %d of 500", len(got))
		}
		pass(15 * time.Second)
		if closed, reason := aliceEnd.isClosed(); !closed || reason != 0x97 {
			t.Fatalf("closed %v, reason %#x", closed, reason)
		}
		alice.Detach()
		_, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, upTo(64)) {
			t.Fatalf("on return %v", got)
		}
	})
}

func TestFeedResetIsSaidWhenEntriesAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity", "users/alice/inbox")
		c.Detach()
		for range 10 {
			w.commit(feed)
		}
		w.floor[feed] = 6
		_, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		got := end.take()
		if len(got) != 5 || got[0].TopicName != "users/alice/inbox" || !strings.Contains(string(got[0].Payload), `"fromSeq":7,"headSeq":10`) {
			t.Fatalf("received %v", got)
		}
		if !slices.Equal(seqs(t, got), []int{7, 8, 9, 10}) {
			t.Fatalf("then %v", seqs(t, got))
		}
	})
}

// TestPromise4NothingMissed lets a client come, go, dawdle and acknowledge in any order while entries are committed: it gets
// each entry in order, none that it acknowledged again, and in the end all.
func TestPromise4NothingMissed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.IntRange(0, 9), 5, 80).Draw(rt, "script")
		windows := rapid.IntRange(1, 70).Draw(rt, "window")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			h := newHub(t, w)
			defer stop(t, h)
			in := user("alice")
			in.ReceiveMaximum = uint16(windows)
			c, end, _ := connect(t, h, in)
			subscribe(t, c, 1, "pacts/+/activity")
			acked, seen := 0, 0
			var unacked []uint16
			look := func() {
				for _, pk := range end.take() {
					var body struct{ Seq int }
					if json.Unmarshal(pk.Payload, &body) != nil || !strings.HasSuffix(pk.TopicName, "/activity") {
						t.Fatalf("received %q", pk.Payload)
					}
					if body.Seq != seen+1 {
						t.Fatalf("after %d came %d", seen, body.Seq)
					}
					if body.Seq <= acked {
						t.Fatalf("%d was acknowledged and came again", body.Seq)
					}
					seen = body.Seq
					unacked = append(unacked, pk.PacketID)
				}
				if len(unacked) > windows {
					t.Fatalf("%d under way with a window of %d", len(unacked), windows)
				}
			}
			ack := func(n int) {
				look()
				for ; n > 0 && len(unacked) > 0; n-- {
					c.Puback(unacked[0], 0)
					unacked = unacked[1:]
					acked++
				}
			}
			for _, step := range script {
				switch step {
				case 0, 1, 2:
					for range step*step*10 + 1 {
						h.Publish(w.commit(feed))
					}
				case 3, 4:
					ack(step * 7)
				case 5: // drops and returns
					look()
					c.Detach()
					seen, unacked = acked, nil
					h.Publish(w.commit(feed))
					c, end, _ = connect(t, h, in)
				case 6:
					end.mu.Lock()
					end.stuck = true
					end.mu.Unlock()
				case 7:
					end.unstick()
				case 8: // committed, and told only after whoever reads the log has seen it
					a, b := w.commit(feed), w.commit(feed)
					end.unstick()
					synctest.Wait()
					h.Publish(a)
					h.Publish(b)
				case 9:
					synctest.Wait()
				}
			}
			end.unstick()
			total := len(w.entries[feed])
			for range total + 10 {
				synctest.Wait()
				ack(windows)
			}
			if acked != total {
				t.Fatalf("%d of %d came", acked, total)
			}
		})
	})
}

func BenchmarkPublishPair(b *testing.B) {
	w := newWorld()
	w.join("p", "alice")
	w.join("p", "bob")
	h := newHub(b, w)
	defer stop(b, h)
	for _, u := range []pactwire.UserID{"alice", "bob"} {
		c, _, err := h.Open(context.Background(), user(u), discard{})
		if err != nil {
			b.Fatal(err)
		}
		c.Start()
		subscribe(b, c, 0, "pacts/+/activity")
	}
	payload := bytes.Repeat([]byte("x"), 400)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Publish(pactwire.Entry{Stream: feed, Seq: pactwire.Seq(i + 1), Payload: payload})
	}
}

// discard takes everything.
type discard struct{}

func (discard) Send([]byte) error { return nil }
func (discard) Pending() int      { return 0 }
func (discard) Disconnect(byte)   {}
func (discard) Abort()            {}
func (discard) OnDrained(func())  {}

func subscribeQuietly(c *delivery.Client, filters ...string) {
	var subs []pactwire.Subscription
	for _, f := range filters {
		subs = append(subs, pactwire.Subscription{Filter: f, QoS: 1, RetainHandling: 2})
	}
	c.Subscribe(context.Background(), subs)
	c.AfterSuback()
}
