package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var commitTests = []test{
	{"done comes after the commit and in order", on(testDoneOrder)},
	{"a failing function leaves nothing and harms nobody", on(testFailureIsolated)},
	{"many failing functions in one batch", on(testManyFailures)},
	{"a panic is contained", on(testPanic)},
	{"a panic in done is contained", on(testPanicInDone)},
	{"caches are told of a rollback", on(testOnRollback)},
	{"what a function wrote is there for the next one", on(testVisibility)},
	{"concurrent submitters lose nothing", on(testConcurrent)},
	{"Close commits what is queued and refuses the rest", on(testClose)},
	{"a cancelled caller breaks nothing", on(testCancelled)},
	{"a ready store says so", on(func(t *testing.T, s Store) {
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	})},
}

var room = pactwire.ActivityOf("room")

// hold occupies the store's writer until the returned function is called, so that what is submitted meanwhile shares a
// batch.
func hold(t *testing.T, s Store) (release func()) {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	var once sync.Once
	err := s.Submit(ctx, func(Tx) error {
		once.Do(func() { close(in) })
		<-out
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-in
	return sync.OnceFunc(func() { close(out) })
}

func testDoneOrder(t *testing.T, s Store) {
	const n = 600 // more than fits one batch
	release := hold(t, s)
	defer release()
	got := make(chan int, n)
	heads := make(chan pactwire.Seq, n)
	for i := range n {
		err := s.Submit(ctx, func(tx Tx) error { return appendNext(tx, room, noon, fmt.Sprint(i)) }, func(err error) {
			if err != nil {
				t.Errorf("function %d: %v", i, err)
			}
			b, err := s.Bounds(ctx, []pactwire.Stream{room}) // reads do not need the writer
			if err != nil {
				t.Errorf("bounds: %v", err)
			} else {
				heads <- b[0].Head
			}
			got <- i
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	release()
	for i := range n {
		if g := <-got; g != i {
			t.Fatalf("callback %d came as number %d", g, i)
		}
		if h := <-heads; h < pactwire.Seq(i+1) {
			t.Fatalf("callback %d came while entry %d was the last to be seen", i, h)
		}
	}
	entries, err := s.ReadAfter(ctx, room, 0, n)
	if err != nil || len(entries) != n {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		if string(e.Payload) != fmt.Sprint(i) || e.Seq != pactwire.Seq(i+1) {
			t.Fatalf("entry %d is %q with seq %d: not the order of submission", i, e.Payload, e.Seq)
		}
	}
}

func testFailureIsolated(t *testing.T, s Store) {
	refuse := pactwire.Errorf(pactwire.Conflict, "not today")
	release := hold(t, s)
	defer release()
	results := make([]error, 9)
	var wg sync.WaitGroup
	for i := range results {
		wg.Add(1)
		err := s.Submit(ctx, func(tx Tx) error {
			if err := appendNext(tx, room, noon, fmt.Sprint(i)); err != nil {
				return err
			}
			if err := tx.PutUser(pactwire.User{ID: pactwire.UserID(fmt.Sprint("user", i))}); err != nil {
				return err
			}
			if i%3 == 1 {
				return refuse
			}
			return nil
		}, func(err error) { results[i] = err; wg.Done() })
		if err != nil {
			t.Fatal(err)
		}
	}
	release()
	wg.Wait()
	entries, err := s.ReadAfter(ctx, room, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for i, e := range entries {
		if e.Seq != pactwire.Seq(i+1) {
			t.Fatalf("entry %d has seq %d", i, e.Seq)
		}
		kept = append(kept, string(e.Payload))
	}
	if want := "[0 2 3 5 6 8]"; fmt.Sprint(kept) != want {
		t.Fatalf("kept %v, want %s", kept, want)
	}
	for i, err := range results {
		if want := i%3 == 1; want != errors.Is(err, refuse) || !want && err != nil {
			t.Errorf("function %d was told %v", i, err)
		}
		_, ok, err := s.ReadUser(ctx, pactwire.UserID(fmt.Sprint("user", i)))
		if err != nil || ok == (i%3 == 1) {
			t.Errorf("row of function %d: there %v, %v", i, ok, err)
		}
	}
}

func testManyFailures(t *testing.T, s Store) {
	release := hold(t, s)
	defer release()
	var wg sync.WaitGroup
	var runs, failed atomic.Int32
	const n = 200
	for i := range n {
		wg.Add(1)
		err := s.Submit(ctx, func(tx Tx) error {
			runs.Add(1)
			if err := appendNext(tx, room, noon, "x"); err != nil {
				return err
			}
			if i != n/2 {
				return errors.New("no")
			}
			return nil
		}, func(err error) {
			if err != nil {
				failed.Add(1)
			}
			wg.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	release()
	wg.Wait()
	if failed.Load() != n-1 {
		t.Errorf("%d failed", failed.Load())
	}
	if r := runs.Load(); r > 3*n {
		t.Errorf("%d functions were run %d times", n, r)
	}
	if b, err := s.Bounds(ctx, []pactwire.Stream{room}); err != nil || b[0].Head != 1 {
		t.Errorf("head %v, %v", b, err)
	}
}

func testPanic(t *testing.T, s Store) {
	release := hold(t, s)
	defer release()
	results := make(chan error, 3)
	for i := range 3 {
		err := s.Submit(ctx, func(tx Tx) error {
			if err := appendNext(tx, room, noon, fmt.Sprint(i)); err != nil {
				return err
			}
			if i == 1 {
				panic("a fault of ours")
			}
			return nil
		}, func(err error) { results <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	release()
	if a, b, c := <-results, <-results, <-results; a != nil || pactwire.CodeOf(b) != pactwire.Internal || c != nil {
		t.Fatalf("told %v, %v, %v", a, b, c)
	}
	if entries, err := s.ReadAfter(ctx, room, 0, 9); err != nil || len(entries) != 2 || string(entries[1].Payload) != "2" {
		t.Fatalf("entries %v, %v", entries, err)
	}
}

func testPanicInDone(t *testing.T, s Store) {
	if err := s.Submit(ctx, func(Tx) error { return nil }, func(error) { panic("a fault of ours") }); err != nil {
		t.Fatal(err)
	}
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "on we go") })
}

func testOnRollback(t *testing.T, s Store) {
	cache := map[string]bool{} // as an engine would have it: used inside transactions only
	s.OnRollback(func(bool) { clear(cache) })
	release := hold(t, s)
	defer release()
	stale := make(chan bool, 10)
	write := func(tx Tx, key string) error {
		if !cache[key] {
			if err := tx.PutUser(pactwire.User{ID: pactwire.UserID(key)}); err != nil {
				return err
			}
			cache[key] = true
		}
		_, ok, err := tx.User(pactwire.UserID(key))
		if !ok {
			stale <- true
		}
		return err
	}
	done := make(chan error, 3)
	for _, fail := range []bool{false, true, false} {
		key := "same"
		if fail {
			key = "other"
		}
		err := s.Submit(ctx, func(tx Tx) error {
			if err := write(tx, key); err != nil {
				return err
			}
			if fail {
				return errors.New("no")
			}
			return write(tx, "other")
		}, func(err error) { done <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	release()
	if a, b, c := <-done, <-done, <-done; a != nil || b == nil || c != nil {
		t.Fatalf("told %v, %v, %v", a, b, c)
	}
	if len(stale) > 0 {
		t.Fatal("a cache said that a row was there which had been rolled back")
	}
	for _, u := range []pactwire.UserID{"same", "other"} {
		if _, ok, err := s.ReadUser(ctx, u); !ok || err != nil {
			t.Fatalf("user %s: %v, %v", u, ok, err)
		}
	}
}

func testVisibility(t *testing.T, s Store) {
	release := hold(t, s)
	defer release()
	done := make(chan error, 2)
	for i := range 2 {
		err := s.Submit(ctx, func(tx Tx) error {
			head, err := tx.Head(room)
			if err == nil && head != pactwire.Seq(i) {
				err = fmt.Errorf("function %d sees head %d", i, head)
			}
			if err != nil {
				return err
			}
			return appendNext(tx, room, noon, "x")
		}, func(err error) { done <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	release()
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
}

func testConcurrent(t *testing.T, s Store) {
	const writers, each, streams = 16, 50, 5
	var wg sync.WaitGroup
	var done, refused atomic.Int32
	var counts [streams]atomic.Int32
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for i := range streams {
					stream := pactwire.ActivityOf(pactwire.PactID(fmt.Sprint("p", i)))
					entries, err := s.ReadAfter(ctx, stream, 0, 1000)
					if err != nil {
						t.Error(err)
						return
					}
					for j, e := range entries {
						if e.Seq != pactwire.Seq(j+1) {
							t.Errorf("a reader sees entry %d at place %d", e.Seq, j)
							return
						}
					}
				}
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				i := (w + n) % streams
				stream := pactwire.ActivityOf(pactwire.PactID(fmt.Sprint("p", i)))
				fail := (w*each+n)%17 == 0
				wg.Add(1)
				err := s.Submit(ctx, func(tx Tx) error {
					if err := appendNext(tx, stream, noon, fmt.Sprintf("%d/%d", w, n)); err != nil {
						return err
					}
					if fail {
						return errors.New("no")
					}
					return nil
				}, func(err error) {
					defer wg.Done()
					done.Add(1)
					switch {
					case err == nil:
						counts[i].Add(1)
					case fail:
						refused.Add(1)
					default:
						t.Errorf("writer %d: %v", w, err)
					}
				})
				if err != nil {
					t.Errorf("submit: %v", err)
					wg.Done()
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	if done.Load() != writers*each {
		t.Fatalf("%d callbacks for %d functions", done.Load(), writers*each)
	}
	for i := range streams {
		stream := pactwire.ActivityOf(pactwire.PactID(fmt.Sprint("p", i)))
		b, err := s.Bounds(ctx, []pactwire.Stream{stream})
		if err != nil || b[0].Head != pactwire.Seq(counts[i].Load()) {
			t.Errorf("stream %d: head %v after %d appends, %v", i, b, counts[i].Load(), err)
		}
	}
}

func testClose(t *testing.T, s Store) {
	release := hold(t, s)
	defer release()
	done := make(chan error, 10)
	for range cap(done) {
		if err := s.Submit(ctx, func(tx Tx) error { return appendNext(tx, room, noon, "x") }, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatalf("queued before Close: %v", err)
		}
	}
	err := s.Submit(ctx, func(Tx) error { return nil }, func(error) { t.Error("done after Close") })
	if pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Fatalf("Submit after Close: %v", err)
	}
	if _, err := s.ReadAfter(ctx, room, 0, 1); pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Fatalf("read after Close: %v", err)
	}
	if _, _, err := s.LoadSession(ctx, pactwire.SessionKey{User: "u", ClientID: "c"}); pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Fatalf("LoadSession after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close again: %v", err)
	}
	again := s.Reopen(t)
	if b, err := again.Bounds(ctx, []pactwire.Stream{room}); err != nil || b[0].Head != pactwire.Seq(cap(done)) {
		t.Fatalf("after reopening: %v, %v", b, err)
	}
}

func testCancelled(t *testing.T, s Store) {
	for i := range 50 {
		c, cancel := context.WithTimeout(ctx, time.Duration(i)*20*time.Microsecond)
		told := make(chan error, 1)
		err := s.Submit(c, func(tx Tx) error { return appendNext(tx, room, noon, "x") }, func(err error) { told <- err })
		_, rerr := s.ReadAfter(c, room, 0, 10)
		_, _, lerr := s.LoadSession(c, pactwire.SessionKey{User: "u", ClientID: "c"})
		cancel()
		if err == nil {
			err = <-told
		}
		for _, err := range []error{err, rerr, lerr} {
			if err != nil && pactwire.CodeOf(err) != pactwire.Unavailable {
				t.Fatalf("a cancelled call ends with %v", err)
			}
		}
	}
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "x") })
	entries, err := s.ReadAfter(ctx, room, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.Seq != pactwire.Seq(i+1) {
			t.Fatalf("gap at %d", i)
		}
	}
}
