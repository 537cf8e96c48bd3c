package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// TestAnUpgradeHoldsUpNoCommit: nodes that are not upgraded yet go on writing while the first that is makes indexes, which takes long with
// large tables and waits for each transaction that is under way.
func TestAnUpgradeHoldsUpNoCommit(t *testing.T) {
	server := testkit.Postgres(t)
	cfg := postgres.Config{URL: server.URL(), Node: "a"}
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	server.SQL(`DROP INDEX log_at, commands_at, seen_webhooks_at, celebrations_at, seen_checkins_day;
		CREATE INDEX log_at ON log USING brin (at); CREATE INDEX commands_at ON commands USING brin (accepted_at);
		CREATE INDEX seen_webhooks_at ON seen_webhooks USING brin (at); CREATE INDEX celebrations_at ON celebrations USING brin (at);
		CREATE INDEX seen_checkins_day ON seen_checkins USING brin (day);
		DELETE FROM goose_db_version WHERE version_id >= 80`)
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(t.Context(), server.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return c
	}
	exec := func(c *pgx.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	under, other := connect(), connect()
	exec(under, `BEGIN; LOCK TABLE commands IN ROW EXCLUSIVE MODE`) // as a commit that is under way has
	upgraded := make(chan struct{})
	go func() {
		defer close(upgraded)
		open(t, cfg)
	}()
	testkit.Eventually(t, 20*time.Second, "the upgrade waits for what is under way", func() bool {
		return server.SQL(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INDEX%'`) == "1"
	})
	exec(other, `SET lock_timeout = '2s'`)
	exec(other, `INSERT INTO log (stream, seq, at, payload) VALUES (1, 1, 1, '')`)
	exec(other, `UPDATE commands SET attempts = attempts`)
	exec(under, `COMMIT`)
	<-upgraded
	if got := server.SQL(`SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'btree' AND i.indisvalid AND c.relname IN ('log_at', 'commands_at', 'seen_webhooks_at', 'celebrations_at', 'seen_checkins_day')`); got != "5" {
		t.Errorf("%s of 5 indexes are there", got)
	}
}
