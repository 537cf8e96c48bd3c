package crash_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

var (
	rounds = flag.Int("rounds", 3, "how often the server is killed")
	seed   = flag.Uint64("seed", 1, "of the moments at which it is")
)

const (
	pacts    = 100
	senders  = 2 * pacts // connections
	each     = 25        // check-ins of each
	total    = senders * each
	limit    = 2 * time.Minute
	watched  = 20 // pacts with a subscriber that stays and one that is away
	parallel = 8
)

// TestPromise1KillLosesNoAckedCommand kills the server in the middle of 5,000 check-ins from 200 connections, once a
// round. Whoever got no ack says it again to the next process.
func TestPromise1KillLosesNoAckedCommand(t *testing.T) {
	for round := range *rounds {
		t.Run(fmt.Sprint("round ", round+1), func(t *testing.T) { crash(t, round, "") })
	}
}

// TestPromise1KillLosesNoAckedCommandOnPostgreSQL is a round of the same on the other store.
func TestPromise1KillLosesNoAckedCommandOnPostgreSQL(t *testing.T) {
	crash(t, 0, testkit.Postgres(t).URL())
}

// crowd is everybody of one round.
type crowd struct {
	server  *testkit.Server
	pacts   []pactwire.Pact
	senders []*testkit.Device
	stays   []*testkit.Reader // of the first pacts, connected throughout
	away    []*testkit.Reader // of the first pacts, subscribed before and back after
}

func crash(t *testing.T, round int, store string) {
	random := rand.New(rand.NewPCG(*seed, uint64(round)))
	killAfter := total/10 + random.IntN(total*8/10)
	t.Logf("seed %d: SIGKILL after %d acks", *seed, killAfter)
	c := gather(t, testkit.Start(t, map[string]string{"log.level": "warn", "store.url": store}))
	awayAgain := leaveAndReturn(t, c)

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, r := range c.stays {
		running.Go(func() { r.Run(ctx) })
	}
	for _, r := range c.stays {
		testkit.Eventually(t, limit, "the readers are subscribed", func() bool { return r.Ready() > 0 })
	}
	for _, d := range c.senders {
		running.Go(func() { d.Run(ctx) })
	}
	testkit.Eventually(t, limit, "enough acks to kill", func() bool { return c.acks() >= killAfter })
	c.server.Kill()
	atKill := c.acks()
	c.server.Restart()
	testkit.Eventually(t, limit, "everything is acked after the restart", func() bool { return c.acks() == total })
	t.Logf("%d of %d were acked when the server died", atKill, total)
	awayAgain(ctx, &running)
	c.check(t)
}

// gather makes the pacts and everybody's devices, with all they have to say.
func gather(t *testing.T, s *testkit.Server) *crowd {
	c := &crowd{server: s, pacts: make([]pactwire.Pact, pacts)}
	var making sync.WaitGroup
	next := make(chan int)
	for range parallel {
		making.Go(func() {
			for i := range next {
				c.pacts[i] = s.NewPact(member(i, 0), member(i, 1))
			}
		})
	}
	for i := range pacts {
		next <- i
	}
	close(next)
	making.Wait()
	for i, p := range c.pacts {
		for m := range 2 {
			d := &testkit.Device{Addr: s.TCP, User: member(i, m), ClientID: "sender", Clean: true}
			for n := range each {
				d.Checkin(p.ID, fmt.Sprintf("%d-%d-%d", i, m, n), fmt.Sprintf("note %d", n))
			}
			c.senders = append(c.senders, d)
		}
		if i < watched {
			c.stays = append(c.stays, testkit.NewReader(s.TCP, member(i, 0), "stays", p.ID))
			c.away = append(c.away, testkit.NewReader(s.TCP, member(i, 1), "away", p.ID))
		}
	}
	return c
}

func member(pact, m int) pactwire.UserID { return pactwire.UserID(fmt.Sprintf("m%d-%d", pact, m)) }

// leaveAndReturn subscribes those who will be away and lets them go; the function returned brings them back.
func leaveAndReturn(t *testing.T, c *crowd) func(context.Context, *sync.WaitGroup) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, r := range c.away {
		running.Go(func() { r.Run(ctx) })
	}
	for _, r := range c.away {
		testkit.Eventually(t, limit, "those who leave are subscribed", func() bool { return r.Ready() > 0 })
	}
	cancel()
	running.Wait()
	return func(ctx context.Context, running *sync.WaitGroup) {
		for _, r := range c.away {
			running.Go(func() { r.Run(ctx) })
		}
	}
}

func (c *crowd) acks() int {
	n := 0
	for _, d := range c.senders {
		n += len(d.Acked())
	}
	return n
}

// check compares all that was seen with the promises.
func (c *crowd) check(t *testing.T) {
	for i, p := range c.pacts {
		h := testkit.History{Acked: map[string]bool{}, Log: c.server.Activities(member(i, 0), p.ID), Received: map[string][]pactwire.Activity{}, From: map[string]pactwire.Seq{}}
		for m := range 2 {
			for id := range c.senders[2*i+m].Acked() {
				h.Acked[id] = true
			}
		}
		if i < watched {
			head := pactwire.Seq(len(h.Log))
			for _, r := range []*testkit.Reader{c.stays[i], c.away[i]} {
				testkit.Eventually(t, limit, fmt.Sprintf("%s %d has all %d activities", r.ClientID, i, head), func() bool { return r.Last() >= head })
				got, err := r.Got()
				if err != nil {
					t.Error(err)
				}
				h.Received[r.ClientID], h.From[r.ClientID] = got, p.HeadSeq
				if r == c.away[i] {
					for _, err := range testkit.Once("away", got) {
						t.Error(err)
					}
				}
			}
		}
		for _, err := range h.Check() {
			t.Errorf("pact %d: %v", i, err)
		}
		if len(h.Log) != int(p.HeadSeq)+2*each {
			t.Errorf("pact %d has %d activities, want %d", i, len(h.Log), int(p.HeadSeq)+2*each)
		}
	}
	for i, e := range c.server.Inbox(member(0, 0)) {
		if e.Seq != pactwire.Seq(i+1) {
			t.Errorf("inbox: seq %d in place %d", e.Seq, i+1)
		}
	}
	if code, err := c.server.ReadyCode(); err != nil || code != http.StatusOK {
		t.Errorf("readyz: %d %v", code, err)
	}
}
