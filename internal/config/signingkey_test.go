package config_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pactwire/pactwire/internal/config"
)

func TestSigningKeyIsMadeOnceAndKeptPrivate(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "new", "data")
	keys := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			_, err := config.MakeSigningKey(cfg)
			if err == nil {
				keys[i], err = config.SigningKey(cfg)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if len(k) < config.MinSecret || !bytes.Equal(k, keys[0]) {
			t.Errorf("%d bytes, the same: %v", len(k), bytes.Equal(k, keys[0]))
		}
	}
	path := filepath.Join(cfg.DataDir, "jwt.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(cfg.DataDir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := config.SigningKey(cfg); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read was used: %v", err)
	}
}

// Who looks for the key where none was made is told so, and makes none.
func TestSigningKeyIsNotMadeByWhoLooksForIt(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	if _, err := config.SigningKey(cfg); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(cfg.DataDir, "jwt.key")) {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made: %v", err)
	}
}

func TestSigningKeyOfConfiguredAuth(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Auth.JWT.Secret = "0123456789012345678901234567890123456789"
	if made, err := config.MakeSigningKey(cfg); made || err != nil {
		t.Errorf("made %v, %v", made, err)
	}
	if k, err := config.SigningKey(cfg); err != nil || string(k) != string(cfg.Auth.JWT.Secret) {
		t.Errorf("%q %v", k, err)
	}
	cfg.Auth.JWT = config.JWT{JWKSURL: "https://example.org/jwks"}
	if _, err := config.SigningKey(cfg); err == nil {
		t.Error("a key was found although an issuer signs")
	}
	if left, _ := os.ReadDir(cfg.DataDir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
