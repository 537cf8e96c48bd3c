package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire/broker"
)

func files(t *testing.T) (cert, key string) {
	dir := t.TempDir()
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// writeCertificate writes a self-signed certificate as renewing programs do: beside, then in place.
func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	put(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func damage(t *testing.T, file string) { put(t, file, []byte("no certificate")) }

func put(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	cert, key := files(t)
	writeCertificate(t, cert, key, "one.example.org")
	s := start(t, broker.Config{TLS: "127.0.0.1:0", CertFile: cert, KeyFile: key})
	name := func() string { return servedName(t, s) }
	if got := name(); got != "one.example.org" {
		t.Fatal(got)
	}
	writeCertificate(t, cert, key, "two.example.org")
	eventually(t, "the new certificate", func() bool { return name() == "two.example.org" })
	damage(t, cert)
	// The damage is noticed some time; the old certificate serves before and after.
	for range 20 {
		if got := name(); got != "two.example.org" {
			t.Fatal(got)
		}
	}
	writeCertificate(t, cert, key, "three.example.org")
	eventually(t, "the certificate after the broken one", func() bool { return name() == "three.example.org" })
}

// TestCertificateAmidOtherFiles: what else changes in the folder, as the server's own log may, neither keeps a new certificate
// from being read nor is taken for one.
func TestCertificateAmidOtherFiles(t *testing.T) {
	cert, key := files(t)
	writeCertificate(t, cert, key, "one.example.org")
	path := filepath.Join(filepath.Dir(cert), "pactwire.log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := startLogging(t, slog.New(slog.NewTextHandler(file, nil)), broker.Config{TLS: "127.0.0.1:0", CertFile: cert, KeyFile: key})
	logged := func(words string) int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), words)
	}

	busy, calm := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer calm()
	running.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); busy.Err() == nil; <-tick.C {
			if err := os.WriteFile(cert+".other", []byte(time.Now().String()), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	writeCertificate(t, cert, key, "two.example.org")
	eventually(t, "the new certificate", func() bool { return servedName(t, s) == "two.example.org" })
	damage(t, cert)
	eventually(t, "word of the damage", func() bool { return logged("cannot be used") > 0 })
	for start := time.Now(); time.Since(start) < 2*time.Second; servedName(t, s) {
		if read, broken := logged("read again"), logged("cannot be used"); read > 2 || broken > 2 { // two files are written
			t.Fatalf("it was said %d times that it was read again, %d times that it cannot be used", read, broken)
		}
	}
}

// servedName is the name in the certificate that a client is shown.
func servedName(t *testing.T, s *server) string {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr("tls"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].DNSNames[0]
}
