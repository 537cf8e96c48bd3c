package testkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Secret signs the tokens of every server that testkit starts.
const Secret = "testkit-secret-0123456789-abcdefghijklmnop"

const (
	startLimit = 30 * time.Second // with the race detector on two busy cores
	stopLimit  = 30 * time.Second
)

// Server is one process: `pactwire serve`, or with Command `pactwire habits-service`.
type Server struct {
	TCP, WS, HTTP string // addresses; "" for habits-service, but HTTP
	Dir           string // data_dir

	t       testing.TB
	command string
	env     map[string]string
	client  *http.Client

	mu   sync.Mutex
	proc *process
}

// process is one run of the binary.
type process struct {
	cmd    *exec.Cmd
	stderr *Lines
	exited chan struct{}
	err    error // valid after exited
}

// Start starts `pactwire serve` and waits until it is ready. Settings are configuration keys, such as
// "presence.grace": "1s". Rate limits are off unless set.
func Start(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	s := newServer(t, "serve", settings)
	s.TCP, s.WS, s.HTTP = s.set("mqtt.tcp"), s.set("mqtt.ws"), s.set("http.addr")
	s.Restart()
	return s
}

// StartHabits starts `pactwire habits-service` and waits until it is ready.
func StartHabits(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	s := newServer(t, "habits-service", settings)
	s.HTTP = s.set("habits.addr")
	s.Restart()
	return s
}

func newServer(t testing.TB, command string, settings map[string]string) *Server {
	s := &Server{t: t, command: command, Dir: t.TempDir(), client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	s.env = map[string]string{
		"data_dir": s.Dir, "auth.jwt.secret": Secret,
		"limits.connects_per_second": "0", "limits.commands_per_second": "0",
	}
	maps.Copy(s.env, settings)
	t.Cleanup(func() {
		s.Stop()
		s.client.CloseIdleConnections()
	})
	return s
}

// set makes sure that an address key has a value: a free port of loopback.
func (s *Server) set(key string) string {
	if s.env[key] == "" {
		s.env[key] = FreeAddr(s.t)
	}
	return s.env[key]
}

// FreeAddr is an address of loopback on which nobody listens.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		// Below the ports that the system gives to outgoing connections, which could take it before the server does; and
		// each at most once, so that two listeners never get the same.
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+nextPort.Add(1)%20_000)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		return addr
	}
	t.Fatal("no free port on loopback")
	return ""
}

// nextPort starts elsewhere in each process, since packages are tested side by side.
var nextPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(20_000))
	return &n
}()

// Set changes a setting for the next Restart.
func (s *Server) Set(key, value string) { s.env[key] = value }

// Setting is the value that a setting has for the server, "" for the default.
func (s *Server) Setting(key string) string { return s.env[key] }

// Environ is the environment that the server runs in; commands of the CLI that run in it find the server.
func (s *Server) Environ() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir}
	for _, k := range slices.Sorted(maps.Keys(s.env)) {
		env = append(env, "PACTWIRE_"+strings.ToUpper(strings.ReplaceAll(k, ".", "__"))+"="+s.env[k])
	}
	return env
}

// Launch starts the process on the same data and ports and does not wait until it is ready.
func (s *Server) Launch() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.t.Fatal("testkit: the server runs already")
	}
	p := &process{cmd: exec.Command(Binary(s.t), s.command), stderr: &Lines{}, exited: make(chan struct{})}
	p.cmd.Env = s.Environ()
	p.cmd.Dir = s.Dir
	p.cmd.Stdout, p.cmd.Stderr = p.stderr, p.stderr
	// It never outlives a test that crashed, and does not get the terminal's Ctrl-C, which is for who started it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	s.proc = p
}

// Restart starts the process and waits until it is ready.
func (s *Server) Restart() {
	s.t.Helper()
	s.Launch()
	s.WaitReady()
}

// WaitReady waits until /readyz says 200.
func (s *Server) WaitReady() {
	s.t.Helper()
	p := s.running()
	ready := Within(startLimit, func() bool {
		select {
		case <-p.exited:
			return true
		default:
			code, _ := s.ReadyCode()
			return code == http.StatusOK
		}
	})
	select {
	case <-p.exited:
		s.t.Fatalf("pactwire %s ended: %v\n%s", s.command, p.err, s.tail(p))
	default:
	}
	if !ready {
		s.t.Fatalf("pactwire %s was not ready within %v\n%s", s.command, startLimit, s.tail(p))
	}
}

// ReadyCode is the status of /readyz, or an error when nobody answers.
func (s *Server) ReadyCode() (int, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.HTTP+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (s *Server) running() *process {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.t.Fatal("testkit: the server does not run")
	}
	return s.proc
}

// Died tells whether the process ended although nobody stopped it.
func (s *Server) Died() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return false
	}
	select {
	case <-s.proc.exited:
		return true
	default:
		return false
	}
}

// PID is the process id.
func (s *Server) PID() int { return s.running().cmd.Process.Pid }

// Kill ends the process with SIGKILL, as a crash does.
func (s *Server) Kill() {
	s.t.Helper()
	p := s.take()
	if p == nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	<-p.exited
	s.check(p)
}

// Stop ends the process with SIGTERM and checks that it went in order. It does nothing when none runs.
func (s *Server) Stop() {
	s.t.Helper()
	p := s.take()
	if p == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // it may be frozen, or have ended
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	timeout := time.NewTimer(stopLimit)
	defer timeout.Stop()
	select {
	case <-p.exited:
		if p.err != nil {
			s.t.Errorf("pactwire %s: %v\n%s", s.command, p.err, s.tail(p))
		}
	case <-timeout.C:
		p.cmd.Process.Signal(syscall.SIGQUIT) //nolint:errcheck // it prints its goroutines and dies; the test has failed already
		<-p.exited
		s.t.Errorf("pactwire %s did not stop within %v\n%s", s.command, stopLimit, s.tail(p))
	}
	s.check(p)
}

// Log are the lines that the present process wrote to stderr.
func (s *Server) Log() []string { return s.running().stderr.All() }

// Signal sends the process a signal.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.running().cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Freeze stops the process as a hung machine does: it is there, and does nothing.
func (s *Server) Freeze() { s.t.Helper(); s.Signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.t.Helper(); s.Signal(syscall.SIGCONT) }

func (s *Server) take() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proc
	s.proc = nil
	return p
}

// check fails the test for a race or a panic, and prints the log of a failed one.
func (s *Server) check(p *process) {
	s.t.Helper()
	bad := p.stderr.Matching(func(l string) bool {
		return strings.Contains(l, "DATA RACE") || strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:")
	})
	if len(bad) > 0 {
		s.t.Errorf("pactwire %s: %s\n%s", s.command, bad[0], strings.Join(p.stderr.All(), "\n"))
	} else if s.t.Failed() {
		s.t.Logf("pactwire %s wrote:\n%s", s.command, s.tail(p))
	}
}

func (s *Server) tail(p *process) string {
	l := p.stderr.All()
	return fmt.Sprint(strings.Join(l[max(0, len(l)-60):], "\n"))
}
