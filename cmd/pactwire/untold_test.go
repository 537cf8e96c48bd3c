package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

// TestOneOfWhomNothingCanBeTold holds up no other, and is said once a minute.
func TestOneOfWhomNothingCanBeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 20
		var log bytes.Buffer
		var mu sync.Mutex
		told, down := map[pactwire.UserID]uint64{}, true
		u := newUntold(func(_ context.Context, p pactwire.Presence) error {
			mu.Lock()
			defer mu.Unlock()
			if down || p.UserID == "x" {
				return errors.New("away")
			}
			told[p.UserID] = p.Version
			return nil
		}, slog.New(slog.NewTextHandler(&log, nil)))
		u.start()
		u.changed(pactwire.Presence{UserID: "x", Version: 1})
		for i := range many {
			for version := range uint64(3) {
				u.changed(pactwire.Presence{UserID: pactwire.UserID(fmt.Sprint(i)), Version: version})
			}
		}
		mu.Lock()
		down = false
		mu.Unlock()
		<-time.After(3 * untoldEvery) // nobody waits for the luck of the draw
		mu.Lock()
		for i := range many {
			if v := told[pactwire.UserID(fmt.Sprint(i))]; v != 2 {
				t.Errorf("of %d the version %d was told last", i, v)
			}
		}
		mu.Unlock()
		<-time.After(90 * time.Second)
		u.end()
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines: %s", n, &log)
		}
	})
}

// TestNobodyWaitsForWhomItIsInVain: while there are some of whom nothing can be told, others are told without much ado.
func TestNobodyWaitsForWhomItIsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := make(chan struct{}) // closed: it is back
		u := newUntold(func(read context.Context, p pactwire.Presence) error {
			if p.UserID == "known" {
				return nil
			}
			select {
			case <-away:
				return nil
			case <-read.Done():
				return read.Err()
			}
		}, slog.New(slog.DiscardHandler))
		u.start()
		began := time.Now()
		for i := range 10 {
			u.changed(pactwire.Presence{UserID: pactwire.UserID(fmt.Sprint(i))})
		}
		u.changed(pactwire.Presence{UserID: "known"})
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("who is known was told after %v", took)
		}
		close(away)
		<-time.After(10 * time.Second)
		if !u.none() {
			t.Error("some are still untold")
		}
		u.end()
	})
}

// TestNobodyIsToldOfInTheWrongOrder: who changes again while it is being told, at last, what they did before.
func TestNobodyIsToldOfInTheWrongOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 2 * time.Second // to tell of the first change
		var mu sync.Mutex
		var told []uint64
		down := true
		u := newUntold(func(_ context.Context, p pactwire.Presence) error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return errors.New("away")
			}
			if p.Version == 1 {
				mu.Unlock()
				<-time.After(slow)
				mu.Lock()
			}
			told = append(told, p.Version)
			return nil
		}, slog.New(slog.DiscardHandler))
		u.start()
		u.changed(pactwire.Presence{UserID: "bob", Version: 1})
		mu.Lock()
		down = false
		mu.Unlock()
		<-time.After(untoldEvery + slow/2)
		u.changed(pactwire.Presence{UserID: "bob", Version: 2})
		<-time.After(time.Minute)
		u.end()
		if !slices.Equal(told, []uint64{1, 2}) {
			t.Errorf("told of %v", told)
		}
	})
}

// TestTheEndWaitsForNobodysPacts: sessions are to be saved in the time that is left.
func TestTheEndWaitsForNobodysPacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		u := newUntold(func(read context.Context, _ pactwire.Presence) error {
			asked++
			<-read.Done()
			return read.Err()
		}, slog.New(slog.DiscardHandler))
		u.start()
		u.changed(pactwire.Presence{UserID: "bob", Version: 1})
		<-time.After(2 * untoldEvery) // it is tried again
		began := time.Now()
		u.end()
		if took := time.Since(began); took > 0 || asked != 2 {
			t.Errorf("asked %d times, the end took %v", asked, took)
		}
	})
}

// TestUntoldPeopleAreBounded: with one more, the first is let go.
func TestUntoldPeopleAreBounded(t *testing.T) {
	down, told := true, 0
	u := newUntold(func(_ context.Context, p pactwire.Presence) error {
		switch {
		case down:
			return errors.New("away")
		case p.UserID == "0":
			t.Error("the first is told of")
		}
		told++
		return nil
	}, slog.New(slog.DiscardHandler))
	for i := range untoldHeld + 1 {
		u.changed(pactwire.Presence{UserID: pactwire.UserID(strconv.Itoa(i))})
	}
	if n := u.count(); n != untoldHeld || len(u.people) != n {
		t.Errorf("%d people are kept, and %d are found", n, len(u.people))
	}
	down = false
	u.round()
	if told != untoldHeld || !u.none() {
		t.Errorf("%d people were told of, and %d remain", told, u.count())
	}
	u.end()
}
