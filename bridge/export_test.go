package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// SawAt records a reading that began at a time.
func (b *Bridge) SawAt(ctx context.Context, p pactwire.Pact, read time.Time) error {
	return b.sawAll(ctx, []pactwire.Pact{p}, read)
}
