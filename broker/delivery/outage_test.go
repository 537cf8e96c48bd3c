package delivery_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pactwire/pactwire/broker/delivery"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), words)
}

// TestAnOutageIsNotOverForWhoNeedsNothing: a client that has gone while it waited for a worker had nothing read for it, and that went well.
func TestAnOutageIsNotOverForWhoNeedsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		log := &lines{}
		h := delivery.New(delivery.Config{}, w, w, w, w, slog.New(slog.NewTextHandler(log, nil)), nil)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		w.fail(true)
		w.commit(feed)
		h.Publish(w.commit(feed))
		synctest.Wait()
		for range 100 {
			w.fail(false)
			in := user("bob")
			in.Expiry = 0
			gone, _, _ := connect(t, h, in)
			subscribe(t, gone, 1, "pacts/p/activity")
			w.fail(true)
			w.commit(feed)
			h.Publish(w.commit(feed)) // which has bob wait for a worker
			gone.Detach()
			synctest.Wait()
		}
		if begun, over := log.count("level=WARN"), log.count("over: "); begun != 1 || over != 0 {
			t.Errorf("said %d times that it began, %d that it is over", begun, over)
		}
		w.fail(false)
		pass(5e9)
		if over := log.count("over: "); over != 1 {
			t.Errorf("said %d times that it is over", over)
		}
	})
}

// TestAnOutageIsNotOverForWhoIsShownPresence, which may be known without the database; unless that is what could not be read.
func TestAnOutageIsNotOverForWhoIsShownPresence(t *testing.T) {
	for _, recalls := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.recalls = recalls
			w.join("p", "alice")
			w.join("p", "bob")
			log := &lines{}
			h := delivery.New(delivery.Config{}, w, w, w, w, slog.New(slog.NewTextHandler(log, nil)), nil)
			defer stop(t, h)
			said := func(begun, over int) {
				t.Helper()
				synctest.Wait()
				if b, o := log.count("msg=\"clients cannot be served"), log.count("over: clients cannot be served"); b != begun || o != over {
					t.Errorf("presence known %v: said %d times that it began, %d that it is over, want %d and %d", recalls, b, o, begun, over)
				}
			}
			alice, _, _ := connect(t, h, user("alice"))
			in := user("bob")
			in.Expiry = 0
			bob, out, _ := connect(t, h, in)
			if recalls {
				subscribe(t, alice, 1, "pacts/p/activity")
			}
			w.fail(true)
			w.commit(feed)
			h.Publish(w.commit(feed))
			synctest.Wait()
			subscribe(t, bob, 0, "pacts/p/presence/+")
			said(1, 0)
			if shown := len(out.take()) > 0; shown != recalls {
				t.Errorf("presence known %v: shown %v", recalls, shown)
			}
			w.fail(false)
			pass(5e9)
			said(1, 1)
		})
	}
}

// TestFiltersThatAreRefusedAreLoggedOnce, however many clients come with theirs, again and again: for those that start somewhere in the
// log, and for those that are only to be stored.
func TestFiltersThatAreRefusedAreLoggedOnce(t *testing.T) {
	for filter, qos := range map[string]byte{"pacts/p/activity": 1, "pacts/p/state": 0} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			log := &lines{}
			h := delivery.New(delivery.Config{}, w, w, w, w, slog.New(slog.NewTextHandler(log, nil)), nil)
			defer stop(t, h)
			c, _, _ := connect(t, h, user("alice"))
			w.fail(true)
			for range 100 {
				if codes := subscribe(t, c, qos, filter); codes[0] < 0x80 {
					t.Fatalf("%#x", codes)
				}
			}
			w.fail(false)
			subscribe(t, c, qos, filter)
			begun := log.count("level=WARN") - log.count(`msg="sessions cannot be saved`) // which goes on by itself
			if over := log.count("over: filters") + log.count("over: where filters"); begun != 1 || over != 1 {
				t.Errorf("%s: said %d times that it began, %d that it is over", filter, begun, over)
			}
		})
	}
}
