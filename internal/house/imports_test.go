package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pactwire/pactwire"

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// dir is the package's folder in the module, "" for the root.
func (p pkg) dir() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var list []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 5 {
		t.Fatalf("go list found only %d packages", len(list))
	}
	return list
}

// top is the first folder of a path in the module.
func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func TestDependenciesPointInward(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if !allowed(p.dir(), imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// allowed says whether the package in dir may import a package of this module, or the standard library.
func allowed(dir, imported string) bool {
	own, inside := strings.CutPrefix(imported, module)
	if !inside || own != "" && own[0] != '/' {
		return dir != "" || !strings.Contains(top(imported), ".")
	}
	own = strings.TrimPrefix(own, "/")
	switch {
	case dir == "" || own == "" || own == "topics":
		return dir != "" && (own == "" || dir != "topics")
	case dir == "topics":
		return false
	case top(dir) == "cmd", top(dir) == "test", dir == "internal/storetest", dir == "internal/testkit":
		return true
	case own == "internal/storetest" || own == "internal/testkit" || top(own) == "test" || top(own) == "cmd":
		return false // for tests alone
	case top(own) == "internal":
		return true // what is internal serves all, and is held to the same rule
	}
	return top(dir) == top(own)
}

func TestTheRule(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		want          bool
	}{
		{"", "time", true},
		{"", "golang.org/x/sync/errgroup", false},
		{"", module + "/topics", false},
		{"topics", module, true},
		{"topics", module + "/internal/config", false},
		{"bridge", module + "/topics", true},
		{"bridge", module + "/bridge/payload", true},
		{"bridge/presence", module + "/habits", false},
		{"sqlite", module + "/bridge", false},
		{"hooks", module + "/broker", false},
		{"hooks", module + "/internal/auth", true},
		{"internal/auth", module + "/hooks", false},
		{"habits", module + "/internal/testkit", false},
		{"internal/storetest", module + "/bridge", true},
		{"cmd/pactwire", module + "/sqlite", true},
		{"test/crash", module + "/internal/testkit", true},
		{"httpapi", "github.com/danielgtaylor/huma/v2", true},
	} {
		if got := allowed(c.dir, c.imported); got != c.want {
			t.Errorf("%q imports %s: allowed %v, want %v", c.dir, c.imported, got, c.want)
		}
	}
}

// libraries may be imported in the folders named and below, by code and tests alike; nil means anywhere. What is not here is
// not yet a dependency: it needs a page in docs/adr first.
var libraries = map[string][]string{
	"charm.land/lipgloss":                 {"cmd"},
	"github.com/MicahParks":               {"internal/auth"},
	"github.com/SherClockHolmes/webpush":  {"bridge/push"},
	"github.com/alecthomas/kong":          {"cmd"},
	"github.com/danielgtaylor/huma":       {"httpapi"},
	"github.com/eclipse/paho":             {"bridge/upstream", "cmd", "test"},
	"github.com/failsafe-go/failsafe-go":  {"bridge"},
	"github.com/fsnotify/fsnotify":        {"broker"},
	"github.com/fxamacker/cbor":           {"bridge", "test"},
	"github.com/golang-jwt/jwt":           {"internal", "cmd", "test", "bridge/push"},
	"github.com/google/go-cmp":            nil,
	"github.com/google/uuid":              nil,
	"github.com/gorilla/websocket":        {"broker", "test", "internal/rawmqtt"},
	"github.com/jackc/pgx":                {"postgres"},
	"github.com/knadh/koanf":              {"internal/config"},
	"github.com/lmittmann/tint":           {"cmd", "internal/telemetry"},
	"github.com/mattn/go-isatty":          {"cmd"},
	"github.com/mochi-mqtt/server":        {"broker", "hooks"},
	"github.com/pires/go-proxyproto":      {"broker"},
	"github.com/pressly/goose":            {"sqlite", "postgres"},
	"github.com/prometheus/client_golang": nil, // each package counts its own things
	"github.com/redis/go-redis":           {"redis"},
	"github.com/sideshow/apns2":           {"bridge/push"},
	"github.com/standard-webhooks":        {"bridge", "habits", "httpapi", "cmd", "test"},
	"go.uber.org/goleak":                  nil,
	"go.yaml.in/yaml":                     {"internal/config", "test"},
	"golang.org/x/":                       nil,
	"modernc.org/libc":                    {"sqlite"},
	"modernc.org/sqlite":                  {"sqlite"},
	"pgregory.net/rapid":                  nil,
}

func TestLibrariesStayInTheirFolders(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if !strings.Contains(top(imported), ".") || strings.HasPrefix(imported, module) {
				continue
			}
			folders, known := lookup(imported)
			if !known {
				t.Errorf("%s imports %s, which is not in the list here: say where it belongs", p.ImportPath, imported)
				continue
			}
			if folders != nil && !slices.ContainsFunc(folders, func(f string) bool { return within(p.dir(), f) }) {
				t.Errorf("%s imports %s, which belongs in %v alone", p.ImportPath, imported, folders)
			}
		}
	}
}

// lookup finds the longest entry that begins the import path.
func lookup(imported string) (folders []string, known bool) {
	best := ""
	for prefix, f := range libraries {
		if strings.HasPrefix(imported, prefix) && len(prefix) > len(best) {
			best, folders, known = prefix, f, true
		}
	}
	return folders, known
}

func within(dir, folder string) bool {
	return dir == folder || strings.HasPrefix(dir, folder+"/")
}
