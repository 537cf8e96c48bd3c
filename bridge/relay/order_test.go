package relay

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// world is one stream: a log, the hints of it that are on their way, and what a sequencer makes of them.
type world struct {
	t      *rapid.T
	q      *sequencer
	stream pactwire.Stream
	head   pactwire.Seq
	pruned pactwire.Seq // what is not in the log any more
	hints  []pactwire.Seq
	fills  int

	held  int
	begun bool
	last  pactwire.Seq // told, by an entry or by "behind"
	got   int
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, stream: pactwire.ActivityOf("p"), head: pactwire.Seq(rapid.IntRange(0, 3).Draw(t, "head"))}
	w.q = newSequencer(w.published, w.behind, func(pactwire.Stream) { w.fills++ })
	return w
}

func (w *world) published(e pactwire.Entry) {
	switch {
	case w.held > 0:
		w.t.Fatalf("%d was published while the pact was to be read", e.Seq)
	case w.begun && e.Seq != w.last+1:
		w.t.Fatalf("%d was published after %d", e.Seq, w.last)
	}
	w.begun, w.last = true, e.Seq
	w.got++
}

func (w *world) behind(_ pactwire.Stream, head pactwire.Seq) {
	if w.held > 0 {
		w.t.Fatalf("readers were sent to look for %d while the pact was to be read", head)
	}
	if w.begun && (head < w.last || head > w.last && w.last+1 > w.pruned) {
		w.t.Fatalf("%d was passed over after %d, and the log has it", head, w.last)
	}
	w.begun, w.last = true, head
}

func (w *world) entry(n pactwire.Seq) pactwire.Entry {
	return pactwire.Entry{Stream: w.stream, Seq: n, Payload: []byte(fmt.Sprint(n))}
}

// read serves a read of the log that a fill asks for.
func (w *world) fill() {
	if w.fills == 0 {
		return
	}
	w.fills--
	r, ok := w.q.next(w.stream, 3)
	if !ok {
		return
	}
	var entries []pactwire.Entry
	for n := max(r.After, w.pruned) + 1; n <= w.head && len(entries) < r.Limit; n++ {
		entries = append(entries, w.entry(n))
	}
	if rapid.Bool().Draw(w.t, "a hint comes while reading") {
		w.deliver()
	}
	if _, again := w.q.filled(r, entries); again {
		w.fills++
	}
}

// deliver lets one of the hints that are on their way arrive, and perhaps arrive again.
func (w *world) deliver() {
	if len(w.hints) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.hints)-1).Draw(w.t, "hint")
	w.q.offer(w.entry(w.hints[i]))
	if !rapid.Bool().Draw(w.t, "again") {
		w.hints = append(w.hints[:i], w.hints[i+1:]...)
	}
}

// TestPromise2EntriesComeOnceInOrderWhateverHintsDo loses, repeats and mixes up the hints of a stream's entries.
func TestPromise2EntriesComeOnceInOrderWhateverHintsDo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		watched := false // by a reader here, from when on everything is to come
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				w.head++
				if rapid.IntRange(0, 3).Draw(rt, "fate") > 0 {
					w.hints = append(w.hints, w.head)
				}
			},
			"commit here": func(*rapid.T) {
				w.head++
				w.q.offer(w.entry(w.head))
			},
			"deliver": func(*rapid.T) { w.deliver() },
			"look":    func(*rapid.T) { w.q.see(w.stream, w.head, false); watched = true },
			"look with patience": func(*rapid.T) {
				w.q.see(w.stream, w.head, true)
				watched = true
			},
			"fill": func(*rapid.T) { w.fill() },
			"hold": func(*rapid.T) { w.held++; w.q.hold(w.stream) },
			"release": func(*rapid.T) {
				if w.held > 0 {
					w.held--
					w.q.release(w.stream)
				}
			},
			"prune": func(rt *rapid.T) {
				w.pruned = pactwire.Seq(rapid.IntRange(int(w.pruned), int(w.head)).Draw(rt, "pruned"))
			},
			"forget": func(*rapid.T) { // only of those that nobody watched
				if !watched {
					before := w.held > 0 || w.fills > 0
					w.q.forget()
					w.q.forget()
					if w.begun = w.begun && before; !w.begun {
						w.last = 0
					}
				}
			},
		})
		for w.held > 0 {
			w.held--
			w.q.release(w.stream)
		}
		for w.fills > 0 {
			w.fill()
		}
		w.q.see(w.stream, w.head, false)
		for w.fills > 0 {
			w.fill()
		}
		if w.last != w.head {
			rt.Fatalf("at %d in the end, and the log is at %d", w.last, w.head)
		}
	})
}

// TestSequencerIsSafeForConcurrentUse lets many publishers race for one stream.
func TestSequencerIsSafeForConcurrentUse(t *testing.T) {
	const entries = 2000
	s := pactwire.ActivityOf("p")
	last := pactwire.Seq(0) // guarded by the sequencer: publish is called in order
	fills := make(chan struct{}, 1)
	q := newSequencer(func(e pactwire.Entry) {
		if e.Seq != last+1 {
			t.Errorf("%d after %d", e.Seq, last)
		}
		last = e.Seq
	}, func(pactwire.Stream, pactwire.Seq) {}, func(pactwire.Stream) { fills <- struct{}{} })
	q.see(s, 0, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range fills {
			for {
				r, ok := q.next(s, 16)
				if !ok {
					break
				}
				var list []pactwire.Entry
				for n := r.After + 1; n <= r.After+pactwire.Seq(r.Limit); n++ {
					list = append(list, pactwire.Entry{Stream: s, Seq: n})
				}
				if _, again := q.filled(r, list); !again {
					break
				}
			}
		}
	}()
	racers := make(chan struct{})
	for range 4 {
		go func() {
			for _, n := range rand.Perm(entries) {
				q.offer(pactwire.Entry{Stream: s, Seq: pactwire.Seq(n + 1)})
			}
			racers <- struct{}{}
		}()
	}
	for range 4 {
		<-racers
	}
	close(fills)
	<-done
	if last != entries {
		t.Errorf("at %d in the end", last)
	}
}
