package broker

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// certificate is the server's TLS certificate, read again when its files change. One that cannot be read leaves the former
// in use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	watcher           *fsnotify.Watcher
	reloaded          func(error) // for tests: each attempt
}

func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	if certFile == "" || keyFile == "" {
		return nil, fmt.Errorf("mqtt.cert_file and mqtt.key_file: TLS needs both")
	}
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	var err error
	if c.watcher, err = fsnotify.NewWatcher(); err != nil {
		return nil, fmt.Errorf("watch the TLS certificate: %w", err)
	}
	// The folders, since renewing replaces files, or the links that lead to them.
	for _, f := range []string{certFile, keyFile} {
		if err := c.watcher.Add(filepath.Dir(f)); err != nil {
			_ = c.watcher.Close()
			return nil, fmt.Errorf("watch the TLS certificate: %w", err)
		}
	}
	return c, nil
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("mqtt.cert_file and mqtt.key_file: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificate) config(nextProtos ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: nextProtos,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// settle is how long after the last change the files are read: renewing writes two of them.
const settle = 100 * time.Millisecond

// watch reads the files again after changes, until close.
func (c *certificate) watch() {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case _, ok := <-c.watcher.Events:
			if !ok {
				return
			}
			quiet.Reset(settle)
		case err, ok := <-c.watcher.Errors:
			if !ok {
				return
			}
			c.log.Warn("watching the TLS certificate", "error", err)
		case <-quiet.C:
			err := c.load()
			if err != nil {
				c.log.Error("the new TLS certificate cannot be used, keeping the old one", "error", err)
			} else {
				c.log.Info("TLS certificate read again")
			}
			if c.reloaded != nil {
				c.reloaded(err)
			}
		}
	}
}

func (c *certificate) close() { _ = c.watcher.Close() }
