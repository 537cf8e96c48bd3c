package clients_test

import (
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// limit bounds each step: interpreters start slowly on a machine that runs other tests.
const limit = 30 * time.Second

// foreign is a client made by others, as commands. Sub prints each payload on a line; Pub ends with 0 after the ack.
type foreign struct {
	name       string
	versions   []string // 4 = 3.1.1, 5
	transports []string
	sub        func(s *testkit.Server, transport, version string, user pactwire.UserID, topic string) []string
	pub        func(s *testkit.Server, transport, version string, user pactwire.UserID, topic, payload string) []string
}

func split(t testing.TB, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func addr(s *testkit.Server, transport string) string {
	if transport == "ws" {
		return s.WS
	}
	return s.TCP
}

func url(s *testkit.Server, transport string) string {
	if transport == "ws" {
		return "ws://" + s.WS + "/mqtt"
	}
	return "tcp://" + s.TCP
}

func clients(t testing.TB) []foreign {
	both, tcp, ws := []string{"4", "5"}, []string{"tcp"}, []string{"tcp", "ws"}
	here := filepath.Join(testkit.Root(), "test", "clients")
	mosquitto := func(s *testkit.Server, version string, user pactwire.UserID) []string {
		host, port := split(t, s.TCP)
		name := map[string]string{"4": "mqttv311", "5": "mqttv5"}[version]
		return []string{"-h", host, "-p", port, "-V", name, "-u", string(user), "-P", testkit.Token(user), "-q", "1"}
	}
	python := func(what string, s *testkit.Server, transport, version string, user pactwire.UserID, rest ...string) []string {
		host, port := split(t, addr(s, transport))
		return append([]string{"/usr/bin/python3", filepath.Join(here, "paho_client.py"), what, transport, host, port, version, string(user), testkit.Token(user)}, rest...)
	}
	js := func(what string, s *testkit.Server, transport, version string, user pactwire.UserID, rest ...string) []string {
		u := strings.Replace(url(s, transport), "tcp://", "mqtt://", 1)
		return append([]string{"node", filepath.Join(here, "js", "client.mjs"), what, u, version, string(user), testkit.Token(user)}, rest...)
	}
	// The C samples come in two kinds: asynchronous (paho_c_…) and synchronous (paho_cs_…).
	paho := func(command string, s *testkit.Server, transport, version string, user pactwire.UserID, rest ...string) []string {
		name := map[string]string{"4": "311", "5": "5"}[version]
		return append([]string{"stdbuf", "-oL", command, "-c", url(s, transport), "-V", name, "-q", "1",
			"-i", string(user) + "-" + command, "-u", string(user), "-P", testkit.Token(user)}, rest...)
	}
	c := func(kind string) foreign {
		return foreign{name: kind, versions: both, transports: ws,
			sub: func(s *testkit.Server, transport, version string, user pactwire.UserID, topic string) []string {
				return paho(kind+"_sub", s, transport, version, user, "-t", topic)
			},
			pub: func(s *testkit.Server, transport, version string, user pactwire.UserID, topic, payload string) []string {
				return paho(kind+"_pub", s, transport, version, user, "-t", topic, "-m", payload)
			}}
	}
	return []foreign{
		{name: "mosquitto", versions: both, transports: tcp,
			sub: func(s *testkit.Server, _, version string, user pactwire.UserID, topic string) []string {
				return append([]string{"stdbuf", "-oL", "mosquitto_sub", "-t", topic}, mosquitto(s, version, user)...)
			},
			pub: func(s *testkit.Server, _, version string, user pactwire.UserID, topic, payload string) []string {
				return append([]string{"mosquitto_pub", "-t", topic, "-m", payload}, mosquitto(s, version, user)...)
			}},
		{name: "paho-python", versions: both, transports: ws,
			sub: func(s *testkit.Server, transport, version string, user pactwire.UserID, topic string) []string {
				return python("sub", s, transport, version, user, topic)
			},
			pub: func(s *testkit.Server, transport, version string, user pactwire.UserID, topic, payload string) []string {
				return python("pub", s, transport, version, user, topic, payload)
			}},
		{name: "mqtt.js", versions: both, transports: ws,
			sub: func(s *testkit.Server, transport, version string, user pactwire.UserID, topic string) []string {
				return js("sub", s, transport, version, user, topic)
			},
			pub: func(s *testkit.Server, transport, version string, user pactwire.UserID, topic, payload string) []string {
				return js("pub", s, transport, version, user, topic, payload)
			}},
		c("paho_c"), c("paho_cs"),
	}
}

// TestForeignClients: each client subscribes as the partner and publishes as the sender, and the partner sees one Activity.
func TestForeignClients(t *testing.T) {
	s := testkit.Start(t, nil)
	for _, c := range clients(t) {
		for _, transport := range c.transports {
			for _, version := range c.versions {
				t.Run(c.name+"/"+transport+"/"+version, func(t *testing.T) {
					exchange(t, s, c, transport, version)
				})
			}
		}
	}
}

func exchange(t *testing.T, s *testkit.Server, c foreign, transport, version string) {
	tag := strings.NewReplacer(".", "", "_", "-").Replace(c.name) + transport + version
	alice, bob := pactwire.UserID("alice-"+tag), pactwire.UserID("bob-"+tag)
	pact := s.NewPact(alice, bob)
	sub := start(t, c.sub(s, transport, version, bob, "pacts/"+string(pact.ID)+"/#"))
	testkit.Eventually(t, limit, "the state of the pact comes after SUBACK", func() bool {
		return len(sub.out.Matching(func(l string) bool { return strings.Contains(l, `"headSeq"`) })) > 0 || sub.over()
	})
	publish(t, c.pub(s, transport, version, alice, "pacts/"+string(pact.ID)+"/checkins", "done"))
	testkit.Eventually(t, limit, "the partner sees the check-in", func() bool { return len(sub.activities()) > 0 || sub.over() })
	publish(t, c.pub(s, transport, version, alice, "pacts/"+string(pact.ID)+"/messages", `{"message":"the last"}`))
	testkit.Eventually(t, limit, "the partner sees the message", func() bool { return len(sub.activities()) > 1 || sub.over() })
	got := sub.activities()
	if sub.over() || len(got) != 2 {
		t.Fatalf("the partner got %d activities: %s\n%s", len(got), strings.Join(sub.out.All(), "\n"), strings.Join(sub.err.All(), "\n"))
	}
	a := got[0]
	if a.Type != pactwire.CheckinCompleted || a.PactID != pact.ID || a.UserID != alice || a.Seq != pact.HeadSeq+1 || got[1].Seq != a.Seq+1 {
		t.Errorf("activities %+v after seq %d", got, pact.HeadSeq)
	}
}

// command is a subscriber that runs.
type command struct {
	out, err *testkit.Lines
	exited   chan struct{}
}

func start(t testing.TB, args []string) *command {
	t.Helper()
	c := &command{out: &testkit.Lines{}, err: &testkit.Lines{}, exited: make(chan struct{})}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = c.out, c.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.exited)
		cmd.Wait() // it ends by the signal below; what went wrong before is in its lines
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		<-c.exited
	})
	return c
}

func (c *command) over() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// activities are the feed entries among the payloads.
func (c *command) activities() []pactwire.Activity {
	var out []pactwire.Activity
	for _, l := range c.out.All() {
		var a pactwire.Activity
		if i := strings.IndexByte(l, '{'); i > 0 {
			l = l[i:] // the C samples put length and topic before
		}
		if json.Unmarshal([]byte(l), &a) == nil && a.Type != "" && a.Seq > 0 {
			out = append(out, a)
		}
	}
	return out
}

func publish(t testing.TB, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
}
