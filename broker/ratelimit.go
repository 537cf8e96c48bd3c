package broker

import "net/netip"

// mayConnect spends one connect of an address, if it has one. Of IPv6 a network of 64 bits counts as one: one customer has at least this
// much.
func (s *Server) mayConnect(a netip.Addr) bool {
	if s.cfg.Connects == nil {
		return true
	}
	if a.Is6() && !a.Is4In6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			a = p.Addr()
		}
	}
	_, ok := s.cfg.Connects.Take(a, 0)
	return ok
}
