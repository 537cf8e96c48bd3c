package habits_test

import (
	"context"
	"encoding/json"
	"flag"
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

var (
	outage = flag.Duration("outage", 6*time.Second, "how long the habits-service is away")
	rate   = flag.Float64("rate", 60, "check-ins a second meanwhile")
)

const (
	pacts  = 40
	secret = "whsec_cGFjdHdpcmUtdGVzdGtpdC1oYWJpdHMtc2VjcmV0" // of the test alone
	limit  = 2 * time.Minute
	steady = 2 * time.Second         // of load before and after the outage
	late   = 3500 * time.Millisecond // who waited so long was told, since pending is said after 2 s
)

// TestPromise8HabitsServiceKilledUnderLoad: while the habits-service is away check-ins are acked, kept, and their senders told that
// they are pending; when it is back each is logged, once. The breaker shows meanwhile.
func TestPromise8HabitsServiceKilledUnderLoad(t *testing.T) {
	eventsURL := testkit.FreeAddr(t)
	service := testkit.StartHabits(t, map[string]string{
		"habits.secret": secret, "habits.events_url": "http://" + eventsURL + "/v1/events", "log.level": "warn",
	})
	s := testkit.Start(t, map[string]string{
		"http.addr": eventsURL, "habits.mode": "http", "habits.url": "http://" + service.HTTP, "habits.secret": secret, "log.level": "warn",
	})
	people := gather(t, s, s.TCP)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, p := range people {
		running.Go(func() { p.device.Run(ctx) })
	}
	for _, p := range people {
		testkit.Eventually(t, limit, "everybody is subscribed", func() bool { return p.device.Ready() > 0 })
	}

	load := make(chan int)
	go func() { load <- drive(ctx, people, *rate, steady+*outage+steady) }()
	after(t, steady)
	service.Kill()
	down := time.Now()
	testkit.Eventually(t, *outage, "the breaker opens", func() bool {
		return s.Metric("pactwire_habits_breaker_open") == 1
	})
	code, body, err := s.Call("", http.MethodGet, "/readyz", nil)
	if err != nil || !strings.Contains(string(body), "habits") {
		t.Errorf("readyz says %d %s, %v: the habits-service should be among the causes", code, body, err)
	}
	held := count(people, (*person).acked)
	after(t, *outage-late-time.Since(down))
	held = count(people, (*person).acked) - held // acked while nobody answered, and long before anybody did
	after(t, *outage-time.Since(down))
	service.Restart()
	sent := <-load
	testkit.Eventually(t, limit, "all are acked", func() bool { return count(people, (*person).acked) == sent })
	testkit.Eventually(t, limit, "all are logged", func() bool { return count(people, (*person).logged) >= sent })
	testkit.Eventually(t, limit, "the breaker closes", func() bool {
		return s.Metric("pactwire_habits_breaker_open") == 0
	})
	pending := 0
	for _, p := range people {
		pending += p.check(t)
	}
	if pending < held || held == 0 {
		t.Errorf("%d of %d senders were told pending, want the %d at least who waited for more than %s", pending, sent, held, late)
	}
	t.Logf("%d check-ins, %d told pending, %d waited for more than %s", sent, pending, held, late)
	for i := range pacts {
		checkLog(t, s, people[2*i], people[2*i+1])
	}
}

// after waits for time to pass: the length of the outage is what is being tested.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// person is a member who checks in and listens to the inbox.
type person struct {
	user   pactwire.UserID
	pact   pactwire.PactID
	device *testkit.Device
	said   int

	mu      sync.Mutex
	events  map[string][]pactwire.EventType // by command id, in order of arrival
	lastSeq pactwire.Seq
	wrong   []string
}

func gather(t *testing.T, s *testkit.Server, addr string) []*person {
	t.Helper()
	var people []*person
	for i := range pacts {
		a, b := pactwire.UserID(fmt.Sprintf("a%d", i)), pactwire.UserID(fmt.Sprintf("b%d", i))
		pact := s.NewPact(a, b)
		for _, u := range []pactwire.UserID{a, b} {
			p := &person{user: u, pact: pact.ID, events: map[string][]pactwire.EventType{}}
			p.device = &testkit.Device{Addr: addr, User: u, ClientID: "phone", Filters: []string{"users/" + string(u) + "/inbox"}, Message: p.message}
			people = append(people, p)
		}
	}
	return people
}

func (p *person) message(m rawmqtt.Publish) {
	var e pactwire.Event
	err := json.Unmarshal(m.Payload, &e)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.wrong = append(p.wrong, err.Error())
	case e.Seq <= p.lastSeq && m.Dup:
		return // once more, after a node was killed
	case p.lastSeq != 0 && e.Seq != p.lastSeq+1:
		p.wrong = append(p.wrong, fmt.Sprintf("inbox seq %d after %d", e.Seq, p.lastSeq))
	}
	p.lastSeq = e.Seq
	if e.CommandID != nil {
		p.events[*e.CommandID] = append(p.events[*e.CommandID], e.Type)
	}
}

func (p *person) acked() int { return len(p.device.Acked()) }

func (p *person) logged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, types := range p.events {
		for _, e := range types {
			if e == pactwire.EventCheckinLogged {
				n++
			}
		}
	}
	return n
}

// check looks at what the person was told, and counts for how many commands that was "pending".
func (p *person) check(t *testing.T) (pending int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		t.Errorf("%s: %s", p.user, w)
	}
	if len(p.events) != p.said {
		t.Errorf("%s said %d commands and was told of %d", p.user, p.said, len(p.events))
	}
	for id, types := range p.events {
		switch fmt.Sprint(types) {
		case fmt.Sprint([]pactwire.EventType{pactwire.EventCheckinLogged}):
		case fmt.Sprint([]pactwire.EventType{pactwire.EventCheckinPending, pactwire.EventCheckinLogged}):
			pending++
		default:
			t.Errorf("%s was told of %s: %v", p.user, id, types)
		}
	}
	return pending
}

func count(people []*person, f func(*person) int) int {
	n := 0
	for _, p := range people {
		n += f(p)
	}
	return n
}

// drive has people check in in turn at a rate, and returns how many check-ins that were.
func drive(ctx context.Context, people []*person, rate float64, d time.Duration) int {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	end := time.NewTimer(d)
	defer end.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			p := people[n%len(people)]
			p.said++
			p.device.Checkin(p.pact, fmt.Sprintf("%s-%d", p.user, p.said), fmt.Sprint("note ", p.said))
		case <-end.C:
			return n
		case <-ctx.Done():
			return n
		}
	}
}

// checkLog: each command of the two is in the pact's log once, each person's in the order in which they were said.
func checkLog(t *testing.T, s *testkit.Server, a, b *person) {
	t.Helper()
	h := testkit.History{Acked: map[string]bool{}, Log: s.Activities(a.user, a.pact)}
	order := map[pactwire.UserID]int{}
	for _, p := range []*person{a, b} {
		for id := range p.device.Acked() {
			h.Acked[id] = true
		}
	}
	for _, err := range h.Check() {
		t.Error(err)
	}
	for _, e := range h.Log {
		if e.CommandID == nil {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(*e.CommandID, string(e.UserID)+"-"), "%d", &n); err != nil {
			t.Errorf("command %s: %v", *e.CommandID, err)
		}
		if n != order[e.UserID]+1 {
			t.Errorf("%s: command %d after %d", e.UserID, n, order[e.UserID])
		}
		order[e.UserID] = n
	}
	if order[a.user] != a.said || order[b.user] != b.said {
		t.Errorf("pact %s has %v, want %d and %d", a.pact, order, a.said, b.said)
	}
}
