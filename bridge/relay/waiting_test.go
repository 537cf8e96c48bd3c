package relay

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWhatComesCloseTogetherIsTakenTogether: what waits for one goroutine waits a little for more.
func TestWhatComesCloseTogetherIsTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int](10)
		go func() {
			for i := range 3 {
				q.add(i)
				<-time.After(time.Millisecond)
			}
			<-time.After(time.Millisecond)
			q.add(3) // too late for the first
		}()
		start := time.Now()
		for _, want := range []int{3, 1} {
			if !q.await(t.Context(), 3*time.Millisecond-1) {
				t.Fatal("ends")
			}
			if got := q.take(t.Context(), 10); len(got) != want {
				t.Errorf("took %v after %v; want %d", got, time.Since(start), want)
			}
		}
	})
}
