package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestRollingRestart: all nodes are restarted, one after another, under people with an ordinary client library. It
// reconnects by itself, and never shows its user an error of ours.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 3, Settings: settings()})
	users := []pactwire.UserID{"ann", "ben", "cem", "dee"}
	pact := c.Nodes[0].NewPact(users...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing sync.WaitGroup
	var everybody []*libraryUser
	for _, u := range users {
		p := &libraryUser{t: t, user: u, pact: pact.ID, seen: map[pactwire.Seq]bool{}}
		p.connect(c.MQTT.Addr)
		everybody = append(everybody, p)
	}
	for _, p := range everybody {
		writing.Go(func() { p.write(ctx) })
	}
	for _, n := range c.Nodes {
		n.Stop()
		n.Restart()
		after(ctx, pause)
	}
	stop()
	writing.Wait()

	log := c.Nodes[0].Activities(users[0], pact.ID)
	count := map[string]int{}
	for _, a := range log {
		if a.CommandID != nil {
			count[*a.CommandID]++
		}
	}
	for _, p := range everybody {
		for i := range p.said {
			if id := p.command(i + 1); count[id] != 1 {
				t.Errorf("%s is in the log %d times", id, count[id])
			}
		}
		for _, a := range log[pact.HeadSeq:] {
			testkit.Eventually(t, limit, fmt.Sprintf("%s has activity %d of %d", p.user, a.Seq, len(log)), func() bool { return p.has(a.Seq) })
		}
	}
	t.Logf("%d messages from %d people while %d nodes were restarted", len(count), len(users), len(c.Nodes))
}

// libraryUser is a person with a client made by others, as its documentation says for those who want to lose nothing.
type libraryUser struct {
	t      *testing.T
	user   pactwire.UserID
	pact   pactwire.PactID
	client mqtt.Client
	said   int

	mu   sync.Mutex
	last pactwire.Seq
	seen map[pactwire.Seq]bool
}

func (p *libraryUser) connect(addr string) {
	p.t.Helper()
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("phone").SetUsername(string(p.user)).
		SetPassword(testkit.Token(p.user)).SetCleanSession(false).SetAutoReconnect(true).SetMaxReconnectInterval(retry).
		SetKeepAlive(patience).SetPingTimeout(patience).SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { p.take(m) })
	p.client = mqtt.NewClient(o)
	p.wait(p.client.Connect(), "connect")
	p.wait(p.client.Subscribe("pacts/+/activity", 1, nil), "subscribe")
	p.t.Cleanup(func() { p.client.Disconnect(100) })
}

func (p *libraryUser) wait(token mqtt.Token, what string) {
	if !token.WaitTimeout(limit) {
		p.t.Errorf("%s: %s has no answer", p.user, what)
	} else if err := token.Error(); err != nil {
		p.t.Errorf("%s: %s: %v", p.user, what, err)
	}
}

func (p *libraryUser) command(n int) string { return fmt.Sprintf("%s-%d", p.user, n) }

// write sends one message after another, each when the one before is acked.
func (p *libraryUser) write(ctx context.Context) {
	for ctx.Err() == nil {
		p.said++
		id := p.command(p.said)
		payload, err := json.Marshal(map[string]string{"id": id, "message": "still here"})
		if err != nil {
			panic(err) // strings can always be encoded
		}
		token := p.publish(payload)
		for errors.Is(token.Error(), net.ErrClosed) {
			// The library wrote to a connection that it had just closed itself, which it may after any server's goodbye. It
			// keeps the message and sends it when it is back; who says it again with its id does no harm.
			p.t.Logf("%s: the library lost %s on its own connection: %v", p.user, id, token.Error())
			token = p.publish(payload)
		}
		p.wait(token, id)
		after(ctx, 50*time.Millisecond)
	}
}

func (p *libraryUser) publish(payload []byte) mqtt.Token {
	token := p.client.Publish("pacts/"+string(p.pact)+"/messages", 1, false, payload)
	token.WaitTimeout(limit) // wait tells
	return token
}

func (p *libraryUser) take(m mqtt.Message) {
	a, err := testkit.ParseActivity(m.Payload())
	if err != nil {
		p.t.Errorf("%s got %q on %s", p.user, m.Payload(), m.Topic())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.last == 0 || a.Seq == p.last+1:
		p.last = a.Seq
	case a.Seq > p.last:
		p.t.Errorf("%s got seq %d after %d", p.user, a.Seq, p.last)
		p.last = a.Seq
	case !m.Duplicate():
		p.t.Errorf("%s got seq %d again, without DUP", p.user, a.Seq)
	}
	p.seen[a.Seq] = true
}

func (p *libraryUser) has(seq pactwire.Seq) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[seq]
}
