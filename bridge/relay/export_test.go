package relay

import "github.com/pactwire/pactwire"

// LeftOut is how often something was left out.
func (r *Relay) LeftOut() uint64 { return r.lost.Load() }

// Relearn has a pact read, if not too many wait for that.
func (r *Relay) Relearn(p pactwire.PactID) bool { return r.relearn(p, false) }
