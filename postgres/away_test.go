package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

func isUnavailable(err error) bool {
	var e *pactwire.Error
	return errors.As(err, &e) && e.Code == pactwire.Unavailable
}

// TestPromise8DatabaseAway: while it is stopped, or does not answer, nothing hangs; work goes on by itself when it is back, and
// what was acked is there.
func TestPromise8DatabaseAway(t *testing.T) {
	server := testkit.Postgres(t)
	proxy := testkit.NewProxy(t, server.Addr)
	db := open(t, postgres.Config{URL: testkit.Via(t, server.URL(), proxy.Addr), Node: "a"})
	stream := pactwire.ActivityOf("p")
	acked := 0
	write := func() error {
		err := do(t.Context(), db, func(tx *postgres.Tx) error { return next(tx, stream, "x") })
		if err == nil {
			acked++
		}
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		away, back func()
	}{
		{"killed", server.Kill, server.Start},
		{"cut off", proxy.Down, proxy.Up},
		{"silent", proxy.Pause, proxy.Resume},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.away()
			start := time.Now()
			testkit.Eventually(t, 10*time.Second, "Ready says so", func() bool { return db.Ready(t.Context()) != nil })
			t.Logf("said after %s", time.Since(start).Round(time.Millisecond))
			for range 5 {
				start := time.Now()
				if err := write(); !isUnavailable(err) {
					t.Errorf("a write: %v", err)
				}
				if _, _, err := db.LoadSession(t.Context(), pactwire.SessionKey{User: "alice", ClientID: "phone"}); !isUnavailable(err) {
					t.Errorf("a read: %v", err)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("refused after %s", took)
				}
			}
			tt.back()
			start = time.Now()
			testkit.Eventually(t, 20*time.Second, "writes are taken again", func() bool { return write() == nil })
			t.Logf("back after %s", time.Since(start).Round(time.Millisecond))
			if err := db.Ready(t.Context()); err != nil {
				t.Error(err)
			}
			entries, err := db.ReadAfter(t.Context(), stream, 0, 1000)
			if err != nil || len(entries) < acked {
				t.Errorf("%d entries of %d that were acked, %v", len(entries), acked, err)
			}
			for i, e := range entries {
				if e.Seq != pactwire.Seq(i+1) {
					t.Fatalf("number %d at place %d", e.Seq, i+1)
				}
			}
		})
	}
}

// TestPromise1NoAckOfAnUnknownCommit: the connection is cut while commits are under way. Whatever was acked is there once,
// and what is sent again under its key has one effect.
func TestPromise1NoAckOfAnUnknownCommit(t *testing.T) {
	server := testkit.Postgres(t)
	proxy := testkit.NewProxy(t, server.Addr)
	db := open(t, postgres.Config{URL: testkit.Via(t, server.URL(), proxy.Addr), Node: "a"})
	stream := pactwire.ActivityOf("p")
	const commands, cuts = 300, 10
	stop := make(chan struct{})
	cutting := make(chan struct{})
	go func() {
		defer close(cutting)
		for range cuts {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				proxy.Cut()
			}
		}
	}()
	for i := range commands {
		key := string(rune('a'+i%26)) + time.Duration(i).String()
		testkit.Eventually(t, time.Minute, "a command is acked", func() bool {
			return do(t.Context(), db, func(tx *postgres.Tx) error {
				_, known, err := tx.Command("alice", key)
				if err != nil || known {
					return err
				}
				id, err := tx.NextCommandID()
				if err != nil {
					return err
				}
				if err := tx.PutCommand(pactwire.CommandRecord{ID: id, User: "alice", Key: key, Answer: []byte("ok"), AcceptedAt: time.Now()}); err != nil {
					return err
				}
				return next(tx, stream, key)
			}) == nil
		})
	}
	close(stop)
	<-cutting
	var entries []pactwire.Entry
	testkit.Eventually(t, time.Minute, "the log is read", func() (ok bool) {
		var err error
		entries, err = db.ReadAfter(context.Background(), stream, 0, 2*commands)
		return err == nil
	})
	if len(entries) != commands {
		t.Errorf("%d entries of %d commands", len(entries), commands)
	}
}
