package bench

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// Storm lets people come and go all at once, and tells how long it takes until their partners know. One member of each pact
// watches, the others come: they connect, subscribe, and say offline, which is told without the grace time.
type Storm struct {
	Target   Target
	Members  []Member
	Rounds   int           // 3 by default
	Drain    time.Duration // how long to wait for what was not yet told; 10 s by default
	PIDs     []int
	Progress func(phase string, done, of int)
}

// StormReport is what came out.
type StormReport struct {
	Scenario  string  `json:"scenario"`
	Transport string  `json:"transport"`
	Watchers  int     `json:"watchers"`
	People    int     `json:"people"` // that come and go
	Rounds    int     `json:"rounds"`
	Expected  uint64  `json:"expected"` // changes that a watcher is to be told
	Told      uint64  `json:"told"`
	Untold    uint64  `json:"untold"`
	Dropped   uint64  `json:"droppedConnections"`
	Come      Latency `json:"come"` // dialling → the partner knows that they are online
	Go        Latency `json:"go"`   // saying offline → the partner knows
	Seconds   float64 `json:"seconds"`
	RSSMiB    float64 `json:"rssMiB,omitempty"`
}

// stormRun is the state of one Storm.Run.
type stormRun struct {
	*Storm
	base     time.Time
	people   []*person
	byName   map[string]*person
	told     atomic.Uint64
	dropped  atomic.Uint64
	stopping atomic.Bool
	come     histogram
	leave    histogram
}

// person is one who comes and goes. since is when they began to do it, from the run's base; 0 = their watcher knows.
type person struct {
	Member
	gone   atomic.Bool // as the watcher was told last; false too while it was told nothing
	online atomic.Bool // what they are becoming
	since  atomic.Int64
}

// graceLimit is how long to wait for people to be gone who were here for something else.
const graceLimit = 30 * time.Second

// Run opens the watchers, and lets the others come and go as often as asked.
func (b *Storm) Run(ctx context.Context) (StormReport, error) {
	r := &stormRun{Storm: b, base: time.Now().Add(-time.Second), byName: map[string]*person{}}
	rounds := b.Rounds
	if rounds <= 0 {
		rounds = 3
	}
	var watchers []Member
	for _, p := range pacts(b.Members) {
		watchers = append(watchers, p[0])
		for _, m := range p[1:] {
			c := &person{Member: m}
			r.people = append(r.people, c)
			r.byName[m.Username] = c
		}
	}
	out := StormReport{Scenario: "storm", Transport: b.Target.Transport, Watchers: len(watchers), People: len(r.people), Rounds: rounds}
	watching, err := b.Target.openAll(ctx, len(watchers), func(ctx context.Context, i int) (*client, error) {
		m := watchers[i]
		return r.open(ctx, m, rawmqtt.Handler{Publish: r.hears}, "pacts/"+string(m.Pact)+"/presence/+")
	}, phase(b.Progress, "watchers"))
	if err != nil {
		return out, err
	}
	defer endAll(watching)
	defer r.stopping.Store(true)
	// Whoever comes back within the grace time is not told of, so all must be seen to be gone.
	waitUntil(ctx, graceLimit, func() bool {
		return !slices.ContainsFunc(r.people, func(c *person) bool { return !c.gone.Load() })
	})
	start := time.Now()
	for range rounds {
		if err := r.round(ctx); err != nil {
			return out, err
		}
	}
	out.Seconds = time.Since(start).Seconds()
	after, err := readUsage(b.PIDs)
	if err != nil {
		return out, err
	}
	out.Expected, out.Told = uint64(2*rounds*len(r.people)), r.told.Load()
	out.Untold, out.Dropped = out.Expected-out.Told, r.dropped.Load()
	out.Come, out.Go, out.RSSMiB = r.come.summary(), r.leave.summary(), float64(after.rss)/(1<<20)
	return out, nil
}

// open opens a connection that is to last as long as the run, or until it is closed on purpose.
func (r *stormRun) open(ctx context.Context, m Member, h rawmqtt.Handler, filter string) (*client, error) {
	return r.Target.open(ctx, rawmqtt.Options{
		ClientID: m.ClientID + "-storm", Username: m.Username, Password: m.Password, Clean: true, ReadBuffer: 512,
	}, h, filter)
}

// hears takes what a watcher is told of somebody in its pact.
func (r *stormRun) hears(p rawmqtt.Publish) {
	c := r.byName[string(p.Topic[bytes.LastIndexByte(p.Topic, '/')+1:])]
	if c == nil {
		return // of the watcher itself
	}
	online := bytes.Contains(p.Payload, []byte(`"isOnline":true`))
	c.gone.Store(!online)
	if online != c.online.Load() {
		return // of before
	}
	since := c.since.Swap(0)
	if since == 0 {
		return // told already
	}
	h := &r.leave
	if c.online.Load() {
		h = &r.come
	}
	h.add(time.Since(r.base) - time.Duration(since))
	r.told.Add(1)
}

// becomes notes that a person begins to come or to go.
func (r *stormRun) becomes(c *person, online bool) {
	c.online.Store(online)
	c.since.Store(int64(time.Since(r.base)))
}

// round lets all come, and when that was told, go.
func (r *stormRun) round(ctx context.Context) error {
	before := r.told.Load()
	clients, err := r.Target.openAll(ctx, len(r.people), func(ctx context.Context, i int) (*client, error) {
		c := r.people[i]
		r.becomes(c, true)
		return r.open(ctx, c.Member, rawmqtt.Handler{}, "pacts/"+string(c.Pact)+"/presence/+")
	}, phase(r.Progress, "come"))
	if err != nil {
		return err
	}
	defer endAll(clients)
	r.drain(ctx, before+uint64(len(r.people)))
	for i, c := range r.people {
		r.becomes(c, false)
		if err := clients[i].Publish(1, 1, "users/"+c.Username+"/presence", []byte("offline")); err != nil {
			r.dropped.Add(1) // and what was to be told of it never is
		}
		phase(r.Progress, "go")(i+1, len(r.people))
	}
	r.drain(ctx, before+2*uint64(len(r.people)))
	return ctx.Err()
}

// drain waits until as much is told, or for as long as it is worth.
func (r *stormRun) drain(ctx context.Context, told uint64) {
	waitUntil(ctx, r.Drain, func() bool { return r.told.Load() >= told })
}

// waitUntil waits until something is so, at most for a limit, 10 s by default.
func waitUntil(ctx context.Context, limit time.Duration, so func() bool) {
	if limit <= 0 {
		limit = 10 * time.Second
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
