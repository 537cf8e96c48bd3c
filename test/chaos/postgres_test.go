package chaos_test

import (
	"testing"

	"github.com/pactwire/pactwire/internal/testkit"
)

// TestPromises1To6OnPostgreSQL is the same for a single node whose database is PostgreSQL. Odd seeds have a habits-service of
// its own.
func TestPromises1To6OnPostgreSQL(t *testing.T) {
	rounds(t, func(seed uint64) testkit.ClusterOptions {
		return testkit.ClusterOptions{Nodes: 1, NoRedis: true, Habits: seed%2 == 1}
	})
}
