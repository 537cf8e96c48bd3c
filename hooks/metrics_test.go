package hooks

import (
	"testing"

	"github.com/pactwire/pactwire/topics"
)

// TestEveryCommandTopicHasALabel: a kind that was forgotten would be counted under no name.
func TestEveryCommandTopicHasALabel(t *testing.T) {
	seen := map[string]topics.Kind{}
	for k := topics.Other; k <= topics.SysKind; k++ {
		label, ok := kindLabels[k]
		if ok != k.Up() {
			t.Errorf("kind %d: label %q, published by clients: %v", k, label, k.Up())
		}
		if other, twice := seen[label]; ok && twice {
			t.Errorf("%q is kind %d and %d", label, other, k)
		}
		seen[label] = k
	}
}
