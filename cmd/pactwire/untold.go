package main

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
	"github.com/pactwire/pactwire/internal/trouble"
)

const (
	untoldEvery = time.Second // how often it is tried to tell what could not be told
	tellTime    = 5 * time.Second
	// hurried is what a change waits for a person's pacts while there are others of whom that was in vain: changes are told one after
	// the other, and those whose pacts are known need not wait for them.
	hurried = 200 * time.Millisecond
	inVain  = 8 // tries in vain after which a round ends: it is most likely so for all
)

// untold are the people whose presence has changed while nobody could say to whom that is to be told: with the database away, or with
// the habits-service away for longer than what it said last is good for. It is told when that can be read, as it is then.
type untold struct {
	tell    func(p pactwire.Presence, wait time.Duration) error
	log     *slog.Logger
	trouble trouble.Log

	mu     sync.Mutex
	people map[pactwire.UserID]*list.Element // of the queue
	queue  list.List                         // of pactwire.Presence: who was tried last is at its end
	some   chan struct{}                     // of size 1: there are some

	stop context.CancelFunc
	task sync.WaitGroup
}

func newUntold(tell func(p pactwire.Presence, wait time.Duration) error, log *slog.Logger) *untold {
	return &untold{tell: tell, log: log, people: make(map[pactwire.UserID]*list.Element), some: make(chan struct{}, 1), stop: func() {}}
}

func (u *untold) start() {
	ctx, cancel := context.WithCancel(context.Background())
	u.stop = cancel
	u.task.Go(func() { u.again(ctx) })
}

func (u *untold) end() {
	u.stop()
	u.task.Wait()
}

// changed tells of a change, or keeps it until that can be done.
func (u *untold) changed(p pactwire.Presence) {
	wait := tellTime
	if !u.none() {
		wait = hurried
	}
	u.say(p, wait)
}

func (u *untold) say(p pactwire.Presence, wait time.Duration) (told bool) {
	err := u.tell(p, wait)
	if u.note(p, err); err != nil || u.none() { // what is told of one says nothing of others
		u.trouble.Change(u.log, "presence cannot be told; it is tried again each second", err)
	}
	return err == nil
}

// note forgets a person who was told of, or keeps them.
func (u *untold) note(p pactwire.Presence, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.people[p.UserID]
	switch {
	case kept != nil && kept.Value.(pactwire.Presence).Version > p.Version:
	case err == nil && kept == nil:
	case err == nil:
		u.queue.Remove(kept)
		delete(u.people, p.UserID)
	case kept != nil:
		kept.Value = p
	default:
		u.people[p.UserID] = u.queue.PushBack(p)
		u.wake()
	}
}

func (u *untold) wake() {
	select {
	case u.some <- struct{}{}:
	default:
	}
}

func (u *untold) none() bool { return u.count() == 0 }

func (u *untold) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.queue.Len()
}

// again is the one goroutine that tells what could not be told.
func (u *untold) again(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.some:
		}
		if !pace.Pause(ctx, untoldEvery) {
			return
		}
		u.round(ctx)
	}
}

// round tries to tell of each, or of as many as are in vain.
func (u *untold) round(ctx context.Context) {
	wait, failed := tellTime, 0
	for range u.count() {
		p, ok := u.next()
		if !ok || ctx.Err() != nil {
			break
		}
		if u.say(p, wait) {
			continue
		}
		wait = hurried
		if failed++; failed == inVain {
			break
		}
	}
	if !u.none() {
		u.wake()
	}
}

// next is the one of them that was not tried for the longest time.
func (u *untold) next() (p pactwire.Presence, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	first := u.queue.Front()
	if first == nil {
		return p, false
	}
	u.queue.MoveToBack(first)
	return first.Value.(pactwire.Presence), true
}
