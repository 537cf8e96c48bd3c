package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
)

func TestNodeIDIsKept(t *testing.T) {
	c := Default()
	c.DataDir = filepath.Join(t.TempDir(), "new")
	first, err := NodeID(c)
	if err != nil || !pactwire.ValidID(first) {
		t.Fatalf("%q, %v", first, err)
	}
	again, err := NodeID(c)
	if err != nil || again != first {
		t.Errorf("%q, then %q, %v", first, again, err)
	}
	c.DataDir = t.TempDir()
	if other, err := NodeID(c); err != nil || other == first {
		t.Errorf("another directory has the same name: %q, %v", other, err)
	}
	c.Node.ID = "a"
	if id, err := NodeID(c); err != nil || id != "a" {
		t.Errorf("configured: %q, %v", id, err)
	}
}

func TestNodeIDDamaged(t *testing.T) {
	c := Default()
	c.DataDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(c.DataDir, nodeFile), []byte("no/name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NodeID(c); err == nil || !strings.Contains(err.Error(), "set node.id, or delete it") {
		t.Errorf("%v", err)
	}
}

func TestNodeIDOfAnyHost(t *testing.T) {
	for _, host := range []string{"", "box", "box.example.org", "ünïcode", strings.Repeat("long", 40), "a/b c"} {
		if id := newNodeID(host); !pactwire.ValidID(id) {
			t.Errorf("%q gives %q", host, id)
		}
	}
}
