package testkit

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a server made by others: PostgreSQL or Redis, on a port of its own, which has nothing to do with one that the
// system may run.
type daemon struct {
	t          testing.TB
	name       string
	path       string
	args       []string
	dir        string
	credential *syscall.Credential // nil = who we are
	ready      string              // what it writes when it takes clients
	quit       syscall.Signal      // asks it to stop in order

	mu   sync.Mutex
	proc *process
}

// Start starts the server on the same port and data, and waits until it takes clients.
func (d *daemon) Start() {
	d.t.Helper()
	p := d.launch()
	up := Within(startLimit, func() bool {
		select {
		case <-p.exited:
			return true
		default:
			return len(p.stderr.Matching(func(l string) bool { return strings.Contains(l, d.ready) })) > 0
		}
	})
	select {
	case <-p.exited:
		d.t.Fatalf("%s ended: %v\n%s", d.name, p.err, strings.Join(p.stderr.All(), "\n"))
	default:
	}
	if !up {
		d.t.Fatalf("%s was not ready within %v\n%s", d.name, startLimit, strings.Join(p.stderr.All(), "\n"))
	}
}

func (d *daemon) launch() *process {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil {
		d.t.Fatalf("testkit: %s runs already", d.name)
	}
	p := &process{cmd: exec.Command(d.path, d.args...), stderr: &Lines{}, exited: make(chan struct{})}
	p.cmd.Dir = d.dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	p.cmd.Stdout, p.cmd.Stderr = p.stderr, p.stderr
	// It never outlives a test that crashed, and does not get the terminal's Ctrl-C before those who use it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Credential: d.credential, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	d.proc = p
	return p
}

// Stop ends the server in order. It does nothing when none runs.
func (d *daemon) Stop() { d.end(d.quit) }

func (d *daemon) end(sig syscall.Signal) {
	d.t.Helper()
	d.mu.Lock()
	p := d.proc
	d.proc = nil
	d.mu.Unlock()
	if p == nil {
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
	timeout := time.NewTimer(stopLimit)
	defer timeout.Stop()
	select {
	case <-p.exited:
	case <-timeout.C:
		p.cmd.Process.Kill() //nolint:errcheck // the test has failed already
		<-p.exited
		d.t.Errorf("%s did not stop within %v\n%s", d.name, stopLimit, strings.Join(p.stderr.All(), "\n"))
	}
}

// PID is the process id.
func (d *daemon) PID() int {
	d.t.Helper()
	return d.running().cmd.Process.Pid
}

func (d *daemon) running() *process {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil {
		d.t.Fatalf("testkit: %s does not run", d.name)
	}
	return d.proc
}

// Via is a URL with another address in it, such as a Proxy's.
func Via(t testing.TB, rawURL, addr string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = addr
	return u.String()
}
