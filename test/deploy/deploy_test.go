// Package deploy_test checks what is in deploy/ as far as that goes without Docker and a service manager.
package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pactwire/pactwire/internal/testkit"
	"go.yaml.in/yaml/v3"
)

// compose is what we look at in compose.yaml.
type compose struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Environment map[string]string
		DependsOn   any `yaml:"depends_on"`
		Networks    []string
		Volumes     []string
		Build       struct{ Context, Dockerfile string }
	}
	Networks map[string]struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.Root(), "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// secrets are values for what compose.yaml takes from the environment.
var secrets = map[string]string{
	"JWT_SECRET": testkit.Secret, "HABITS_SECRET": testkit.HabitsSecret, "POSTGRES_PASSWORD": "0123456789abcdef",
}

var variable = regexp.MustCompile(`\$\{(\w+):\?\}`)

// TestComposeSettings: every container of ours starts with settings that are known and go together.
func TestComposeSettings(t *testing.T) {
	ours := 0
	for name, s := range parse(t).Services {
		if s.Image != "pactwire" {
			continue
		}
		ours++
		cmd := exec.CommandContext(t.Context(), testkit.Binary(t), "config", "check")
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"HOME=" + cmd.Dir}
		for _, k := range slices.Sorted(maps.Keys(s.Environment)) {
			v := variable.ReplaceAllStringFunc(s.Environment[k], func(v string) string {
				value, ok := secrets[variable.FindStringSubmatch(v)[1]]
				if !ok {
					t.Errorf("%s: %s is not explained", name, v)
				}
				return value
			})
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if len(s.Command) != 1 || s.Command[0] != "serve" && s.Command[0] != "habits-service" {
			t.Errorf("%s runs %q", name, s.Command)
		}
		if _, err := os.Stat(filepath.Join(testkit.Root(), "deploy", s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ours != 4 {
		t.Errorf("%d containers of ours, want three nodes and a habits-service", ours)
	}
}

// TestComposeSecretsAreNoSettings: pactwire works in the shell in which compose.yaml has its secrets exported.
func TestComposeSecretsAreNoSettings(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), testkit.Binary(t), "config", "check")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir}
	for _, v := range variable.FindAllStringSubmatch(read(t, "compose.yaml"), -1) {
		cmd.Env = append(cmd.Env, v[1]+"="+secrets[v[1]])
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestComposeNames: whatever is named is there, and the network that nodes trust is the one they are in.
func TestComposeNames(t *testing.T) {
	c := parse(t)
	host := regexp.MustCompile(`(?:@|//)(\w+):\d+`)
	for name, s := range c.Services {
		for _, v := range s.Environment {
			for _, m := range host.FindAllStringSubmatch(v, -1) {
				if _, ok := c.Services[m[1]]; !ok {
					t.Errorf("%s speaks with %s, which is not there", name, m[1])
				}
			}
		}
		var needs []string
		switch d := s.DependsOn.(type) {
		case map[string]any:
			needs = slices.Collect(maps.Keys(d))
		case []any:
			for _, n := range d {
				needs = append(needs, fmt.Sprint(n))
			}
		}
		for _, n := range needs {
			if _, ok := c.Services[n]; !ok {
				t.Errorf("%s waits for %s, which is not there", name, n)
			}
		}
		for _, n := range s.Networks {
			if _, ok := c.Networks[n]; !ok {
				t.Errorf("%s is in network %s, which is not there", name, n)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(from, "./") {
				read(t, from)
			} else if _, ok := c.Volumes[from]; !ok {
				t.Errorf("%s has volume %s, which is not there", name, from)
			}
		}
		if trusted := s.Environment["PACTWIRE_MQTT__TRUSTED_PROXIES"]; trusted != "" && trusted != c.Networks["inside"].IPAM.Config[0].Subnet {
			t.Errorf("%s trusts %s", name, trusted)
		}
	}
}

// TestBalancerKnowsTheNodes: each port that a node listens on has each node behind it.
func TestBalancerKnowsTheNodes(t *testing.T) {
	c := parse(t)
	config := read(t, "haproxy.cfg")
	for name, s := range c.Services {
		if len(s.Command) == 0 || s.Command[0] != "serve" {
			continue
		}
		for _, key := range []string{"PACTWIRE_MQTT__TCP", "PACTWIRE_MQTT__WS", "PACTWIRE_HTTP__ADDR"} {
			_, port, _ := strings.Cut(s.Environment[key], ":")
			if line := fmt.Sprintf("server %s %s:%s\n", name, name, port); !strings.Contains(config, line) {
				t.Errorf("haproxy.cfg has no %q", line)
			}
		}
	}
	for _, m := range regexp.MustCompile(`server \w+ (\w+):`).FindAllStringSubmatch(config, -1) {
		if _, ok := c.Services[m[1]]; !ok {
			t.Errorf("haproxy.cfg names %s, which is not there", m[1])
		}
	}
}

// TestUnit: the service manager's own check, where there is one, finds nothing.
func TestUnit(t *testing.T) {
	unit := read(t, "pactwire.service")
	if !strings.Contains(unit, "ExecStart=/usr/local/bin/pactwire serve ") || !strings.Contains(unit, "PACTWIRE_DATA_DIR=/var/lib/pactwire\n") {
		t.Error("the unit does not run serve on its own folder")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	path := filepath.Join(t.TempDir(), "pactwire.service")
	here := strings.Replace(unit, "/usr/local/bin/pactwire", testkit.Binary(t), 1) // the check wants the program to be there
	if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
