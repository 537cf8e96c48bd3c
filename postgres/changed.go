package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/pactwire/pactwire"
)

const sqlChangedPacts = `WITH s AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS next)
	SELECT '' AS name, next FROM s
	UNION ALL SELECT n.name, p.changed::text FROM pacts p JOIN names n ON n.id = p.id WHERE p.changed >= $1::text::xid8
	UNION ALL SELECT n.name, p.changed::text FROM seen_pacts p JOIN names n ON n.id = p.id WHERE p.changed >= $1::text::xid8`

// ChangedPacts lists the pacts that were changed, or whose members were, by transactions since a mark, and returns the mark to
// ask from next. A change may be listed more than once, with the same At, and none is left out. Mark 0 asks for no pacts, only
// for the mark.
func (d *DB) ChangedPacts(ctx context.Context, since uint64) (pacts []pactwire.PactChange, next uint64, err error) {
	query, args := sqlChangedPacts, []any{strconv.FormatUint(since, 10)}
	if since == 0 {
		query, args = `SELECT '', pg_snapshot_xmin(pg_current_snapshot())::text`, nil
	}
	err = d.read(ctx, func(ctx context.Context) error {
		pacts, next = nil, 0
		rows, err := d.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, xid string
			if err := rows.Scan(&name, &xid); err != nil {
				return err
			}
			at, err := strconv.ParseUint(xid, 10, 64)
			if err != nil {
				return err
			}
			if name == "" {
				next = at
				continue
			}
			pacts = append(pacts, pactwire.PactChange{Pact: pactwire.PactID(name), At: at})
		}
		return rows.Err()
	})
	return pacts, next, readError("read which pacts have changed", err)
}

// NodeAlive reports whether a process has the lock in a node's name.
func (d *DB) NodeAlive(ctx context.Context, id string) (alive bool, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		return d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::bigint::oid
			AND objid = $2::bigint::oid AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`,
			int64(lockSpace), int64(uint32(lockKey(id)))).Scan(&alive) //nolint:gosec // as PostgreSQL has them
	})
	return alive, readError("ask whether a node lives", err)
}

// NodeAwake reports whether the process that has the lock in a node's name looks after it: one that hangs keeps its lock.
func (d *DB) NodeAwake(ctx context.Context, id string) (awake bool, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		return d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted
			AND classid = $1::bigint::oid AND objid = $2::bigint::oid AND objsubid = 2
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND state_change > clock_timestamp() - $3::interval)`,
			int64(lockSpace), int64(uint32(lockKey(id))), awakeTime).Scan(&awake) //nolint:gosec // as PostgreSQL has them
	})
	return awake, readError("ask whether a node is awake", err)
}

// awakeTime is how long a node that is awake may take from one look at the database to the next.
const awakeTime = 5 * time.Second

// NodesBesides counts the processes that have a lock in the name of another node than these, and those of them that look after it.
func (d *DB) NodesBesides(ctx context.Context, ids []string) (held, awake int, err error) {
	keys := make([]int64, len(ids))
	for i, id := range ids {
		keys[i] = int64(uint32(lockKey(id))) //nolint:gosec // as PostgreSQL has them
	}
	err = d.read(ctx, func(ctx context.Context) error {
		return d.pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE state_change > clock_timestamp() - $3::interval)
			FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND classid = $1::bigint::oid
			AND objid::bigint <> ALL ($2::bigint[]) AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
			int64(lockSpace), keys, awakeTime).Scan(&held, &awake)
	})
	return held, awake, readError("count the other nodes", err)
}
