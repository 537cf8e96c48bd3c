package relay

import (
	"slices"

	"github.com/pactwire/pactwire"
)

// departures are the last for which a pact was read, by pact. At most departuresHeld; then all are forgotten.
type departures map[pactwire.PactID]pactwire.Seq

const departuresHeld = 1000

// unheard reports whether entries say, later than a pact was read, that somebody has left who is still taken for a reader.
func (d departures) unheard(p pactwire.PactID, entries []pactwire.Entry, reader func(pactwire.UserID) bool) bool {
	for _, e := range slices.Backward(entries) {
		if e.Seq <= d[p] {
			break
		}
		if u := pactwire.WhoLeft(e.Payload); u == "" || !reader(u) {
			continue
		}
		if len(d) >= departuresHeld {
			clear(d)
		}
		d[p] = e.Seq
		return true
	}
	return false
}

// reads reports whether a user is among the readers of a pact, as far as this node has heard.
func (r *Relay) reads(p pactwire.PactID, u pactwire.UserID) (found bool) {
	r.view.Readers(p, func(x pactwire.UserID) bool {
		found = x == u
		return !found
	})
	return found
}
