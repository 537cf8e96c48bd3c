package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
)

// What a step did is said in words: the pact of who declines or leaves goes on.
func TestStepsSayWhatTheyDid(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	goal := s.does(t, "goal", "create", "Run", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--partner", "carol", "--partner", "dora", "--user", "alice")
	for _, c := range []struct{ who, step, says string }{
		{"bob", "accept", pact + " is active"}, {"carol", "decline", "you declined " + pact}, {"dora", "accept", pact + " is active"},
		{"bob", "leave", "you left " + pact}, {"alice", "abandon", pact + " is abandoned"},
	} {
		if got := s.does(t, "pact", c.step, pact, "--user", c.who); got != c.says {
			t.Errorf("%s: %q", c.step, got)
		}
	}
	other := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	s.does(t, "pact", "accept", other, "--user", "bob")
	if got := s.does(t, "pact", "remove", other, "bob", "--user", "alice"); got != "you removed bob from "+other+", which is abandoned" {
		t.Error(got)
	}
}

// The values that a pact may have are those that the document and the help name.
func TestValuesOfAPactAreNamed(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	resp, err := http.Get(s.http + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []any }
			}
		}
	}
	if err := json.Unmarshal(b, &document); err != nil {
		t.Fatal(err)
	}
	input := document.Components.Schemas["PactInput"].Properties
	goal := s.does(t, "goal", "create", "Run", "--user", "alice")
	help := strings.Join(strings.Fields(s.does(t, "pact", "create", "--help")), " ")
	for flag, values := range map[string][]any{"--days": input["durationDays"].Enum, "--type": input["pactType"].Enum} {
		if len(values) < 2 {
			t.Errorf("%s: the document names %v", flag, values)
		}
		for _, v := range values {
			if pact := s.does(t, "pact", "create", goal, flag, fmt.Sprint(v), "--user", "alice"); !pactwire.ValidID(pact) || !strings.Contains(help, fmt.Sprint(v)) {
				t.Errorf("%s %v: %q; %s", flag, v, pact, help)
			}
		}
	}
}
