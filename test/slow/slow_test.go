package slow_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

const (
	limit    = time.Minute
	checkins = 1500
)

// TestPromise7SlowSubscriberHurtsOnlyItself: while one subscriber does not read, its partner's acks take no longer than
// before, the server's memory does not grow with what is not taken, and the slow one gets everything in order, when it reads
// again and when it returns.
func TestPromise7SlowSubscriberHurtsOnlyItself(t *testing.T) {
	s := testkit.Start(t, map[string]string{"log.level": "warn"})
	for _, how := range []string{"reads again", "returns"} {
		t.Run(how, func(t *testing.T) { slow(t, s, how == "returns") })
	}
}

func slow(t *testing.T, s *testkit.Server, returns bool) {
	tag := strconv.FormatBool(returns)
	alice, bob := pactwire.UserID("alice-"+tag), pactwire.UserID("bob-"+tag)
	pact := s.NewPact(alice, bob)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	// Bob stops reading when the gate closes: his handler waits, his buffers fill, then the server's.
	gate := &gate{}
	var mu sync.Mutex
	var got []pactwire.Activity
	reader := testkit.NewReader(s.TCP, bob, "phone", pact.ID)
	reader.Message = func(p rawmqtt.Publish) {
		gate.pass()
		a, err := testkit.ParseActivity(p.Payload)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, a)
	}
	last := func() pactwire.Seq {
		mu.Lock()
		defer mu.Unlock()
		var last pactwire.Seq
		for i := range got {
			last = max(last, got[i].Seq)
		}
		return last
	}
	readerCtx, drop := context.WithCancel(ctx)
	defer drop()
	defer gate.open() // before drop, so that the handler returns
	readerDone := make(chan struct{})
	running.Go(func() { defer close(readerDone); reader.Run(readerCtx) })
	testkit.Eventually(t, limit, "bob is subscribed", func() bool { return reader.Ready() > 0 })

	say := func(phase string) []time.Duration {
		t.Helper()
		d := &testkit.Device{Addr: s.TCP, User: alice, ClientID: "phone-" + phase, Clean: true, Window: 1}
		for n := range checkins {
			d.Checkin(pact.ID, fmt.Sprintf("%s-%d", phase, n), phase+strconv.Itoa(n)+" "+strings.Repeat("x", 400))
		}
		c, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); d.Run(c) }()
		testkit.Eventually(t, limit, "alice's check-ins are acked, "+phase, d.Settled)
		stop()
		<-done
		return d.Took()
	}

	before := say("before")
	testkit.Eventually(t, limit, "bob has what came before", func() bool { return last() == pact.HeadSeq+checkins })
	gate.close()
	memory := resident(t, s.PID())
	during := say("during")
	if grown := resident(t, s.PID()) - memory; grown > 96<<20 {
		t.Errorf("memory grew by %d MiB for one subscriber that does not read", grown>>20)
	}
	b, d := p99(before), p99(during)
	t.Logf("ack p99: %v before, %v while bob does not read", b, d)
	if d > 3*b+50*time.Millisecond {
		t.Errorf("alice's acks became slow: p99 %v, was %v", d, b)
	}
	if last() >= pact.HeadSeq+2*checkins {
		t.Fatal("bob was not slow at all")
	}
	if returns {
		drop() // the connection ends with most of it unread
		gate.open()
		<-readerDone
		running.Go(func() { reader.Run(ctx) })
	} else {
		gate.open()
	}
	head := pact.HeadSeq + 2*checkins
	testkit.Eventually(t, limit, "bob has everything", func() bool { return last() >= head })
	mu.Lock()
	defer mu.Unlock()
	h := testkit.History{
		Log: s.Activities(alice, pact.ID), Received: map[string][]pactwire.Activity{"bob": got},
		From: map[string]pactwire.Seq{"bob": pact.HeadSeq},
	}
	for _, err := range h.Check() {
		t.Error(err)
	}
}

// gate holds back who passes while it is closed.
type gate struct {
	mu     sync.Mutex
	closed chan struct{}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	c := g.closed
	g.mu.Unlock()
	if c != nil {
		<-c
	}
}

func p99(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*99/100]
}

// resident is the memory of a process in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
