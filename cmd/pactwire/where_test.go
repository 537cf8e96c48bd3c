package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/internal/testkit"
)

// configured runs a command that knows of the server what the settings say.
func (s *server) configured(ctx context.Context, out *output, args ...string) int {
	set := []string{"--set", "data_dir=" + s.dir, "--set", "http.addr=" + strings.TrimPrefix(s.http, "http://"), "--set", "mqtt.tcp=" + s.mqtt}
	if a := s.node.api.Addr("http.admin_addr"); a != nil {
		set = append(set, "--set", "http.admin_addr="+a.String())
	}
	return run(ctx, append(set, args...), out)
}

// Commands look for the server where the settings say that it listens, on every listener that they use.
func TestCommandsFindTheConfiguredServer(t *testing.T) {
	s := startWith(t, t.TempDir(), nil, func(c *config.Config) { c.HTTP.AdminAddr = "127.0.0.1:0" })
	t.Setenv("PACTWIRE_SERVER", "")
	t.Setenv("PACTWIRE_CONFIG", "")
	for _, args := range [][]string{
		{"pact", "list", "--user", "alice"}, {"pact", "list", "--token", s.does(t, "token", "alice")},
		{"revoke", "list"}, {"why", "alice", "nope"}, // by http.admin_addr
	} {
		t.Setenv("PACTWIRE_SERVER", "")
		var errs bytes.Buffer
		if code := s.configured(t.Context(), &output{new(bytes.Buffer), &errs}, args...); code != 0 {
			t.Errorf("pactwire %v: exit %d, %s", args, code, errs.String())
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	notes, code := new(testkit.Lines), make(chan int)
	go func() { code <- s.configured(ctx, &output{new(testkit.Lines), notes}, "watch", "--user", "bob") }()
	until(t, notes, "watching as bob")
	if stop(); <-code != 0 {
		t.Error(notes.All())
	}
}

func TestWhereTheBrokerIs(t *testing.T) {
	for _, c := range []struct {
		mqtt         config.MQTT
		server, want string
	}{
		{config.MQTT{TCP: "127.0.0.1:1883", WS: "127.0.0.1:8083"}, "", "tcp://127.0.0.1:1883"},
		{config.MQTT{TCP: "0.0.0.0:2883"}, "", "tcp://127.0.0.1:2883"},
		{config.MQTT{TCP: "[::]:2883"}, "https://pacts.example.org/", "tcp://pacts.example.org:2883"},
		{config.MQTT{WS: ":8083", TLS: ":8883"}, "", "ws://127.0.0.1:8083"},
		{config.MQTT{TLS: ":8883"}, "", "ssl://127.0.0.1:8883"},
		{config.MQTT{TCP: "127.0.0.1:0"}, "", ""},
		{config.MQTT{}, "", ""},
	} {
		if got, err := brokerAt(c.mqtt, c.server); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v %s: %q %v", c.mqtt, c.server, got, err)
		}
	}
}

// An address that can never be reached is wrong usage; watch would try it again for ever.
func TestTheAddressOfABroker(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"127.0.0.1:1883", "tcp://127.0.0.1:1883"}, {"mqtt://box:1883", "mqtt://box:1883"}, {"[::1]:1883", "tcp://[::1]:1883"},
		{"ws://box:8083", "ws://box:8083/mqtt"}, {"wss://pacts.example.org", "wss://pacts.example.org/mqtt"}, {"ws://box/other", "ws://box/other"},
		{"box", ""}, {"tcp://box", ""}, {"ssl://box:", ""}, {"[::1]", ""}, {"http://box:80", ""}, {"", ""}, {"ws://", ""},
	} {
		got, err := brokerURL(c.given)
		var usage *usageError
		if got != c.want || errors.As(err, &usage) != (c.want == "") {
			t.Errorf("%q: %q %v", c.given, got, err)
		}
	}
}

// What the demo prints can be pasted: addresses as they are, of listeners that are on.
func TestDemoPrintsWhatIsThere(t *testing.T) {
	shown := func(set func(*config.Config)) (*server, string) {
		var b bytes.Buffer
		s := startWith(t, t.TempDir(), nil, func(c *config.Config) {
			c.Auth.JWT.Secret = testkit.Secret
			set(c)
		})
		if err := s.node.demo(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		return s, b.String()
	}
	s, all := shown(func(c *config.Config) { c.MQTT.TCP, c.HTTP.Addr = "0.0.0.0:0", "[::]:0" })
	port := func(addr string) string {
		_, p, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	mqtt, web := port(s.mqtt), port(strings.TrimPrefix(s.http, "http://"))
	for _, want := range []string{
		"mosquitto_sub -h 127.0.0.1 -p " + mqtt + " ", "mosquitto_pub -h 127.0.0.1 -p " + mqtt + " ",
		"watch --user bob --server http://127.0.0.1:" + web + " --mqtt 127.0.0.1:" + mqtt + "\n",
		"watch --user bob --server http://127.0.0.1:" + web + " --mqtt " + s.wsURL + "/mqtt ", "-m partial",
		"'before breakfast' --server http://127.0.0.1:" + web + "\n", s.wsURL + "/mqtt ", " http://127.0.0.1:" + web + "/v1/pacts",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in %s", want, all)
		}
	}
	for _, c := range []struct {
		off        string
		set        func(*config.Config)
		has, lacks []string
	}{
		{"mqtt.tcp", func(c *config.Config) { c.MQTT.TCP = "" }, []string{"--mqtt ws://127.0.0.1:", "ws://"}, []string{"mosquitto_"}},
		{"mqtt.ws", func(c *config.Config) { c.MQTT.WS = "" }, []string{"mosquitto_sub", "watch"}, []string{"ws://", "WebSocket"}},
		{"http.addr", func(c *config.Config) { c.HTTP.Addr = "" }, []string{"mosquitto_sub", "ws://"}, []string{"http://", "watch --user", "checkin "}},
		{"mqtt.*", func(c *config.Config) { c.MQTT.TCP, c.MQTT.WS = "", "" }, []string{"checkin ", "http://"}, []string{"mosquitto_", "watch --user", "ws://"}},
	} {
		_, got := shown(c.set)
		for _, w := range c.has {
			if !strings.Contains(got, w) {
				t.Errorf("without %s %q is missing in %s", c.off, w, got)
			}
		}
		for _, w := range c.lacks {
			if strings.Contains(got, w) {
				t.Errorf("without %s there is %q in %s", c.off, w, got)
			}
		}
	}
}
