package relay

import (
	"hash/maphash"
	"sync"

	"github.com/pactwire/pactwire"
)

// sequencer publishes each stream's entries once and in order, whoever brings them. It knows the streams that had entries
// or readers lately; of a stream that it does not know, the first entry that comes is the beginning.
type sequencer struct {
	publish func(pactwire.Entry)
	behind  func(pactwire.Stream, pactwire.Seq)
	fill    func(pactwire.Stream) // asks for Next and Filled to be called
	seed    maphash.Seed
	shards  [64]shard
}

type shard struct {
	mu     sync.Mutex
	tracks map[pactwire.Stream]*track
}

// track is how far a stream was published here.
type track struct {
	last    pactwire.Seq // published
	want    pactwire.Seq // known to exist, more than last while the log is to be read
	suspect pactwire.Seq // seen in the log, and perhaps on its way here
	held    int          // nothing is published while its pact is to be read
	unknown bool         // held alone makes it tracked: the first entry that comes is the beginning
	untold  bool         // readers are to be told, once that is done, that last is the head
	filling bool
	old     bool // not watched at the last look
}

func newSequencer(publish func(pactwire.Entry), behind func(pactwire.Stream, pactwire.Seq), fill func(pactwire.Stream)) *sequencer {
	q := &sequencer{publish: publish, behind: behind, fill: fill, seed: maphash.MakeSeed()}
	for i := range q.shards {
		q.shards[i].tracks = make(map[pactwire.Stream]*track)
	}
	return q
}

func (q *sequencer) shard(s pactwire.Stream) *shard {
	return &q.shards[maphash.String(q.seed, s.ID)%uint64(len(q.shards))]
}

// offer takes an entry that was committed. It does not block.
func (q *sequencer) offer(e pactwire.Entry) (published bool) {
	sh := q.shard(e.Stream)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.tracks[e.Stream]
	if t == nil {
		t = &track{last: e.Seq - 1}
		sh.tracks[e.Stream] = t
	}
	if t.unknown {
		t.last, t.unknown = e.Seq-1, false
	}
	switch {
	case e.Seq <= t.last:
		return false
	case e.Seq == t.last+1 && t.held == 0 && !t.filling:
		q.publish(e)
		t.last = e.Seq
		return true
	}
	q.lack(e.Stream, t, e.Seq)
	return false
}

// lack notes that entries up to a place exist that are not published. Under the shard's lock.
func (q *sequencer) lack(s pactwire.Stream, t *track, upTo pactwire.Seq) {
	t.want = max(t.want, upTo)
	if t.want > t.last && t.held == 0 && !t.filling {
		t.filling = true
		q.fill(s)
	}
}

// hold stops a stream until as many calls of release.
func (q *sequencer) hold(s pactwire.Stream) {
	sh := q.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.tracks[s]
	if t == nil {
		t = &track{unknown: true}
		sh.tracks[s] = t
	}
	t.held++
}

func (q *sequencer) release(s pactwire.Stream) {
	sh := q.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.tracks[s]
	if t == nil || t.held == 0 {
		return
	}
	if t.held--; t.held > 0 {
		return
	}
	if t.untold {
		t.untold = false
		q.behind(s, t.last)
	}
	if t.unknown {
		delete(sh.tracks, s)
		return
	}
	q.lack(s, t, t.want)
}

// see compares a stream with its head in the log. A stream that was not known begins there. With patience, what is lacking is
// suspected first, since a hint of it may be on its way: true says so, and that see wants to be called again soon.
func (q *sequencer) see(s pactwire.Stream, head pactwire.Seq, patience bool) (suspected, lacking bool) {
	sh := q.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.tracks[s]
	switch {
	case t == nil:
		sh.tracks[s] = &track{last: head}
		q.behind(s, head)
		return false, false
	case t.unknown: // and held
		t.last, t.unknown, t.untold = head, false, true
		return false, false
	}
	t.old = false
	if head <= t.last || head <= t.want {
		t.suspect = 0
		return false, false
	}
	if patience && (t.suspect == 0 || t.suspect <= t.last) {
		t.suspect = head
		return true, false
	}
	upTo := head
	if patience {
		upTo = t.suspect
	}
	t.suspect = 0
	q.lack(s, t, upTo)
	return false, true
}

// next tells what is to be read of a stream that asked to be filled; none when nothing is.
func (q *sequencer) next(s pactwire.Stream, limit int) (r pactwire.ReadRequest, ok bool) {
	sh := q.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.tracks[s]
	if t == nil {
		return r, false
	}
	if t.held > 0 || t.want <= t.last {
		t.filling = false // release asks again
		return r, false
	}
	return pactwire.ReadRequest{Stream: s, After: t.last, Limit: int(min(t.want-t.last, pactwire.Seq(limit)))}, true //nolint:gosec // limit is small
}

// filled publishes what was read after next, as far as it follows on, and reports whether there is more to read.
func (q *sequencer) filled(r pactwire.ReadRequest, entries []pactwire.Entry) (n int, again bool) {
	sh := q.shard(r.Stream)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.tracks[r.Stream]
	if t == nil {
		return 0, false
	}
	if t.held > 0 {
		t.filling = false
		return 0, false
	}
	for _, e := range entries {
		if e.Seq == t.last+1 {
			q.publish(e)
			t.last = e.Seq
			n++
		}
	}
	if n == 0 && t.last == r.After && t.want > t.last { // removed from the log since: who lacks it is told by their own cursor
		t.last = t.want
		q.behind(r.Stream, t.want)
	}
	if t.want <= t.last {
		t.filling = false
		return n, false
	}
	return n, true
}

// forget drops the streams that were not seen since the last call.
func (q *sequencer) forget() {
	for i := range q.shards {
		sh := &q.shards[i]
		sh.mu.Lock()
		for s, t := range sh.tracks {
			if t.old && t.held == 0 && !t.filling {
				delete(sh.tracks, s)
			}
			t.old = true
		}
		sh.mu.Unlock()
	}
}
