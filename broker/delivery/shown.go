package delivery

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// shown is the version of a member's presence that a client was told last. Words of presence may overtake each other between
// nodes, and a change is announced a moment after a snapshot may have told of it.
type shown struct {
	pact    pactwire.PactID
	member  pactwire.UserID
	version uint64
}

// maxShown bounds what a client remembers of that; then all is forgotten, and noted anew. Operators alone see so many.
const maxShown = 1024

func (c *Client) findShown(s snapshot) (int, bool) {
	return slices.BinarySearchFunc(c.shown, s, func(x shown, s snapshot) int {
		return cmp.Or(strings.Compare(string(x.pact), string(s.pact)), strings.Compare(string(x.member), string(s.member)))
	})
}

// told reports whether nothing is to be said of a member's presence any more: a change that is not news, or a snapshot that
// is older than what the client was told. Under c.mu.
func (c *Client) told(s snapshot) bool {
	i, known := c.findShown(s)
	switch {
	case !known:
		return false
	case s.retain:
		return c.shown[i].version > s.version
	}
	return c.shown[i].version >= s.version
}

// tell notes what is told of a presence. Under c.mu.
func (c *Client) tell(s snapshot) {
	if s.kind != topics.PresenceKind || s.version == 0 {
		return
	}
	i, known := c.findShown(s)
	if known {
		c.shown[i].version = s.version
		return
	}
	if len(c.shown) >= maxShown {
		c.shown, i = nil, 0
	}
	c.shown = slices.Insert(c.shown, i, shown{s.pact, s.member, s.version})
}
