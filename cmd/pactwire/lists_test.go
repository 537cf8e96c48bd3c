package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
)

// Lists are printed whole, however many pages they take.
func TestListsAreWhole(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	const n = 205
	for i := range n {
		if _, err := s.node.service.CreateGoal(t.Context(), alice, pactwire.GoalInput{Name: fmt.Sprint("habit ", i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.node.revoked.Revoke(t.Context(), "op", pactwire.RevocationInput{TokenID: fmt.Sprint("token-", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		last string
	}{{[]string{"goal", "list", "--user", "alice"}, "habit 204"}, {[]string{"revoke", "list"}, "token-204"}} {
		lines := strings.Split(s.does(t, c.args...), "\n")
		if len(lines) != n || !strings.Contains(lines[n-1], c.last) {
			t.Errorf("pactwire %v: %d lines, the last is %s", c.args, len(lines), lines[len(lines)-1])
		}
	}
}
