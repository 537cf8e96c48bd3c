package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// Pairs is the main scenario: all members connected and subscribed to their pact's activity, one of them checking in
// at a time, round and round, at a fixed rate whatever the server does.
type Pairs struct {
	Name     string // of the report; "pairs" by default
	Relay    bool   // say it on the topic of the activity itself, as on a broker that only relays
	Target   Target
	Members  []Member
	Rate     float64 // check-ins a second
	Duration time.Duration
	Drain    time.Duration // how long to wait for what is still on its way; 10 s by default
	PIDs     []int         // of the server, to tell what it used
	Progress func(phase string, done, of int)
	// Load is called just before the first check-in is sent, and again when all that came of them is there: for who measures
	// what check-ins cost, and not what it costs to connect.
	Load func(begins bool)
}

// PairsReport is what came out.
type PairsReport struct {
	Scenario    string  `json:"scenario"`
	Transport   string  `json:"transport"`
	Pacts       int     `json:"pacts"`
	Connections int     `json:"connections"`
	TargetRate  float64 `json:"targetRate"`
	Rate        float64 `json:"rate"` // acked, over the time from the first send to the last ack
	Seconds     float64 `json:"seconds"`

	Sent       uint64 `json:"sent"`
	Acked      uint64 `json:"acked"`
	Refused    uint64 `json:"refused"`    // acked with a reason that says no
	Expected   uint64 `json:"expected"`   // receipts by partners
	Received   uint64 `json:"received"`   // first receipts by partners
	Lost       uint64 `json:"lost"`       // expected and never received
	Duplicates uint64 `json:"duplicates"` // received again
	OrderError uint64 `json:"orderErrors"`
	Dropped    uint64 `json:"droppedConnections"`

	Delivery Latency `json:"delivery"` // intended send time → partner's receipt
	Ack      Latency `json:"ack"`      // intended send time → PUBACK
	Late     Latency `json:"late"`     // intended send time → the generator's write
	Ceiling  bool    `json:"ceiling"`  // the generator itself was late: the figures tell of it, not of the server

	CPUSeconds float64 `json:"cpuSeconds,omitempty"`
	CPUPer1000 float64 `json:"cpuSecondsPer1000,omitempty"`
	RSSMiB     float64 `json:"rssMiB,omitempty"`
}

// ceilingAt is how late the generator may be, at its own p99, before it is the one that is measured.
const ceilingAt = 10 * time.Millisecond

// pairsRun is the state of one Pairs.Run.
type pairsRun struct {
	*Pairs
	tag      string // in the notes of each check-in, so that those of another run are not counted
	pacts    [][]Member
	clients  []*client // as Members
	senders  []*sender
	interval time.Duration
	total    int
	base     time.Time    // all times are counted from it
	start    atomic.Int64 // of the sending, since base
	stopping atomic.Bool

	receipts []atomic.Uint32 // by check-in: first receipts of partners, one bit a member
	acked    atomic.Uint64
	refused  atomic.Uint64
	received atomic.Uint64
	dups     atomic.Uint64
	disorder atomic.Uint64
	dropped  atomic.Uint64
	lastAck  atomic.Int64 // since start

	delivery, ack, late histogram
}

// sender knows what the packet ids of one connection stand for. The table is a ring: with more than 4096 check-ins
// unacknowledged on one connection the oldest acks would be credited to newer ones.
type sender struct {
	mu   sync.Mutex
	next uint16
	ring [4096]int32 // packet id mod size → number of the check-in
}

func (s *sender) take(n int) uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next++; s.next == 0 || s.next == 65535 {
		s.next = 1
	}
	s.ring[int(s.next)%len(s.ring)] = int32(n)
	return s.next
}

func (s *sender) of(id uint16) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.ring[int(id)%len(s.ring)])
}

// Run connects everybody, sends, waits for the rest, and sums up.
func (p *Pairs) Run(ctx context.Context) (PairsReport, error) {
	r := &pairsRun{Pairs: p, pacts: pacts(p.Members), base: time.Now()}
	if p.Rate <= 0 || p.Duration <= 0 {
		return PairsReport{}, fmt.Errorf("rate and duration must be more than nothing")
	}
	r.interval = time.Duration(float64(time.Second) / p.Rate)
	r.total = int(p.Rate * p.Duration.Seconds())
	r.receipts = make([]atomic.Uint32, r.total)
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return PairsReport{}, err
	}
	r.tag = "b" + hex.EncodeToString(salt[:]) + "-"
	r.senders = make([]*sender, len(p.Members))
	for i := range r.senders {
		r.senders[i] = &sender{}
	}
	clients, err := p.Target.openAll(ctx, len(p.Members), r.connect, phase(p.Progress, "connect"))
	if err != nil {
		return PairsReport{}, err
	}
	r.clients = clients
	defer endAll(clients)
	runtime.GC()
	before, err := readUsage(p.PIDs)
	if err != nil {
		return PairsReport{}, err
	}
	if p.Load != nil {
		p.Load(true)
	}
	sent := r.send(ctx)
	expected := r.expected(sent)
	r.drain(ctx, sent, expected)
	if p.Load != nil {
		p.Load(false)
	}
	after, err := readUsage(p.PIDs)
	if err != nil {
		return PairsReport{}, err
	}
	r.stopping.Store(true)
	return r.report(sent, expected, before, after), nil
}

// connect opens the connection of member i.
func (r *pairsRun) connect(ctx context.Context, i int) (*client, error) {
	m := r.Members[i]
	member := 0 // in the pact
	for j := i - 1; j >= 0 && r.Members[j].Pact == m.Pact; j-- {
		member++
	}
	rec := &receiver{run: r, bit: 1 << member, tag: []byte(r.tag), user: []byte(`"userId":"` + m.Username + `"`)}
	s := r.senders[i]
	c, err := r.Target.open(ctx, rawmqtt.Options{
		ClientID: m.ClientID, Username: m.Username, Password: m.Password, Clean: true, ReadBuffer: 1024,
	}, rawmqtt.Handler{
		Publish: rec.publish,
		Acked:   func(id uint16, reason byte) { r.onAck(s, id, reason) },
	}, "pacts/"+string(m.Pact)+"/activity")
	if err != nil {
		return nil, err
	}
	c.running.Go(func() {
		<-c.closed
		if !r.stopping.Load() {
			r.dropped.Add(1)
		}
	})
	return c, nil
}

// since is the time since the sending began.
func (r *pairsRun) since() time.Duration {
	return time.Since(r.base) - time.Duration(r.start.Load())
}

func (r *pairsRun) onAck(s *sender, id uint16, reason byte) {
	since := r.since()
	r.ack.add(since - time.Duration(s.of(id))*r.interval)
	r.acked.Add(1)
	if reason >= 0x80 {
		r.refused.Add(1)
	}
	for m := r.lastAck.Load(); int64(since) > m && !r.lastAck.CompareAndSwap(m, int64(since)); m = r.lastAck.Load() {
	}
}

// receiver is one connection's view of its pact's activity. Its method runs on that connection's reading goroutine.
type receiver struct {
	run  *pairsRun
	bit  uint32
	tag  []byte
	user []byte
	last uint64 // sequence number
}

var seqKey = []byte(`"seq":`)

// publish finds what it needs without parsing JSON: that would cost the server's cores.
func (c *receiver) publish(p rawmqtt.Publish) {
	now := c.run.since()
	if i := bytes.Index(p.Payload, seqKey); i >= 0 {
		seq := number(p.Payload[i+len(seqKey):])
		switch {
		case c.last != 0 && seq > c.last+1:
			c.run.disorder.Add(1)
		case seq <= c.last && !p.Dup:
			c.run.disorder.Add(1)
		}
		c.last = max(c.last, seq)
	}
	i := bytes.Index(p.Payload, c.tag)
	if i < 0 {
		return
	}
	n := int(number(p.Payload[i+len(c.tag):]))
	if n >= len(c.run.receipts) {
		return
	}
	for {
		was := c.run.receipts[n].Load()
		if was&c.bit != 0 {
			c.run.dups.Add(1)
			return
		}
		if c.run.receipts[n].CompareAndSwap(was, was|c.bit) {
			break
		}
	}
	if bytes.Contains(p.Payload, c.user) {
		return // one's own
	}
	c.run.received.Add(1)
	c.run.delivery.add(now - time.Duration(n)*c.run.interval)
}

func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// send is the open loop: it wakes at most once a millisecond and sends all that is due.
func (r *pairsRun) send(ctx context.Context) (sent int) {
	topics := make([]string, len(r.pacts))
	first := make([]int, len(r.pacts)) // index of the pact's first member
	for i, at := 0, 0; i < len(r.pacts); i++ {
		topics[i] = "pacts/" + string(r.pacts[i][0].Pact) + r.verb()
		first[i] = at
		at += len(r.pacts[i])
	}
	progress := phase(r.Progress, "check-ins")
	payload := make([]byte, 0, 128)
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.start.Store(int64(time.Since(r.base)))
	for sent < r.total {
		now := r.since()
		for ; sent < r.total && time.Duration(sent)*r.interval <= now; sent++ {
			pact, round := sent%len(r.pacts), sent/len(r.pacts)
			i := first[pact] + round%len(r.pacts[pact])
			payload = append(r.opening(payload[:0], i), r.tag...)
			payload = strconv.AppendInt(payload, int64(sent), 10)
			payload = append(payload, `"}`...)
			if err := r.clients[i].Publish(r.senders[i].take(sent), 1, topics[pact], payload); err != nil {
				continue // counted as a connection that dropped, and as an ack and receipts that never came
			}
			r.late.add(r.since() - time.Duration(sent)*r.interval)
		}
		progress(sent, r.total)
		timer.Reset(max(time.Duration(sent)*r.interval-r.since(), time.Millisecond))
		select {
		case <-ctx.Done():
			return sent // what was sent is reported
		case <-timer.C:
		}
	}
	return sent
}

func (r *pairsRun) verb() string {
	if r.Relay {
		return "/activity"
	}
	return "/checkins"
}

// opening is what comes before the notes: a check-in, or what a server would have made of it.
func (r *pairsRun) opening(b []byte, i int) []byte {
	if !r.Relay {
		return append(b, `{"status":"completed","notes":"`...)
	}
	b = append(b, `{"type":"activity","userId":"`...)
	b = append(b, r.Members[i].Username...)
	return append(b, `","status":"completed","notes":"`...)
}

func (r *pairsRun) expected(sent int) uint64 {
	var n uint64
	for i := range sent {
		n += uint64(len(r.pacts[i%len(r.pacts)]) - 1)
	}
	return n
}

// drain waits until everything is acked and received, or for as long as it is worth.
func (r *pairsRun) drain(ctx context.Context, sent int, expected uint64) {
	waitUntil(ctx, r.Drain, func() bool { return r.acked.Load() >= uint64(sent) && r.received.Load() >= expected })
}

func (r *pairsRun) report(sent int, expected uint64, before, after usage) PairsReport {
	seconds := time.Duration(r.lastAck.Load()).Seconds()
	out := PairsReport{
		Scenario: cmp.Or(r.Name, "pairs"), Transport: r.Target.Transport, Pacts: len(r.pacts), Connections: len(r.clients),
		TargetRate: r.Rate, Seconds: seconds,
		Sent: uint64(sent), Acked: r.acked.Load(), Refused: r.refused.Load(),
		Expected: expected, Received: r.received.Load(), Duplicates: r.dups.Load(),
		OrderError: r.disorder.Load(), Dropped: r.dropped.Load(),
		Delivery: r.delivery.summary(), Ack: r.ack.summary(), Late: r.late.summary(),
		Ceiling:    r.late.quantile(.99) > ceilingAt,
		CPUSeconds: after.cpu - before.cpu, RSSMiB: float64(after.rss) / (1 << 20),
	}
	out.Lost = expected - out.Received
	if seconds > 0 {
		out.Rate = float64(out.Acked) / seconds
	}
	if out.Acked > 0 {
		out.CPUPer1000 = out.CPUSeconds / float64(out.Acked) * 1000
	}
	return out
}
