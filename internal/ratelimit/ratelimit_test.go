package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

func allow(l *Limiter[string], k string) bool {
	_, ok := l.Take(k, 0)
	return ok
}

func TestEachKeyHasABurstAndARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](10, 3, 0)
		for i := range 3 {
			if !allow(l, "a") {
				t.Fatalf("number %d refused", i)
			}
		}
		if allow(l, "a") {
			t.Error("a fourth at once")
		}
		if !allow(l, "b") {
			t.Error("another pays for the first")
		}
		<-time.After(100 * time.Millisecond)
		if !allow(l, "a") || allow(l, "a") {
			t.Error("a tenth of a second earns one")
		}
		<-time.After(time.Hour)
		for i := range 3 {
			if !allow(l, "a") {
				t.Fatalf("number %d refused after an hour", i)
			}
		}
		if allow(l, "a") {
			t.Error("an hour earns more than the burst")
		}
	})
}

func TestWhoIsPatientGetsATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](10, 1, 0)
		for i := range 5 {
			if wait, ok := l.Take("a", Forever); !ok || wait != time.Duration(i)*100*time.Millisecond {
				t.Errorf("number %d waits %v, %v", i, wait, ok)
			}
		}
		if _, ok := l.Take("a", 499*time.Millisecond); ok {
			t.Error("a turn that comes too late was given")
		}
		if wait, ok := l.Take("a", 500*time.Millisecond); !ok || wait != 500*time.Millisecond {
			t.Errorf("who was refused took one: %v, %v", wait, ok)
		}
	})
}

func TestARateOfNothingIsNoLimit(t *testing.T) {
	l := New[string](0, 0, 0)
	for range 1000 {
		if !allow(l, "") {
			t.Fatal("refused")
		}
	}
	l.Share(t.Context(), nil, nil) // returns
}

// TestTheTableIsBounded: it forgets who has earned all back, and holds no more than so many when nobody has.
func TestTheTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 16
		l := New[int](1, 1, most)
		take := func(k int) bool { _, ok := l.Take(k, 0); return ok }
		for i := range 5000 {
			take(i)
		}
		<-time.After(time.Hour)
		if !take(5000) {
			t.Error("refused")
		}
		<-time.After(time.Hour)
		for i := range 9000 {
			take(i)
		}
		if n := len(l.of); n > 9001 {
			t.Errorf("%d kept", n)
		}
		for i := range 2 * most {
			take(i)
		}
		if n := len(l.of); n > most {
			t.Errorf("%d kept", n)
		}
		if take(3 * most) {
			t.Error("a newcomer, when the table was full")
		}
		if l := New[int](1, 1, 0); true {
			for i := range 2 * most {
				if _, ok := l.Take(i, 0); !ok {
					t.Fatal("a newcomer was refused, where there is no bound")
				}
			}
		}
	})
}

// board adds up what nodes tell, as Redis does.
type board struct {
	mu   sync.Mutex
	till map[string]time.Time
	lag  time.Duration // each way
	away bool
	told int
}

func (b *board) tell(_ context.Context, spent []pactwire.Spent) ([]time.Duration, error) {
	<-time.After(b.lag)
	defer func() { <-time.After(b.lag) }()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told++
	if b.away {
		return nil, errors.New("away")
	}
	ahead := make([]time.Duration, len(spent))
	now := time.Now()
	for i, s := range spent {
		till := b.till[s.Key]
		if first := now.Add(-s.Age); till.Before(first) {
			till = first
		}
		b.till[s.Key] = till.Add(s.Cost)
		ahead[i] = max(b.till[s.Key].Sub(now), 0)
	}
	return ahead, nil
}

func (b *board) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// nodes are limiters that share a board until the test ends.
func nodes(t testing.TB, n int, perSecond float64, burst int, b *board) (list []*Limiter[string], end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	for range n {
		l := New[string](perSecond, burst, 0)
		done.Go(func() { l.Share(ctx, func(k string) string { return k }, b.tell) })
		list = append(list, l)
	}
	synctest.Wait()
	return list, func() { cancel(); done.Wait() }
}

// TestAllNodesTogetherKeepTheRate: however a person spreads commands over nodes and time, and however patient they are, in no stretch of
// time do they get much more than the burst and what the rate earns in it; the more is what nodes may not have told of yet.
func TestAllNodesTogetherKeepTheRate(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(r, "nodes")
		perSecond := rapid.SampledFrom([]float64{0.5, 1, 10, 50}).Draw(r, "per second")
		burst := rapid.SampledFrom([]int{1, 4, 30, 100}).Draw(r, "burst")
		lag := time.Duration(rapid.IntRange(0, 20).Draw(r, "lag in ms")) * time.Millisecond
		seconds := rapid.IntRange(1, 40).Draw(r, "seconds")
		each := rapid.SampledFrom([]float64{0.3, 1, 3}).Draw(r, "times the rate at each node")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			list, end := nodes(t, n, perSecond, burst, &board{till: map[string]time.Time{}, lag: lag})
			defer end()
			var when []time.Duration
			begun := time.Now()
			var at sync.Mutex
			var senders sync.WaitGroup
			for _, l := range list {
				senders.Go(func() {
					for time.Since(begun) < time.Duration(seconds)*time.Second {
						wait, _ := l.Take("a", Forever)
						<-time.After(wait)
						at.Lock()
						when = append(when, time.Since(begun))
						at.Unlock()
						<-time.After(time.Duration(float64(time.Second) / perSecond / each))
					}
				})
			}
			senders.Wait()
			untold := float64(n) * (math.Max(1, float64(burst/4)) + 1 + (2*lag+apart).Seconds()*perSecond*each)
			for i := range when {
				for j := i; j < len(when); j++ {
					earned := float64(burst) + perSecond*(when[j]-when[i]).Seconds() + untold
					if n == 1 {
						earned = float64(burst) + perSecond*(when[j]-when[i]).Seconds()
					}
					if got := float64(j - i + 1); got > earned+1 {
						wrong = fmt.Sprintf("%v taken in %v", got, when[j]-when[i])
					}
				}
			}
		})
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}

// TestWhoStaysWithinTheRateNeverWaits, at however many nodes.
func TestWhoStaysWithinTheRateNeverWaits(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(r, "nodes")
		gaps := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 200).Draw(r, "gaps in ms, more than 100 at the mean")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			const burst = 20
			list, end := nodes(t, n, 10, burst, &board{till: map[string]time.Time{}, lag: time.Millisecond})
			defer end()
			own := New[string](10, burst/2, 0) // what such a person keeps to
			for i, gap := range gaps {
				<-time.After(time.Duration(gap) * time.Millisecond)
				if !allow(own, "a") {
					continue
				}
				if wait, ok := list[i%n].Take("a", 0); !ok {
					wrong = fmt.Sprintf("number %d would have waited %v", i, wait)
				}
			}
		})
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}

// TestWhatWasTakenLongAgoCostsNothing, though it is told of only now.
func TestWhatWasTakenLongAgoCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{till: map[string]time.Time{}}
		list, end := nodes(t, 1, 10, 30, b)
		defer end()
		for range 6 {
			allow(list[0], "a")
			<-time.After(time.Minute)
		}
		for i := range 30 {
			if !allow(list[0], "a") {
				t.Fatalf("number %d of a burst of 30 refused", i)
			}
			synctest.Wait()
		}
		if allow(list[0], "a") || b.told == 0 {
			t.Errorf("one more than the burst; told %d times", b.told)
		}
	})
}

// TestWhileTheBoardIsAwayEachNodeCountsAlone, and with the others again when it is back.
func TestWhileTheBoardIsAwayEachNodeCountsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{till: map[string]time.Time{}, away: true}
		list, end := nodes(t, 2, 10, 8, b)
		defer end()
		count := func() (n int) {
			for range 2 {
				for _, l := range list {
					for range 10 {
						if allow(l, "a") {
							n++
						}
						synctest.Wait()
					}
				}
			}
			return n
		}
		if n := count(); n != 16 {
			t.Errorf("%d at two nodes that do not hear of each other", n)
		}
		for i := range 5000 { // of many at once too, nothing is heaped up meanwhile
			list[0].Take(fmt.Sprint(i), 0)
			list[0].Take(fmt.Sprint(i), 0)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n := len(list[0].due); n != 0 {
			t.Errorf("%d are to be told", n)
		}
		b.set(false)
		told := b.told
		if n := count(); n > 8+2*3 {
			t.Errorf("%d at two nodes", n)
		}
		if b.told == told {
			t.Error("the board was told nothing")
		}
	})
}

// TestABoardThatDoesNotAnswerIsGivenUp, and asked again later.
func TestABoardThatDoesNotAnswerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := New[string](10, 4, 0)
		asked := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Share(ctx, func(k string) string { return k }, func(ctx context.Context, _ []pactwire.Spent) ([]time.Duration, error) {
				asked++
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}()
		synctest.Wait()
		for range 3 {
			allow(l, "a")
			<-time.After(callTime + pause)
			synctest.Wait()
		}
		cancel()
		<-done
		if asked != 3 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// TestFewWordsAreSaid: the board hears of a quarter of a burst at a time, and of nobody who takes little.
func TestFewWordsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{till: map[string]time.Time{}}
		list, end := nodes(t, 1, 10, 40, b)
		defer end()
		for i := range 1000 {
			list[0].Take(fmt.Sprint(i), 0)
		}
		synctest.Wait()
		if b.told != 0 {
			t.Errorf("told %d times of people who took one", b.told)
		}
		for range 4 {
			for range 10 {
				list[0].Take("a", 0)
				list[0].Take("b", 0)
			}
			<-time.After(apart)
			synctest.Wait()
		}
		if b.told != 4 {
			t.Errorf("told %d times of 40 of each of two", b.told)
		}
	})
}
