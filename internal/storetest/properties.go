package storetest

import (
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"pgregory.net/rapid"
)

var propertyTests = []test{
	{"Promise 3: seq is gap-free whatever fails", testPromise3SeqIsGapFree},
	{"what is said in one batch is as if it came one by one", testWordsInOneBatch},
}

// testPromise3SeqIsGapFree drives a store with random batches, failures, pruning and kills beside a model of it.
func testPromise3SeqIsGapFree(t *testing.T, open func(*testing.T) Store) {
	m := &model{t: t, s: open(t), clock: noon}
	defer fewer(t)()
	rapid.Check(t, func(r *rapid.T) {
		m.begin(r)
		r.Repeat(map[string]func(*rapid.T){
			"batch":  m.batch,
			"prune":  m.prune,
			"reopen": m.reopen,
			"":       m.check,
		})
	})
}

// fewer has rapid check a third as often as it does unless told otherwise: a run is dozens of transactions that reach the disk.
func fewer(t *testing.T) (restore func()) {
	checks := flag.Lookup("rapid.checks")
	was := checks.Value.String()
	if was != checks.DefValue {
		return func() {}
	}
	set := func(n string) {
		if err := checks.Value.Set(n); err != nil {
			t.Fatal(err)
		}
	}
	set("33")
	return func() { set(was) }
}

// model is what the store ought to hold of the streams of a run. All runs have one store, since opening one takes longest.
type model struct {
	t       *testing.T
	s       Store
	run     int
	streams []pactwire.Stream
	entries map[pactwire.Stream][]string
	floors  map[pactwire.Stream]int
	times   []written
	clock   time.Time
	n       int
}

type written struct {
	stream pactwire.Stream
	at     time.Time
}

// begin takes new streams, and prunes what the others have left.
func (m *model) begin(r *rapid.T) {
	m.run++
	a, b := fmt.Sprint("a", m.run), fmt.Sprint("b", m.run)
	m.streams = []pactwire.Stream{
		pactwire.ActivityOf(pactwire.PactID(a)), pactwire.ActivityOf(pactwire.PactID(b)),
		pactwire.InboxOf(pactwire.UserID(a)), pactwire.InboxOf(pactwire.UserID(b)),
	}
	m.entries, m.floors, m.times = map[pactwire.Stream][]string{}, map[pactwire.Stream]int{}, nil
	m.clock = m.clock.Add(time.Minute)
	if _, err := m.s.Prune(ctx, m.clock, m.clock); err != nil {
		r.Fatal(err)
	}
}

// step is one function of a batch.
type step struct {
	streams []pactwire.Stream
	fail    bool
	panics  bool
}

func (m *model) batch(r *rapid.T) {
	steps := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) step {
		outcome := rapid.IntRange(0, 9).Draw(r, "outcome")
		return step{
			streams: rapid.SliceOfN(rapid.SampledFrom(m.streams), 0, 4).Draw(r, "streams"),
			fail:    outcome == 1 || outcome == 2, panics: outcome == 3,
		}
	}), 1, 12).Draw(r, "steps")
	release := hold(m.t, m.s)
	defer release()
	results := make(chan error, len(steps))
	m.clock = m.clock.Add(time.Second)
	now, first := m.clock, m.n
	for i, st := range steps {
		err := m.s.Submit(ctx, func(tx Tx) error {
			for j, stream := range st.streams {
				if err := appendNext(tx, stream, now, fmt.Sprintf("%d.%d", first+i, j)); err != nil {
					return err
				}
			}
			if st.panics {
				panic("as the model wants")
			}
			if st.fail {
				return errors.New("as the model wants")
			}
			return nil
		}, func(err error) { results <- err })
		if err != nil {
			r.Fatal(err)
		}
	}
	m.n += len(steps)
	release()
	for i, st := range steps {
		err := <-results
		if failed := st.fail || st.panics; failed != (err != nil) {
			r.Fatalf("step %d was told %v", i, err)
		}
		if err != nil {
			continue
		}
		for j, stream := range st.streams {
			m.entries[stream] = append(m.entries[stream], fmt.Sprintf("%d.%d", first+i, j))
			m.times = append(m.times, written{stream, now})
		}
	}
}

func (m *model) prune(r *rapid.T) {
	before := m.clock.Add(-time.Duration(rapid.IntRange(0, 5).Draw(r, "seconds")) * time.Second)
	want := 0
	for len(m.times) > 0 && m.times[0].at.Before(before) {
		m.floors[m.times[0].stream]++
		m.times = m.times[1:]
		want++
	}
	if n, err := m.s.Prune(ctx, before, before); n != want || err != nil {
		r.Fatalf("pruned %d instead of %d, %v", n, want, err)
	}
}

// reopen is rarer than the rest, since it takes longest.
func (m *model) reopen(r *rapid.T) {
	if rapid.IntRange(0, 5).Draw(r, "reopen") == 0 {
		m.s = m.s.Reopen(m.t)
	}
}

func (m *model) check(r *rapid.T) {
	var reqs []pactwire.ReadRequest
	for _, s := range m.streams {
		reqs = append(reqs, pactwire.ReadRequest{Stream: s, Limit: 1 << 20})
	}
	got, err := m.s.ReadMany(ctx, reqs)
	if err != nil {
		r.Fatal(err)
	}
	bounds, err := m.s.Bounds(ctx, m.streams)
	if err != nil {
		r.Fatal(err)
	}
	for i, s := range m.streams {
		floor, all := m.floors[s], m.entries[s]
		if want := (pactwire.Bounds{Floor: pactwire.Seq(floor), Head: pactwire.Seq(len(all))}); bounds[i] != want {
			r.Fatalf("bounds of %v: %v, want %v", s, bounds[i], want)
		}
		if len(got[i]) != len(all)-floor {
			r.Fatalf("%d entries of %v, want %d", len(got[i]), s, len(all)-floor)
		}
		for j, e := range got[i] {
			if e.Seq != pactwire.Seq(floor+j+1) || string(e.Payload) != all[floor+j] {
				r.Fatalf("entry %d of %v is %d %q", floor+j+1, s, e.Seq, e.Payload)
			}
		}
	}
}
