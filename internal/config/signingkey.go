package config

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFile holds the key that a server on loopback makes for itself.
const keyFile = "jwt.key"

// SigningKey is the HS256 key of this installation. Without auth.jwt.* it is the one that MakeSigningKey made in data_dir, and
// fs.ErrNotExist when there is none: who looks in the wrong folder must not make another there. With an issuer's key set there is
// none: only the issuer signs.
func SigningKey(c Config) ([]byte, error) {
	if c.Auth.JWT.Secret != "" {
		return []byte(c.Auth.JWT.Secret), nil
	}
	if c.Auth.JWT.JWKSURL != "" {
		return nil, errors.New("auth.jwt.jwks_url is set: the issuer signs tokens, not pactwire; pass one with --token")
	}
	path := keyPath(c)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noKeyError{path}
	}
	return key, err
}

// MakeSigningKey makes the key of a server without auth.jwt.*, unless it is there, readable by its owner alone: so `pactwire token`
// and the server agree without talking to each other.
func MakeSigningKey(c Config) (made bool, err error) {
	if c.AuthConfigured() {
		return false, nil
	}
	path := keyPath(c)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // readKey says what is wrong with it
	}
	if err := makeKey(path); err != nil {
		return false, fmt.Errorf("make signing key: %w", err)
	}
	return true, nil
}

// SigningKeyName says in words which key signs.
func SigningKeyName(c Config) string {
	if c.Auth.JWT.Secret != "" {
		return "auth.jwt.secret"
	}
	return "the key in " + keyPath(c)
}

// keyPath is absolute where it can be: a relative one says little to who is in the wrong folder.
func keyPath(c Config) string {
	path := filepath.Join(c.DataDir, keyFile)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// noKeyError is that there is no key to sign with.
type noKeyError struct{ path string }

func (e *noKeyError) Error() string {
	return "there is no key to sign a token with: " + e.path + " does not exist; run this in the folder of the server, " +
		"or set data_dir or auth.jwt.secret as the server has it"
}

func (e *noKeyError) Is(target error) bool { return target == fs.ErrNotExist }

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("signing key %s can be read by others; chmod 600 it, or delete it and a new one is made", path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	if key = bytes.TrimSpace(key); len(key) < MinSecret {
		return nil, fmt.Errorf("signing key %s is damaged; delete it and a new one is made", path)
	}
	return key, nil
}

func makeKey(path string) error {
	secret := make([]byte, MinSecret)
	rand.Read(secret)
	return makeFile(path, hex.EncodeToString(secret)+"\n")
}

// makeFile writes a file, which its owner alone can read, and which is whole whenever it can be seen: two processes that start
// together agree on one of them.
func makeFile(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // its link stays
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
