package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire/internal/config"
)

func load(t *testing.T, src config.Source) config.Loaded {
	t.Helper()
	l, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The file in the root is the documentation: every key, with its default, under a comment.
func TestConfigYAMLListsEveryKeyWithItsDefault(t *testing.T) {
	const file = "../../config.yaml"
	l := load(t, config.Source{File: file})
	if diff := cmp.Diff(fmt.Sprintf("%#v", config.Default()), fmt.Sprintf("%#v", normal(l.Config))); diff != "" {
		t.Errorf("config.yaml differs from the defaults:\n%s", diff)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, key := range config.Keys() {
		var n int
		if _, err := fmt.Sscanf(l.Origin[key], file+":%d", &n); err != nil {
			t.Errorf("%s is not in config.yaml (%s)", key, l.Origin[key])
			continue
		}
		// A comment may speak of the two or three keys below it.
		above := n - 2
		for above > 0 && !strings.Contains(lines[above], "#") && !strings.HasSuffix(lines[above], ":") && lines[above] != "" {
			above--
		}
		if !strings.Contains(lines[above], "#") {
			t.Errorf("config.yaml:%d: %s has no comment", n, key)
		}
	}
}

// normal turns empty lists into nil ones.
func normal(c config.Config) config.Config {
	if len(c.MQTT.Origins) == 0 {
		c.MQTT.Origins = nil
	}
	if len(c.MQTT.TrustedProxies) == 0 {
		c.MQTT.TrustedProxies = nil
	}
	return c
}

func TestEachBadConfigIsRefusedWithItsOwnMessage(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			want := strings.ReplaceAll(strings.TrimPrefix(first, "# want: "), "FILE", file)
			_, err = config.Load(config.Source{File: file})
			if err == nil {
				t.Fatal("was accepted")
			}
			if err.Error() != want {
				t.Errorf("\n got %s\nwant %s", err, want)
			}
		})
	}
}

func TestLaterLayersWin(t *testing.T) {
	file := write(t, "mqtt:\n  tcp: 127.0.0.1:1001\n  ws: 127.0.0.1:1002\n  origins: [https://a.example]\npresence:\n  grace: 1s\nlimits:\n")
	l := load(t, config.Source{
		File: file,
		Env:  []string{"HOME=/x", "PACTWIRE_MQTT__WS=127.0.0.1:2002", "PACTWIRE_PRESENCE__GRACE=2s", "PACTWIRE_MQTT__WSS=", "PACTWIRE_TOKEN=t"},
		Set:  []string{"presence.grace=3s", "presence.grace=4s", "mqtt.origins=https://b.example, https://c.example"},
	})
	type view struct {
		TCP, WS, WSS, HTTP string
		Grace              time.Duration
		Origins            []string
	}
	got := view{l.MQTT.TCP, l.MQTT.WS, l.MQTT.WSS, l.HTTP.Addr, l.Presence.Grace, l.MQTT.Origins}
	want := view{"127.0.0.1:1001", "127.0.0.1:2002", "", "127.0.0.1:8080", 4 * time.Second, []string{"https://b.example", "https://c.example"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	origins := []string{l.Origin["mqtt.tcp"], l.Origin["mqtt.ws"], l.Origin["presence.grace"], l.Origin["http.addr"]}
	if diff := cmp.Diff([]string{file + ":2", "PACTWIRE_MQTT__WS", "--set", "default"}, origins); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownNamesInTheEnvironmentAndFlagsAreRefusedTogether(t *testing.T) {
	_, err := config.Load(config.Source{
		File: write(t, ""),
		Env:  []string{"PACTWIRE_MQTT_TCP=:1", "PACTWIRE_limits__packet_size=1KiB", "PACTWIRE_FOO=x", "PACTWIRE_LOG=debug", "PACTWIRE_MQTT=x"},
		Set:  []string{"mqtt.port=1", "demo"},
	})
	want := strings.Join([]string{
		"environment: unknown key PACTWIRE_FOO; without it, pactwire config show lists all that there are",
		"environment: unknown key PACTWIRE_LOG; did you mean PACTWIRE_LOG__LEVEL?",
		"environment: unknown key PACTWIRE_MQTT; did you mean PACTWIRE_MQTT__TCP?",
		"environment: unknown key PACTWIRE_MQTT_TCP; did you mean PACTWIRE_MQTT__TCP?",
		"environment: unknown key PACTWIRE_limits__packet_size; did you mean PACTWIRE_LIMITS__PACKET_SIZE?",
		"--set: unknown key mqtt.port; did you mean mqtt.tcp?",
		"--set demo: write key=value",
	}, "\n")
	if err == nil {
		t.Fatal("was accepted")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// One start tells of everything: unknown keys, values that are none, and settings that cannot work. A value that is none is
// complained of once.
func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	file := write(t, "mqtt:\n  tpc: x\nlimits:\n  packet_size: 64\n  keepalive_min: soon\nlog:\n  level: loud\n")
	_, err := config.Load(config.Source{File: file, Env: []string{"PACTWIRE_PRESENCE__LEASE=10ms"}, Set: []string{"http.addr=nowhere"}})
	want := strings.Join([]string{
		file + ":2: unknown key mqtt.tpc; did you mean mqtt.tcp?",
		file + `:4: limits.packet_size "64" is no size; write a whole number and a unit, such as 64KiB or 1MiB`,
		file + `:5: limits.keepalive_min "soon" is no duration; write a number and a unit, such as 15s, 500ms or 24h`,
		`--set: http.addr: "nowhere" is no address; write host:port, such as 127.0.0.1:1883`,
		`PACTWIRE_PRESENCE__LEASE: presence.lease: 10ms is too short; at least 1s`,
		file + `:7: log.level: "loud" is none of debug, info, warn, error`,
	}, "\n")
	if err == nil {
		t.Fatal("was accepted")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	_, err = config.Load(config.Source{File: write(t, "mqtt: ["), Env: []string{"PACTWIRE_MQTT_TCP=:1"}})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "PACTWIRE_MQTT_TCP") {
		t.Errorf("a file that cannot be read, and a misspelt variable: %v", err)
	}
}

func TestWithoutAFileTheDefaultsHold(t *testing.T) {
	t.Chdir(t.TempDir())
	l := load(t, config.Source{})
	if l.MQTT.TCP != "127.0.0.1:1883" || l.SQLitePath() != filepath.Join("data", "pactwire.db") {
		t.Errorf("%+v", l.Config)
	}
	if err := os.WriteFile("config.yaml", []byte("data_dir: elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := load(t, config.Source{}); l.SQLitePath() != filepath.Join("elsewhere", "pactwire.db") {
		t.Error("config.yaml in the working directory was not read")
	}
	if _, err := config.Load(config.Source{File: "missing.yaml"}); err == nil || err.Error() != "missing.yaml: no such file or directory" {
		t.Errorf("a named file that is not there: %v", err)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	const secret, password = "correct-horse-battery-staple-0123456789", "geheim"
	l := load(t, config.Source{File: write(t, ""), Set: []string{
		"auth.jwt.secret=" + secret, "store.url=postgres://bob:" + password + "@db/pactwire?sslmode=require",
		"redis.url=redis://:" + password + "@redis:6379",
	}})
	var shown strings.Builder
	if err := l.Show(&shown); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{shown.String(), fmt.Sprintf("%v %+v %#v %s", l, l, l, l.Auth.JWT.Secret)} {
		if strings.Contains(text, secret) || strings.Contains(text, password) {
			t.Errorf("a secret is printed: %s", text)
		}
	}
	if !strings.Contains(shown.String(), "postgres://bob:hidden@db/pactwire?sslmode=require") {
		t.Error(shown.String())
	}
}

// What `config show` prints is a config file with the same settings.
func TestShowIsYAML(t *testing.T) {
	l := load(t, config.Source{File: write(t, ""), Set: []string{"mqtt.trusted_proxies=10.0.0.0/8,::1", "limits.commands_per_second=2.5"}})
	var shown strings.Builder
	if err := l.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again := load(t, config.Source{File: write(t, shown.String())})
	if diff := cmp.Diff(fmt.Sprintf("%#v", normal(l.Config)), fmt.Sprintf("%#v", normal(again.Config))); diff != "" {
		t.Errorf("%s\n%s", diff, shown.String())
	}
	if !slices.Contains(strings.Split(shown.String(), "\n"), "node:") {
		t.Error(shown.String())
	}
}

func TestSecretOfDigitsStaysAsWritten(t *testing.T) {
	const digits = "01234567890123456789012345678901"
	l := load(t, config.Source{File: write(t, "auth:\n  jwt:\n    secret: "+digits+"\n")})
	if string(l.Auth.JWT.Secret) != digits {
		t.Errorf("read as %q", string(l.Auth.JWT.Secret))
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]config.Size{"0": 0, "512B": 512, "64KiB": 65536, "1 MiB": 1 << 20, "2GiB": 2 << 30} {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d %v", text, got, err)
		}
		if again, _ := config.ParseSize(got.String()); again != got {
			t.Errorf("%q is written as %q", text, got)
		}
	}
	for _, text := range []string{"", "64", "64KB", "-1B", "1.5KiB", "99999999999GiB", "KiB"} {
		if n, err := config.ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, n)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"mqtt:\n  tcp: \"\"\n", "a: &a [1]\nb: *a", "{}", "? [x]\n: y", "mqtt.tcp: x", "mqtt: {tcp: {x: 1}}", "1: 2"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = config.Load(config.Source{File: path}) // either way, it says so and does not panic
	})
}
