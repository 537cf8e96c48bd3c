package relay

import (
	"bytes"
	"encoding/json"

	"github.com/pactwire/pactwire"
)

// departures are the last of which was learnt, by pact. At most departuresHeld; then all are forgotten, and learnt anew.
type departures map[pactwire.PactID]pactwire.Seq

const departuresHeld = 1000

// news reports whether entries say that somebody has left, later than was known.
func (d departures) news(p pactwire.PactID, entries []pactwire.Entry) bool {
	for i := len(entries) - 1; i >= 0 && entries[i].Seq > d[p]; i-- {
		if !saysWhoLeft(entries[i].Payload) {
			continue
		}
		if len(d) >= departuresHeld {
			clear(d)
		}
		d[p] = entries[i].Seq
		return true
	}
	return false
}

func saysWhoLeft(activity []byte) bool {
	if !bytes.Contains(activity, []byte(pactwire.MemberLeftPact)) {
		return false
	}
	var a struct{ Type pactwire.ActivityType }
	return json.Unmarshal(activity, &a) == nil && a.Type == pactwire.MemberLeftPact
}
