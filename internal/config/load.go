package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Source says where settings come from.
type Source struct {
	File string   // "" = config.yaml when there is one
	Env  []string // as os.Environ
	Set  []string // key=value, from flags; later ones win
}

// Loaded is a Config and where each of its settings came from.
type Loaded struct {
	Config
	Origin map[string]string // "default", "config.yaml:12", "PACTWIRE_MQTT__TCP", "--set"
}

// byDefault is the origin of what nobody set.
const byDefault = "default"

// defaultFile is read when no file is named and it exists.
const defaultFile = "config.yaml"

// prefix starts the environment's names; the exceptions are read by the command line itself.
const prefix = "PACTWIRE_"

var notKeys = []string{"PACTWIRE_SERVER", "PACTWIRE_TOKEN", "PACTWIRE_CONFIG"}

// Load reads and checks the settings. Its error names every mistake, one a line.
func Load(src Source) (Loaded, error) {
	l := &loader{k: koanf.New("."), origin: map[string]string{}, unread: map[string]bool{}}
	whole := l.readFile(src.File)
	l.readEnv(src.Env)
	l.readFlags(src.Set)
	cfg := l.decode()
	if whole { // else nobody knows what it would have set
		l.mistakes = append(l.mistakes, cfg.check(l.unread, l.origin)...)
	}
	if len(l.mistakes) > 0 {
		return Loaded{}, &Mistakes{l.mistakes}
	}
	return Loaded{Config: cfg, Origin: l.origin}, nil
}

// Mistakes is what is wrong with the settings, a sentence each.
type Mistakes struct{ List []string }

func (m *Mistakes) Error() string { return strings.Join(m.List, "\n") }

// loader merges the layers and remembers where each value was last set.
type loader struct {
	k        *koanf.Koanf
	origin   map[string]string
	unread   map[string]bool // keys whose value is none, and about which nothing else can be said
	mistakes []string
}

func (l *loader) mistake(format string, args ...any) {
	l.mistakes = append(l.mistakes, fmt.Sprintf(format, args...))
}

// readFile reports whether the file could be read.
func (l *loader) readFile(path string) bool {
	if path == "" {
		if _, err := os.Stat(defaultFile); errors.Is(err, os.ErrNotExist) {
			return true
		}
		path = defaultFile
	}
	y := &yamlFile{lines: map[string]int{}}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), y); err != nil {
		l.mistake("%s", unreadable(path, err))
		return false
	}
	for _, key := range sortedBy(k.Keys(), y.lines) {
		where, value := fmt.Sprintf("%s:%d", path, y.lines[key]), k.Get(key)
		switch {
		case known(key):
			l.put(key, value, where)
		case section(key) && isEmpty(value):
			// A section whose every line is commented out.
		case section(key):
			l.mistake("%s: %s is a section, not a value", where, key)
		default:
			l.unknown(where, key, nearest(key))
		}
	}
	return true
}

// unreadable says what keeps a file from being read, and names the line, where there is one, as for any other mistake.
func unreadable(path string, err error) string {
	var of *fs.PathError
	if errors.As(err, &of) {
		return path + ": " + of.Err.Error()
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if at, found := strings.CutPrefix(text, "line "); found {
		return path + ":" + at
	}
	return path + ": " + text
}

func isEmpty(v any) bool {
	m, ok := v.(map[string]any)
	return v == "" || ok && len(m) == 0
}

// section reports whether key is a group of settings.
func section(key string) bool {
	return slices.ContainsFunc(Keys(), func(k string) bool { return strings.HasPrefix(k, key+".") })
}

func sortedBy(keys []string, lines map[string]int) []string {
	slices.SortFunc(keys, func(a, b string) int { return lines[a] - lines[b] })
	return keys
}

func (l *loader) readEnv(environ []string) {
	k := koanf.New("\x00") // no nesting: the name is the whole path
	opt := env.Opt{Prefix: prefix, EnvironFunc: func() []string { return environ }}
	if err := k.Load(env.Provider("", opt), nil); err != nil {
		l.mistake("environment: %s", err)
		return
	}
	for _, name := range k.Keys() {
		if slices.Contains(notKeys, name) {
			continue
		}
		key := keyOf(name)
		if !known(key) || name != EnvName(key) {
			guess := nearest(key)
			if guess != "" {
				guess = EnvName(guess)
			}
			l.unknown("environment", name, guess)
			continue
		}
		l.put(key, k.String(name), name)
	}
}

// EnvName is the environment's name of a key: upper case, with __ for each dot.
func EnvName(key string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// keyOf is the key that a name in the environment stands for.
func keyOf(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "__", "."))
}

func (l *loader) readFlags(set []string) {
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			l.mistake("--set %s: write key=value", s)
			continue
		}
		if !known(key) {
			l.unknown("--set", key, nearest(key))
			continue
		}
		l.put(key, value, "--set")
	}
}

func (l *loader) unknown(where, name, guess string) {
	if guess == "" {
		l.mistake("%s: unknown key %s; without it, pactwire config show lists all that there are", where, name)
		return
	}
	l.mistake("%s: unknown key %s; did you mean %s?", where, name, guess)
}

func (l *loader) put(key string, value any, origin string) {
	if err := l.k.Set(key, value); err != nil {
		l.mistake("%s: %s: %s", origin, key, err)
		return
	}
	l.origin[key] = origin
}

// decode lays what was set over the defaults.
func (l *loader) decode() Config {
	cfg := Default()
	for key, f := range fields(reflect.ValueOf(&cfg).Elem(), "") {
		if _, isSet := l.origin[key]; !isSet {
			l.origin[key] = byDefault
			continue
		}
		before := reflect.New(f.Type()).Elem()
		before.Set(f)
		if err := set(f, l.k.Get(key)); err != nil {
			f.Set(before)
			l.unread[key] = true
			l.mistake("%s: %s %s", l.origin[key], key, err)
		}
	}
	return cfg
}
