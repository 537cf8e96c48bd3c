package redis_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testkit.IgnoreRedials()) }

func open(t testing.TB, url, addr string) *redis.Client {
	t.Helper()
	c, err := redis.Open(redis.Config{URL: url, Addr: addr, Lease: 2 * time.Second, Inbox: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// everyKind does a little of everything.
func everyKind(t *testing.T, a, b *redis.Client) {
	t.Helper()
	ctx := t.Context()
	if first := must(a.Beat(ctx))(t); first.Known {
		t.Error("known before the first beat")
	}
	must(b.Beat(ctx))(t)
	beat := must(a.Beat(ctx))(t)
	if !beat.Known || len(beat.Nodes) != 2 || beat.Nodes[0].Lapsed || beat.Nodes[0].Age > time.Second {
		t.Errorf("beat: %+v", beat)
	}
	if err := a.Here(ctx, []pactwire.UserID{"alice", "bob", ""}); err != nil {
		t.Fatal(err)
	}
	if err := b.Here(ctx, []pactwire.UserID{"bob"}); err != nil {
		t.Fatal(err)
	}
	routes := must(a.Routes(ctx, []pactwire.UserID{"bob", "nobody", "alice", ""}))(t)
	routes[0] = slices.Sorted(slices.Values(routes[0]))
	if fmt.Sprint(routes) != "[[a/1 b/1] [] [a/1] [a/1]]" {
		t.Errorf("routes: %v", routes)
	}
	if err := a.Gone(ctx, []pactwire.UserID{"alice"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Forget(ctx, map[pactwire.UserID][]string{"bob": {"b/1"}}); err != nil {
		t.Fatal(err)
	}
	if got := must(a.Routes(ctx, []pactwire.UserID{"alice", "bob"}))(t); fmt.Sprint(got) != "[[] [a/1]]" {
		t.Errorf("routes: %v", got)
	}
	for i := range 3 {
		if err := a.Send(ctx, map[string][]byte{"b/1": {0, byte(i), 255}, "a/1": {byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	messages, fresh, err := b.Receive(ctx)
	if err != nil || !fresh || fmt.Sprint(messages) != "[[0 0 255] [0 1 255] [0 2 255]]" {
		t.Errorf("received %v, %v, %v", messages, fresh, err)
	}
	said := must(a.Say(ctx, []pactwire.Word{{User: "alice", Status: pactwire.PresenceActive}, {User: "bob", Status: pactwire.PresenceAway}}))(t)
	if !said[0].Changed || !said[1].Changed || said[1].Status != pactwire.PresenceAway {
		t.Errorf("said: %+v", said)
	}
	if got := must(b.Presence(ctx, []pactwire.UserID{"bob", "nobody"}))(t); got[0].Status != pactwire.PresenceAway || got[1].Known {
		t.Errorf("presence: %+v", got)
	}
	if ahead := must(b.Spend(ctx, "commands", []pactwire.Spent{{Key: "alice", Cost: time.Minute, Full: time.Hour}}))(t); ahead[0] != time.Minute {
		t.Errorf("ahead: %v", ahead)
	}
}

func TestWhatNodesTellEachOther(t *testing.T) {
	r := testkit.Redis(t)
	everyKind(t, open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1"))
}

func TestRedisClusterIsAskedForOneSlotAtATime(t *testing.T) {
	_, bus, err := net.SplitHostPort(testkit.FreeAddr(t)) // not port + 10,000, which anyone may have
	if err != nil {
		t.Fatal(err)
	}
	r := testkit.Redis(t, "--cluster-enabled", "yes", "--cluster-port", bus)
	r.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	testkit.Eventually(t, time.Minute, "Redis comes to it", func() bool { return strings.Contains(r.Do("CLUSTER", "INFO"), "cluster_state:ok") })
	url := "redis://" + r.Addr + "?addr=" + r.Addr
	everyKind(t, open(t, url, "a/1"), open(t, url, "b/1"))
}

func TestEveryKeyHasATimeToLive(t *testing.T) {
	r := testkit.Redis(t)
	everyKind(t, open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1"))
	keys := strings.Fields(r.Do("KEYS", "*"))
	if len(keys) < 6 {
		t.Fatalf("only %v", keys)
	}
	for _, key := range keys {
		if ttl := r.Do("TTL", key); strings.HasPrefix(ttl, "-") {
			t.Errorf("%s stays for ever (%s)", key, ttl)
		}
	}
}

func TestAnInboxEndsThoughItsNodeDiedAsRedisForgot(t *testing.T) {
	r := testkit.Redis(t)
	a := open(t, r.URL(), "a/1")
	send := func() {
		t.Helper()
		must(a.Beat(t.Context()))(t)
		if err := a.Send(t.Context(), map[string][]byte{"b/1": []byte("m")}); err != nil {
			t.Fatal(err)
		}
		if ttl := r.Do("TTL", "pactwire:inbox:{b/1}"); strings.HasPrefix(ttl, "-") {
			t.Errorf("it stays for ever (%s)", ttl)
		}
	}
	send()
	r.FlushAll()
	send()
}

func TestALeaseEndsWithoutBeats(t *testing.T) {
	r := testkit.Redis(t)
	a, b := open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1")
	must(a.Beat(t.Context()))(t)
	lapsed := func() bool {
		for _, n := range must(b.Beat(t.Context()))(t).Nodes {
			if n.Addr == "a/1" {
				return n.Lapsed
			}
		}
		t.Fatal("it is not known at all")
		return false
	}
	if lapsed() {
		t.Error("at once")
	}
	testkit.Eventually(t, time.Minute, "the lease ends", lapsed)
	if back := must(a.Beat(t.Context()))(t); back.Known {
		t.Error("what it said holds no more, and it is not told to say it again")
	}
	if lapsed() {
		t.Error("it lives again")
	}
	if err := a.Leave(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if !lapsed() {
		t.Error("it has left")
	}
	if err := b.Remove(t.Context(), "a/1"); err != nil {
		t.Fatal(err)
	}
	if nodes := must(b.Beat(t.Context()))(t).Nodes; len(nodes) != 1 {
		t.Errorf("%+v", nodes)
	}
}

func TestAFlushIsNoticed(t *testing.T) {
	r := testkit.Redis(t)
	a := open(t, r.URL(), "a/1")
	must(a.Beat(t.Context()))(t)
	r.FlushAll()
	if must(a.Beat(t.Context()))(t).Known {
		t.Error("known after a flush")
	}
}

func TestARestartIsNoticedAndNothingIsReadTwice(t *testing.T) {
	r := testkit.Redis(t)
	a, b := open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1")
	ctx := t.Context()
	send := func(body string) {
		t.Helper()
		testkit.Eventually(t, time.Minute, "Redis comes to it", func() bool { return b.Send(ctx, map[string][]byte{"a/1": []byte(body)}) == nil })
	}
	send("one")
	if got, fresh, err := a.Receive(ctx); err != nil || !fresh || len(got) != 1 {
		t.Fatalf("%q, %v, %v", got, fresh, err)
	}
	if got, fresh, err := a.Receive(ctx); err != nil || fresh || len(got) != 0 {
		t.Fatalf("nothing: %q, %v, %v", got, fresh, err)
	}
	r.Kill()
	if _, err := a.Beat(ctx); err == nil {
		t.Error("a beat without a server")
	}
	r.Start()
	send("two")
	var got [][]byte
	var fresh bool
	testkit.Eventually(t, time.Minute, "Redis comes to it", func() bool {
		m, f, err := a.Receive(ctx)
		got, fresh = append(got, m...), fresh || f
		return err == nil && len(got) > 0
	})
	if len(got) != 1 || string(got[0]) != "two" || !fresh {
		t.Errorf("after the restart: %q, fresh %v", got, fresh)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	r := testkit.Redis(t)
	a := open(t, r.URL(), "a/1")
	must(a.Beat(t.Context()))(t)
	r.Do("CLIENT", "PAUSE", "5000")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := a.Beat(ctx); err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestAnInboxIsBounded(t *testing.T) {
	r := testkit.Redis(t)
	a := open(t, r.URL(), "a/1")
	for range 1000 {
		if err := a.Send(t.Context(), map[string][]byte{"b/1": []byte("m")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Do("XLEN", "pactwire:inbox:{b/1}"); len(n) > 3 {
		t.Errorf("%s messages wait", n)
	}
}

func TestUnreadableURLsAreRefused(t *testing.T) {
	for _, url := range []string{"redis://%zz", "http://localhost", "redis://localhost:6379/x"} {
		if c, err := redis.Open(redis.Config{URL: url, Addr: "a/1"}); err == nil {
			_ = c.Close()
			t.Errorf("%s was taken", url)
		}
	}
}

func TestAChangeIsToldToOneSpeaker(t *testing.T) {
	r := testkit.Redis(t)
	var clients []*redis.Client
	for i := range 4 {
		clients = append(clients, open(t, r.URL(), fmt.Sprintf("n%d/1", i)))
	}
	for _, status := range []pactwire.PresenceStatus{pactwire.PresenceActive, pactwire.PresenceOffline, pactwire.PresenceActive} {
		var mu sync.Mutex
		var wg sync.WaitGroup
		changed := 0
		for _, c := range clients {
			wg.Go(func() {
				said, err := c.Say(t.Context(), []pactwire.Word{{User: "alice", Status: status}})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if said[0].Changed {
					changed++
				}
			})
		}
		wg.Wait()
		if changed != 1 {
			t.Errorf("%s was told to %d", status, changed)
		}
	}
}

func TestARepeatedWordAnnouncesNothingAfterAFlush(t *testing.T) {
	r := testkit.Redis(t)
	a, b := open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1")
	say := func(c *redis.Client, s pactwire.PresenceStatus, quiet bool) pactwire.Said {
		t.Helper()
		return must(c.Say(t.Context(), []pactwire.Word{{User: "alice", Status: s, Quiet: quiet, Floor: 10}}))(t)[0]
	}
	before := say(a, pactwire.PresenceActive, false)
	say(b, pactwire.PresenceAway, false)
	r.FlushAll()
	if got := say(b, pactwire.PresenceAway, true); got.Changed {
		t.Errorf("b repeats: %+v", got)
	}
	got := say(a, pactwire.PresenceActive, true)
	if got.Changed || got.Status != pactwire.PresenceActive || got.Version <= before.Version {
		t.Errorf("a repeats: %+v after %+v", got, before)
	}
	if got := say(a, pactwire.PresenceOffline, false); !got.Changed || got.Status != pactwire.PresenceAway {
		t.Errorf("a real change: %+v", got)
	}
	say(b, pactwire.PresenceOffline, false)
	if got := say(b, pactwire.PresenceActive, true); !got.Changed {
		t.Errorf("others were told otherwise since: %+v", got)
	}
}

// All nodes died, Redis forgot, and those that come up say at the same time that a person is gone.
func TestPromise6WhoWasThereGoesOnceThoughRedisForgot(t *testing.T) {
	r := testkit.Redis(t)
	changed := make(chan pactwire.Said, 3)
	var saying sync.WaitGroup
	for i := range cap(changed) {
		c := open(t, r.URL(), fmt.Sprint("n", i, "/2"))
		saying.Go(func() {
			said, err := c.Say(t.Context(), []pactwire.Word{{User: "alice", Status: pactwire.PresenceOffline, Floor: 10, WasThere: true}})
			if err != nil {
				t.Error(err)
			} else if said[0].Changed {
				changed <- said[0]
			}
		})
	}
	saying.Wait()
	close(changed)
	if got := <-changed; got.Status != pactwire.PresenceOffline || got.Version <= 10 || len(changed) > 0 {
		t.Errorf("announced %+v, and %d times more", got, len(changed))
	}
}

func TestSomebodySpeaksForANodeThatDied(t *testing.T) {
	r := testkit.Redis(t)
	a, b := open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1")
	var words []pactwire.Word
	for i := range 1200 {
		words = append(words, pactwire.Word{User: pactwire.UserID(fmt.Sprint("u", i)), Status: pactwire.PresenceActive})
	}
	must(a.Say(t.Context(), words))(t)
	must(b.Say(t.Context(), words[:100]))(t)
	seen := time.UnixMilli(1_700_000_000_000).UTC()
	offline := 0
	for {
		users := must(b.People(t.Context(), "a/1", 500))(t)
		if len(users) == 0 {
			break
		}
		var last []pactwire.Word
		for _, u := range users {
			last = append(last, pactwire.Word{User: u, Status: pactwire.PresenceOffline, LastSeen: seen})
		}
		for _, s := range must(b.SayFor(t.Context(), "a/1", last))(t) {
			if s.Changed {
				offline++
				if s.Status != pactwire.PresenceOffline || !s.LastSeen.Equal(seen) {
					t.Fatalf("%+v", s)
				}
			}
		}
	}
	if offline != 1100 {
		t.Errorf("%d went offline, want the 1100 who are nowhere else", offline)
	}
}

// TestPresenceIsTheBestOfAllNodes says random words on three nodes and compares with a model.
func TestPresenceIsTheBestOfAllNodes(t *testing.T) {
	r := testkit.Redis(t)
	nodes := []*redis.Client{open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1"), open(t, r.URL(), "c/1")}
	statuses := []pactwire.PresenceStatus{pactwire.PresenceOffline, pactwire.PresenceAway, pactwire.PresenceActive}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		u := pactwire.UserID(fmt.Sprint("u", n))
		words := make([]int, len(nodes))
		best, version := 0, uint64(0)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			at, s := rapid.IntRange(0, 2).Draw(rt, "node"), rapid.IntRange(0, 2).Draw(rt, "status")
			floor := rapid.Uint64Range(0, version+3).Draw(rt, "floor")
			words[at] = s
			said := must(nodes[at].Say(t.Context(), []pactwire.Word{{User: u, Status: statuses[s], Floor: floor}}))(t)[0]
			now := slices.Max(words)
			if said.Changed != (now != best) || said.Status != statuses[now] {
				rt.Fatalf("%v: %+v, before %s", words, said, statuses[best])
			}
			if said.Changed && said.Version <= max(version, floor) || said.Version < version {
				rt.Fatalf("version %d after %d, floor %d", said.Version, version, floor)
			}
			best, version = now, said.Version
			if !said.Known && now == 0 { // leaves nothing behind
				version = 0
				continue
			}
			if got := must(nodes[0].Presence(t.Context(), []pactwire.UserID{u}))(t)[0]; got.Status != said.Status || got.Version != version {
				rt.Fatalf("read %+v after %+v", got, said)
			}
		}
	})
}
