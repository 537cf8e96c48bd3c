package relay

// LeftOut is how often something was left out.
func (r *Relay) LeftOut() uint64 { return r.lost.Load() }
