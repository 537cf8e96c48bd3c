package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/relay"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
	"github.com/pactwire/pactwire/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testkit.IgnoreRedials()) }

// hub is the connections of one user, who is told everything of one pact.
type hub struct {
	user pactwire.UserID

	mu      sync.Mutex
	last    pactwire.Seq
	wrong   []pactwire.Seq // out of order, or twice
	looks   int            // entries that readers were sent to the log for
	directs []string
	yielded []pactwire.SessionKey
	company int // nodes, as was said last
	missed  int // times that presence may have been
	by      map[pactwire.UserID]int
}

func (h *hub) Publish(e pactwire.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last > 0 && e.Seq != h.last+1 { // where a stream begins here the readers have looked at the log by themselves
		h.wrong = append(h.wrong, e.Seq)
	}
	h.last = e.Seq
}

func (h *hub) Behind(_ pactwire.Stream, head pactwire.Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if head > h.last {
		h.looks += int(head - h.last) //nolint:gosec // small
		h.last = head
	}
}

func (h *hub) Direct(_ pactwire.UserID, about pactwire.PactID, _ string, payload, _ []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.directs = append(h.directs, string(about)+" "+string(payload))
}

func (h *hub) Yield(_ context.Context, key pactwire.SessionKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.yielded = append(h.yielded, key)
	return nil
}

func (h *hub) PresenceMissedBy(u pactwire.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by == nil {
		h.by = map[pactwire.UserID]int{}
	}
	h.by[u]++
}

func (h *hub) missingBy(u pactwire.UserID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.by[u]
}

func (h *hub) PresenceMissed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missed++
}

// missing tells how often presence may have been missed.
func (h *hub) missing() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.missed
}

func (h *hub) PactsChanged(pactwire.UserID, []pactwire.Membership, []pactwire.PactID) {}
func (h *hub) StateChanged(pactwire.PactID)                                           {}
func (h *hub) PresenceChanged(pactwire.Presence)                                      {}
func (h *hub) Users() []pactwire.UserID                                               { return []pactwire.UserID{h.user} }
func (h *hub) Operators() bool                                                        { return false }
func (h *hub) CheckSessions(context.Context) error                                    { return nil }

func (h *hub) Connections(u pactwire.UserID) int {
	if u == h.user {
		return 1
	}
	return 0
}

func (h *hub) at() pactwire.Seq {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// view is one pact of two members.
type view struct{}

func (view) Pacts(pactwire.UserID) []pactwire.Membership { return []pactwire.Membership{{Pact: "p"}} }

func (view) Readers(_ pactwire.PactID, f func(pactwire.UserID) bool) { _ = f("alice") && f("bob") }

func (view) Members(context.Context, pactwire.PactID) ([]pactwire.UserID, error) { return nil, nil }
func (view) Relearn(context.Context, pactwire.PactID) error                      { return nil }
func (view) Rename(pactwire.UserID, string, []pactwire.PactID)                   {}

func node(t *testing.T, url, addr string, db *sqlite.DB, u pactwire.UserID) (*hub, *relay.Relay) {
	t.Helper()
	return polling(t, 50*time.Millisecond, url, addr, db, u)
}

// polling is a node that beats and looks so often.
func polling(t *testing.T, poll time.Duration, url, addr string, db *sqlite.DB, u pactwire.UserID) (*hub, *relay.Relay) {
	t.Helper()
	c, err := redis.Open(redis.Config{URL: url, Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{user: u}
	cfg := relay.Config{Addr: addr, Poll: poll, Lease: 100 * poll, Company: func(nodes int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.company = nodes
	}}
	r := relay.New(cfg, c, h, view{}, db, nil, slog.New(slog.DiscardHandler), nil)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Moved(u)
	t.Cleanup(func() {
		r.Stop(context.Background())
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, r
}

// commit writes one entry and publishes it as a node does.
func commit(t *testing.T, db *sqlite.DB, r *relay.Relay) {
	t.Helper()
	var e pactwire.Entry
	done := make(chan error, 1)
	err := db.Submit(t.Context(), func(tx *sqlite.Tx) error {
		head, err := tx.Head(pactwire.ActivityOf("p"))
		if err != nil {
			return err
		}
		e = pactwire.Entry{Stream: pactwire.ActivityOf("p"), Seq: head + 1, Payload: []byte("{}")}
		return tx.Append(e, time.Now())
	}, func(err error) {
		if err == nil {
			r.Publish(e)
		}
		done <- err
	})
	if err == nil {
		err = <-done
	}
	if err != nil {
		t.Error(err)
	}
}

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "p.db")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestPromise4NothingIsMissedBetweenNodes: two nodes commit to one stream while Redis is flushed, killed and started again.
func TestPromise4NothingIsMissedBetweenNodes(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	alice, a := node(t, server.URL(), "a/1", db, "alice")
	bob, b := node(t, server.URL(), "b/1", db, "bob")
	const each = 100
	total := pactwire.Seq(0)
	for _, trouble := range []func(){func() {}, server.FlushAll, server.Kill, server.Start} {
		trouble()
		var writing sync.WaitGroup
		for _, r := range []*relay.Relay{a, b} {
			writing.Go(func() {
				for range each {
					commit(t, db, r)
				}
			})
		}
		writing.Wait()
		total += 2 * each
		testkit.Eventually(t, time.Minute, "both have everything", func() bool { return alice.at() == total && bob.at() == total })
	}
	testkit.Eventually(t, time.Minute, "Redis is there again", func() bool { return a.Err() == nil && b.Err() == nil })
	for _, h := range []*hub{alice, bob} {
		if len(h.wrong) > 0 || h.looks > 2*each {
			t.Errorf("%s: out of order or twice: %v; %d were left to the log", h.user, h.wrong, h.looks)
		}
	}
}

func TestAnAnswerReachesItsSenderAtAnotherNode(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	_, a := node(t, server.URL(), "a/1", db, "alice")
	bob, _ := node(t, server.URL(), "b/1", db, "bob")
	testkit.Eventually(t, time.Minute, "it comes", func() bool {
		a.Direct("bob", "p", "users/bob/replies/x", []byte("answer"), nil) // until a knows b
		bob.mu.Lock()
		defer bob.mu.Unlock()
		return len(bob.directs) > 0 && bob.directs[0] == "p answer"
	})
}

func TestANodeLetsASessionGoWhenItIsAsked(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	_, a := node(t, server.URL(), "a/1", db, "alice")
	bob, _ := node(t, server.URL(), "b/1", db, "bob")
	key := pactwire.SessionKey{User: "bob", ClientID: "phone"}
	if !a.Yield(t.Context(), "b/1", key) || len(bob.yielded) != 1 || bob.yielded[0] != key {
		t.Errorf("yielded %v", bob.yielded)
	}
	if !a.Yield(t.Context(), "a/0", key) {
		t.Error("a former start of this node is waited for")
	}
	start := time.Now()
	if a.Yield(t.Context(), "c/1", key) {
		t.Error("nobody knows whether c is alive")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("waited %v for nobody", took)
	}
}

// TestPromise6MissedPresenceIsNoticed: Redis forgets, and then one message cannot be sent and nothing more is said.
func TestPromise6MissedPresenceIsNoticed(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	alice, a := node(t, server.URL(), "a/1", db, "alice")
	bob, _ := node(t, server.URL(), "b/1", db, "bob")
	testkit.Eventually(t, time.Minute, "a knows b", func() bool {
		a.Direct("bob", "p", "users/bob/replies/x", []byte("answer"), nil)
		bob.mu.Lock()
		defer bob.mu.Unlock()
		return len(bob.directs) > 0
	})
	server.FlushAll()
	testkit.Eventually(t, time.Minute, "both notice that Redis has forgotten all", func() bool {
		return alice.missing() == 1 && bob.missing() == 1
	})
	before := a.LeftOut()
	server.Do("DEL", "pactwire:inbox:{b/1}")
	server.Do("SET", "pactwire:inbox:{b/1}", "not a stream")
	a.Direct("bob", "p", "users/bob/replies/x", []byte("lost"), nil)
	testkit.Eventually(t, time.Minute, "a could not send it", func() bool { return a.LeftOut() > before })
	server.Do("DEL", "pactwire:inbox:{b/1}")
	testkit.Eventually(t, time.Minute, "b is told that something was left out", func() bool { return bob.missing() > 1 })
	if n := alice.missing(); n != 1 {
		t.Errorf("nothing was kept from a, which noticed %d times", n)
	}
}

// Who has just come gets presence once more when the other nodes know where they are.
func TestPromise6WhoComesMissesNoPresence(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	alice, _ := node(t, server.URL(), "a/1", db, "alice")
	testkit.Eventually(t, time.Minute, "alice is looked after", func() bool { return alice.missingBy("alice") == 1 })
}

// What a node tells while it takes itself for the only one, one that has just come looks for.
func TestPromise6WhoStartsIsToldOfWhatItMayHaveMissed(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	alice, a := node(t, server.URL(), "a/1", db, "alice")
	a.PresenceChanged(pactwire.Presence{UserID: "alice", Status: pactwire.PresenceActive}, []pactwire.PactID{"p"})
	bob, _ := node(t, server.URL(), "b/1", db, "bob")
	testkit.Eventually(t, time.Minute, "b looks for it", func() bool { return bob.missing() == 1 })
	if alice.missing() > 0 {
		t.Error("a lacks nothing")
	}
}

func (h *hub) nodes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.company
}

// TestANodeHearsHowManyLive when one comes, and when one has gone.
func TestANodeHearsHowManyLive(t *testing.T) {
	url, db := testkit.Redis(t).URL(), open(t)
	h, _ := node(t, url, "a/1", db, "alice")
	testkit.Eventually(t, time.Minute, "a is alone", func() bool { return h.nodes() == 1 })
	_, b := node(t, url, "b/1", db, "bob")
	testkit.Eventually(t, time.Minute, "a has company", func() bool { return h.nodes() == 2 })
	b.Stop(t.Context())
	testkit.Eventually(t, time.Minute, "a is alone again", func() bool { return h.nodes() == 1 })
}

// TestANodeThatStartsIsKnownAtOnce, not only at the others' next beat: what they tell before that may be in no log.
func TestANodeThatStartsIsKnownAtOnce(t *testing.T) {
	url, db := testkit.Redis(t).URL(), open(t)
	var hubs []*hub
	for _, addr := range []string{"a/1", "b/1", "c/1"} {
		h, _ := polling(t, time.Hour, url, addr, db, "alice")
		hubs = append(hubs, h)
	}
	for i, h := range hubs {
		testkit.Eventually(t, time.Minute, fmt.Sprintf("node %d knows all", i), func() bool { return h.nodes() == len(hubs) })
	}
}

// TestPromise6ANodeThatSeldomLooksSaysThatItLives, and finds out who does not: its lease does not hang on how often it looks at the store.
func TestPromise6ANodeThatSeldomLooksSaysThatItLives(t *testing.T) {
	const lease = 3 * time.Second
	url, db := testkit.Redis(t).URL(), open(t)
	gone := make(chan string, 1)
	var beats atomic.Int32
	cfg := relay.Config{Poll: time.Hour, Lease: lease, Grace: time.Millisecond,
		Company: func(int) { beats.Add(1) },
		Lapsed: func(_ context.Context, nodes []pactwire.NodeBeat) {
			select {
			case gone <- nodes[0].Addr:
			default:
			}
		}}
	stop := make(map[string]func())
	for _, addr := range []string{"a/1", "b/1"} {
		c, err := redis.Open(redis.Config{URL: url, Addr: addr, Lease: lease})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Addr = addr
		r := relay.New(cfg, c, &hub{user: "alice"}, view{}, db, nil, slog.New(slog.DiscardHandler), nil)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop[addr] = sync.OnceFunc(func() {
			r.Stop(context.Background())
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		defer stop[addr]()
	}
	testkit.Eventually(t, time.Minute, "both beat", func() bool { return beats.Load() > 10 })
	stop["b/1"]()
	testkit.Eventually(t, time.Minute, "a is told that b is gone", func() bool { return len(gone) > 0 })
	if addr := <-gone; addr != "b/1" {
		t.Errorf("%s is gone", addr)
	}
}

// TestWhatIsAmissIsSaidInWords: of a Redis that is away the library says no more than that a connection ended.
func TestWhatIsAmissIsSaidInWords(t *testing.T) {
	server, db := testkit.Redis(t), open(t)
	_, a := node(t, server.URL(), "a/1", db, "alice")
	server.Kill()
	testkit.Eventually(t, time.Minute, "it is noticed", func() bool { return a.Err() != nil })
	if got := a.Err().Error(); !strings.HasPrefix(got, "Redis cannot be used, and other nodes' events come by the database: ") {
		t.Errorf("it says %q", got)
	}
}
