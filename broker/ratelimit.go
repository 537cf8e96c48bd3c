package broker

import (
	"net/netip"
	"sync"
	"time"
)

// connectRate bounds how often one address may connect. It keeps one time an address: the moment at which all that was
// spent will have been earned back (the generic cell rate algorithm). An entry whose moment has passed says nothing, so
// the table is swept of those when it grows. Bound: maxAddresses; what is still full then refuses newcomers, which takes a
// flood from that many networks at once.
type connectRate struct {
	every time.Duration // one connect earns back in
	burst time.Duration // how far ahead an address may be

	mu    sync.Mutex
	until map[netip.Addr]time.Time
	sweep int       // at which size to look for entries that have passed
	swept time.Time // when that was last done
}

const maxAddresses = 1 << 16

// newConnectRate returns nil, which allows everything, for a rate of 0.
func newConnectRate(perSecond float64, burst int) *connectRate {
	if perSecond <= 0 {
		return nil
	}
	every := time.Duration(float64(time.Second) / perSecond)
	return &connectRate{every: every, burst: time.Duration(burst) * every, until: map[netip.Addr]time.Time{}, sweep: 1024}
}

// allow spends one connect of an address, if it has one.
func (r *connectRate) allow(a netip.Addr, now time.Time) bool {
	if r == nil {
		return true
	}
	if a.Is6() && !a.Is4In6() {
		if p, err := a.WithZone("").Prefix(64); err == nil { // one customer has at least this much
			a = p.Addr()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t, known := r.until[a]
	if t.Before(now) {
		t = now
	}
	if t = t.Add(r.every); t.Sub(now) > r.burst {
		return false
	}
	if !known && len(r.until) >= r.sweep && !r.makeRoom(now) {
		return false
	}
	r.until[a] = t
	return true
}

// makeRoom forgets what has passed. Looking takes time under everybody's lock, so a full table is not looked at more than
// once a second.
func (r *connectRate) makeRoom(now time.Time) bool {
	if len(r.until) >= maxAddresses && now.Sub(r.swept) < time.Second {
		return false
	}
	r.swept = now
	for a, t := range r.until {
		if !t.After(now) {
			delete(r.until, a)
		}
	}
	r.sweep = min(max(1024, 2*len(r.until)), maxAddresses)
	return len(r.until) < maxAddresses
}
