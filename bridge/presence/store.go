package presence

import (
	"context"

	"github.com/pactwire/pactwire"
)

// Store keeps what must survive the process.
type Store interface {
	// LastSeen returns what is kept of each user; who was never seen is left out.
	LastSeen(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error)
	// SaveSeen replaces what is kept of each user named. It is durable when it returns.
	SaveSeen(ctx context.Context, seen []pactwire.Seen) error
	// WereOnline lists the users whose last saved state is online.
	WereOnline(ctx context.Context) ([]pactwire.UserID, error)
}
