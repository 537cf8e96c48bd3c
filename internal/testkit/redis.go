package testkit

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// RedisServer is a Redis server of its own that ends with the test. It keeps its data in an append-only file, flushed each
// second: a killed one comes back with most of what it knew, and that may be old.
type RedisServer struct {
	daemon
	Addr string
}

// Redis starts a Redis server on a free port of loopback. More settings are given as "--maxmemory", "1mb".
func Redis(t testing.TB, settings ...string) *RedisServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("Redis is not installed: run make test-deps")
	}
	r := &RedisServer{Addr: FreeAddr(t)}
	r.daemon = daemon{t: t, name: "Redis", path: path, dir: t.TempDir(), ready: "Ready to accept connections", quit: syscall.SIGTERM}
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	r.args = append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", r.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
	}, settings...)
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// URL is the server's first database.
func (r *RedisServer) URL() string { return "redis://" + r.Addr + "/0" }

// IgnoreRedials is for the look at goroutines left over when a package's tests have ended. A client whose server was away
// for long asks in the background, each second, whether it is back, and sees only after that second that it was closed
// meanwhile: the library's own goroutine, that ends by itself, and later than the look waits.
func IgnoreRedials() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
}

// Kill ends the server with SIGKILL.
func (r *RedisServer) Kill() { r.end(syscall.SIGKILL) }

// FlushAll forgets everything.
func (r *RedisServer) FlushAll() {
	r.t.Helper()
	r.Do("FLUSHALL")
}

// Do sends one command and returns the answer as redis-cli prints it.
func (r *RedisServer) Do(args ...string) string {
	r.t.Helper()
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := exec.Command("redis-cli", append([]string{"-e", "-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("redis-cli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
