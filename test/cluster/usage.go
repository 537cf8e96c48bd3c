package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pactwire/pactwire/internal/testkit"
)

// used is what the parts of a cluster have used so far.
type used struct {
	nodes, postgres, redis float64 // seconds of CPU
	commands               float64 // of Redis
	commits, walBytes      float64 // of PostgreSQL
	syncs                  float64
}

func measure(t testing.TB, c *testkit.Cluster) (u used) {
	t.Helper()
	for _, n := range c.Nodes {
		u.nodes += cpu(t, n.PID())
	}
	if c.Redis != nil {
		u.redis = cpu(t, c.Redis.PID())
		u.commands = number(t, field(c.Redis.Do("INFO", "stats"), "total_commands_processed:"))
	}
	if c.Postgres != nil {
		u.postgres = cpu(t, c.Postgres.PID())
		row := strings.Split(c.Postgres.SQL("SELECT (SELECT sum(xact_commit) FROM pg_stat_database), wal_bytes, wal_sync FROM pg_stat_wal"), "|")
		u.commits, u.walBytes, u.syncs = number(t, row[0]), number(t, row[1]), number(t, row[2])
	}
	return u
}

// field is what stands behind a name in lines of name:value.
func field(lines, name string) string {
	for l := range strings.Lines(lines) {
		if rest, ok := strings.CutPrefix(l, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// cpu is what a process and all its children, those that have ended too, have used.
func cpu(t testing.TB, pid int) float64 {
	t.Helper()
	total := 0.0
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name in brackets may hold anything; fields count from after it.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		own := path == fmt.Sprintf("/proc/%d/stat", pid)
		if len(f) < 15 || !own && f[1] != strconv.Itoa(pid) {
			continue
		}
		for i, ticks := range f[11:15] { // user, system, and those of children that have ended
			if i < 2 || own {
				total += number(t, ticks) / 100
			}
		}
	}
	return total
}
