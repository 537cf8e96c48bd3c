package habits_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// noon is the present of the tests, in UTC.
var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// clock is a clock that only tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.set(noon)
	return c
}

func (c *clock) set(t time.Time)     { c.at.Store(t.UnixNano()) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }
func (c *clock) now() time.Time      { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) on(date string) time.Time { // noon of a date
	d, err := time.Parse(time.DateOnly, date)
	if err != nil {
		panic(err)
	}
	return d.Add(12 * time.Hour)
}

// hostStore is the real store as a habits-service sees it.
type hostStore struct{ *sqlite.DB }

func (s hostStore) Submit(ctx context.Context, fn func(habits.HostTx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

func openStore(t testing.TB) *sqlite.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "habits.db")
	testkit.Migrated(t, path, create)
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// service is a habits-service, whichever way it is reached.
type service struct {
	*habits.Service
	clock   *clock
	changes *[]pactwire.Change // the embedded one notes them
	checkin func(ctx context.Context, req pactwire.CheckinRequest) (pactwire.CheckinResult, error)
	pact    func(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error)
	pactsOf func(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error)
	remove  func(ctx context.Context, id pactwire.Identity, checkin string) error
}

type recorder struct {
	db      *sqlite.DB
	changes []pactwire.Change
}

func (r *recorder) Do(ctx context.Context, fn func(habits.Tx) ([]pactwire.Change, error)) error {
	var cs []pactwire.Change
	err := r.db.Update(ctx, func(tx *sqlite.Tx) (err error) {
		cs, err = fn(tx)
		return err
	})
	if err == nil {
		r.changes = append(r.changes, cs...)
	}
	return err
}

func embedded(t testing.TB, o habits.EngineOptions) service {
	db, c := openStore(t), newClock()
	e := habits.NewEmbedded(db, o)
	db.OnRollback(func(bool) { e.Forget() })
	r := &recorder{db: db}
	return service{
		Service: habits.NewService(r, db, e, habits.ServiceOptions{Now: c.now}), clock: c, changes: &r.changes,
		checkin: func(ctx context.Context, req pactwire.CheckinRequest) (res pactwire.CheckinResult, err error) {
			err = db.Update(ctx, func(tx *sqlite.Tx) (err error) {
				res, err = e.Checkin(ctx, tx, req)
				return err
			})
			return res, err
		},
		pact: e.Pact, pactsOf: e.PactsOf,
		remove: func(ctx context.Context, id pactwire.Identity, checkin string) error {
			return db.Update(ctx, func(tx *sqlite.Tx) error {
				_, err := e.DeleteCheckin(ctx, tx, id.UserID, checkin, c.now())
				return err
			})
		},
	}
}

func overHTTP(t testing.TB) service {
	db, c := openStore(t), newClock()
	h, err := habits.NewHost(hostStore{db}, habits.HostConfig{Secret: testSecret, Service: habits.ServiceOptions{Now: c.now}}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(srv.Close)
	client, err := habits.NewClient(habits.ClientConfig{URL: srv.URL, Secret: testSecret, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return service{
		Service: h.Service(), clock: c, checkin: client.Checkin, pact: client.Pact, pactsOf: client.PactsOf,
		remove: func(ctx context.Context, id pactwire.Identity, checkin string) error {
			_, err := h.Service().DeleteCheckin(ctx, id, checkin)
			return err
		},
	}
}

// everywhere runs a test against the embedded engine, with and without its memory, and over HTTP.
func everywhere(t *testing.T, test func(t *testing.T, s service)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t, habits.EngineOptions{})) })
	t.Run("without cache", func(t *testing.T) { test(t, embedded(t, habits.EngineOptions{NoCache: true})) })
	t.Run("tiny cache", func(t *testing.T) { test(t, embedded(t, habits.EngineOptions{CacheDates: 130})) })
	t.Run("http", func(t *testing.T) { test(t, overHTTP(t)) })
}

var (
	alice = pactwire.Identity{UserID: "alice", UserName: "Alice"}
	bob   = pactwire.Identity{UserID: "bob", UserName: "Bob"}
	carol = pactwire.Identity{UserID: "carol", UserName: "Carol"}
)

// pair makes an active pact of alice and bob.
func (s service) pair(t testing.TB) pactwire.Pact {
	t.Helper()
	g, err := s.CreateGoal(t.Context(), alice, pactwire.GoalInput{Name: "Read", Emoji: "📚"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: g.ID, PartnerUserIDs: []pactwire.UserID{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err = s.Act(t.Context(), bob, p.ID, pactwire.ActAccept)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// on is a completed check-in of alice, said on a date.
func on(p pactwire.Pact, at time.Time) pactwire.CheckinRequest {
	return pactwire.CheckinRequest{
		UserID: "alice", UserName: "Alice", PactID: p.ID, Status: pactwire.StatusCompleted, ReceivedAt: at,
		ScheduledDate: pactwire.LocalDate(at.Format(time.DateOnly)),
	}
}

func (s service) must(t testing.TB, req pactwire.CheckinRequest) pactwire.CheckinResult {
	t.Helper()
	s.clock.set(req.ReceivedAt)
	res, err := s.checkin(t.Context(), req)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	return res
}

func wantCode(t testing.TB, err error, code pactwire.Code, field string) {
	t.Helper()
	if e := pactwire.AsError(err); err == nil || e.Code != code || e.Field != field {
		t.Errorf("got %v, want %s (%s)", err, code, field)
	}
}

// create makes an empty database.
func create(path string) error {
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, nil, nil)
	if err != nil {
		return err
	}
	return db.Close()
}
