// Package examples_test runs the examples as their readers do: against a real server, with the programs they use.
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

const limit = time.Minute

// button is a device with a folder of its own.
type button struct {
	t     *testing.T
	s     *testkit.Server
	made  pactwire.DeviceSecret
	state string
}

func newButton(t *testing.T, s *testkit.Server, p pactwire.PactID) *button {
	return &button{t, s, s.NewDevice("alice", p), t.TempDir()}
}

func (b *button) command(ctx context.Context, args ...string) *exec.Cmd {
	host, port, err := net.SplitHostPort(b.s.TCP)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "BUTTON_DEVICE="+string(b.made.ID), "BUTTON_SECRET="+b.made.Secret, "BUTTON_HOST="+host,
		"BUTTON_PORT="+port, "BUTTON_STATE="+b.state)
	return cmd
}

// press runs button.sh and returns its exit code and what it said.
func (b *button) press(args ...string) (code int, said string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), limit)
	defer cancel()
	out, err := b.command(ctx, append([]string{filepath.Join(testkit.Root(), "examples", "button.sh")}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		b.t.Fatalf("button.sh: %v %s", err, out)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(out)
}

func (b *button) queue() string {
	b.t.Helper()
	q, err := os.ReadFile(filepath.Join(b.state, "queue"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(q)
}

func checkins(s *testkit.Server, p pactwire.PactID) (out []pactwire.Activity) {
	for _, a := range s.Activities("bob", p) {
		if strings.HasPrefix(string(a.Type), "checkin_") {
			out = append(out, a)
		}
	}
	return out
}

func TestShellButtonKeepsWhatItCannotSend(t *testing.T) {
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	b := newButton(t, s, p)
	if code, said := b.press("perhaps"); code != 2 || said == "" {
		t.Errorf("%d %s", code, said)
	}
	s.Stop()
	if code, said := b.press("skipped"); code != 1 || !strings.Contains(said, "kept for later") {
		t.Fatalf("%d %s", code, said)
	}
	// It was pressed three days ago: the queue says so, with the id that the press had then.
	old := fmt.Sprintf("old-press %d completed\n", time.Now().Add(-3*24*time.Hour).Unix())
	if err := os.WriteFile(filepath.Join(b.state, "queue"), []byte(old+b.queue()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if code, said := b.press(); code != 0 || b.queue() != "" {
		t.Fatalf("%d %s, left %.200q", code, said, b.queue())
	}
	got := checkins(s, p)
	var types []string
	for _, a := range got {
		types = append(types, string(a.Type))
	}
	// three days ago; today skipped; and then done after all
	if want := "checkin_completed checkin_skipped checkin_corrected"; strings.Join(types, " ") != want {
		t.Fatalf("%v, want %s", types, want)
	}
	if day := time.Now().Add(-3 * 24 * time.Hour).UTC().Format(time.DateOnly); !bytes.Contains(got[0].Data, []byte(`"localDate":"`+day+`"`)) {
		t.Errorf("the old press is %s", got[0].Data)
	}
	// The acknowledgement was lost: sent again, it has no second effect.
	if err := os.WriteFile(filepath.Join(b.state, "queue"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := b.press(); code != 0 || len(checkins(s, p)) != 3 {
		t.Errorf("%d %s, %d check-ins", code, said, len(checkins(s, p)))
	}
}

func TestShellButtonPressedByManyAtOnce(t *testing.T) {
	s := testkit.Start(t, nil)
	b := newButton(t, s, s.NewPact("alice", "bob").ID)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if code, said := b.press(); code != 0 {
				t.Errorf("%d %s", code, said)
			}
		})
	}
	all.Wait()
	n := 0
	for _, e := range s.Inbox("alice") {
		if e.Type == pactwire.EventCheckinLogged {
			n++
		}
	}
	if n != 5 || b.queue() != "" {
		t.Errorf("%d presses were answered; left %.200q", n, b.queue())
	}
}

// More presses than a batch holds go out as several.
func TestShellButtonAfterALongTime(t *testing.T) {
	s := testkit.Start(t, nil)
	b := newButton(t, s, s.NewPact("alice", "bob").ID)
	var q strings.Builder
	for i := range 450 {
		fmt.Fprintf(&q, "press-%d %d completed\n", i, time.Now().Unix())
	}
	if err := os.WriteFile(filepath.Join(b.state, "queue"), []byte(q.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := b.press(); code != 0 || b.queue() != "" {
		t.Errorf("%d %s, left %.200q", code, said, b.queue())
	}
	n := 0
	for _, e := range s.Inbox("alice") {
		if e.Type == pactwire.EventCheckinLogged {
			n++
		}
	}
	if n != 451 {
		t.Errorf("%d presses were answered", n)
	}
}

// Names that begin with PACTWIRE_ are settings, and unknown ones are refused: the buttons' own must not be among them.
func TestPactwireWorksWhereAButtonIsExported(t *testing.T) {
	s := testkit.Start(t, nil)
	b := newButton(t, s, s.NewPact("alice", "bob").ID)
	cmd := b.command(t.Context(), testkit.Binary(t), "config", "check")
	cmd.Dir = b.state
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
}

func TestPythonButtonPrintsAnswers(t *testing.T) {
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	b := newButton(t, s, p)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := b.command(ctx, "/usr/bin/python3", filepath.Join(testkit.Root(), "examples", "button.py"))
	cmd.Stdin = strings.NewReader("done\nperhaps\n\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	want := "completed on " + today + ", streak 1\ninvalid: status is completed, partial or skipped, written just so\ncompleted on " + today + ", streak 1\n"
	if string(out) != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// The sketch cannot be compiled here, but what it sends can be read: its payload must be one that the server takes.
func TestSketchSendsWhatTheServerTakes(t *testing.T) {
	sketch, err := os.ReadFile(filepath.Join(testkit.Root(), "examples", "esp32-button", "esp32-button.ino"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`"(\{\\"id\\".*\})"`).FindSubmatch(sketch)
	if m == nil {
		t.Fatal("the payload of the sketch was not found")
	}
	format := strings.NewReplacer(`\"`, `"`, "%lld", "%d").Replace(string(m[1]))
	body := fmt.Sprintf(format, 0x1a2b3c4d, int64(3600_000), 71)
	if !strings.Contains(string(sketch), `\"commandId\":\"b-`) || !strings.Contains(body, `"id":"b-1a2b3c4d"`) {
		t.Errorf("the sketch looks for another id than it sends: %s", body)
	}
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	b := newButton(t, s, p)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	// PubSubClient speaks 3.1.1 and publishes with QoS 0.
	host, port, _ := net.SplitHostPort(s.TCP)
	out, err := exec.CommandContext(ctx, "mosquitto_pub", "-h", host, "-p", port, "-V", "mqttv311", "-u", b.made.Username, "-P", b.made.Secret,
		"-t", "devices/"+string(b.made.ID)+"/checkins", "-q", "0", "-m", body).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	testkit.Eventually(t, limit, "the check-in of the sketch", func() bool { return len(checkins(s, p)) == 1 })
}
