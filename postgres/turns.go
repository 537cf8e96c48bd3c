package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// now is the database's clock in milliseconds, which is the same for all nodes.
const now = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

type turnAsk struct {
	user pactwire.UserID
	ms   int64
}

type turnGiven struct {
	turn int64
	err  error
}

// ClaimTurn takes the work on a person's journal for as long as lasts, and returns the number of the turn, or 0 when another node
// has it. What this node holds already it gets under a new number.
func (d *DB) ClaimTurn(ctx context.Context, u pactwire.UserID, lasts time.Duration) (int64, error) {
	got, err := join(ctx, d, d.turns, "claim turn", turnAsk{u, lasts.Milliseconds()})
	if err != nil {
		return 0, err
	}
	return got.turn, got.err
}

// claimTurns serves many claims with one statement.
func (d *DB) claimTurns(asks []turnAsk) []turnGiven {
	out := make([]turnGiven, len(asks))
	users, lasts := make([]string, len(asks)), make([]int64, len(asks))
	for i, a := range asks {
		users[i], lasts[i] = string(a.user), a.ms
	}
	err := d.once(context.Background(), func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `WITH w AS (SELECT n.id, min(w.i) AS i, max(w.lasts) AS lasts
				FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS w (usr, lasts, i) JOIN names n ON n.kind = 2 AND n.name = w.usr GROUP BY n.id),
			taken AS (INSERT INTO turns AS t (usr, turn, node, until)
				SELECT w.id, nextval('turn_numbers'), $3, `+now+` + w.lasts FROM w ORDER BY w.id
				ON CONFLICT (usr) DO UPDATE SET turn = excluded.turn, node = excluded.node, until = excluded.until
					WHERE t.node = excluded.node OR t.until < `+now+`
				RETURNING t.usr, t.turn)
			SELECT w.i, taken.turn FROM taken JOIN w ON w.id = taken.usr`, users, lasts, d.cfg.Node)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			var i int
			var turn int64
			err := rows.Scan(&i, &turn)
			out[max(i, 1)-1].turn = turn
			return err
		})
	})
	if err != nil {
		for i := range out {
			out[i] = turnGiven{err: readError("claim turn", err)}
		}
	}
	return out
}

// RenewTurns makes turns last from now on for as long as lasts, and returns those that are another node's now.
func (d *DB) RenewTurns(ctx context.Context, turns []int64, lasts time.Duration) (lost []int64, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `WITH kept AS (UPDATE turns SET until = `+now+` + $2 WHERE turn = ANY ($1) RETURNING turn)
			SELECT w.turn FROM unnest($1::bigint[]) AS w (turn) WHERE NOT EXISTS (SELECT FROM kept WHERE kept.turn = w.turn)`,
			turns, lasts.Milliseconds())
		if err == nil {
			lost, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		}
		return err
	})
	return lost, readError("renew turns", err)
}

// EndTurns gives persons free.
func (d *DB) EndTurns(ctx context.Context, turns []int64) error {
	err := d.read(ctx, func(ctx context.Context) error {
		_, err := d.pool.Exec(ctx, `DELETE FROM turns WHERE turn = ANY ($1)`, turns)
		return err
	})
	return readError("end turns", err)
}

// Answered are those of the commands that have an answer.
func (d *DB) Answered(ctx context.Context, commands []int64) ([]pactwire.CommandRecord, error) {
	return d.readCommands(ctx, "read answers", `SELECT n.name, `+commandColumns+` FROM commands c JOIN names n ON n.id = c.usr
		WHERE c.id = ANY ($1) AND c.answer IS NOT NULL ORDER BY c.id`, commands)
}

// abandonTurns gives free what this node had when it was killed.
func (d *DB) abandonTurns(ctx context.Context) error {
	_, err := d.pool.Exec(ctx, `DELETE FROM turns WHERE node = $1`, d.cfg.Node)
	return err
}

// Unserved are persons with pending commands, accepted before a time, of whom no node has the turn; the longest waiting first.
// A time of acceptance that is yet to come says nothing: it was told by a clock that was ahead.
func (d *DB) Unserved(ctx context.Context, before time.Time, limit int) (out []pactwire.UserID, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT n.name FROM (SELECT c.usr, min(c.id) AS first FROM commands c
				WHERE c.answer IS NULL AND (c.accepted_at < $1 OR c.accepted_at > `+now+`)
					AND NOT EXISTS (SELECT FROM turns t WHERE t.usr = c.usr AND t.until >= `+now+`)
				GROUP BY c.usr ORDER BY first LIMIT $2) w JOIN names n ON n.id = w.usr ORDER BY w.first`, millis(before), limit)
		if err == nil {
			out, err = pgx.CollectRows(rows, pgx.RowTo[pactwire.UserID])
		}
		return err
	})
	return out, readError("look for unserved commands", err)
}
