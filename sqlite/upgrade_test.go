package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
)

// before makes a database as it was before a migration, and runs statements on it.
func before(t *testing.T, version int64, statements ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pactwire.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(context.Background(), version-1); err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return path
}

// TestAppointmentsForWhatWasThereBefore: pacts, invitations and streaks of an older database get their appointments.
func TestAppointmentsForWhatWasThereBefore(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	pact := `INSERT INTO pacts (id, status, pact_type, goal, creator, duration_days, start_date, end_date, ended_at, end_reason, created_at)
		VALUES (%d, '%s', 'support', 2, 1, 7, 0, %s, NULL, '', %d)`
	path := before(t, 51,
		// The kinds of names are 1 user, 2 goal, 3 pact.
		`INSERT INTO names (id, kind, name) VALUES (1, 1, 'alice'), (2, 2, 'run'), (3, 3, 'begun'), (4, 3, 'asked'), (5, 3, 'over')`,
		fmt.Sprintf(pact, 3, "active", fmt.Sprint(20*day), 10*day), fmt.Sprintf(pact, 4, "pending", "NULL", 11*day),
		fmt.Sprintf(pact, 5, "abandoned", fmt.Sprint(20*day), 10*day),
		`INSERT INTO streaks (user, goal, length, longest, grace_left, last_day) VALUES (1, 2, 3, 3, 1, 17000)`,
	)
	db, err := Open(t.Context(), Config{Path: path}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	list, err := db.Due(t.Context(), time.Now(), 10)
	var got []string
	for _, d := range list {
		got = append(got, fmt.Sprintf("%s %d", d.Key, d.At.UnixMilli()/day))
	}
	want := []string{"streak alice run 0", "pact begun 20", "invites begun 24", "invites asked 25"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// TestCelebrationsOfBeforeArePruned: those of an older database too.
func TestCelebrationsOfBeforeArePruned(t *testing.T) {
	path := before(t, 70,
		`INSERT INTO names (id, kind, name) VALUES (1, 2, 'alice')`,
		`INSERT INTO celebrations (user, checkin, at) VALUES (1, 'old', 1000), (1, 'new', 864000000000)`)
	db, err := Open(t.Context(), Config{Path: path}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	year := time.UnixMilli(0).AddDate(1, 0, 0)
	if _, err := db.Prune(t.Context(), year, year); err != nil {
		t.Fatal(err)
	}
	for checkin, want := range map[string]bool{"old": false, "new": true} {
		err := db.Update(t.Context(), func(tx *Tx) error {
			got, err := tx.Celebrated("alice", checkin)
			if got != want {
				t.Errorf("%s: %v", checkin, got)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
