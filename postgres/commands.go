package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const commandColumns = `c.id, coalesce(c.key, ''), c.request, c.answer, c.accepted_at, c.attempts, c.next_at, c.told`

// command is what is known of an idempotency key, or a command that was journalled.
type command struct {
	rec pactwire.CommandRecord
	ok  bool
}

// Command finds what became of an idempotency key.
func (t *Tx) Command(u pactwire.UserID, key string) (pactwire.CommandRecord, bool, error) {
	if key == "" {
		return pactwire.CommandRecord{}, false, nil
	}
	c, err := t.command(commandKey{u, key})
	if err != nil || !c.ok {
		return pactwire.CommandRecord{}, false, err
	}
	return c.rec, true, nil
}

func (t *Tx) command(k commandKey) (*command, error) {
	if c := t.commands[k]; c != nil {
		return c, nil
	}
	err := t.want(func(w *wants) {
		w.lock(userName(k.user))
		w.commands[k] = none{}
	})
	return t.commands[k], err
}

// PutCommand journals a command. A key that the user has used before is a Conflict.
func (t *Tx) PutCommand(rec pactwire.CommandRecord) error {
	if h := t.heads[userName(rec.User)]; h == nil {
		if err := t.want(func(w *wants) { w.lock(userName(rec.User)) }); err != nil {
			return err
		}
	}
	c := &command{rec: rec, ok: true}
	if rec.Key != "" {
		k := commandKey{rec.User, rec.Key}
		before, err := t.command(k)
		if err != nil {
			return err
		}
		if before.ok {
			return &pactwire.Error{Code: pactwire.Conflict, Message: "this command was sent before", Field: "id"}
		}
		t.commands[k] = c
		t.change(func() { t.commands[k] = before })
	}
	t.puts = append(t.puts, c)
	return nil
}

// amend changes what memory has of a command.
func (t *Tx) amend(id int64, f func(*pactwire.CommandRecord)) {
	one := func(c *command) {
		if c.ok && c.rec.ID == id {
			was := c.rec
			t.change(func() { c.rec = was })
			f(&c.rec)
		}
	}
	for _, c := range t.commands {
		one(c)
	}
	for _, c := range t.puts {
		if c.rec.Key == "" {
			one(c)
		}
	}
}

// FinishCommand stores the final answer of a journalled command and drops its request.
func (t *Tx) FinishCommand(id int64, answer []byte, at time.Time) error {
	if answer == nil {
		answer = []byte{}
	}
	t.amend(id, func(c *pactwire.CommandRecord) { c.Request, c.Answer, c.NextAt = nil, answer, at })
	t.post(`UPDATE commands SET request = NULL, answer = $1, next_at = $2 WHERE id = $3`, answer, zeroMillis(at), id)
	for _, known := range []map[int64]bool{t.pending, t.tellable} { // what is read later in this transaction is of before
		was, had := known[id]
		known[id] = false
		t.change(func() {
			if known[id] = was; !had {
				delete(known, id)
			}
		})
	}
	return nil
}

// RetryCommand notes a failed attempt.
func (t *Tx) RetryCommand(id int64, attempts int, next time.Time) error {
	t.amend(id, func(c *pactwire.CommandRecord) { c.Attempts, c.NextAt = attempts, next })
	t.post(`UPDATE commands SET attempts = $1, next_at = $2 WHERE id = $3`, attempts, zeroMillis(next), id)
	return nil
}

// TellCommand notes that the sender was told that a command is pending. It reports whether that is news: the first time,
// and without an answer so far.
func (t *Tx) TellCommand(id int64) (first bool, err error) {
	for _, c := range t.puts {
		if c.rec.ID == id {
			first = c.rec.Answer == nil && !c.rec.Told
			t.amend(id, func(r *pactwire.CommandRecord) { r.Told = true })
			return first, nil
		}
	}
	first, known := t.tellable[id]
	if !known {
		if err := t.want(func(w *wants) { w.ready(); w.tellable[id] = none{} }); err != nil {
			return false, err
		}
		first = t.tellable[id]
	}
	if first {
		t.tellable[id] = false
		t.change(func() { t.tellable[id] = true })
		t.amend(id, func(c *pactwire.CommandRecord) { c.Told = true })
		t.post(`UPDATE commands SET told = true WHERE id = $1`, id)
	}
	return first, nil
}

// PendingCommand reports whether a journalled command still has no answer, so that of two nodes that have worked on it one
// records what came of it.
func (t *Tx) PendingCommand(id int64) (bool, error) {
	for _, c := range t.puts {
		if c.rec.ID == id {
			return c.rec.Answer == nil, nil
		}
	}
	if _, known := t.pending[id]; !known {
		if err := t.want(func(w *wants) { w.ready(); w.pending[id] = none{} }); err != nil {
			return false, err
		}
	}
	return t.pending[id], nil
}

// NextCommandID is an unused number for a command. Those that one person's commands get ascend in order of acceptance, on
// all nodes, since the person is locked when a number is taken.
func (t *Tx) NextCommandID() (int64, error) {
	if t.used == len(t.numbers) {
		lack := t.used + max(1, min(t.used, 128))
		if err := t.want(func(w *wants) { w.ready(); w.numbers = max(w.numbers, lack) }); err != nil {
			return 0, err
		}
	}
	t.used++
	return t.numbers[t.used-1], nil
}

// PendingCommands are journalled commands without an answer, in order of acceptance, after an id.
func (d *DB) PendingCommands(ctx context.Context, after int64, limit int) ([]pactwire.CommandRecord, error) {
	return d.readCommands(ctx, "read pending commands", `SELECT n.name, `+commandColumns+` FROM commands c JOIN names n ON n.id = c.usr
		WHERE c.answer IS NULL AND c.id > $1 ORDER BY c.id LIMIT $2`, after, max(limit, 0))
}

// PendingCommandsOf are one user's journalled commands without an answer, in order of acceptance, after an id.
func (d *DB) PendingCommandsOf(ctx context.Context, u pactwire.UserID, after int64, limit int) ([]pactwire.CommandRecord, error) {
	return d.readCommands(ctx, "read pending commands of "+string(u), `SELECT n.name, `+commandColumns+` FROM names n JOIN commands c ON c.usr = n.id
		WHERE n.kind = 2 AND n.name = $1 AND c.answer IS NULL AND c.id > $2 ORDER BY c.id LIMIT $3`, u, after, max(limit, 0))
}

func (d *DB) readCommands(ctx context.Context, what, sql string, args ...any) (out []pactwire.CommandRecord, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			var u pactwire.UserID
			rec, err := scanCommand(rows, &u)
			rec.User = u
			out = append(out, rec)
			return err
		})
	})
	return out, readError(what, err)
}

// CountPending counts the journalled commands without an answer.
func (d *DB) CountPending(ctx context.Context) (n int, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		return d.pool.QueryRow(ctx, `SELECT count(*) FROM commands WHERE answer IS NULL`).Scan(&n)
	})
	return n, readError("count pending commands", err)
}

func scanCommand(rows pgx.Rows, first any) (c pactwire.CommandRecord, err error) {
	var accepted, next int64
	err = rows.Scan(first, &c.ID, &c.Key, &c.Request, &c.Answer, &accepted, &c.Attempts, &next, &c.Told)
	c.AcceptedAt, c.NextAt = timeOf(accepted), zeroTime(next)
	return c, err
}

// flushCommands sends what was journalled.
func (t *Tx) flushCommands(b *pgx.Batch) {
	n := len(t.puts)
	if n == 0 {
		return
	}
	ids, users, keys := make([]int64, n), make([]int64, n), make([]*string, n)
	requests, answers, accepted := make([][]byte, n), make([][]byte, n), make([]int64, n)
	attempts, next, told := make([]int32, n), make([]int64, n), make([]bool, n)
	for i, c := range t.puts {
		r := &c.rec
		ids[i], users[i], keys[i] = r.ID, t.heads[userName(r.User)].id, nullText(r.Key)
		requests[i], answers[i], accepted[i] = r.Request, r.Answer, millis(r.AcceptedAt)
		attempts[i], next[i], told[i] = int32(r.Attempts), zeroMillis(r.NextAt), r.Told //nolint:gosec // small
	}
	b.Queue(`INSERT INTO commands (id, usr, key, request, answer, accepted_at, attempts, next_at, told)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bigint[], $7::int[], $8::bigint[], $9::bool[])`,
		ids, users, keys, requests, answers, accepted, attempts, next, told)
	clear(t.puts)
	t.puts = t.puts[:0]
}
