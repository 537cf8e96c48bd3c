package delivery

import (
	"hash/maphash"
	"slices"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// welcomed is a state that was told to a client because its person joined the pact. What made them a member changed that state too,
// and word of it follows in a moment: the same bytes once more would be no news.
type welcomed struct {
	pact  pactwire.PactID
	state uint64 // hash
}

// maxWelcomed bounds what a client remembers of that, for pacts of which no word follows; the oldest goes.
const maxWelcomed = 16

var stateSeed = maphash.MakeSeed()

// echoes reports whether a state says once more what a newcomer was just told, and notes what a newcomer is told. The first word after
// the welcome ends it. Under c.mu.
func (c *Client) echoes(s snapshot, body []byte) bool {
	if s.kind != topics.StateKind || len(c.welcomed) == 0 && !s.joined {
		return false
	}
	hash := maphash.Bytes(stateSeed, body)
	i := slices.IndexFunc(c.welcomed, func(w welcomed) bool { return w.pact == s.pact })
	echo := i >= 0 && !s.retain && !s.joined && c.welcomed[i].state == hash
	if i >= 0 {
		c.welcomed = slices.Delete(c.welcomed, i, i+1)
	}
	if s.joined {
		c.welcomed = append(c.welcomed[max(0, len(c.welcomed)-maxWelcomed+1):], welcomed{s.pact, hash})
	}
	if len(c.welcomed) == 0 {
		c.welcomed = nil
	}
	return echo
}
