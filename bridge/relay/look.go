package relay

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// poll is the one goroutine that looks into the store for what no message told of: the pacts that were changed each time, the
// heads of streams with readers here, and the sessions held here, each time while messages may be missing, and else now and
// then.
func (r *Relay) poll(ctx context.Context) {
	tick := time.NewTicker(r.cfg.Poll)
	defer tick.Stop()
	for n := 0; ; { // looks whose time had come
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-r.arrived.signal:
			for users := r.arrived.some(usersAtOnce); len(users) > 0; users = r.arrived.some(usersAtOnce) {
				r.heads(ctx, r.streamsOf(users), false)
				for _, u := range users {
					if r.came.drop(u) { // whose presence changed before anybody knew that they are here is told now
						r.hub.PresenceMissedBy(u)
					}
				}
			}
			continue
		case <-r.look:
			asked = true
		case <-tick.C:
			n++
		}
		eager := asked || r.bus == nil || r.eager.Load() > 0
		if eager && !asked {
			r.eager.Add(-1)
		}
		if eager || n%patientLook == 0 {
			r.checkSessions(ctx)
			r.suspects = r.heads(ctx, r.streamsOf(r.hub.Users()), !eager)
		} else {
			r.suspects = r.heads(ctx, r.suspects, true)
		}
		if asked {
			continue
		}
		if n%patientLook == 0 {
			r.lookForOthers(ctx)
		}
		if n%forgetEvery == 0 {
			r.seq.forget()
		}
	}
}

// lookAtPacts has those read that were changed elsewhere.
func (r *Relay) lookAtPacts(ctx context.Context) {
	if r.shared == nil {
		return
	}
	call, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	changes, next, err := r.shared.ChangedPacts(call, r.mark)
	if ctx.Err() != nil {
		return
	}
	r.trouble.Change(r.log, "nodes: changes of pacts cannot be looked for", err)
	if err != nil {
		r.blind = true
		return
	}
	if r.blind { // whom to tell of presence could not be read either
		r.blind = false
		if r.bus == nil {
			r.hub.PresenceMissed()
		} else {
			r.missed.some(time.Now())
		}
	}
	known := make(map[pactwire.PactID]uint64, len(changes))
	for _, c := range changes {
		if r.changes[c.Pact] != c.At && !r.relearn(c.Pact, true) {
			next = r.mark // no room: they are asked for again
			continue
		}
		known[c.Pact] = c.At
	}
	r.mark, r.changes = next, known
}

func (r *Relay) checkSessions(ctx context.Context) {
	if r.shared == nil {
		return
	}
	call, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	if err := r.hub.CheckSessions(call); err != nil && ctx.Err() == nil {
		r.log.Debug("nodes: sessions not checked", "error", err)
	}
}

// streamsOf are the streams that users read.
func (r *Relay) streamsOf(users []pactwire.UserID) []pactwire.Stream {
	list := make([]pactwire.Stream, 0, 4*len(users))
	seen := make(map[pactwire.PactID]struct{}, 2*len(users))
	for _, u := range users {
		list = append(list, pactwire.InboxOf(u))
		for _, m := range r.view.Pacts(u) {
			if _, ok := seen[m.Pact]; !ok {
				seen[m.Pact] = struct{}{}
				list = append(list, pactwire.ActivityOf(m.Pact))
			}
		}
	}
	return list
}

// heads compares streams with the log, and returns those where something seems to be missing: with patience they are looked at
// again first, since a message may be on its way. Changes of pacts are looked for in between, so that whatever is found was
// written before what is known of its readers.
func (r *Relay) heads(ctx context.Context, streams []pactwire.Stream, patience bool) (suspects []pactwire.Stream) {
	bounds, err := r.bounds(ctx, streams)
	if ctx.Err() != nil {
		return nil
	}
	r.lookAtPacts(ctx)
	if len(streams) > 0 { // else nothing was asked
		r.trouble.Change(r.log, "nodes: the store cannot be asked what is new", err)
	}
	if err != nil {
		r.eager.Store(eagerLooks)
		return nil
	}
	for i, b := range bounds {
		suspected, lacking := r.seq.see(streams[i], b.Head, patience)
		if suspected {
			suspects = append(suspects, streams[i])
		}
		if lacking {
			r.metrics.found.Inc()
		}
	}
	return suspects
}

func (r *Relay) bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error) {
	all := make([]pactwire.Bounds, 0, len(streams))
	for len(streams) > 0 {
		n := min(len(streams), streamsRead)
		call, cancel := context.WithTimeout(ctx, readTime)
		list, err := r.store.Bounds(call, streams[:n])
		cancel()
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		streams = streams[n:]
	}
	return all, nil
}

// fillGaps is the one goroutine that reads what streams lack. Of a pact that somebody has left nothing is published to them: what lacks may
// be there because this node has written past news that it has not heard yet, and then the pact is read first.
func (r *Relay) fillGaps(ctx context.Context) {
	left := departures{}
	for {
		batch := r.fills.take(ctx, fillStreams)
		if batch == nil {
			return
		}
		reqs := make([]pactwire.ReadRequest, 0, len(batch))
		for _, s := range batch {
			if q, ok := r.seq.next(s, fillEntries); ok {
				reqs = append(reqs, q)
			}
		}
		if len(reqs) == 0 {
			continue
		}
		call, cancel := context.WithTimeout(ctx, readTime)
		entries, err := r.store.ReadMany(call, reqs)
		cancel()
		if ctx.Err() != nil {
			return
		}
		r.trouble.Change(r.log, "nodes: entries of other nodes cannot be read", err)
		full := false
		for i, q := range reqs {
			again := true
			switch {
			case err != nil:
			case !r.heardOf(left, q.Stream.Pact(), entries[i]):
				full = true
			default:
				var n int
				n, again = r.seq.filled(q, entries[i])
				r.metrics.filled.Add(float64(n))
			}
			if again {
				r.fills.add(q.Stream)
			}
		}
		if (err != nil || full) && !pace.Pause(ctx, retryAfter) {
			return
		}
	}
}

// heardOf has a pact read, and its stream held, when entries say that somebody has left of whom that is not known. It reports false when
// too many wait for that: then the entries are to wait as well.
func (r *Relay) heardOf(left departures, p pactwire.PactID, entries []pactwire.Entry) bool {
	if p == "" || !left.unheard(p, entries, func(u pactwire.UserID) bool { return r.reads(p, u) }) || r.relearn(p, true) {
		return true
	}
	delete(left, p)
	return false
}
