package testkit

import (
	"net/http"
	"testing"
	"time"
)

// TestSetClock: the server's clock steps, and it goes on serving.
func TestSetClock(t *testing.T) {
	s := Start(t, nil)
	for i, d := range []time.Duration{30 * time.Minute, -time.Minute, 0} {
		s.SetClock(d)
		user := "u" + string(rune('0'+i))
		var g struct {
			CreatedAt time.Time `json:"createdAt"`
		}
		s.Must("alice", http.MethodPost, "/v1/goals", map[string]string{"name": user}, &g)
		if off := time.Until(g.CreatedAt) - d; off.Abs() > 10*time.Second {
			t.Errorf("a clock set %v off is off by another %v", d, off)
		}
	}
}
