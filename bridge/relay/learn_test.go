package relay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/relay"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
)

// slow is a view that reads no pact but p until it may.
type slow struct {
	view
	asked chan struct{} // of size 1: it is to read another
	may   chan struct{}
	hub   *hub

	mu     sync.Mutex
	learnt []pactwire.Seq // how far p was published when it was read
}

func (v *slow) Relearn(ctx context.Context, p pactwire.PactID) error {
	if p != "p" {
		select {
		case v.asked <- struct{}{}:
		default:
		}
		select {
		case <-v.may:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	at := v.hub.at()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.learnt = append(v.learnt, at)
	return nil
}

func append1(t *testing.T, db *sqlite.DB, payload string) (e pactwire.Entry) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *sqlite.Tx) error {
		head, err := tx.Head(pactwire.ActivityOf("p"))
		e = pactwire.Entry{Stream: pactwire.ActivityOf("p"), Seq: head + 1, Payload: []byte(payload)}
		return errors.Join(err, tx.Append(e, time.Now()))
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestPromise5WhatFollowsADepartureWaits until the pact could be read, also when more pacts than may are to be read before it.
func TestPromise5WhatFollowsADepartureWaits(t *testing.T) {
	db, h := open(t), &hub{user: "bob"}
	v := &slow{asked: make(chan struct{}, 1), may: make(chan struct{}), hub: h}
	r := relay.New(relay.Config{Addr: "a/1", Poll: time.Hour}, nil, h, v, db, nil, slog.New(slog.DiscardHandler), nil)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(context.Background())
	r.Publish(append1(t, db, "{}"))
	r.Relearn("first")
	<-v.asked
	for i := 0; r.Relearn(pactwire.PactID(fmt.Sprint("other", i))); i++ {
	}
	append1(t, db, `{"type":"member_left","data":{"memberUserId":"bob"}}`) // elsewhere
	r.Publish(append1(t, db, "{}"))
	testkit.Never(t, 300*time.Millisecond, "it is published", func() bool { return h.at() > 1 })
	close(v.may)
	testkit.Eventually(t, time.Minute, "it is published", func() bool { return h.at() == 3 })
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.learnt) == 0 || v.learnt[0] != 1 {
		t.Errorf("the pact was read when these had been published: %v", v.learnt)
	}
}
