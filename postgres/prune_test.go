package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// plan is what EXPLAIN says of a node of a statement that was run.
type plan struct {
	Relation string  `json:"Relation Name"`
	Loops    float64 `json:"Actual Loops"`
	Rows     float64 `json:"Actual Rows"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Checked  float64 `json:"Rows Removed by Index Recheck"`
	Plans    []plan
}

// read is how many rows of a table were read.
func (p *plan) read(table string) (n float64) {
	if p.Relation == table {
		n = p.Loops * (p.Rows + p.Filtered + p.Checked)
	}
	for i := range p.Plans {
		n += p.Plans[i].read(table)
	}
	return n
}

// TestPruningReadsWhatGoes and not the table, however large it is, and also where new rows have taken the room of those that went.
func TestPruningReadsWhatGoes(t *testing.T) {
	url := testkit.Postgres(t).URL()
	db := open(t, postgres.Config{URL: url, Node: "a"})
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	const many, day = 50_000, 24 * time.Hour
	now := time.Now()
	for _, sql := range []string{ // a tenth of them, on all pages, ten days old; the others nine and less
		`INSERT INTO names (id, kind, name, head) SELECT i, 1, 'p' || i, 100 FROM generate_series(1, 500) i`,
		`CREATE TEMP TABLE times AS SELECT i, (extract(epoch FROM now()) * 1000)::bigint - 86400000::bigint * CASE WHEN i % 100 < 10 THEN 10 ELSE i % 9 END AS at
			FROM generate_series(0, 49999) i`,
		`INSERT INTO log (stream, seq, at, payload) SELECT 1 + i / 100, 1 + i % 100, at, repeat('x', 100)::bytea FROM times`,
		`INSERT INTO commands (id, usr, key, answer, accepted_at, attempts, next_at, told)
			SELECT i, 1 + i / 100, 'k' || i, repeat('x', 100)::bytea, at, 0, 0, true FROM times`,
	} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// slice drops one, undoes that, and returns how many rows are gone then, and how many were read for it.
	slice := func(table, sql string, args ...any) (gone, read float64) {
		t.Helper()
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.Background()) }()
		var plans []struct{ Plan plan }
		_, err = tx.Exec(t.Context(), postgres.PruneAlone, 1)
		err = errors.Join(err, tx.QueryRow(t.Context(), `EXPLAIN (ANALYZE, FORMAT JSON) `+sql, args...).Scan(&plans))
		var left int
		if err := errors.Join(err, tx.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&left)); err != nil {
			t.Fatal(err)
		}
		return many - float64(left), plans[0].Plan.read(table)
	}
	before := now.Add(-9*day - day/2)
	for _, gone := range []float64{0, many / 10} {
		if _, err := c.Exec(t.Context(), `VACUUM ANALYZE log, commands`); err != nil {
			t.Fatal(err)
		}
		const most = 1000 // in a slice
		for table, look := range map[string]func() (float64, float64){
			"log": func() (float64, float64) {
				return slice("log", postgres.PruneEntries, before.UnixMilli(), most, now.UnixMilli(), []int64{})
			},
			"commands": func() (float64, float64) { return slice("commands", postgres.PruneCommands, before.UnixMilli(), most) },
		} {
			dropped, read := look()
			if want := gone + most*(1-gone*10/many); dropped != want || read > 10*most {
				t.Errorf("with %v of %s gone: %v are, want %v; %v were read", gone, table, dropped, want, read)
			}
		}
		if n, err := db.Prune(t.Context(), before, before); n != int(2*(many/10-gone)) || err != nil {
			t.Fatalf("pruned %d, %v", n, err)
		}
	}
}
