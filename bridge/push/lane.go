package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// lane carries one channel's messages, at most attempts of them at a time. A channel that hangs keeps no other waiting.
type lane struct {
	p       *Pusher
	channel Channel
	wake    chan struct{} // of size 1
	free    chan struct{} // holds one for each attempt under way
}

func (l *lane) run() {
	p := l.p
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-l.wake:
		}
		for p.ctx.Err() == nil {
			list, err := l.claim()
			if err != nil {
				if p.ctx.Err() == nil {
					p.log.Warn("claim pushes", "channel", l.channel.Name(), "error", err)
				}
				break // the next poll tries again
			}
			if len(list) == 0 {
				break
			}
			for i := range list {
				l.free <- struct{}{} // there is room: no more are claimed than are free
				p.tasks.Go(func() {
					l.attempt(&list[i])
					<-l.free
					nudge(l.wake) // there may be more than there was room for
				})
			}
		}
	}
}

// claim takes as many due messages as may be under way on top of those that are.
func (l *lane) claim() (list []pactwire.Push, err error) {
	room := cap(l.free) - len(l.free)
	if room == 0 {
		return nil, nil
	}
	err = l.p.store.Push(l.p.ctx, func(tx Tx) (err error) {
		now := time.Now()
		list, err = tx.ClaimPushes(l.channel.Name(), now, now.Add(leaseTime), room)
		return err
	})
	return list, err
}

// attempt sends one message and stores what came of it. What cannot be stored is found again when the lease is over.
func (l *lane) attempt(m *pactwire.Push) {
	p, name := l.p, l.channel.Name()
	ctx, cancel := context.WithTimeout(p.ctx, p.cfg.Timeout)
	err := l.send(ctx, m)
	cancel()
	if p.ctx.Err() != nil && err != nil {
		return // broken off, and no attempt that counts
	}
	var settle func(Tx) error
	var r *Refusal
	errors.As(err, &r)
	switch {
	case err == nil:
		p.metrics.sent.WithLabelValues(name).Inc()
		settle = func(tx Tx) error { return tx.DonePush(m.ID) }
	case r != nil && r.Gone:
		p.metrics.gone.WithLabelValues(name).Inc()
		settle = func(tx Tx) error {
			if _, err := tx.DropPushToken(m.User, m.Target); err != nil {
				return err
			}
			return tx.DonePush(m.ID)
		}
	default:
		l.again(m, r, err)
		settle = func(tx Tx) error { return tx.FailPush(*m) }
	}
	if err := p.store.Push(context.WithoutCancel(p.ctx), settle); err != nil {
		p.log.Warn("store what became of a push", "channel", name, "push", m.ID, "error", err)
	}
}

// again decides when a message that was not taken is tried next, or that it never is.
func (l *lane) again(m *pactwire.Push, r *Refusal, err error) {
	now := time.Now()
	m.Attempts++
	m.Error = shorten(err.Error(), maxText)
	m.NextAt = now.Add(retryAfter(m.Attempts))
	if r != nil && r.RetryAfter > 0 {
		m.NextAt = later(m.NextAt, now.Add(min(r.RetryAfter, longestRetry)))
	}
	why := "refused"
	if m.Dead = r != nil && r.Final; !m.Dead {
		why, m.Dead = "expired", m.NextAt.Sub(m.CreatedAt) > giveUp
	}
	if m.Dead {
		l.p.metrics.dead.WithLabelValues(l.channel.Name(), why).Inc()
		l.p.log.Warn("push given up", "channel", l.channel.Name(), "push", m.ID, "attempts", m.Attempts, "why", why, "error", m.Error)
		return
	}
	l.p.metrics.retried.WithLabelValues(l.channel.Name()).Inc()
}

// send puts a stored push together again and hands it to the channel.
func (l *lane) send(ctx context.Context, m *pactwire.Push) error {
	var e envelope
	if err := json.Unmarshal(m.Body, &e); err != nil {
		return &Refusal{Final: true, Cause: fmt.Errorf("read push: %w", err)}
	}
	out := Message{ID: m.ID, Type: e.Type, User: m.User, Pact: e.Data.PactID, Title: e.Data.Title, Text: e.Data.Body,
		Body: m.Body, ExpiresAt: m.CreatedAt.Add(giveUp)}
	if m.Target != "" {
		tokens, err := l.p.store.PushTokens(ctx, m.User)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(tokens, func(t pactwire.PushToken) bool { return t.ID == m.Target })
		if i < 0 { // another person may use the device by now
			return &Refusal{Gone: true, Cause: errors.New("the token is not this person's any more")}
		}
		out.Token = tokens[i]
	}
	return l.channel.Send(ctx, out)
}

// The times between attempts: these, and then twice as long each time up to longestRetry.
var firstRetries = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}

const longestRetry = time.Hour

// retryAfter is the time from the nth failed attempt to the next one, with up to a tenth on top so that what failed
// together does not come back together.
func retryAfter(n int) time.Duration {
	d := longestRetry
	if n <= len(firstRetries) {
		d = firstRetries[n-1]
	} else if over := n - len(firstRetries); over < 8 {
		d = min(longestRetry, firstRetries[len(firstRetries)-1]<<over)
	}
	return d + rand.N(d/10) //nolint:gosec // jitter
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
