package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

const (
	chatters = 40 // connections that publish at QoS 2
	lines    = 30 // of chat each, without an id
)

// chatter says lines of chat at QoS 2, one at a time, with a session that is kept, as a client library does: what was not
// answered with PUBREC is published again with DUP, what was is released again.
type chatter struct {
	addr string
	user pactwire.UserID
	pact pactwire.PactID

	mu   sync.Mutex
	said int // lines that were acknowledged with PUBREC
	done int // lines whose exchange is over
	sent bool
}

func (c *chatter) finished() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// packetID is used again soon, so that an id that was not given free would swallow a line.
func packetID(line int) uint16 { return uint16(line%3 + 1) }

func (c *chatter) run(ctx context.Context) {
	for ctx.Err() == nil && c.finished() < lines {
		c.connection(ctx)
	}
}

func (c *chatter) connection(ctx context.Context) {
	dial, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	nc, err := rawmqtt.Dial(dial, c.addr)
	if err != nil {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		return
	}
	over := make(chan struct{}, 1)
	conn, _, err := rawmqtt.Connect(dial, nc, rawmqtt.Options{ClientID: "chatter", Username: string(c.user), Password: testkit.Token(c.user)},
		rawmqtt.Handler{
			Received: func(uint16) {
				c.mu.Lock()
				c.said = c.done + 1
				c.mu.Unlock()
			},
			Acked: func(uint16, byte) {
				c.mu.Lock()
				c.done, c.sent = c.said, false
				c.mu.Unlock()
				over <- struct{}{}
			},
		})
	if err != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Run() // however it ended, it is over
	}()
	defer func() {
		conn.Close()
		<-ended
	}()
	for c.finished() < lines {
		if c.next(conn) != nil {
			return
		}
		select {
		case <-over:
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// next goes on where the exchange stands.
func (c *chatter) next(conn *rawmqtt.Conn) error {
	c.mu.Lock()
	line, received, sent := c.done, c.said > c.done, c.sent
	c.sent = true
	c.mu.Unlock()
	id, topic := packetID(line), "pacts/"+string(c.pact)+"/messages"
	payload := fmt.Appendf(nil, `{"message":"%s %d"}`, c.user, line)
	switch {
	case received:
		return conn.Pubrel(id)
	case sent:
		return conn.Resend(id, 2, topic, payload)
	}
	return conn.Publish(id, 2, topic, payload)
}

// TestPromise2QoS2RunsOnceOverAKill kills the server while people chat at QoS 2 without ids of their own: the handshake alone
// makes each line come once, and none is swallowed for one that used its packet id before.
func TestPromise2QoS2RunsOnceOverAKill(t *testing.T) {
	for round := range *rounds {
		t.Run(fmt.Sprint("round ", round+1), func(t *testing.T) {
			random := rand.New(rand.NewPCG(*seed, uint64(round)+1000))
			killAfter := []int{chatters * lines / 10, chatters * lines / 3, chatters * lines / 2}
			for i := range killAfter {
				killAfter[i] += random.IntN(chatters * lines / 6)
			}
			t.Logf("seed %d: SIGKILL after %v lines", *seed, killAfter)
			chatOverKills(t, killAfter)
		})
	}
}

func chatOverKills(t *testing.T, killAfter []int) {
	s := testkit.Start(t, map[string]string{"log.level": "warn"})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var all []*chatter
	for i := range chatters {
		p := s.NewPact(member(i, 0), member(i, 1))
		c := &chatter{addr: s.TCP, user: member(i, 0), pact: p.ID}
		all = append(all, c)
		running.Go(func() { c.run(ctx) })
	}
	total := func() (n int) {
		for _, c := range all {
			n += c.finished()
		}
		return n
	}
	for _, n := range killAfter {
		testkit.Eventually(t, limit, "enough lines to kill", func() bool { return total() >= n })
		s.Kill()
		s.Restart()
	}
	testkit.Eventually(t, limit, "every line is acknowledged", func() bool { return total() == chatters*lines })
	for _, c := range all {
		said := map[string]int{}
		for _, a := range s.Activities(c.user, c.pact) {
			if a.Type == pactwire.MessageSent {
				var data pactwire.MessageData
				if err := json.Unmarshal(a.Data, &data); err != nil {
					t.Fatal(err)
				}
				said[data.Message]++
			}
		}
		n := 0
		for text, times := range said {
			if n += times; times != 1 {
				t.Errorf("%s: %d times %s", c.user, times, text)
			}
		}
		if n != lines {
			t.Errorf("%s: %d lines, want %d", c.user, n, lines)
		}
	}
}
