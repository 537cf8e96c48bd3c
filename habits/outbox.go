package habits

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/prometheus/client_golang/prometheus"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	outboxTarget = "events"
	outboxBatch  = 50               // webhooks read at once
	outboxGiveUp = 24 * time.Hour   // after which one that was never taken is dropped
	outboxPause  = 15 * time.Second // the longest between two attempts while nobody answers
	outboxPoll   = time.Minute      // in case a wake-up was missed
	outboxLate   = 3                // webhooks in a row that were received and not answered: nobody answers
)

// OutboxConfig says where webhooks go.
type OutboxConfig struct {
	URL       string
	Secret    string        // whsec_ and base64
	Timeout   time.Duration // of one attempt; 0 means 5 s
	Transport http.RoundTripper
	Now       func() time.Time // nil means time.Now
}

// outboxStore is the part of a store that an outbox needs.
type outboxStore interface {
	WebhookStore
	Submit(ctx context.Context, fn func(HostTx) error, done func(error)) error
}

// Outbox sends webhooks, signed as Standard Webhooks asks, until the receiver has taken them. They lie in the store from
// the transaction of what they tell, so none is lost; a receiver may see one twice, with the same webhook-id. They go one at a
// time and in order. While nobody is there, the first is tried again and the others wait; one that the receiver answers
// with an error, or has received and does not answer in time, steps back behind the others; one that it refuses for good, or never takes for 24 hours, is dropped.
type Outbox struct {
	store   outboxStore
	cfg     OutboxConfig
	sign    *webhooks.Webhook
	http    http.Client
	log     *slog.Logger
	wake    chan struct{} // holds one: what comes while it is full is covered by that one
	sent    prometheus.Counter
	retried prometheus.Counter
	dropped prometheus.Counter
}

// NewOutbox makes an outbox. The secret must be a whsec_ key.
func NewOutbox(store outboxStore, cfg OutboxConfig, log *slog.Logger, reg prometheus.Registerer) (*Outbox, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("habits.events_url: %q is no http or https address", cfg.URL)
	}
	if cfg.Secret == "" {
		return nil, errors.New("habits.secret: events cannot be signed without one")
	}
	sign, err := webhooks.NewWebhook(cfg.Secret)
	if err != nil {
		return nil, errors.New("habits.secret: write it as whsec_ and base64")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	o := &Outbox{store: store, cfg: cfg, sign: sign, log: log, wake: make(chan struct{}, 1)}
	o.http = http.Client{Transport: cfg.Transport, Timeout: cfg.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	count := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		if reg != nil {
			reg.MustRegister(c)
		}
		return c
	}
	o.sent = count("pactwire_habits_webhooks_sent_total", "Webhooks that the receiver has taken.")
	o.retried = count("pactwire_habits_webhooks_retried_total", "Attempts to send a webhook that are made again.")
	o.dropped = count("pactwire_habits_webhooks_dropped_total", "Webhooks that the receiver refused, or never took.")
	return o, nil
}

// Put writes a webhook in the transaction of what it tells.
func (o *Outbox) Put(tx WebhookTx, kind string, data any, at time.Time) error {
	body, err := json.Marshal(struct {
		Type      string        `json:"type"`
		Timestamp pactwire.Time `json:"timestamp"`
		Data      any           `json:"data"`
	}{kind, pactwire.Time(at), data})
	if err != nil {
		return fmt.Errorf("write webhook %s: %w", kind, err)
	}
	return tx.PutWebhook(pactwire.Webhook{ID: newID(), Target: outboxTarget, Body: body, CreatedAt: at, NextAt: at})
}

// Wake makes the outbox look for what is due. It never blocks.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (o *Outbox) run(ctx context.Context) {
	defer o.http.CloseIdleConnections()
	silent := 0 // rounds in a row without an answer
	for ctx.Err() == nil {
		next, answered := o.round(ctx)
		wake := o.wake
		if silent++; answered {
			silent = 0
		} else {
			next = backoff(silent)
			wake = nil // news does not make the receiver answer
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		}
		timer.Stop()
	}
}

// round sends what is due and tells when to look again. answered is false when it ended early because nobody answered, or
// the store did not.
func (o *Outbox) round(ctx context.Context) (next time.Duration, answered bool) {
	late := 0 // in a row
	for {
		now := o.cfg.Now()
		due, err := o.store.DueWebhooks(ctx, outboxTarget, now.Add(outboxPoll), outboxBatch)
		if err != nil {
			if ctx.Err() == nil {
				o.log.Warn("outbox cannot be read; tried again", "error", err)
			}
			return 0, false
		}
		var settled []settledHook
		for _, w := range due {
			if w.NextAt.After(now) {
				break
			}
			s, ok := o.send(ctx, w)
			if !ok {
				_ = o.settle(ctx, settled) // we are stopping; what is not noted is sent again, under the same id
				return 0, false
			}
			settled = append(settled, s)
			if late++; !s.late {
				late = 0
			}
			if late == outboxLate {
				_ = o.settle(ctx, settled)
				return 0, false
			}
		}
		if err := o.settle(ctx, settled); err != nil {
			return 0, false
		}
		switch {
		case len(settled) > 0: // look again: more may be due, or one stepped back
		case len(due) > 0:
			return due[0].NextAt.Sub(now), true
		default:
			return outboxPoll, true
		}
	}
}

// settledHook is what becomes of a webhook after an attempt.
type settledHook struct {
	hook pactwire.Webhook
	done bool
	late bool // it was received, and not answered in time
}

// send makes one attempt. ok is false when nobody was there.
func (o *Outbox) send(ctx context.Context, w pactwire.Webhook) (s settledHook, ok bool) {
	now := o.cfg.Now()
	status, received, err := o.post(ctx, w, now)
	old := now.Sub(w.CreatedAt) > outboxGiveUp
	switch {
	case err == nil && status/100 == 2:
		o.sent.Inc()
		return settledHook{hook: w, done: true}, true
	case ctx.Err() != nil:
		return s, false
	case err == nil && finalStatus(status), old:
		o.dropped.Inc()
		o.log.Error("webhook dropped", "webhook", w.ID, "status", status, "error", err)
		return settledHook{hook: w, done: true}, true
	case err != nil && !(received && os.IsTimeout(err)):
		o.retried.Inc()
		return s, false
	}
	o.retried.Inc()
	w.Attempts++
	w.NextAt = o.cfg.Now().Add(backoff(w.Attempts))
	return settledHook{hook: w, late: err != nil}, true
}

// finalStatus reports whether a receiver's refusal is its last word. 401 and 404 are mistakes of configuration, on either
// side, that someone will put right.
func finalStatus(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// post returns the status of an answer, and whether the receiver had the webhook before it failed to answer.
func (o *Outbox) post(ctx context.Context, w pactwire.Webhook, now time.Time) (status int, received bool, err error) {
	signature, err := o.sign.Sign(w.ID, now, w.Body)
	if err != nil {
		return 0, false, fmt.Errorf("sign webhook %s: %w", w.ID, err)
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(r httptrace.WroteRequestInfo) { sent.Store(r.Err == nil) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.cfg.URL, bytes.NewReader(w.Body))
	if err != nil {
		return 0, false, fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(webhooks.HeaderWebhookID, w.ID)
	req.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(webhooks.HeaderWebhookSignature, signature)
	res, err := o.http.Do(req)
	if err != nil {
		return 0, sent.Load(), err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode, true, nil
}

// settle writes what became of webhooks, in one transaction.
func (o *Outbox) settle(ctx context.Context, settled []settledHook) error {
	if len(settled) == 0 {
		return nil
	}
	result := make(chan error, 1)
	err := o.store.Submit(ctx, func(tx HostTx) error {
		for _, s := range settled {
			var err error
			if s.done {
				err = tx.DoneWebhook(s.hook.ID)
			} else {
				err = tx.PutWebhook(s.hook)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func(err error) { result <- err })
	if err == nil {
		err = <-result
	}
	if err != nil && ctx.Err() == nil {
		o.log.Warn("sent webhooks could not be noted; they are sent again", "error", err)
	}
	return err
}

// backoff is how long to wait after so many attempts: half a second, doubled to 15 s, with jitter.
func backoff(attempts int) time.Duration {
	d := min(250*time.Millisecond<<min(attempts, 16), outboxPause)
	return d/2 + rand.N(d/2+1)
}
