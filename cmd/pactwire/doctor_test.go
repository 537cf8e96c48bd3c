package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// examine runs the doctor and returns what it found and its exit code.
func examine(t *testing.T, settings ...string) (list []finding, code int) {
	t.Helper()
	t.Setenv("PACTWIRE_CONFIG", "")
	args := []string{"doctor", "--json"}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &output{&out, &errs})
	for l := range strings.Lines(out.String()) {
		var f finding
		if err := json.Unmarshal([]byte(l), &f); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		list = append(list, f)
	}
	return list, code
}

// places are settings of a server that could run in a test.
func places(t *testing.T, dir string) []string {
	return []string{"data_dir=" + dir, "mqtt.tcp=" + testkit.FreeAddr(t), "mqtt.ws=" + testkit.FreeAddr(t), "http.addr=" + testkit.FreeAddr(t)}
}

func TestDoctorFindsNothingOnAFreshMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	list, code := examine(t, places(t, dir)...)
	for _, f := range list {
		if f.Result == failure {
			t.Errorf("%+v", f)
		}
	}
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("it left something behind: %v", err)
	}
}

func TestDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	holder, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := t.TempDir()
	if err := os.WriteFile(filepath.Join(open, "jwt.key"), []byte(strings.Repeat("k", 64)), 0o644); err != nil {
		t.Fatal(err)
	}
	strict := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer strict.Close()
	nobody := testkit.FreeAddr(t)
	database, cache := testkit.Postgres(t), testkit.Redis(t)
	at := "postgres://postgres@" + database.Addr
	database.SQL("CREATE DATABASE standby")
	database.SQL("ALTER DATABASE standby SET default_transaction_read_only = on")
	for _, test := range []struct {
		name     string
		settings []string
		check    string
		result   grade
		words    string
	}{
		{"an unknown setting", []string{"mqtt.tpc=x"}, "settings", failure, "mqtt.tpc"},
		{"a taken port", []string{"mqtt.tcp=" + holder.Addr().String()}, "ports", failure, "address already in use"},
		{"a folder that is a file", []string{"data_dir=" + file}, "store", failure, "not a directory"},
		{"no database", []string{"store.url=sqlite:" + file}, "store", failure, "file is not a database"},
		{"a key that others can read", []string{"data_dir=" + open}, "tokens", failure, "chmod 600"},
		{"an issuer that is away", []string{"auth.jwt.jwks_url=http://" + nobody + "/keys"}, "tokens", failure, "connection refused"},
		{"an issuer without keys", []string{"auth.jwt.jwks_url=" + strict.URL}, "tokens", failure, "answers 401"},
		{"a clock that is apart", []string{"auth.jwt.jwks_url=" + strict.URL}, "clock", warning, "the clock of the issuer is"},
		{"a habits-service that is away", []string{"habits.mode=http", "habits.url=http://" + nobody}, "habits", failure, nobody},
		{"a habits-service with another secret", []string{"habits.mode=http", "habits.url=" + strict.URL}, "habits", failure, "does not accept us"},
		{"PostgreSQL that is away", []string{"store.url=postgres://u@" + nobody + "/p"}, "store", failure, "nobody answers at " + nobody},
		{"Redis that is away", []string{"store.url=postgres://u@" + nobody + "/p", "redis.url=redis://" + nobody}, "redis", failure, "nobody answers at " + nobody},
		{"no such role", []string{"store.url=postgres://u@" + database.Addr + "/postgres"}, "store", failure, `role "u" does not exist`},
		{"no such database", []string{"store.url=" + at + "/p"}, "store", failure, `database "p" does not exist`},
		{"a standby", []string{"store.url=" + at + "/standby"}, "store", failure, "read-only"},
		{"no such number of a database", []string{"store.url=" + at + "/postgres", "redis.url=redis://" + cache.Addr + "/99"}, "redis", failure, "out of range"},
		{"no certificate", []string{"mqtt.tls=" + nobody, "mqtt.cert_file=" + nobody, "mqtt.key_file=" + nobody}, "tls", failure, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, code := examine(t, append(places(t, t.TempDir()), test.settings...)...)
			found := false
			for _, f := range list {
				if f.Check == test.check && f.Result == test.result && strings.Contains(f.Found+" "+f.Do, test.words) {
					found = found || f.Do != "" || test.check == "tokens"
				}
			}
			if !found || code != 1 {
				t.Errorf("exit %d, found %+v", code, list)
			}
		})
	}
}

// TestDoctorTriesEachHost: a URL of PostgreSQL may name several, of which a node uses one that answers.
func TestDoctorTriesEachHost(t *testing.T) {
	hosts := testkit.FreeAddr(t) + "," + testkit.Postgres(t).Addr
	list, code := examine(t, append(places(t, t.TempDir()), "store.url=postgres://postgres@"+hosts+"/postgres?sslmode=disable")...)
	if code != 0 {
		t.Errorf("exit %d, %+v", code, list)
	}
}

func TestDoctorKnowsARunningServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	list, code := examine(t, "data_dir="+dir, "mqtt.tcp="+s.mqtt, "mqtt.ws="+strings.TrimPrefix(s.wsURL, "ws://"), "http.addr="+strings.TrimPrefix(s.http, "http://"))
	if code != 0 || list[1].Check != "server" || list[1].Result != fine {
		t.Errorf("exit %d, %+v", code, list)
	}
}

func TestDoctorIsReadable(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"doctor"}
	for _, s := range places(t, t.TempDir()) {
		args = append(args, "--set", s)
	}
	if code := run(t.Context(), append(args, "--set", "store.url=postgres://u@"+testkit.FreeAddr(t)+"/p", "--set", "redis.url=redis://"+testkit.FreeAddr(t)), &output{&out, &errs}); code != 1 {
		t.Errorf("exit %d", code)
	}
	if text := out.String(); !strings.Contains(text, "\nfail  redis     nobody answers at ") || !strings.Contains(text, "\n                → start Redis, or set redis.url\n") {
		t.Error(text)
	}
}

func TestAFullDiskIsNoQuestionOfPermission(t *testing.T) {
	for err, want := range map[error]string{syscall.ENOSPC: "free some space", syscall.EROFS: "let them"} {
		if got := writable(&os.PathError{Op: "open", Path: "x", Err: err}, "let them"); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}
