package delivery

import "github.com/pactwire/pactwire"

// Held reports whether a connection has the seat of a session.
func (h *Hub) Held(key pactwire.SessionKey) bool {
	h.seats.mu.Lock()
	defer h.seats.mu.Unlock()
	x := h.seats.taken[key]
	return x != nil && x.client != nil
}

// Seats counts the session keys that somebody holds or opens.
func (h *Hub) Seats() int {
	h.seats.mu.Lock()
	defer h.seats.mu.Unlock()
	return len(h.seats.taken)
}
