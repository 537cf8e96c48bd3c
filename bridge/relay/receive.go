package relay

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// receive is the one goroutine that takes what other nodes say.
func (r *Relay) receive(ctx context.Context) {
	from := make(map[string]counts)
	for first := true; ctx.Err() == nil; {
		messages, fresh, err := r.bus.Receive(ctx)
		if err != nil {
			if !pace.Pause(ctx, retryAfter) {
				return
			}
			continue
		}
		if fresh && !first { // all that was said may be lost
			r.fresh.Store(true)
			r.lookSoon()
		}
		first = false
		if len(from) > strangersHeld {
			clear(from)
		}
		for _, m := range messages {
			r.take(ctx, m, from)
		}
	}
}

// counts are those of the last message of a node.
type counts struct{ n, lost uint64 }

// take takes one message. When it shows that another is missing, everything is looked at.
func (r *Relay) take(ctx context.Context, m []byte, from map[string]counts) {
	var sender string
	err := readMessage(m, func(h header) bool {
		sender = h.from
		last, known := from[h.from]
		if known && h.n != last.n+1 || h.lost != last.lost && (known || h.lost > 0) {
			r.lookSoon()
			r.missed.some(time.Now())
		}
		if _, ok := (*r.nodes.Load())[h.from]; !ok && h.n == 1 {
			r.meet()
		}
		from[h.from] = counts{h.n, h.lost}
		r.metrics.lag.Observe(max(0, time.Since(h.at).Seconds()))
		return true
	}, func(it *item) {
		r.metrics.received.WithLabelValues(kindNames[it.kind]).Inc()
		r.hear(ctx, sender, it)
	})
	if err != nil {
		r.log.Warn("nodes: a message cannot be read; do all nodes run the same version?", "error", err)
		r.lookSoon()
		r.missed.some(time.Now())
	}
}

func (r *Relay) hear(ctx context.Context, from string, it *item) {
	switch it.kind {
	case kindEntry:
		r.seq.offer(it.entry)
	case kindDirect:
		r.hub.Direct(it.user, it.pact, it.text, it.payload, it.more)
	case kindState:
		r.hub.StateChanged(it.pact)
	case kindPact:
		r.relearn(it.pact, true)
	case kindName:
		r.view.Rename(it.user, it.text, it.pacts)
	case kindPresence:
		r.show(it)
	case kindRevoked:
		if r.cfg.Revoked != nil {
			r.cfg.Revoked()
		}
	case kindYield:
		r.letGo(ctx, from, it)
	case kindYielded:
		r.asks.answer(it.number, it.ok)
	}
}

// letGo ends this node's connection of a session, and says so.
func (r *Relay) letGo(ctx context.Context, from string, it *item) {
	select {
	case r.slots <- struct{}{}:
	default:
		return // too many at once; who asks takes the session all the same
	}
	r.tasks.Go(func() {
		defer func() { <-r.slots }()
		call, cancel := context.WithTimeout(ctx, yieldTime)
		defer cancel()
		err := r.hub.Yield(call, pactwire.SessionKey{User: it.user, ClientID: it.text})
		r.trouble.Change(r.log, "nodes: a session that another node wants was not saved in time", err)
		r.enqueue(item{kind: kindYielded, to: from, number: it.number, ok: err == nil})
	})
}
