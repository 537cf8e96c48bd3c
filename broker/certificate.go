package broker

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
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
	amiss             string // what is wrong with the files, when that was logged; of watch alone
}

func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	if certFile == "" || keyFile == "" {
		return nil, fmt.Errorf("mqtt.cert_file and mqtt.key_file: TLS needs both")
	}
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.load(); err != nil {
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

// load reads the files, and reports whether it was another certificate.
func (c *certificate) load() (changed bool, err error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return false, fmt.Errorf("mqtt.cert_file and mqtt.key_file: %w", err)
	}
	before := c.current.Swap(&pair)
	return before == nil || !slices.EqualFunc(before.Certificate, pair.Certificate, bytes.Equal), nil
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

// The files are read some time after the last change, since renewing writes two of them, and some time after the first at the
// latest: other files of the folder may change all the time.
const (
	settle = 100 * time.Millisecond
	latest = time.Second
)

// watch reads the files again after changes, until close.
func (c *certificate) watch() {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	var first time.Time // change that was not looked at
	for {
		select {
		case _, ok := <-c.watcher.Events:
			if !ok {
				return
			}
			if first.IsZero() {
				first = time.Now()
			}
			quiet.Reset(min(settle, latest-time.Since(first)))
		case err, ok := <-c.watcher.Errors:
			if !ok {
				return
			}
			c.log.Warn("watching the TLS certificate", "error", err)
		case <-quiet.C:
			first = time.Time{}
			c.again()
		}
	}
}

// again reads the files, and logs what is news: the log may be in the same folder, and is then a change itself.
func (c *certificate) again() {
	changed, err := c.load()
	switch {
	case err != nil && err.Error() != c.amiss:
		c.amiss = err.Error()
		c.log.Error("the new TLS certificate cannot be used, keeping the old one", "error", err)
	case err == nil && (changed || c.amiss != ""):
		c.amiss = ""
		c.log.Info("TLS certificate read again")
	}
}

func (c *certificate) close() { _ = c.watcher.Close() }
