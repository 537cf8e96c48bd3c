package hooks

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/pactwire/pactwire"
)

// rates holds one limiter a connected user, shared by the user's connections.
type rates struct {
	perSecond float64
	burst     int

	mu    sync.Mutex
	users map[pactwire.UserID]*sharedLimit
}

type sharedLimit struct {
	rate.Limiter
	holders int
}

func newRates(perSecond float64, burst int) *rates {
	return &rates{perSecond: perSecond, burst: max(burst, 1), users: make(map[pactwire.UserID]*sharedLimit)}
}

// take returns the user's limiter and how to give it back; nil when there is no limit.
func (r *rates) take(u pactwire.UserID) (*rate.Limiter, func()) {
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
