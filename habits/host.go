package habits

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/prometheus/client_golang/prometheus"
)

// Types of the webhooks that a habits-service sends.
const (
	hookPactUpdated     = "pact.updated"
	hookCheckinUpserted = "checkin.upserted"
	hookCheckinDeleted  = "checkin.deleted"
	hookMilestone       = "streak.milestone"
	hookBroken          = "streak.broken"
	hookUserUpdated     = "user.updated"
)

const (
	keepKeys   = 30 * 24 * time.Hour // first results by Idempotency-Key
	pruneEvery = time.Hour
)

// HostConfig is the configuration of a habits-service as a process of its own.
type HostConfig struct {
	Secret    string // habits.secret: bearer of the dialect, and key of the webhooks
	EventsURL string // where webhooks go; "" sends none
	NoCache   bool   // the database is written by other processes too
	Outbox    OutboxConfig
	Service   ServiceOptions
}

// Host is a habits-service as a process of its own: engine and service over one store, the HTTP dialect of the seed
// ([Host.Handler]), and an outbox that tells the serving node what was changed here. It is the [Executor] of its service:
// what happened to pacts becomes webhooks in the transaction of the change.
type Host struct {
	store   HostStore
	engine  *Embedded
	service *Service
	due     *Scheduler
	outbox  *Outbox // nil = nobody to tell
	secret  string
	now     func() time.Time
	log     *slog.Logger

	mu   sync.Mutex
	stop context.CancelFunc // nil = not running
	done chan struct{}
}

// NewHost assembles a habits-service. A secret that is no whsec_ key, or a URL that is none, is an error.
func NewHost(store HostStore, cfg HostConfig, log *slog.Logger, reg prometheus.Registerer) (*Host, error) {
	h := &Host{store: store, secret: cfg.Secret, now: cfg.Service.Now, log: log}
	if h.now == nil {
		h.now = time.Now
	}
	if cfg.EventsURL != "" {
		cfg.Outbox.URL, cfg.Outbox.Secret = cfg.EventsURL, cfg.Secret
		outbox, err := NewOutbox(store, cfg.Outbox, log, reg)
		if err != nil {
			return nil, err
		}
		h.outbox = outbox
	}
	h.engine = NewEmbedded(store, EngineOptions{NoCache: cfg.NoCache})
	store.OnRollback(func(bool) { h.engine.Forget() })
	h.service = NewService(h, store, h.engine, cfg.Service)
	h.due = NewScheduler(h.service, store, log, reg)
	return h, nil
}

// Service is what people do besides checking in, for the HTTP edge.
func (h *Host) Service() *Service { return h.service }

// Start begins sending webhooks and forgetting old keys. Starting twice is as once.
func (h *Host) Start(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.done = cancel, make(chan struct{})
	h.due.Start()
	go h.run(ctx, h.done)
	return nil
}

// Stop ends what Start began and waits for it, at most until ctx ends.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	stop, done := h.stop, h.done
	h.stop = nil
	h.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	h.due.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop habits-service: %w", ctx.Err())
	}
}

func (h *Host) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	var wg sync.WaitGroup
	if h.outbox != nil {
		wg.Go(func() { h.outbox.run(ctx) })
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if _, err := h.store.Prune(ctx, time.Time{}, h.now().Add(-keepKeys)); err != nil && ctx.Err() == nil {
				h.log.Warn("old idempotency keys were not dropped; tried again later", "error", err)
			}
		}
	}
	wg.Wait()
}

// Do implements [Executor].
func (h *Host) Do(ctx context.Context, fn func(Tx) ([]pactwire.Change, error)) error {
	return h.submit(ctx, func(tx hostTx) error {
		changes, err := fn(tx)
		if err != nil {
			return err
		}
		var told pactwire.PactID
		for _, c := range changes {
			if c.Kind == pactwire.ChangeStreakBroken {
				if err := notifyBroken(tx, c); err != nil {
					return err
				}
				continue
			}
			if c.Pact.ID == told {
				continue // once read again is enough
			}
			told = c.Pact.ID
			if err := notify(tx, hookPactUpdated, map[string]any{"pactId": told}); err != nil {
				return err
			}
		}
		return nil
	})
}

func notifyBroken(tx hostTx, c pactwire.Change) error {
	return tx.Notify(hookBroken, brokenHook{UserID: c.User, UserName: c.UserName, BrokenData: *c.Broken})
}

// submit runs fn in a transaction, waits for the commit, and wakes the outbox.
func (h *Host) submit(ctx context.Context, fn func(hostTx) error) error {
	result := make(chan error, 1) // one result, so that the store never waits
	err := h.store.Submit(ctx, func(tx HostTx) error { return fn(hostTx{tx, h}) }, func(err error) { result <- err })
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		if err == nil && h.outbox != nil {
			h.outbox.Wake()
		}
		return err
	case <-ctx.Done():
		return &pactwire.Error{Code: pactwire.Unavailable, Message: "this took too long; try again", Cause: ctx.Err()}
	}
}

// hostTx is a transaction that can tell the serving node something.
type hostTx struct {
	HostTx
	host *Host
}

// Notify puts a webhook into the outbox.
func (tx hostTx) Notify(kind string, data any) error {
	if tx.host.outbox == nil {
		return nil
	}
	return tx.host.outbox.Put(tx, kind, data, tx.host.now())
}

// notify tells the serving node, where tx is of a service that has one to tell.
func notify(tx Tx, kind string, data any) error {
	if n, ok := tx.(interface{ Notify(string, any) error }); ok {
		return n.Notify(kind, data)
	}
	return nil
}

// Checkin applies a check-in and keeps its first result by the idempotency key, if there is one: the same key again gets
// the same body, and first is false. With tell, the serving node is told by webhook.
func (h *Host) Checkin(ctx context.Context, req pactwire.CheckinRequest, tell bool) (body []byte, first bool, err error) {
	var out struct { // no named result: who has stopped waiting returns while the transaction still runs
		body    []byte
		first   bool
		refused error
	}
	err = h.submit(ctx, func(tx hostTx) (err error) {
		out.body, out.first, out.refused = nil, false, nil
		if req.IdempotencyKey != "" {
			rec, known, err := tx.Command(req.UserID, req.IdempotencyKey)
			if err != nil {
				return fmt.Errorf("read idempotency key of %s: %w", req.UserID, err)
			}
			if known && rec.Answer != nil {
				out.body = rec.Answer
				return nil
			}
		}
		var res pactwire.CheckinResult
		if res, out.refused = h.engine.Checkin(ctx, tx, req); out.refused != nil {
			if Final(out.refused) {
				return nil // nothing was written: the others in this commit need not suffer
			}
			return out.refused
		}
		out.body, err = json.Marshal(answerOf(res))
		if err != nil {
			return fmt.Errorf("write answer about check-in %s: %w", res.Checkin.ID, err)
		}
		out.first = !res.Duplicate
		return h.remember(tx, req, res, out.body, tell)
	})
	if err != nil {
		return nil, false, err
	}
	return out.body, out.first, out.refused
}

// remember writes what belongs to a check-in besides its row.
func (h *Host) remember(tx hostTx, req pactwire.CheckinRequest, res pactwire.CheckinResult, body []byte, tell bool) error {
	if err := ensureUser(tx, req.UserID, req.UserName); err != nil {
		return err
	}
	if req.IdempotencyKey != "" {
		id, err := tx.NextCommandID()
		if err != nil {
			return fmt.Errorf("number request of %s: %w", req.UserID, err)
		}
		rec := pactwire.CommandRecord{ID: id, User: req.UserID, Key: req.IdempotencyKey, Answer: body, AcceptedAt: h.now()}
		if err := tx.PutCommand(rec); err != nil {
			return fmt.Errorf("write idempotency key of %s: %w", req.UserID, err)
		}
	}
	for _, c := range res.Broken { // the answer to the serving node does not say it
		if err := notifyBroken(tx, c); err != nil {
			return err
		}
	}
	if !tell || res.Duplicate {
		return nil
	}
	if err := tx.Notify(hookCheckinUpserted, json.RawMessage(body)); err != nil {
		return err
	}
	for _, m := range res.Milestones {
		err := tx.Notify(hookMilestone, milestoneHook{
			UserID: req.UserID, CheckinID: res.Checkin.ID, MilestoneData: pactwire.MilestoneData{
				PactID: req.PactID, HabitGoalID: res.Checkin.HabitGoalID, HabitName: res.HabitName,
				StreakDays: m.StreakDays, IsNewRecord: m.IsNewRecord,
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// brokenHook is the data of streak.broken.
type brokenHook struct {
	UserID   pactwire.UserID `json:"userId"`
	UserName string          `json:"userName"`
	pactwire.BrokenData
}

// milestoneHook is the data of streak.milestone.
type milestoneHook struct {
	UserID    pactwire.UserID `json:"userId"`
	CheckinID string          `json:"checkinId"`
	pactwire.MilestoneData
}
