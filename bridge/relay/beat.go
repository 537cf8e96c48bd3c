package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// beats is the one goroutine that says that this node lives, and learns which others do: twice in the third of a lease after which
// leases prove nothing, however seldom this node looks into the store.
func (r *Relay) beats(ctx context.Context) {
	tick := time.NewTicker(min(r.cfg.Poll, r.cfg.Lease/6))
	defer tick.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			r.sayWhoIsHere()
		case <-tick.C:
			r.beat(ctx, false)
		case <-r.met:
			r.beat(ctx, false)
		}
	}
}

func (r *Relay) beat(ctx context.Context, first bool) {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	b, err := r.bus.Beat(call)
	if ctx.Err() != nil {
		return
	}
	r.trouble.Change(r.log, "nodes: Redis cannot be used; other nodes' events are looked for in the store", err)
	if err != nil {
		r.sick.Store(&err)
		r.eager.Store(eagerLooks)
		return
	}
	r.sick.Store(nil)
	r.leases.beat(time.Now(), r.cfg.Lease)
	if r.learnNodes(b.Nodes) {
		r.eager.Store(eagerLooks)
	}
	if fresh := r.fresh.Swap(false); fresh || !b.Known && !first {
		r.sayWhoIsHere()
		r.eager.Store(eagerLooks)
		r.missed.all(time.Now())
		if r.cfg.Reset != nil {
			r.cfg.Reset()
		}
	}
	r.warn()
	if r.missed.due(time.Now()) {
		r.sayWhoIsHere() // who took this node for dead may have removed it from routes since it said so
		r.hub.PresenceMissed()
	}
}

// learnNodes notes who lives, and reports whether any node's messages may be missing: it does not beat, and may live all the
// same.
func (r *Relay) learnNodes(nodes []pactwire.NodeBeat) (silence bool) {
	known := make(map[string]pactwire.NodeBeat, len(nodes))
	var lapsed []pactwire.NodeBeat
	others := 0
	for _, n := range nodes {
		known[n.Addr] = n
		switch {
		case n.Addr == r.cfg.Addr:
		case n.Lapsed:
			lapsed = append(lapsed, n)
			if before, ok := (*r.nodes.Load())[n.Addr]; ok && !before.Lapsed {
				r.missed.some(time.Now()) // its last words may have been said and not told
			}
			silence = true // it may be cut off from Redis alone, until it is removed
		default:
			others++
			silence = silence || n.Age > silent*r.cfg.Poll
		}
	}
	if !maps.EqualFunc(known, *r.nodes.Load(), func(a, b pactwire.NodeBeat) bool { return a.Lapsed == b.Lapsed }) {
		silence = true // who has just come, or gone, may have left something untold
	}
	r.nodes.Store(&known)
	r.alone.Store(others == 0)
	if r.cfg.Company != nil {
		r.cfg.Company(others + 1)
	}
	r.strangers.beat(known)
	if len(lapsed) > 0 && r.cfg.Lapsed != nil && r.leases.tell(time.Now()) {
		select {
		case r.lapsed <- lapsed:
		default: // it is being seen to; they are listed again at the next beat
		}
	}
	return silence
}

// bury is the one goroutine that sees to what nodes have left whose leases are over.
func (r *Relay) bury(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case nodes := <-r.lapsed:
			if nodes = r.gone(ctx, nodes); len(nodes) > 0 {
				r.cfg.Lapsed(ctx, nodes)
			}
		}
	}
}

// gone leaves out the nodes that are cut off from Redis alone, or may be: they are at the store, and have their people.
func (r *Relay) gone(ctx context.Context, lapsed []pactwire.NodeBeat) []pactwire.NodeBeat {
	if r.shared == nil {
		return lapsed
	}
	up := make(map[string]bool)
	for addr, n := range *r.nodes.Load() {
		up[pactwire.NodeOf(addr)] = up[pactwire.NodeOf(addr)] || !n.Lapsed
	}
	return slices.DeleteFunc(lapsed, func(n pactwire.NodeBeat) bool {
		id := pactwire.NodeOf(n.Addr)
		if up[id] {
			return false // it was started again; this start of it is over
		}
		call, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		awake, err := r.shared.NodeAwake(call, id)
		return err != nil || awake // what cannot be said now, of which nobody could be told either, waits
	})
}

// dead reports whether nobody reads a node's inbox any more.
func (r *Relay) dead(addr string) bool {
	if n, ok := (*r.nodes.Load())[addr]; ok {
		return n.Lapsed
	}
	return r.strangers.gone(addr)
}

// strangers are addresses that were met and that no beat has listed so far. One that has just come up is listed at the next;
// of one that is not, nothing is to be expected.
type strangers struct {
	mu    sync.Mutex
	beats uint64
	met   map[string]uint64 // at which beat
}

// strangersHeld bounds them; then all are forgotten, and met anew.
const strangersHeld = 1000

func (s *strangers) beat(known map[string]pactwire.NodeBeat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats++
	for addr := range s.met {
		if _, ok := known[addr]; ok {
			delete(s.met, addr)
		}
	}
}

func (s *strangers) gone(addr string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.met[addr]
	if !ok {
		if s.met == nil || len(s.met) >= strangersHeld {
			s.met = make(map[string]uint64)
		}
		s.met[addr] = s.beats
		return false
	}
	return s.beats > at+1
}

// sayWhoIsHere has all who are connected here registered again.
func (r *Relay) sayWhoIsHere() {
	r.moved.add("")
	for _, u := range r.hub.Users() {
		r.moved.add(u)
	}
}

// register is the one goroutine that says whom to find here. Who came is looked after once that is known: what was committed
// elsewhere before that, nobody has told.
func (r *Relay) register(ctx context.Context) {
	for {
		batch := r.moved.take(ctx, usersAtOnce)
		if batch == nil {
			return
		}
		if r.bus == nil {
			continue
		}
		var here, gone []pactwire.UserID
		for _, u := range batch {
			if u == "" && r.hub.Operators() || u != "" && r.hub.Connections(u) > 0 {
				here = append(here, u)
			} else {
				gone = append(gone, u)
				r.came.drop(u)
			}
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		err := errors.Join(r.bus.Here(call, here), r.bus.Gone(call, gone))
		cancel()
		if err != nil {
			for _, u := range batch {
				r.moved.add(u)
			}
			if !pace.Pause(ctx, retryAfter) {
				return
			}
			continue
		}
		for _, u := range here {
			r.arrived.add(u)
		}
	}
}
