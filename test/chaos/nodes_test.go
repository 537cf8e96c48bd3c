package chaos_test

import (
	"testing"

	"github.com/pactwire/pactwire/internal/testkit"
)

// TestPromises1To6OnThreeNodes is the same for three nodes, PostgreSQL and Redis. Odd seeds have a habits-service of its own.
func TestPromises1To6OnThreeNodes(t *testing.T) {
	rounds(t, func(seed uint64) testkit.ClusterOptions {
		return testkit.ClusterOptions{Nodes: 3, Habits: seed%2 == 1}
	})
}
