package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// Evening is a mixed load on kept MQTT 5 sessions: people check in, write to each other, celebrate, react, and lose their
// connections and come back, all at one open-loop rate. What a partner is to hear is to arrive, over reconnects too.
type Evening struct {
	Target   Target
	Members  []Member
	Rate     float64 // things done a second
	Duration time.Duration
	Drain    time.Duration // how long to wait for what is still on its way; 10 s by default
	PIDs     []int
	Progress func(phase string, done, of int)
}

// EveningReport is what came out.
type EveningReport struct {
	Scenario    string  `json:"scenario"`
	Transport   string  `json:"transport"`
	Pacts       int     `json:"pacts"`
	Connections int     `json:"connections"`
	TargetRate  float64 `json:"targetRate"`
	Rate        float64 `json:"rate"` // done, over the time of sending
	Seconds     float64 `json:"seconds"`

	Checkins     uint64 `json:"checkins"`
	Messages     uint64 `json:"messages"`
	Celebrations uint64 `json:"celebrations"`
	Reactions    uint64 `json:"reactions"`
	Reconnects   uint64 `json:"reconnects"`
	Skipped      uint64 `json:"skipped"` // nobody of the pact was there to do it

	Acked      uint64 `json:"acked"`
	Refused    uint64 `json:"refused"`
	Expected   uint64 `json:"expected"` // receipts by partners
	Received   uint64 `json:"received"`
	Lost       uint64 `json:"lost"`
	Again      uint64 `json:"again"`      // received again and marked so, after a reconnect
	Duplicates uint64 `json:"duplicates"` // received again and not marked
	OrderError uint64 `json:"orderErrors"`
	Dropped    uint64 `json:"droppedConnections"` // not on purpose

	Delivery Latency `json:"delivery"` // meant to be sent → partner's receipt, time away included
	Ack      Latency `json:"ack"`
	Back     Latency `json:"back"` // dropped → SUBACK
	Late     Latency `json:"late"`
	Ceiling  bool    `json:"ceiling"`

	CPUSeconds float64 `json:"cpuSeconds,omitempty"`
	RSSMiB     float64 `json:"rssMiB,omitempty"`
}

// act is one kind of thing that is done.
type act int

const (
	checkinAct act = iota
	messageAct
	celebrateAct
	reactAct
	reconnectAct
	acts
)

// mix is what is done, in turn: of twenty, eight check-ins, seven messages, two reactions, two celebrations, and one reconnect.
var mix = [...]act{
	checkinAct, messageAct, checkinAct, reactAct, messageAct, checkinAct, messageAct, celebrateAct, checkinAct, messageAct,
	checkinAct, messageAct, checkinAct, reactAct, messageAct, checkinAct, messageAct, celebrateAct, checkinAct, reconnectAct,
}

// eveningRun is the state of one Evening.Run.
type eveningRun struct {
	*Evening
	tag      string // begins the command ids of this run
	base     time.Time
	interval time.Duration
	pacts    [][]*guest
	guests   []*guest
	start    atomic.Int64

	receipts []atomic.Uint32 // by number: who has it, one bit a member
	fates    []atomic.Int32
	comings  sync.WaitGroup // of reconnects

	done                           [acts]uint64 // by the sending goroutine alone
	skipped                        uint64
	acked, refused, received       atomic.Uint64
	again, dups, disorder, dropped atomic.Uint64
	delivery, ack, back, late      histogram
}

// Fates of what was sent.
const (
	unsent int32 = iota
	sent
	taken
	denied
)

// command is what is sent again when the connection is lost before its ack.
type command struct {
	n     int
	topic string
	body  []byte
}

// guest is one member with a session that is kept.
type guest struct {
	Member
	run  *eveningRun
	bit  uint32
	last uint64 // sequence number heard; of the reading goroutine

	mu       sync.Mutex
	conn     *client // nil while they are away
	next     uint16  // packet id
	unacked  map[uint16]command
	checkin  string // of a partner, not yet celebrated
	cheered  map[string]bool
	activity string // the latest heard
}

// Run opens the sessions, does what is done of an evening, waits for the rest, and sums up.
func (b *Evening) Run(ctx context.Context) (EveningReport, error) {
	if b.Rate <= 0 || b.Duration <= 0 {
		return EveningReport{}, errors.New("rate and duration must be more than nothing")
	}
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return EveningReport{}, err
	}
	r := &eveningRun{Evening: b, tag: "e" + hex.EncodeToString(salt[:]) + "-", base: time.Now(), interval: time.Duration(float64(time.Second) / b.Rate)}
	n := int(b.Rate * b.Duration.Seconds())
	r.receipts, r.fates = make([]atomic.Uint32, n), make([]atomic.Int32, n)
	for _, p := range pacts(b.Members) {
		var pact []*guest
		for i, m := range p {
			pact = append(pact, &guest{Member: m, run: r, bit: 1 << i, cheered: map[string]bool{}, unacked: map[uint16]command{}})
		}
		r.pacts, r.guests = append(r.pacts, pact), append(r.guests, pact...)
	}
	defer r.leave()
	if _, err := b.Target.openAll(ctx, len(r.guests), func(ctx context.Context, i int) (*client, error) {
		return r.guests[i].arrive(ctx)
	}, phase(b.Progress, "connect")); err != nil {
		return EveningReport{}, err
	}
	before, err := readUsage(b.PIDs)
	if err != nil {
		return EveningReport{}, err
	}
	seconds := r.pass(ctx)
	r.comings.Wait()
	waitUntil(ctx, b.Drain, func() bool {
		expected, waiting := r.expected()
		return waiting == 0 && r.received.Load() >= expected
	})
	after, err := readUsage(b.PIDs)
	if err != nil {
		return EveningReport{}, err
	}
	return r.report(seconds, before, after), nil
}

// leave ends all connections and waits for their goroutines.
func (r *eveningRun) leave() {
	r.comings.Wait()
	var all []*client
	for _, g := range r.guests {
		g.mu.Lock()
		all = append(all, g.conn)
		g.conn = nil // from here on a connection that ends does so on purpose
		g.mu.Unlock()
	}
	endAll(all)
}

// arrive opens a guest's session, or goes on with it.
func (g *guest) arrive(ctx context.Context) (*client, error) {
	c, err := g.run.Target.open(ctx, rawmqtt.Options{
		ClientID: g.ClientID + "-evening", Username: g.Username, Password: g.Password, Version: 5, SessionExpiry: 3600, ReadBuffer: 1024,
	}, rawmqtt.Handler{Publish: g.hears, Acked: g.acked}, "pacts/+/activity", "pacts/+/presence/+", "users/"+g.Username+"/inbox")
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.conn = c
	again := maps.Clone(g.unacked)
	g.mu.Unlock()
	for id, cmd := range again {
		_ = c.Resend(id, 1, cmd.topic, cmd.body) // a failure is a dropped connection, and is counted there
	}
	c.running.Go(func() {
		<-c.closed
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.conn == c {
			g.run.dropped.Add(1)
		}
	})
	return c, nil
}

// since is the time since the evening began.
func (r *eveningRun) since() time.Duration { return time.Since(r.base) - time.Duration(r.start.Load()) }

// pass is the open loop: it wakes at most once a millisecond and does all that is due.
func (r *eveningRun) pass(ctx context.Context) (seconds float64) {
	progress := phase(r.Progress, "evening")
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.start.Store(int64(time.Since(r.base)))
	for n := 0; n < len(r.fates); {
		for now := r.since(); n < len(r.fates) && time.Duration(n)*r.interval <= now; n++ {
			r.do(ctx, n)
		}
		progress(n, len(r.fates))
		timer.Reset(max(time.Duration(n)*r.interval-r.since(), time.Millisecond))
		select {
		case <-ctx.Done():
			return r.since().Seconds() // what was done is reported
		case <-timer.C:
		}
	}
	return r.since().Seconds()
}

// do lets somebody of the pact whose turn it is do the next thing. Who has nothing to celebrate or to react to writes.
func (r *eveningRun) do(ctx context.Context, n int) {
	pact, round := r.pacts[n%len(r.pacts)], n/len(r.pacts)
	what := mix[(7*round+3*(n%len(r.pacts)))%len(mix)] // 7 and the length share no factor, so each pact does all of it
	for i := range pact {
		g := pact[(round+i)%len(pact)]
		if what == reconnectAct {
			if r.away(ctx, g) {
				r.done[what]++
				return
			}
			continue
		}
		if did, ok := g.does(what, n); ok {
			r.done[did]++
			r.late.add(r.since() - time.Duration(n)*r.interval)
			return
		}
	}
	r.skipped++
}

// away drops a guest's connection, without a word, and lets them come back. It reports whether they were there.
func (r *eveningRun) away(ctx context.Context, g *guest) bool {
	g.mu.Lock()
	c := g.conn
	if c == nil {
		g.mu.Unlock()
		return false
	}
	g.conn = nil
	g.mu.Unlock()
	r.comings.Go(func() {
		gone := time.Now()
		c.end()
		if _, err := g.arrive(ctx); err != nil {
			r.dropped.Add(1) // and what they were to hear is lost
			return
		}
		r.back.add(time.Since(gone))
	})
	return true
}

// does sends a command; ok is false when the guest is away.
func (g *guest) does(what act, n int) (did act, ok bool) {
	g.mu.Lock()
	c := g.conn
	if c == nil {
		g.mu.Unlock()
		return what, false
	}
	if what == celebrateAct && g.checkin == "" || what == reactAct && g.activity == "" {
		what = messageAct
	}
	topic, body := "pacts/"+string(g.Pact)+"/", fmt.Sprintf(`{"id":"%s%d",`, g.run.tag, n) // what is sent again has one effect
	switch what {
	case checkinAct:
		topic, body = topic+"checkins", body+fmt.Sprintf(`"status":"completed","notes":"evening %d"}`, n)
	case celebrateAct:
		topic, body = topic+"celebrations", body+fmt.Sprintf(`"checkinId":%q,"message":"well done"}`, g.checkin)
		g.cheered[g.checkin] = true
		g.checkin = ""
	case reactAct:
		topic, body = topic+"reactions", body+fmt.Sprintf(`"activityId":%q,"emoji":"👏"}`, g.activity)
		g.activity = ""
	default:
		topic, body = topic+"messages", body+fmt.Sprintf(`"message":"How was your day, number %d?"}`, n)
	}
	if g.next++; g.next == 0 || g.next == 65535 { // the last one is SUBSCRIBE's
		g.next = 1
	}
	id, cmd := g.next, command{n, topic, []byte(body)}
	g.unacked[id] = cmd
	g.mu.Unlock()
	g.run.fates[n].Store(sent)
	_ = c.Publish(id, 1, topic, cmd.body) // what fails is sent again after the reconnect
	return what, true
}

func (g *guest) acked(id uint16, reason byte) {
	g.mu.Lock()
	cmd, ok := g.unacked[id]
	delete(g.unacked, id)
	g.mu.Unlock()
	if !ok {
		return
	}
	n, r := cmd.n, g.run
	r.ack.add(r.since() - time.Duration(n)*r.interval)
	r.acked.Add(1)
	if reason >= 0x80 {
		r.refused.Add(1)
		r.fates[n].Store(denied)
	} else {
		r.fates[n].Store(taken)
	}
}

// hears takes what a guest receives. It runs on the goroutine of their connection; another one comes only after it.
func (g *guest) hears(p rawmqtt.Publish) {
	r, now := g.run, g.run.since()
	if !bytes.HasSuffix(p.Topic, []byte("/activity")) {
		return
	}
	if i := bytes.Index(p.Payload, seqKey); i >= 0 {
		seq := number(p.Payload[i+len(seqKey):])
		if g.last != 0 && seq > g.last+1 || seq <= g.last && !p.Dup {
			r.disorder.Add(1)
		}
		g.last = max(g.last, seq)
	}
	mine := text(p.Payload, `"userId":"`) == g.Username
	if !mine {
		g.remembers(p.Payload)
	}
	id := text(p.Payload, `"commandId":"`)
	if len(id) <= len(r.tag) || id[:len(r.tag)] != r.tag {
		return
	}
	n, err := strconv.Atoi(id[len(r.tag):])
	if err != nil || n >= len(r.receipts) || bytes.Contains(p.Payload, []byte(`"type":"streak_`)) {
		return // a milestone follows its check-in under the same id
	}
	switch was := r.receipts[n].Or(g.bit); {
	case was&g.bit != 0 && p.Dup:
		r.again.Add(1)
	case was&g.bit != 0:
		r.dups.Add(1)
	case !mine:
		r.received.Add(1)
		r.delivery.add(now - time.Duration(n)*r.interval)
	}
}

// remembers what a partner did, to celebrate it or to react to it.
func (g *guest) remembers(payload []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !bytes.Contains(payload, []byte(`"type":"reaction_`)) { // reactions are to what was done
		g.activity = text(payload, `"id":"`)
	}
	if c := text(payload, `"checkinId":"`); c != "" && bytes.Contains(payload, []byte(`"type":"checkin_`)) && !g.cheered[c] {
		g.checkin = c
	}
}

// text is what stands between key and the next quote.
func text(payload []byte, key string) string {
	_, rest, ok := bytes.Cut(payload, []byte(key))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

// expected is how many receipts of partners are to come, and how much is not yet acked.
func (r *eveningRun) expected() (receipts, waiting uint64) {
	for n := range r.fates {
		switch r.fates[n].Load() {
		case sent:
			waiting++
		case taken:
			receipts += uint64(len(r.pacts[n%len(r.pacts)]) - 1)
		}
	}
	return receipts, waiting
}

func (r *eveningRun) report(seconds float64, before, after usage) EveningReport {
	expected, _ := r.expected()
	out := EveningReport{
		Scenario: "evening", Transport: r.Target.Transport, Pacts: len(r.pacts), Connections: len(r.guests), TargetRate: r.Rate, Seconds: seconds,
		Checkins: r.done[checkinAct], Messages: r.done[messageAct], Celebrations: r.done[celebrateAct], Reactions: r.done[reactAct],
		Reconnects: r.done[reconnectAct], Skipped: r.skipped,
		Acked: r.acked.Load(), Refused: r.refused.Load(), Expected: expected, Received: r.received.Load(),
		Again: r.again.Load(), Duplicates: r.dups.Load(), OrderError: r.disorder.Load(), Dropped: r.dropped.Load(),
		Delivery: r.delivery.summary(), Ack: r.ack.summary(), Back: r.back.summary(), Late: r.late.summary(),
		Ceiling: r.late.quantile(.99) > ceilingAt, CPUSeconds: after.cpu - before.cpu, RSSMiB: float64(after.rss) / (1 << 20),
	}
	out.Lost = expected - min(out.Received, expected)
	for _, n := range r.done {
		out.Rate += float64(n) / max(seconds, 1e-9)
	}
	return out
}
