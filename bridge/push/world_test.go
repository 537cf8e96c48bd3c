package push_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a real store as the pusher sees it.
type store struct{ *sqlite.DB }

func (s store) Push(ctx context.Context, fn func(push.Tx) error) error {
	return s.Update(ctx, func(tx *sqlite.Tx) error { return fn(tx) })
}

// outside is a channel that keeps what it is given, or refuses as it is told.
type outside struct {
	name string

	mu     sync.Mutex
	answer func(push.Message) error
	got    []push.Message
	at     []time.Time
}

func (o *outside) Name() string { return o.name }
func (o *outside) Close()       {}

func (o *outside) Send(ctx context.Context, m push.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got, o.at = append(o.got, m), append(o.at, time.Now())
	if o.answer != nil {
		return o.answer(m)
	}
	return ctx.Err()
}

func (o *outside) answers(f func(push.Message) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = f
}

// take returns what came since the last call, and when.
func (o *outside) take() ([]push.Message, []time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	got, at := o.got, o.at
	o.got, o.at = nil, nil
	return got, at
}

// types are the types of what came.
func (o *outside) types() (list []string) {
	got, _ := o.take()
	for _, m := range got {
		list = append(list, m.Type+" to "+string(m.User))
	}
	slices.Sort(list)
	return list
}

// world is a store, a pusher on it, and the far sides of its channels, in a bubble of fake time.
type world struct {
	t       *testing.T
	path    string
	db      *sqlite.DB
	rules   push.Rules
	pusher  *push.Pusher
	webhook *outside
	fcm     *outside
	seq     pactwire.Seq
}

// inWorld runs f in a bubble, with a new store in a file.
func inWorld(t *testing.T, cfg push.Config, f func(w *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: filepath.Join(dir, "pactwire.db"), rules: push.Rules{Delay: 10 * time.Second},
			webhook: &outside{name: "webhook"}, fcm: &outside{name: "fcm"}}
		w.start(cfg)
		f(w)
		w.stop()
	})
}

func (w *world) start(cfg push.Config) {
	w.t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: w.path}, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.db = db
	w.pusher = push.New(cfg, store{db}, []push.Channel{w.webhook, w.fcm}, slog.New(slog.DiscardHandler), nil)
	w.pusher.Start()
}

func (w *world) stop() {
	w.t.Helper()
	w.pusher.Stop()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

// crash starts again on what a killed process would have left on the disk. The old one ends too, but what it does then
// is lost.
func (w *world) crash(cfg push.Config) {
	w.t.Helper()
	left := map[string][]byte{}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(w.path + suffix)
		if err != nil {
			w.t.Fatal(err)
		}
		left[suffix] = b
	}
	w.stop()
	w.path += ".again"
	for suffix, b := range left {
		if err := os.WriteFile(w.path+suffix, b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.start(cfg)
}

func (w *world) do(fn func(tx *sqlite.Tx) error) {
	w.t.Helper()
	if err := w.db.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// person stores a profile.
func (w *world) person(u pactwire.User) {
	w.t.Helper()
	w.do(func(tx *sqlite.Tx) error { return tx.PutUser(u) })
}

// happens records an activity in a pact of alice, bob and carol, and returns its entry.
func (w *world) happens(typ pactwire.ActivityType, by, cause string, data any) pactwire.Entry {
	w.t.Helper()
	return w.happensIn("p", typ, by, cause, data)
}

func (w *world) happensIn(p pactwire.PactID, typ pactwire.ActivityType, by, cause string, data any) pactwire.Entry {
	w.t.Helper()
	w.seq++
	raw, err := json.Marshal(data)
	if err != nil {
		w.t.Fatal(err)
	}
	a := pactwire.Activity{ID: fmt.Sprint("a", w.seq), PactID: p, Seq: w.seq, Type: typ, UserID: pactwire.UserID(by),
		UserName: by, Data: raw, CreatedAt: pactwire.Time(time.Now())}
	payload, err := json.Marshal(a)
	if err != nil {
		w.t.Fatal(err)
	}
	e := pactwire.Entry{Stream: pactwire.ActivityOf(p), Seq: w.seq, Payload: payload}
	w.do(func(tx *sqlite.Tx) error {
		return w.rules.Activity(tx, &a, e, cause, []pactwire.UserID{"alice", "bob", "carol"})
	})
	return e
}

// checkin is alice's check-in of a day.
func (w *world) checkin(id string) pactwire.Entry {
	w.t.Helper()
	return w.happens(pactwire.CheckinCompleted, "alice", id, pactwire.CheckinData{CheckinID: id, HabitName: "Run", Status: pactwire.StatusCompleted})
}

// pass lets time go by and everything that is due happen.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
