package hooks

import (
	"sync"

	"golang.org/x/time/rate"
)

// rates holds one limiter a connected user, or device, shared by the connections of each.
type rates struct {
	perSecond float64
	burst     int

	mu    sync.Mutex
	users map[string]*sharedLimit
}

type sharedLimit struct {
	rate.Limiter
	holders int
}

func newRates(perSecond float64, burst int) *rates {
	return &rates{perSecond: perSecond, burst: max(burst, 1), users: make(map[string]*sharedLimit)}
}

// take returns the limiter of that name and how to give it back; nil when there is no limit.
func (r *rates) take(u string) (*rate.Limiter, func()) {
	if r.perSecond <= 0 {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.users[u]
	if l == nil {
		l = &sharedLimit{Limiter: *rate.NewLimiter(rate.Limit(r.perSecond), r.burst)}
		r.users[u] = l
	}
	l.holders++
	return &l.Limiter, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if l.holders--; l.holders == 0 {
			delete(r.users, u)
		}
	}
}
