package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
)

func TestDeviceCommands(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	goal := s.does(t, "goal", "create", "Run", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	stdout, stderr, code := s.pactwire(t, "device", "add", pact, "--name", "kitchen button", "--user", "alice")
	id := strings.TrimSpace(stdout)
	if code != 0 || len(id) != 22 || !pactwire.ValidID(id) {
		t.Fatalf("exit %d, stdout %q", code, stdout)
	}
	for _, want := range []string{"device:" + id, "devices/" + id + "/checkins", "password", "once"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr says nothing of %s:\n%s", want, stderr)
		}
	}
	var made pactwire.DeviceSecret
	if err := json.Unmarshal([]byte(s.does(t, "device", "add", pact, "--kind", "scale", "--user", "alice", "--json")), &made); err != nil || made.Secret == "" {
		t.Fatalf("%+v %v", made, err)
	}
	if got, want := s.does(t, "device", "list", "--user", "alice"), id+"  button  kitchen button  pact "+pact+"  never seen"; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := s.does(t, "device", "revoke", id, "--user", "alice"); got != id+" is revoked" {
		t.Error(got)
	}
	if _, stderr, code := s.pactwire(t, "device", "revoke", id, "--user", "alice"); code != exitRefused || !strings.Contains(stderr, "no such device") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if got := s.does(t, "revoke", "device", string(made.ID)); got != "device "+string(made.ID)+" is revoked" {
		t.Error(got)
	}
	if got := s.does(t, "device", "list", "--user", "alice"); got != "" {
		t.Error(got)
	}
}

func TestRevokeCommands(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	token := s.does(t, "token", "alice")
	if s.does(t, "goal", "list", "--token", token); t.Failed() {
		t.FailNow()
	}
	if got := s.does(t, "revoke", "token", token); !strings.HasSuffix(got, " is revoked") {
		t.Error(got)
	}
	if _, stderr, code := s.pactwire(t, "goal", "list", "--token", token); code != exitRefused || !strings.Contains(stderr, "revoked") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	s.does(t, "revoke", "token", "some-id", "--json")
	if got := s.does(t, "revoke", "user", "bob"); got != "bob has to sign in again, everywhere" {
		t.Error(got)
	}
	s.does(t, "revoke", "user", "carol", "--before", "2026-01-31T07:30:00Z")
	list := strings.Split(s.does(t, "revoke", "list"), "\n")
	if len(list) != 4 || !strings.Contains(list[1], "token some-id") || !strings.Contains(list[2], "tokens of bob up to 2") ||
		!strings.Contains(list[3], "tokens of carol up to 2026-01-31T07:30:00Z") || !strings.HasSuffix(list[0], "by operator") {
		t.Errorf("%q", list)
	}
	if _, stderr, code := s.pactwire(t, "revoke", "user", "bob", "--user", "alice"); code != exitRefused || !strings.Contains(stderr, "operators") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
