package auth

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/trouble"
)

// RevocationStore keeps revocations. Its errors are Unavailable; what it has written is durable when it returns.
type RevocationStore interface {
	AddRevocation(ctx context.Context, r pactwire.Revocation) error
	// Revocations are those that were made since a time, oldest first.
	Revocations(ctx context.Context, since time.Time) ([]pactwire.Revocation, error)
	// RemoveDevice deletes a device and writes the revocation down in the same transaction. It reports whether there was one.
	RemoveDevice(ctx context.Context, id pactwire.DeviceID, r pactwire.Revocation) (bool, error)
}

const (
	// overlap is how far back behind the last look that succeeded each look at a shared store goes: revocations of other nodes
	// may become visible out of order, and their clocks differ a little. Learning one again changes nothing.
	overlap = 5 * time.Minute
	// lookTime bounds one look.
	lookTime = 5 * time.Second
	// sweepEvery is how often what may be forgotten is.
	sweepEvery = time.Hour
)

// Revocations is the list of credentials that were taken back, all of it in memory, so that asking costs nothing. Entries
// go when the last token that they concern has ended anyway.
type Revocations struct {
	store RevocationStore
	every time.Duration // between looks at the store for what other nodes revoked; 0 = nobody else writes
	log   *slog.Logger
	now   func() time.Time

	trouble trouble.Log

	stop func()
	task sync.WaitGroup
	soon chan struct{} // of size 1: another node has revoked something

	mu      sync.RWMutex
	revoked func() // called after something was learned
	tell    func() // called after something was revoked here
	swept   time.Time
	looked  time.Time                          // when the last look that succeeded began
	tokens  map[string]time.Time               // by jti: until when it is to be remembered
	users   map[pactwire.UserID]userRevocation // the latest of each
	devices map[pactwire.DeviceID]time.Time    // until when it is to be remembered
}

type userRevocation struct{ before, until time.Time }

// NewRevocations makes the list. Load fills it before anybody is let in.
func NewRevocations(store RevocationStore, every time.Duration, log *slog.Logger) *Revocations {
	return &Revocations{store: store, every: every, log: log, now: time.Now, stop: func() {}, soon: make(chan struct{}, 1), revoked: func() {}, tell: func() {},
		tokens: make(map[string]time.Time), users: make(map[pactwire.UserID]userRevocation), devices: make(map[pactwire.DeviceID]time.Time)}
}

// OnRevoked names what to do after something was revoked, here or on another node: to end the connections for which Stands
// is no longer nil. It is called on the goroutine that revoked, or on the list's own.
func (r *Revocations) OnRevoked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked = f
}

// Share names how to tell other nodes that something was revoked here, so that they call LookSoon. Without it, and where it does not reach
// them, they look by themselves. It must not block.
func (r *Revocations) Share(tell func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell = tell
}

// LookSoon has the list look at what other nodes have revoked, without waiting for its time. It does not block.
func (r *Revocations) LookSoon() {
	select {
	case r.soon <- struct{}{}:
	default:
	}
}

// Start reads what was revoked, and begins to look for what other nodes revoke. Without the list nobody may be let in, so
// an error ends the start of the process.
func (r *Revocations) Start(ctx context.Context) error {
	if err := r.read(ctx, time.Time{}); err != nil {
		return fmt.Errorf("read what was revoked: %w", err)
	}
	if r.every > 0 {
		ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
		r.task.Go(func() { r.watch(ctx) })
	}
	return nil
}

// Stop ends what Start began.
func (r *Revocations) Stop() {
	r.stop()
	r.task.Wait()
}

func (r *Revocations) watch(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.soon:
		}
		if err := r.Look(ctx); ctx.Err() == nil {
			r.trouble.Change(r.log, "what other nodes revoked cannot be looked for", err)
		}
	}
}

// Look learns at once what other nodes have revoked since it could last be read.
func (r *Revocations) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	r.mu.RLock()
	since := r.looked.Add(-overlap)
	r.mu.RUnlock()
	return r.read(ctx, since)
}

// read learns what was revoked since a time.
func (r *Revocations) read(ctx context.Context, since time.Time) error {
	began := r.now()
	list, err := r.store.Revocations(ctx, since)
	if err != nil {
		return err
	}
	r.learn(list)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = began
	return nil
}

// Revoke takes a token, or all of a person's tokens that were issued so far, back. It has taken effect on this node when it
// returns, on live connections too.
func (r *Revocations) Revoke(ctx context.Context, by pactwire.UserID, in pactwire.RevocationInput) (pactwire.Revocation, error) {
	rev, err := r.revocation(by, in)
	if err != nil {
		return rev, err
	}
	if rev.DeviceID != "" {
		return rev, r.removeDevice(ctx, rev)
	}
	if err := r.store.AddRevocation(ctx, rev); err != nil {
		return rev, err
	}
	r.made(rev)
	return rev, nil
}

// RevokeDevice takes a device away. NotFound when there is none.
func (r *Revocations) RevokeDevice(ctx context.Context, by pactwire.UserID, d pactwire.DeviceID) error {
	_, err := r.Revoke(ctx, by, pactwire.RevocationInput{DeviceID: d})
	return err
}

func (r *Revocations) removeDevice(ctx context.Context, rev pactwire.Revocation) error {
	there, err := r.store.RemoveDevice(ctx, rev.DeviceID, rev)
	switch {
	case err != nil:
		return err
	case !there:
		return pactwire.Errorf(pactwire.NotFound, "there is no such device")
	}
	r.made(rev)
	return nil
}

// made has what was revoked here hold, and tells other nodes.
func (r *Revocations) made(rev pactwire.Revocation) {
	r.mu.RLock()
	tell := r.tell
	r.mu.RUnlock()
	tell()
	r.learn([]pactwire.Revocation{rev})
}

// maxTokenID bounds what is kept of one token.
const maxTokenID = 256

func (r *Revocations) revocation(by pactwire.UserID, in pactwire.RevocationInput) (pactwire.Revocation, error) {
	now := r.now()
	rev := pactwire.Revocation{ID: uuid.Must(uuid.NewV7()).String(), TokenID: in.TokenID, UserID: in.UserID, DeviceID: in.DeviceID,
		By: by, At: pactwire.Time(now), Until: pactwire.Time(now.Add(pactwire.RevocationsKept))}
	named := 0
	for _, s := range []string{in.TokenID, string(in.UserID), string(in.DeviceID)} {
		if s != "" {
			named++
		}
	}
	switch {
	case named != 1:
		return rev, pactwire.FieldErrorf("tokenId", "say one of tokenId, userId and deviceId: what is to be revoked")
	case len(in.TokenID) > maxTokenID:
		return rev, pactwire.FieldErrorf("tokenId", "this is longer than %d bytes: send the claim jti of the token, not the token", maxTokenID)
	case in.UserID != "" && !pactwire.ValidID(in.UserID):
		return rev, pactwire.FieldErrorf("userId", "this is no user id")
	case in.DeviceID != "" && !pactwire.ValidID(in.DeviceID):
		return rev, pactwire.FieldErrorf("deviceId", "this is no device id")
	case in.Before != nil && in.Before.After(now):
		return rev, pactwire.FieldErrorf("before", "this lies in the future; leave it out to mean now")
	}
	if in.UserID != "" {
		before := pactwire.Time(now)
		if in.Before != nil {
			before = pactwire.Time(*in.Before)
		}
		rev.Before = &before
	}
	if in.TokenID != "" && in.ExpiresAt != nil {
		rev.Until = pactwire.Time(in.ExpiresAt.Add(leeway))
	}
	return rev, nil
}

// Revocations are those that stand, oldest first.
func (r *Revocations) Revocations(ctx context.Context) ([]pactwire.Revocation, error) {
	list, err := r.store.Revocations(ctx, time.Time{})
	now, live := r.now(), list[:0]
	for _, rev := range list {
		if rev.Until.Std().After(now) {
			live = append(live, rev)
		}
	}
	return live, err
}

// learn makes revocations hold, and says so if any is news.
func (r *Revocations) learn(list []pactwire.Revocation) {
	now := r.now()
	news := false
	r.mu.Lock()
	for _, rev := range list {
		if until := rev.Until.Std(); until.After(now) {
			news = r.take(rev, until) || news
		}
	}
	if now.Sub(r.swept) > sweepEvery {
		r.swept = now
		r.sweep(now)
	}
	tell := r.revoked
	r.mu.Unlock()
	if news {
		tell()
	}
}

// take keeps one revocation and reports whether it is news. Under r.mu.
func (r *Revocations) take(rev pactwire.Revocation, until time.Time) bool {
	switch {
	case rev.TokenID != "":
		_, known := r.tokens[rev.TokenID]
		r.tokens[rev.TokenID] = until
		return !known
	case rev.DeviceID != "":
		_, known := r.devices[rev.DeviceID]
		r.devices[rev.DeviceID] = until
		return !known
	case rev.Before == nil:
		return false
	}
	if known, ok := r.users[rev.UserID]; ok && !rev.Before.Std().After(known.before) {
		return false
	}
	r.users[rev.UserID] = userRevocation{rev.Before.Std(), until}
	return true
}

// sweep forgets what concerns no credential any more. Under r.mu.
func (r *Revocations) sweep(now time.Time) {
	for id, until := range r.tokens {
		if !until.After(now) {
			delete(r.tokens, id)
		}
	}
	for u, x := range r.users {
		if !x.until.After(now) {
			delete(r.users, u)
		}
	}
	for d, until := range r.devices {
		if !until.After(now) {
			delete(r.devices, d)
		}
	}
}

// Stands is nil while the credentials behind an identity have not been revoked, else Denied.
//
// Tokens say in whole seconds when they were issued, so one that was issued in the very second of a person's revocation may
// be older or newer: it is refused. So is a token that does not say when it was issued.
func (r *Revocations) Stands(id pactwire.Identity) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if id.Device != "" {
		if _, revoked := r.devices[id.Device]; revoked {
			return denied("this device was revoked")
		}
		return nil
	}
	if id.TokenID != "" {
		if _, revoked := r.tokens[id.TokenID]; revoked {
			return denied("this token was revoked; sign in again")
		}
	}
	if x, ok := r.users[id.UserID]; ok && id.IssuedAt.Unix() <= x.before.Unix() {
		return denied("tokens that were issued to you so far were revoked; sign in again")
	}
	return nil
}
