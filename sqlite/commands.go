package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

const commandColumns = `c.id, n.name, coalesce(c.key, ''), c.request, c.answer, c.accepted_at, c.attempts, c.next_at, c.told`

var (
	sqlCommand = newQuery(`SELECT ` + commandColumns + ` FROM commands c JOIN names n ON n.id = c.user
		WHERE c.user = ? AND c.key = ?`)
	sqlPending = newQuery(`SELECT ` + commandColumns + ` FROM commands c JOIN names n ON n.id = c.user
		WHERE c.answer IS NULL AND c.id > ? ORDER BY c.id LIMIT ?`)
	sqlPendingOf = newQuery(`SELECT ` + commandColumns + ` FROM commands c JOIN names n ON n.id = c.user
		WHERE c.user = ? AND c.answer IS NULL AND c.id > ? ORDER BY c.id LIMIT ?`)
	sqlIsPending    = newQuery(`SELECT 1 FROM commands WHERE id = ? AND answer IS NULL`)
	sqlCountPending = newQuery(`SELECT count(*) FROM commands WHERE answer IS NULL`)
	sqlPutCommand   = newQuery(`INSERT INTO commands (id, user, key, request, answer, accepted_at, attempts, next_at, told)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	sqlFinishCommand = newQuery(`UPDATE commands SET request = NULL, answer = ?, next_at = ? WHERE id = ?`)
	sqlRetryCommand  = newQuery(`UPDATE commands SET attempts = ?, next_at = ? WHERE id = ?`)
	sqlTellCommand   = newQuery(`UPDATE commands SET told = 1 WHERE id = ? AND told = 0 AND answer IS NULL RETURNING 1`)
	sqlLastCommand   = newQuery(`SELECT max(coalesce((SELECT max(id) FROM commands), 0),
		coalesce((SELECT value FROM counters WHERE name = 'pruned_command'), 0))`)
)

// Command finds what became of an idempotency key.
func (t *Tx) Command(u pactwire.UserID, key string) (pactwire.CommandRecord, bool, error) {
	id, err := t.c.id(userName(u))
	if id == 0 || err != nil || key == "" {
		return pactwire.CommandRecord{}, false, err
	}
	s := t.c.q(sqlCommand).int(id).text(key)
	var r pactwire.CommandRecord
	ok := s.next()
	if ok {
		r = s.command()
	}
	return r, ok, s.end()
}

// PutCommand journals a command. A key that the user has used before is a Conflict.
func (t *Tx) PutCommand(c pactwire.CommandRecord) error {
	user, err := t.internID(userName(c.User))
	if err != nil {
		return err
	}
	s := t.c.q(sqlPutCommand).int(c.ID).int(user)
	if c.Key == "" {
		s.null()
	} else {
		s.text(c.Key)
	}
	err = s.blob(c.Request).blob(c.Answer).int(millis(c.AcceptedAt)).int(int64(c.Attempts)).int(zeroMillis(c.NextAt)).bool(c.Told).run()
	if isUnique(err) {
		return &pactwire.Error{Code: pactwire.Conflict, Message: "this command was sent before", Field: "id", Cause: err}
	}
	return err
}

// FinishCommand stores the final answer of a journalled command and drops its request.
func (t *Tx) FinishCommand(id int64, answer []byte, at time.Time) error {
	if answer == nil {
		answer = []byte{}
	}
	return t.c.q(sqlFinishCommand).blob(answer).int(zeroMillis(at)).int(id).run()
}

// RetryCommand notes a failed attempt.
func (t *Tx) RetryCommand(id int64, attempts int, next time.Time) error {
	return t.c.q(sqlRetryCommand).int(int64(attempts)).int(zeroMillis(next)).int(id).run()
}

// TellCommand notes that the sender was told that a command is pending. It reports whether that is news: the first time,
// and without an answer so far.
func (t *Tx) TellCommand(id int64) (first bool, err error) {
	return t.c.q(sqlTellCommand).int(id).changed()
}

// PendingCommand reports whether a journalled command still has no answer.
func (t *Tx) PendingCommand(id int64) (bool, error) {
	return t.c.q(sqlIsPending).int(id).changed()
}

// NextCommandID is an unused number for a command. Numbers ascend and are not used again after pruning.
func (t *Tx) NextCommandID() (int64, error) {
	if t.nextCommand == 0 {
		s := t.c.q(sqlLastCommand)
		if s.next() {
			t.nextCommand = s.colInt(0) + 1
		}
		if err := s.end(); err != nil {
			t.nextCommand = 0
			return 0, fmt.Errorf("number a command: %w", err)
		}
	}
	id := t.nextCommand
	t.nextCommand++
	return id, nil
}

// PendingCommands are journalled commands without an answer, in order of acceptance, after an id.
func (d *DB) PendingCommands(ctx context.Context, after int64, limit int) ([]pactwire.CommandRecord, error) {
	var out []pactwire.CommandRecord
	err := d.read(ctx, func(c *conn) (err error) {
		out, err = c.q(sqlPending).int(after).int(int64(max(limit, 0))).commands()
		return err
	})
	return out, readError("read pending commands", err)
}

// PendingCommandsOf are one user's journalled commands without an answer, in order of acceptance, after an id.
func (d *DB) PendingCommandsOf(ctx context.Context, u pactwire.UserID, after int64, limit int) ([]pactwire.CommandRecord, error) {
	var out []pactwire.CommandRecord
	err := d.read(ctx, func(c *conn) error {
		user, err := c.id(userName(u))
		if user == 0 || err != nil {
			return err
		}
		out, err = c.q(sqlPendingOf).int(user).int(after).int(int64(max(limit, 0))).commands()
		return err
	})
	return out, readError("read pending commands of "+string(u), err)
}

// CountPending counts the journalled commands without an answer.
func (d *DB) CountPending(ctx context.Context) (n int, err error) {
	err = d.read(ctx, func(c *conn) error {
		s := c.q(sqlCountPending)
		if s.next() {
			n = int(s.colInt(0))
		}
		return s.end()
	})
	return n, readError("count pending commands", err)
}

func (s *stmt) commands() (out []pactwire.CommandRecord, err error) {
	for s.next() {
		out = append(out, s.command())
	}
	return out, s.end()
}

func (s *stmt) command() pactwire.CommandRecord {
	return pactwire.CommandRecord{
		ID: s.colInt(0), User: pactwire.UserID(s.colText(1)), Key: s.colText(2), Request: s.colBlob(3), Answer: s.colBlob(4),
		AcceptedAt: s.colTime(5), Attempts: int(s.colInt(6)), NextAt: s.colZeroTime(7), Told: s.colBool(8),
	}
}

// zeroMillis and colZeroTime write the zero time as 0, for columns where NULL says something else or nothing.
func zeroMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return millis(t)
}

func (s *stmt) colZeroTime(i int32) time.Time {
	if s.colInt(i) == 0 {
		return time.Time{}
	}
	return s.colTime(i)
}
