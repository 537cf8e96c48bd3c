package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pactwire/pactwire"
)

// nodeFile holds the node's name in data_dir.
const nodeFile = "node_id"

const maxHost = 40 // characters of a host name in a node's name

// NodeID is the name of this process among others: node.id, or else the host's name and a suffix, made once and kept in
// data_dir, so that a node that comes back is the one that it was.
func NodeID(c Config) (string, error) {
	if c.Node.ID != "" {
		return c.Node.ID, nil
	}
	path := filepath.Join(c.DataDir, nodeFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		host, _ := os.Hostname() // without one the suffix does
		if err := makeFile(path, newNodeID(host)+"\n"); err != nil {
			return "", fmt.Errorf("keep the node's name: %w", err)
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if !pactwire.ValidID(id) {
		return "", fmt.Errorf("the node's name in %s is damaged; set node.id, or delete it and a new one is made", path)
	}
	return id, nil
}

func newNodeID(host string) string {
	var b strings.Builder
	for _, r := range strings.SplitN(host, ".", 2)[0] {
		if b.Len() < maxHost && pactwire.ValidID(string(r)) {
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		b.WriteString("node")
	}
	suffix := make([]byte, 4)
	rand.Read(suffix)
	return b.String() + "-" + hex.EncodeToString(suffix)
}
