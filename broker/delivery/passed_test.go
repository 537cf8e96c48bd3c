package delivery_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

// TestQoS0TakesNothingThatWasThereBefore: a node publishes what it has not seen of a stream when somebody comes who reads it.
func TestQoS0TakesNothingThatWasThereBefore(t *testing.T) {
	for _, filter := range []string{"pacts/p/activity", "pacts/+/activity"} {
		synctest.Test(t, func(t *testing.T) {
			o, a, b := twoHubs(t)
			defer stop(t, a)
			defer stop(t, b)
			o.join("p", "alice")
			late := func(h *delivery.Hub, want ...int) func(*wireEnd) {
				old := []pactwire.Entry{o.commit(feed), o.commit(feed)}
				return func(end *wireEnd) {
					t.Helper()
					for _, e := range append(old, o.commit(feed)) {
						h.Publish(e)
					}
					synctest.Wait()
					if got := seqs(t, end.take()); !slices.Equal(got, want) {
						t.Errorf("%s: got %v, want %v", filter, got, want)
					}
				}
			}
			publish := late(a, 3)
			c, end, _ := connect(t, a, user("alice"))
			subscribe(t, c, 0, filter)
			publish(end)
			subscribe(t, c, 0, filter) // once more: nothing is left out
			more := []pactwire.Entry{o.commit(feed)}
			a.Publish(more[0])
			synctest.Wait()
			if got := seqs(t, end.take()); !slices.Equal(got, []int{4}) {
				t.Errorf("%s: got %v, want 4", filter, got)
			}

			publish = late(b, 7)
			_, end, present := connect(t, b, user("alice"))
			if !present {
				t.Error("the session was not found")
			}
			publish(end)
		})
	}
}

// TestQoS0TakesNothingFromBeforeItsPersonJoined, as QoS 1 takes it from there.
func TestQoS0TakesNothingFromBeforeItsPersonJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		c, end, _ := connect(t, a, user("bob"))
		subscribe(t, c, 0, "pacts/+/activity")
		old := o.commit(feed)
		o.join("p", "bob")
		joined := o.commit(feed)
		a.PactsChanged("bob", o.Pacts("bob"), nil)
		a.Publish(old)
		a.Publish(joined)
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2}) {
			t.Errorf("got %v, want 2", got)
		}
	})
}
