package testkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// PostgresServer is a PostgreSQL server of its own, with durable commits, that ends with the test.
type PostgresServer struct {
	daemon
	Addr string

	databases atomic.Uint32
}

// Postgres starts a PostgreSQL server on a free port of loopback, with one empty database. More settings are given as
// "work_mem=1MB".
func Postgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	bin := postgresBin(t)
	p := &PostgresServer{Addr: FreeAddr(t)}
	p.daemon = daemon{
		t: t, name: "PostgreSQL", path: filepath.Join(bin, "postgres"), dir: ownDir(t), credential: postgresCredential(t),
		ready: "database system is ready to accept connections", quit: syscall.SIGINT,
	}
	data := filepath.Join(p.dir, "data")
	copyEmptyCluster(t, bin, data, p.credential)
	_, port, err := net.SplitHostPort(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.args = []string{"-D", data, "-p", port}
	for _, s := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=32MB", "max_wal_size=256MB",
		"fsync=on", "synchronous_commit=on",
	}, settings...) {
		p.args = append(p.args, "-c", s)
	}
	p.Start()
	t.Cleanup(p.Stop)
	return p
}

// URL is the server's first database.
func (p *PostgresServer) URL() string { return p.url("postgres") }

func (p *PostgresServer) url(database string) string {
	return "postgres://postgres@" + p.Addr + "/" + database + "?sslmode=disable"
}

// Database makes another empty database and returns its URL: cheaper than another server.
func (p *PostgresServer) Database() string {
	p.t.Helper()
	name := fmt.Sprintf("test_%d", p.databases.Add(1))
	p.SQL("CREATE DATABASE " + name + " TEMPLATE template0")
	return p.url(name)
}

// SQL runs a statement in the first database and returns what psql prints, without headings.
func (p *PostgresServer) SQL(statement string) string {
	p.t.Helper()
	return p.SQLIn(p.URL(), statement)
}

// SQLIn is SQL in the database of a URL.
func (p *PostgresServer) SQLIn(url, statement string) string {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(p.path), "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// Kill ends the server at once, as pg_ctl -m immediate does: what was committed is found again by recovery at the next
// start. (SIGKILL of its first process alone would leave the others behind for a moment, and the next start would refuse.)
func (p *PostgresServer) Kill() { p.end(syscall.SIGQUIT) }

// postgresBin is the folder of PostgreSQL's programs; Debian keeps them out of the PATH.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		t.Fatal("PostgreSQL is not installed: run make test-deps")
	}
	return filepath.Dir(path)
}

// postgresCredential is the user postgres when we are root, as whom PostgreSQL refuses to run.
func postgresCredential(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// ownDir is a temporary folder that other users of the system may enter, unlike that of t.TempDir.
func ownDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pactwire-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyEmptyCluster puts a fresh data folder at the path. initdb takes a second or more, so that it runs once for all and
// its result is kept in .cache.
func copyEmptyCluster(t testing.TB, bin, to string, as *syscall.Credential) {
	t.Helper()
	version := filepath.Base(filepath.Dir(bin))
	kept := filepath.Join(Root(), ".cache", "testkit", "postgres-"+version)
	if err := makeEmptyCluster(t, bin, kept, as); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "cp", "-R", kept, to)
	if as != nil {
		run(t, nil, "chown", "-R", fmt.Sprintf("%d:%d", as.Uid, as.Gid), to)
	}
	run(t, nil, "chmod", "-R", "u=rwX,go=", to)
}

func makeEmptyCluster(t testing.TB, bin, kept string, as *syscall.Credential) (err error) {
	t.Helper()
	unlock, err := lock(filepath.Dir(kept))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := os.Stat(kept); err == nil {
		return nil
	}
	dir := ownDir(t)
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(dir, "data")
	run(t, as, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync", "--wal-segsize=1")
	run(t, nil, "cp", "-R", data, kept+".new")
	return os.Rename(kept+".new", kept)
}

// run runs a program that must succeed.
func run(t testing.TB, as *syscall.Credential, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, out)
	}
}
