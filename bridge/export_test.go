package bridge

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// NobodysPact is asked for to see whether a remote service is there.
const NobodysPact = nobodysPact

// Duplicates counts the commands that had been done before.
func (b *Bridge) Duplicates() prometheus.Counter { return b.metrics.duplicates }

// Reading begins a reading of a remote service; what it returns records what was read.
func (b *Bridge) Reading() func(ctx context.Context, p pactwire.Pact) error {
	read := b.members.begin()
	return func(ctx context.Context, p pactwire.Pact) error { return b.sawAll(ctx, []pactwire.Pact{p}, read) }
}
