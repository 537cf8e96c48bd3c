package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

func put(t *testing.T, db *postgres.DB, id pactwire.PactID, s pactwire.PactStatus) {
	t.Helper()
	done := make(chan error, 1)
	err := db.Submit(t.Context(), func(tx *postgres.Tx) error {
		return tx.PutPact(pactwire.Pact{ID: id, Status: s, HabitGoalID: "g", CreatorUserID: "alice",
			Members: []pactwire.Member{{UserID: "alice", Role: pactwire.RoleCreator, Status: pactwire.MemberActive}}})
	}, func(err error) { done <- err })
	if err == nil {
		err = <-done
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestANodeFindsThePactsThatOthersHaveChanged(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a, b := open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"})
	ask := func(mark uint64) ([]pactwire.PactID, uint64) {
		t.Helper()
		list, next, err := b.ChangedPacts(t.Context(), mark)
		if err != nil || next == 0 {
			t.Fatal(next, err)
		}
		ids := []pactwire.PactID{}
		for _, c := range list {
			ids = append(ids, c.Pact)
		}
		slices.Sort(ids)
		return ids, next
	}
	put(t, a, "old", pactwire.PactActive)
	got, mark := ask(0)
	if len(got) != 0 {
		t.Errorf("mark 0 lists %v", got)
	}
	put(t, a, "p", pactwire.PactPending)
	put(t, a, "q", pactwire.PactPending)
	put(t, a, "p", pactwire.PactActive)
	if got, mark = ask(mark); fmt.Sprint(got) != "[p q]" {
		t.Errorf("changed: %v", got)
	}
	if got, _ = ask(mark); len(got) != 0 {
		t.Errorf("again: %v", got)
	}

	// A transaction that began before the question and ends after it is not left out.
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE pacts SET changed = pg_current_xact_id() FROM names n WHERE n.id = pacts.id AND n.name = 'old'`); err != nil {
		t.Fatal(err)
	}
	put(t, a, "r", pactwire.PactActive)
	if got, mark = ask(mark); fmt.Sprint(got) != "[r]" {
		t.Errorf("changed: %v", got)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ = ask(mark); !slices.Contains(got, "old") {
		t.Errorf("what was committed late is left out: %v", got)
	}
}

func TestANodeKnowsWhichOthersLive(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a := open(t, postgres.Config{URL: url, Node: "a"})
	b := open(t, postgres.Config{URL: url, Node: "b"})
	alive := func(id string) bool {
		t.Helper()
		ok, err := a.NodeAlive(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !alive("a") || !alive("b") || alive("c") {
		t.Errorf("a %v, b %v, c %v", alive("a"), alive("b"), alive("c"))
	}
	if awake, err := a.NodeAwake(t.Context(), "b"); !awake || err != nil {
		t.Errorf("b is awake: %v, %v", awake, err)
	}
	if awake, err := a.NodeAwake(t.Context(), "c"); awake || err != nil {
		t.Errorf("c, which is nobody, is awake: %v, %v", awake, err)
	}
	besides := func(ids ...string) int {
		t.Helper()
		held, awake, err := a.NodesBesides(t.Context(), ids)
		if err != nil || awake != held {
			t.Fatalf("%d of %d awake: %v", awake, held, err)
		}
		return held
	}
	if n, m := besides("a", "b", "c"), besides("a"); n != 0 || m != 1 {
		t.Errorf("%d besides a, b and c, %d besides a", n, m)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// PostgreSQL ends a closed connection's process in its own time.
	testkit.Eventually(t, 15*time.Second, "b is known to be closed", func() bool { return !alive("b") })
}
