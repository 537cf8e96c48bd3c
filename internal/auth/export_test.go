package auth

import "time"

// SetClock gives the list another clock.
func (r *Revocations) SetClock(now func() time.Time) { r.now = now }
