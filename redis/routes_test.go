package redis_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
)

// TestRoutesAreAsOfNow whoever moves, and whatever was read before.
func TestRoutesAreAsOfNow(t *testing.T) {
	r := testkit.Redis(t)
	nodes := map[string]*redis.Client{"a/1": open(t, r.URL(), "a/1"), "b/1": open(t, r.URL(), "b/1"), "c/1": open(t, r.URL(), "c/1")}
	addr := rapid.SampledFrom(slices.Sorted(maps.Keys(nodes)))
	users := []pactwire.UserID{"", "alice", "bob", "carol", "dave"}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(users), 1, 3, rapid.ID[pactwire.UserID])
	rapid.Check(t, func(t *rapid.T) {
		r.FlushAll() // what a node has read in a former run is of no use to it either
		at := map[pactwire.UserID]map[string]bool{}
		for _, u := range users {
			at[u] = map[string]bool{}
		}
		done := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"here": func(t *rapid.T) {
				a, list := addr.Draw(t, "at"), some.Draw(t, "who")
				done(nodes[a].Here(t.Context(), list))
				for _, u := range list {
					at[u][a] = true
				}
			},
			"gone": func(t *rapid.T) {
				a, list := addr.Draw(t, "from"), some.Draw(t, "who")
				done(nodes[a].Gone(t.Context(), list))
				for _, u := range list {
					delete(at[u], a)
				}
			},
			"forget": func(t *rapid.T) {
				a, stale := addr.Draw(t, "stale"), map[pactwire.UserID][]string{}
				for _, u := range some.Draw(t, "who") {
					stale[u] = []string{a}
					delete(at[u], a)
				}
				done(nodes[addr.Draw(t, "by")].Forget(t.Context(), stale))
			},
			"flush": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "die") > 0 {
					return
				}
				r.FlushAll()
				for _, u := range users {
					clear(at[u])
				}
			},
			"ask": func(t *rapid.T) {
				a, list := addr.Draw(t, "by"), some.Draw(t, "whom")
				got, err := nodes[a].Routes(t.Context(), list)
				done(err)
				for i, u := range list {
					if want := slices.Sorted(maps.Keys(at[u])); !slices.Equal(slices.Sorted(slices.Values(got[i])), want) {
						t.Fatalf("%s sees %q at %v, who is at %v", a, u, got[i], want)
					}
				}
			},
		})
	})
}

// TestWhoDoesNotMoveIsAskedForOnce counts what Redis is asked.
func TestWhoDoesNotMoveIsAskedForOnce(t *testing.T) {
	r := testkit.Redis(t)
	a, b := open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1")
	var users []pactwire.UserID
	for i := range 100 {
		users = append(users, pactwire.UserID(fmt.Sprintf("user-%d", i)))
	}
	if err := b.Here(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	ask := func() (reads string) {
		t.Helper()
		r.Do("CONFIG", "RESETSTAT")
		for i, at := range must(a.Routes(t.Context(), users))(t) {
			if !slices.Equal(at, []string{"b/1"}) {
				t.Fatalf("%s is at %v", users[i], at)
			}
		}
		for line := range strings.Lines(r.Do("INFO", "commandstats")) {
			if calls, ok := strings.CutPrefix(line, "cmdstat_smembers:calls="); ok {
				reads, _, _ = strings.Cut(calls, ",")
			}
		}
		return reads
	}
	if got := ask(); got != "100" {
		t.Errorf("%s reads of 100 routes that were never read", got)
	}
	if got := ask(); got != "" {
		t.Errorf("%s reads of routes that are as they were", got)
	}
	if err := b.Here(t.Context(), users[:1]); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got == "" || len(got) > 1 { // few share a group of a thousand
		t.Errorf("%s reads after one user has moved", got)
	}
}
