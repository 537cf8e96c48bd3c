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

// SigningKey is the HS256 key of this installation. Without auth.jwt.* it is made once and kept in data_dir, readable by
// its owner alone, so that `pactwire token` and the server agree without talking to each other. With an issuer's key set
// there is none: only the issuer signs.
func SigningKey(c Config) ([]byte, error) {
	if c.Auth.JWT.Secret != "" {
		return []byte(c.Auth.JWT.Secret), nil
	}
	if c.Auth.JWT.JWKSURL != "" {
		return nil, errors.New("auth.jwt.jwks_url is set: the issuer signs tokens, not pactwire; pass one with --token")
	}
	path := filepath.Join(c.DataDir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("make signing key: %w", err)
		}
		key, err = readKey(path)
	}
	return key, err
}

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
