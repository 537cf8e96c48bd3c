package habits_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestPromise6WhoWentWhileTheHabitsServiceWasAway: whose partner somebody is cannot be read after a long outage. They are told when it can.
func TestPromise6WhoWentWhileTheHabitsServiceWasAway(t *testing.T) {
	const stale = time.Second
	addr := testkit.FreeAddr(t)
	service := testkit.StartHabits(t, map[string]string{
		"habits.secret": secret, "habits.events_url": "http://" + addr + "/v1/events", "log.level": "warn",
	})
	s := testkit.Start(t, map[string]string{
		"http.addr": addr, "habits.mode": "http", "habits.url": "http://" + service.HTTP, "habits.secret": secret, "log.level": "warn",
		"habits.membership_ttl": stale.String(), "habits.membership_stale": stale.String(), "presence.grace": "200ms",
	})
	pact := s.NewPact("alice", "bob")
	var online atomic.Bool // bob, as alice's app shows him
	run := func(d *testkit.Device) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Run(ctx) })
		testkit.Eventually(t, limit, "it is subscribed", func() bool { return d.Ready() > 0 })
		return sync.OnceFunc(func() { cancel(); running.Wait() })
	}
	topic := "pacts/" + string(pact.ID) + "/presence/bob"
	defer run(&testkit.Device{Addr: s.TCP, User: "alice", ClientID: "a", Filters: []string{topic}, Message: func(m rawmqtt.Publish) {
		var p pactwire.Presence
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			t.Error(err)
		}
		online.Store(p.IsOnline)
	}})()
	stop := run(&testkit.Device{Addr: s.TCP, User: "bob", ClientID: "b", Filters: []string{"users/bob/inbox"}})
	defer stop()
	testkit.Eventually(t, limit, "alice sees bob", online.Load)
	service.Kill()
	after(t, 2*stale)
	stop()
	testkit.Never(t, 2*time.Second, "bob is seen to go, though nobody knows to whom he is to be shown", func() bool { return !online.Load() })
	service.Restart()
	testkit.Eventually(t, limit, "alice sees that he has gone", func() bool { return !online.Load() })
}

// TestPromise6PeopleGoThoughTheHabitsServiceHangs: what it said of their pacts is good for an hour, and none waits for another's answer.
func TestPromise6PeopleGoThoughTheHabitsServiceHangs(t *testing.T) {
	const fresh, many = time.Second, 8
	addr := testkit.FreeAddr(t)
	service := testkit.StartHabits(t, map[string]string{
		"habits.secret": secret, "habits.events_url": "http://" + addr + "/v1/events", "log.level": "warn",
	})
	s := testkit.Start(t, map[string]string{
		"http.addr": addr, "habits.mode": "http", "habits.url": "http://" + service.HTTP, "habits.secret": secret, "log.level": "warn",
		"habits.membership_ttl": fresh.String(), "presence.grace": "200ms",
	})
	var mu sync.Mutex
	online := map[pactwire.UserID]bool{}
	count := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for u, is := range online {
			if is && u != "alice" {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	leave, left := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	defer left()
	come := func(ctx context.Context, d *testkit.Device) {
		running.Go(func() { d.Run(ctx) })
		testkit.Eventually(t, limit, "it is subscribed", func() bool { return d.Ready() > 0 })
	}
	for i := range many {
		s.NewPact("alice", pactwire.UserID(fmt.Sprint("bob", i)))
	}
	come(ctx, &testkit.Device{Addr: s.TCP, User: "alice", ClientID: "a", Filters: []string{"pacts/+/presence/+"}, Message: func(m rawmqtt.Publish) {
		var p pactwire.Presence
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		online[p.UserID] = p.IsOnline
	}})
	for i := range many {
		u := pactwire.UserID(fmt.Sprint("bob", i))
		come(leave, &testkit.Device{Addr: s.TCP, User: u, ClientID: "b", Filters: []string{"users/" + string(u) + "/inbox"}})
	}
	testkit.Eventually(t, limit, "alice sees them all", func() bool { return count() == many })
	service.Freeze()
	after(t, 2*fresh)
	left()
	testkit.Eventually(t, 20*time.Second, "alice sees that they have gone", func() bool { return count() == 0 })
	come(ctx, &testkit.Device{Addr: s.TCP, User: "bob0", ClientID: "b", Filters: []string{"users/bob0/inbox"}})
	testkit.Eventually(t, 20*time.Second, "alice sees who is back", func() bool { return count() == 1 })
}
