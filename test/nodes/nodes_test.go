package nodes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

const (
	limit = time.Minute // for what must come to pass on a busy machine
	grace = 2 * time.Second
	lease = 6 * time.Second
)

// cluster starts nodes, and waits until each knows all others: what one tells before that is not kept for those that it does not know.
func cluster(t *testing.T, nodes int) *testkit.Cluster {
	t.Helper()
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: nodes, Settings: map[string]string{
		"presence.grace": grace.String(), "presence.lease": lease.String(),
	}})
	for _, n := range c.Nodes {
		testkit.Eventually(t, limit, "it knows the other nodes", func() bool { return n.Metric("pactwire_nodes") == float64(nodes) })
	}
	return c
}

// phone is a connection that keeps what it was told.
type phone struct {
	*testkit.Device
	mu   sync.Mutex
	got  []message
	stop func()
}

type message struct{ topic, payload string }

// call connects a phone and waits for its SUBACK.
func call(t *testing.T, n *testkit.Node, u pactwire.UserID, client string, filters ...string) *phone {
	t.Helper()
	p := &phone{}
	p.Device = &testkit.Device{Addr: n.TCP, User: u, ClientID: client, Filters: filters, Retry: time.Hour, Message: func(m rawmqtt.Publish) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, message{string(m.Topic), string(m.Payload)})
	}}
	p.stop = background(t, p.Device)
	t.Cleanup(func() {
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s of %s got %v", client, u, p.got)
		}
	})
	testkit.Eventually(t, limit, string(u)+" is subscribed", func() bool { return p.Ready() > 0 })
	return p
}

// topic are the payloads that came on a topic so far.
func (p *phone) topic(suffix string) (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		if strings.HasSuffix(m.topic, suffix) {
			list = append(list, m.payload)
		}
	}
	return list
}

func (p *phone) wait(t *testing.T, suffix string, n int) []string {
	t.Helper()
	testkit.Eventually(t, limit, fmt.Sprintf("%s has %d of %s", p.ClientID, n, suffix), func() bool { return len(p.topic(suffix)) >= n })
	return p.topic(suffix)
}

// seqs are the sequence numbers of activities.
func seqs(t *testing.T, payloads []string) (list []pactwire.Seq) {
	t.Helper()
	for _, s := range payloads {
		a, err := testkit.ParseActivity([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a.Seq)
	}
	return list
}

// presences are what was told of a person, in order.
func presences(t *testing.T, payloads []string, of pactwire.UserID) (list []pactwire.Presence) {
	t.Helper()
	for _, s := range payloads {
		var p pactwire.Presence
		if err := json.Unmarshal([]byte(s), &p); err != nil {
			t.Fatal(err)
		}
		if p.UserID == of {
			list = append(list, p)
		}
	}
	return list
}

func checkin(p *phone, pact pactwire.PactID, id string) { p.Checkin(pact, id, id) }

func TestAnEventCrossesNodes(t *testing.T) {
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	alice := call(t, c.Nodes[0], "alice", "a", "pacts/"+string(pact)+"/activity", "users/alice/inbox")
	bob := call(t, c.Nodes[1], "bob", "b", "pacts/"+string(pact)+"/activity", "pacts/"+string(pact)+"/state", "users/bob/inbox")
	for i := range 20 {
		checkin(alice, pact, fmt.Sprint("a", i))
		checkin(bob, pact, fmt.Sprint("b", i))
	}
	// The two partner_joined and started are before; each check-in gives an activity or a correction.
	head := func() pactwire.Seq { return c.Nodes[0].Pact("alice", pact).HeadSeq }
	testkit.Eventually(t, limit, "all is done", func() bool { return alice.Settled() && bob.Settled() })
	for _, p := range []*phone{alice, bob} {
		n := int(head()) - 2
		got := seqs(t, p.wait(t, "/activity", n))
		for i, s := range got {
			if s != pactwire.Seq(i+3) {
				t.Fatalf("%s got %v", p.ClientID, got)
			}
		}
	}
	if found := c.Nodes[1].Metric("pactwire_relay_received_total{kind=\"entry\"}"); found == 0 {
		t.Error("no hint came")
	}
}

func TestASessionGoesOnAtAnotherNode(t *testing.T) {
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, c.Nodes[0], "bob", "b", "pacts/"+string(pact)+"/activity")
	checkin(alice, pact, "1")
	bob.wait(t, "/activity", 1)
	bob.stop()
	checkin(alice, pact, "2")
	testkit.Eventually(t, limit, "it is done", alice.Settled)
	again := call(t, c.Nodes[1], "bob", "b", "pacts/"+string(pact)+"/activity")
	checkin(alice, pact, "3")
	got := seqs(t, again.wait(t, "/activity", 2))
	if fmt.Sprint(got) != "[4 5]" {
		t.Errorf("got %v", got)
	}
}

func TestTheNewestConnectionTakesASessionOver(t *testing.T) {
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	filter := "pacts/" + string(pact) + "/activity"
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, c.Nodes[0], "bob", "b", filter)
	checkin(alice, pact, "1")
	bob.wait(t, "/activity", 1)
	start := time.Now()
	again := call(t, c.Nodes[1], "bob", "b", filter)
	took := time.Since(start)
	checkin(alice, pact, "2")
	if got := seqs(t, again.wait(t, "/activity", 1)); fmt.Sprint(got) != "[4]" {
		t.Errorf("got %v", got)
	}
	if got := bob.topic("/activity"); len(got) != 1 {
		t.Errorf("the former connection got %v", got)
	}
	t.Logf("taken over in %v", took)
}

func TestWhoIsRemovedOnOneNodeIsCutOffOnAnother(t *testing.T) {
	c := cluster(t, 2)
	for _, redis := range []bool{true, false} {
		if !redis {
			c.Redis.Kill()
		}
		p := c.Nodes[0].NewPact("alice", "bob", "carol").ID
		pact := string(p)
		carol := call(t, c.Nodes[1], "carol", fmt.Sprint("c", redis), "pacts/+/activity", "users/carol/inbox")
		alice := call(t, c.Nodes[0], "alice", fmt.Sprint("a", redis), "users/alice/inbox")
		checkin(alice, p, fmt.Sprint("1", redis))
		carol.wait(t, pact+"/activity", 1)
		before := len(carol.topic(pact + "/activity"))
		c.Nodes[0].Must("alice", http.MethodPost, "/v1/pacts/"+pact+"/remove", map[string]string{"userId": "carol"}, nil)
		start := time.Now()
		testkit.Eventually(t, limit, "carol is told", func() bool { return strings.Contains(strings.Join(carol.topic("/inbox"), "\n"), "LEFT_PACT") })
		t.Logf("redis %v: told after %v", redis, time.Since(start))
		checkin(alice, p, fmt.Sprint("2", redis))
		testkit.Eventually(t, limit, "it is done", alice.Settled)
		testkit.Never(t, time.Second, "carol hears more", func() bool { return len(carol.topic(pact+"/activity")) > before })
	}
}

func TestPresenceIsOneOverNodes(t *testing.T) {
	t.Parallel()
	c := cluster(t, 3)
	pact := string(c.Nodes[0].NewPact("alice", "bob").ID)
	alice := call(t, c.Nodes[0], "alice", "a", "pacts/"+pact+"/presence/+")
	bob := call(t, c.Nodes[1], "bob", "b", "pacts/"+pact+"/presence/+")
	status := func(p *phone, of pactwire.UserID) (s []pactwire.PresenceStatus) {
		for _, x := range presences(t, p.topic("/"+string(of)), of) {
			s = append(s, x.Status)
		}
		return s
	}
	last := func(p *phone, of pactwire.UserID, want pactwire.PresenceStatus) func() bool {
		return func() bool { s := status(p, of); return len(s) > 0 && s[len(s)-1] == want }
	}
	testkit.Eventually(t, limit, "alice sees bob", last(alice, "bob", pactwire.PresenceActive))
	testkit.Eventually(t, limit, "bob sees alice", last(bob, "alice", pactwire.PresenceActive))
	told := len(status(alice, "bob"))

	bob.stop()
	bob = call(t, c.Nodes[2], "bob", "b", "pacts/"+pact+"/presence/+")
	testkit.Never(t, grace+time.Second, "bob's move to another node is told", func() bool { return len(status(alice, "bob")) > told })

	c.Nodes[2].Kill()
	start := time.Now()
	bob.stop()
	testkit.Eventually(t, limit, "bob is offline after his node was killed", last(alice, "bob", pactwire.PresenceOffline))
	t.Logf("offline after %v with a lease of %v", time.Since(start), lease)
	testkit.Never(t, 2*time.Second, "that is told again", func() bool { return len(status(alice, "bob")) > told+1 })
	versions := presences(t, alice.topic("/bob"), "bob")
	for i := 1; i < len(versions); i++ {
		if versions[i].Version < versions[i-1].Version {
			t.Errorf("versions: %+v", versions)
		}
	}
	call(t, c.Nodes[1], "bob", "b2", "users/bob/inbox")
	testkit.Eventually(t, limit, "bob is back", last(alice, "bob", pactwire.PresenceActive))
}

// TestPromise6PresenceIsToldAgainAfterRedisForgot: nobody knows where alice is when bob comes, so her node is not told. When
// it notices that Redis has forgotten, it looks for itself.
func TestPromise6PresenceIsToldAgainAfterRedisForgot(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	pact := string(c.Nodes[0].NewPact("alice", "bob").ID)
	alice := call(t, c.Nodes[0], "alice", "a", "pacts/"+pact+"/presence/bob")
	online := func() bool {
		all := presences(t, alice.topic("/bob"), "bob")
		return len(all) > 0 && all[len(all)-1].IsOnline
	}
	testkit.Eventually(t, limit, "alice is known to be there", func() bool { return c.Redis.Do("SCARD", "pactwire:route:{alice}") == "1" })
	c.Redis.Do("DEL", "pactwire:route:{alice}")
	bob := call(t, c.Nodes[1], "bob", "b", "pacts/"+pact+"/presence/bob")
	testkit.Eventually(t, limit, "bob sees himself", func() bool {
		all := presences(t, bob.topic("/bob"), "bob")
		return len(all) > 0 && all[len(all)-1].IsOnline
	})
	testkit.Never(t, time.Second, "alice is told", online)
	c.Redis.FlushAll()
	testkit.Eventually(t, limit, "alice sees bob", online)
}

func TestEventsCrossNodesWithoutRedis(t *testing.T) {
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	alice := call(t, c.Nodes[0], "alice", "a", "pacts/"+string(pact)+"/presence/+")
	bob := call(t, c.Nodes[1], "bob", "b", "pacts/"+string(pact)+"/activity")
	testkit.Eventually(t, limit, "bob is seen", func() bool {
		all := presences(t, alice.topic("/bob"), "bob")
		return len(all) > 0 && all[len(all)-1].IsOnline
	})
	n := 0
	say := func(what string) {
		n++
		checkin(alice, pact, fmt.Sprint("c", n))
		start := time.Now()
		bob.wait(t, "/activity", n)
		t.Logf("%s: %v", what, time.Since(start))
	}
	say("all is well")
	c.Redis.FlushAll()
	say("flushed")
	c.Redis.Kill()
	say("just killed")
	testkit.Eventually(t, limit, "the nodes notice", func() bool { return degraded(t, c.Nodes[0]) && degraded(t, c.Nodes[1]) })
	for range 3 {
		say("away")
	}
	if got := presences(t, alice.topic("/bob"), "bob"); got[len(got)-1].Status != pactwire.PresenceActive {
		t.Errorf("bob was called offline: %+v", got)
	}
	c.Redis.Start()
	testkit.Eventually(t, limit, "the nodes notice", func() bool { return !degraded(t, c.Nodes[0]) && !degraded(t, c.Nodes[1]) })
	say("back")
	if got := seqs(t, bob.topic("/activity")); len(got) != n {
		t.Errorf("got %v", got)
	}
	if got := presences(t, alice.topic("/bob"), "bob"); got[len(got)-1].Status != pactwire.PresenceActive {
		t.Errorf("bob was called offline: %+v", got)
	}
}

func degraded(t *testing.T, n *testkit.Node) bool {
	t.Helper()
	code, body, err := n.Call("", http.MethodGet, "/readyz", nil)
	if err != nil || code != http.StatusOK {
		t.Fatalf("%d %s %v", code, body, err)
	}
	return strings.Contains(string(body), `"redis"`) && strings.Contains(string(body), "degraded")
}

// background runs a device until stop, or the end of the test.
func background(t *testing.T, d *testkit.Device) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func TestNodesThatHaveTheDatabaseAlone(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true})
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	filter := "pacts/" + string(pact) + "/activity"
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, c.Nodes[0], "bob", "b", filter)
	checkin(alice, pact, "1")
	bob.wait(t, "/activity", 1)
	start := time.Now()
	again := call(t, c.Nodes[1], "bob", "b", filter)
	t.Logf("taken over in %v", time.Since(start))
	last := func(p *phone) pactwire.Seq {
		got := seqs(t, p.topic("/activity"))
		if len(got) == 0 {
			return 0
		}
		return got[len(got)-1]
	}
	said := pactwire.Seq(3)
	say := func() {
		said++
		checkin(alice, pact, fmt.Sprint(said))
		testkit.Eventually(t, limit, "the new connection has it", func() bool { return last(again) == said })
	}
	testkit.Eventually(t, limit, "the former node has looked, and its connection hears no more", func() bool { say(); return last(bob) < said })
	before := last(bob)
	say()
	testkit.Never(t, time.Second, "the former connection hears more", func() bool { return last(bob) > before })
	if c.Nodes[0].Metric("pactwire_nodes") != 0 {
		t.Error("nodes are counted that nobody can know of")
	}
}
