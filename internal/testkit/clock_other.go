//go:build !(linux && amd64)

package testkit

import "time"

// CanSetClock tells whether SetClock works on this system.
const CanSetClock = false

// SetClock works on Linux on amd64 alone.
func (s *Server) SetClock(time.Duration) {
	s.t.Helper()
	s.t.Fatal("testkit: the clock of one process can be set on Linux on amd64 alone")
}
