package main

import (
	"strings"
	"testing"
)

func TestBenchSaysWhatItNeeds(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"bench prepare --out x --pacts 0", 2, "--pacts 0: make one at least"},
		{"bench prepare --out x --members 7", 2, "--members 7: a pact has 2 to 6"},
		{"bench run --pid 1,2", 2, "--file is missing"}, // pids as pgrep -d, prints them
		{"bench run --scenario fanout --connections 2 --duration 1s --addr " + s.mqtt, 1, "start it with --set lab.enabled=true"},
	} {
		if _, stderr, code := s.pactwire(t, strings.Fields(c.args)...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("pactwire %s: exit %d, %s", c.args, code, stderr)
		}
	}
}
