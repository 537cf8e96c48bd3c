package testkit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

// Sub is a mosquitto_sub that runs. Each message is one line: topic, a space, payload.
type Sub struct {
	t      testing.TB
	out    *Lines
	stderr *Lines
	cmd    *exec.Cmd
	exited chan struct{}
}

const subLimit = 20 * time.Second

// mosquittoArgs name the server and the user.
func (s *Server) mosquittoArgs(user pactwire.UserID, version string) []string {
	host, port, err := net.SplitHostPort(s.TCP)
	if err != nil {
		s.t.Fatal(err)
	}
	return []string{"-h", host, "-p", port, "-u", string(user), "-P", Token(user), "-V", version}
}

// Subscribe runs mosquitto_sub as a user with QoS 1 and waits for SUBACK. More arguments, such as -c, may follow.
func (s *Server) Subscribe(user pactwire.UserID, version string, topics []string, more ...string) *Sub {
	s.t.Helper()
	args := append(s.mosquittoArgs(user, version), "-d", "-q", "1", "-F", "MESSAGE %t %p")
	for _, t := range topics {
		args = append(args, "-t", t)
	}
	b := &Sub{t: s.t, out: &Lines{}, stderr: &Lines{}, exited: make(chan struct{})}
	b.cmd = exec.Command("stdbuf", append([]string{"-oL", "mosquitto_sub"}, append(args, more...)...)...)
	b.cmd.Stdout, b.cmd.Stderr = b.out, b.stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		b.cmd.Wait() //nolint:errcheck // it ends by a signal, or is refused, which its lines tell
		close(b.exited)
	}()
	s.t.Cleanup(b.Stop)
	if !Within(subLimit, func() bool {
		return len(b.out.Matching(func(l string) bool { return strings.HasPrefix(l, "Subscribed ") })) > 0
	}) {
		s.t.Fatalf("mosquitto_sub as %s was not subscribed: %s %s", user, strings.Join(b.out.All(), "\n"), strings.Join(b.stderr.All(), "\n"))
	}
	return b
}

// Stop ends it with SIGTERM, whereupon it says DISCONNECT.
func (b *Sub) Stop() {
	b.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	<-b.exited
}

// Messages are the lines "topic payload" so far, with those topics that end in suffix alone.
func (b *Sub) Messages(suffix string) []string {
	var out []string
	for _, l := range b.out.All() {
		if m, ok := strings.CutPrefix(l, "MESSAGE "); ok {
			if topic, _, _ := strings.Cut(m, " "); strings.HasSuffix(topic, suffix) {
				out = append(out, m)
			}
		}
	}
	return out
}

// Wait waits for n messages on topics that end in suffix, and returns them.
func (b *Sub) Wait(n int, suffix string) []string {
	b.t.Helper()
	if !Within(subLimit, func() bool { return len(b.Messages(suffix)) >= n }) {
		b.t.Fatalf("%d messages on …%s, want %d:\n%s", len(b.Messages(suffix)), suffix, n, strings.Join(b.out.All(), "\n"))
	}
	return b.Messages(suffix)
}

// PublishAs runs mosquitto_pub as a user with QoS 1. It fails the test when the command does.
func (s *Server) PublishAs(user pactwire.UserID, version, topic, payload string, more ...string) {
	s.t.Helper()
	if out, err := s.TryPublishAs(user, version, topic, payload, more...); err != nil {
		s.t.Fatalf("mosquitto_pub -t %s: %v\n%s", topic, err, out)
	}
}

// TryPublishAs is PublishAs for what may be refused; it returns what the command printed.
func (s *Server) TryPublishAs(user pactwire.UserID, version, topic, payload string, more ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), subLimit)
	defer cancel()
	args := append(s.mosquittoArgs(user, version), "-q", "1", "-t", topic, "-m", payload)
	cmd := exec.CommandContext(ctx, "mosquitto_pub", append(args, more...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not acked within %v", subLimit)
	}
	return out.String(), err
}
