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
	// untoldHeld bounds the people who are kept; more are hardly connected to one node. One more, and who was not tried for the
	// longest is not told of before their next change.
	untoldHeld = 100_000
)

// untold are the people whose presence has changed while nobody could say to whom that is to be told: with the database away, or with
// the habits-service away for longer than what it said last is good for. It is told when that can be read, as it is then.
type untold struct {
	tell    func(read context.Context, p pactwire.Presence) error
	log     *slog.Logger
	trouble trouble.Log

	mu     sync.Mutex
	people map[pactwire.UserID]*list.Element // of the queue
	busy   map[pactwire.UserID]struct{}      // who is being told of: each once at a time, so that it is told in order
	queue  list.List                         // of pactwire.Presence: who was tried last is at its end
	some   chan struct{}                     // of size 1: there are some

	ctx  context.Context // ends with the process
	stop context.CancelFunc
	task sync.WaitGroup
}

func newUntold(tell func(read context.Context, p pactwire.Presence) error, log *slog.Logger) *untold {
	u := &untold{tell: tell, log: log, people: make(map[pactwire.UserID]*list.Element), busy: make(map[pactwire.UserID]struct{}),
		some: make(chan struct{}, 1)}
	u.ctx, u.stop = context.WithCancel(context.Background())
	return u
}

func (u *untold) start() { u.task.Go(u.again) }

// end has nobody wait any more for pacts that are not known.
func (u *untold) end() {
	u.stop()
	u.task.Wait()
}

// changed tells of a change, or keeps it until that can be done.
func (u *untold) changed(p pactwire.Presence) {
	if !u.begin(p) {
		return
	}
	wait := tellTime
	if !u.none() {
		wait = hurried
	}
	u.say(p, wait)
}

func (u *untold) say(p pactwire.Presence, wait time.Duration) (told bool) {
	read, cancel := context.WithTimeout(u.ctx, wait)
	defer cancel()
	err := u.tell(read, p)
	if u.note(p, err); u.ctx.Err() == nil && (err != nil || u.none()) { // what is told of one says nothing of others
		u.trouble.Change(u.log, "presence cannot be told; it is tried again each second", err)
	}
	return err == nil
}

// begin reports whether a person may be told of now. Who is being told of already is kept until that is done.
func (u *untold) begin(p pactwire.Presence) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, busy := u.busy[p.UserID]; busy {
		u.keep(p)
		return false
	}
	u.busy[p.UserID] = struct{}{}
	return true
}

// note forgets a person who was told of, or keeps them.
func (u *untold) note(p pactwire.Presence, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.busy, p.UserID)
	kept := u.people[p.UserID]
	switch {
	case err != nil:
		u.keep(p)
	case kept == nil:
	case kept.Value.(pactwire.Presence).Version > p.Version: // which can be told as well, it seems
		u.queue.MoveToFront(kept)
	default:
		u.queue.Remove(kept)
		delete(u.people, p.UserID)
	}
}

// keep keeps the newest of a person. Under u.mu.
func (u *untold) keep(p pactwire.Presence) {
	kept := u.people[p.UserID]
	switch {
	case kept == nil:
		if u.queue.Len() >= untoldHeld {
			gone := u.queue.Remove(u.queue.Front()).(pactwire.Presence)
			delete(u.people, gone.UserID)
		}
		u.people[p.UserID] = u.queue.PushBack(p)
		u.wake()
	case kept.Value.(pactwire.Presence).Version <= p.Version:
		kept.Value = p
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
func (u *untold) again() {
	for {
		select {
		case <-u.ctx.Done():
			return
		case <-u.some:
		}
		if !pace.Pause(u.ctx, untoldEvery) {
			return
		}
		u.round()
	}
}

// round tries to tell of each, or of as many as are in vain.
func (u *untold) round() {
	wait, failed := tellTime, 0
	for range u.count() {
		if u.ctx.Err() != nil {
			return
		}
		p, ok := u.next()
		if !ok {
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

// next begins with the one of them that was not tried for the longest time.
func (u *untold) next() (p pactwire.Presence, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for e := u.queue.Front(); e != nil; e = e.Next() {
		p = e.Value.(pactwire.Presence)
		if _, busy := u.busy[p.UserID]; !busy {
			u.busy[p.UserID] = struct{}{}
			u.queue.MoveToBack(e)
			return p, true
		}
	}
	return p, false
}
