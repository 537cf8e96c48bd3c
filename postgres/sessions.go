package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/sessionstate"
)

const (
	sessionQueue = 1024 // callers that wait; beyond it they block
	sessionBatch = 512  // sessions in one statement
	expireSlice  = 1000
	endSlice     = 1000 // sessions of a dead node that one statement ends
)

// gathered is one caller among those who share a statement: when thousands of clients return at once, each statement serves
// hundreds.
type gathered[Q, A any] struct {
	ask    Q
	answer chan A // room for one
}

// gather serves callers until the store is closed.
func gather[Q, A any](d *DB, in chan gathered[Q, A], serve func([]Q) []A) {
	batch := make([]gathered[Q, A], 0, sessionBatch)
	asks := make([]Q, 0, sessionBatch)
	for {
		select {
		case g := <-in:
			batch = append(batch[:0], g)
		case <-d.k.closing:
			return
		}
	more:
		for len(batch) < cap(batch) {
			select {
			case g := <-in:
				batch = append(batch, g)
			default:
				break more
			}
		}
		asks = asks[:0]
		for _, g := range batch {
			asks = append(asks, g.ask)
		}
		for i, a := range serve(asks) {
			batch[i].answer <- a
		}
		clear(batch)
	}
}

// join waits for the answer to one caller.
func join[Q, A any](ctx context.Context, d *DB, in chan gathered[Q, A], what string, q Q) (a A, err error) {
	g := gathered[Q, A]{q, make(chan A, 1)}
	select {
	case in <- g:
	case <-ctx.Done():
		return a, readError(what, ctx.Err())
	case <-d.k.closing:
		return a, errClosed
	}
	select {
	case a = <-g.answer:
		return a, nil
	case <-ctx.Done():
		return a, readError(what, ctx.Err())
	case <-d.k.closing:
		return a, errClosed
	}
}

type loadedSession struct {
	s   pactwire.Session
	ok  bool
	err error
}

// LoadSession reads one session. A session whose time is over is not there.
func (d *DB) LoadSession(ctx context.Context, key pactwire.SessionKey) (pactwire.Session, bool, error) {
	got, err := join(ctx, d, d.loads, "load session", key)
	if err != nil {
		return pactwire.Session{}, false, err
	}
	return got.s, got.ok, got.err
}

func (d *DB) readSessions(keys []pactwire.SessionKey) []loadedSession {
	out := make([]loadedSession, len(keys))
	users, clients := keyColumns(keys)
	now := d.cfg.Now()
	d.sessionReads.Add(1)
	err := d.read(context.Background(), func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT w.i, s.state, s.expiry, s.gone_at, s.expires_at, `+receivedOf+`
			FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (usr, client, i)
			JOIN names n ON n.kind = 2 AND n.name = w.usr JOIN sessions s ON s.usr = n.id AND s.client = w.client`, users, clients)
		if err != nil {
			return err
		}
		defer rows.Close()
		clear(out)
		return each(rows, func() error {
			var i int
			var state []byte
			var expiry int64
			var gone, over *int64
			var received []int32
			if err := rows.Scan(&i, &state, &expiry, &gone, &over, &received); err != nil {
				return err
			}
			if over != nil && !timeOf(*over).After(now) {
				return nil
			}
			x := &out[i-1]
			x.s, x.err = sessionstate.Decode(state)
			x.ok = x.err == nil
			x.s.Key, x.s.Expiry, x.s.GoneAt = keys[i-1], time.Duration(expiry)*time.Millisecond, nullTime(gone)
			x.s.Received = packetIDs(received)
			return nil
		})
	})
	if err != nil {
		for i := range out {
			out[i] = loadedSession{err: readError("load session", err)}
		}
	}
	return out
}

func keyColumns(keys []pactwire.SessionKey) (users, clients []string) {
	for _, k := range keys {
		users, clients = append(users, string(k.User)), append(clients, k.ClientID)
	}
	return users, clients
}

// SaveSessions stores sessions as they are now, and returns those that it did not because they have been claimed since. One
// without an expiry is not kept. Received is not written: transactions and ReleaseReceived keep it.
func (d *DB) SaveSessions(ctx context.Context, sessions []pactwire.Session) (fenced []pactwire.Session, err error) {
	for len(sessions) > 0 {
		n := min(len(sessions), sessionBatch)
		lost, err := d.saveSessions(ctx, sessions[:n])
		if err != nil {
			return fenced, readError("save sessions", err)
		}
		fenced = append(fenced, lost...)
		sessions = sessions[n:]
	}
	return fenced, nil
}

// saving is a batch of sessions as columns.
type saving struct {
	at             []int // in the batch
	users, clients []string
	states         [][]byte
	expiry, epochs []int64
	gone, over     []*int64
}

func (s *saving) add(i int, x *pactwire.Session) {
	s.at = append(s.at, i)
	s.users, s.clients = append(s.users, string(x.Key.User)), append(s.clients, x.Key.ClientID)
	s.states, s.expiry = append(s.states, sessionstate.Encode(x)), append(s.expiry, x.Expiry.Milliseconds())
	s.epochs, s.gone = append(s.epochs, int64(x.Epoch)), append(s.gone, nullMillis(x.GoneAt)) //nolint:gosec // made of a clock
	if x.GoneAt.IsZero() {
		s.over = append(s.over, nil)
	} else {
		s.over = append(s.over, nullMillis(x.GoneAt.Add(x.Expiry)))
	}
}

func (d *DB) saveSessions(ctx context.Context, list []pactwire.Session) (lost []pactwire.Session, err error) {
	var claimed, free, drops saving
	kept := make([]bool, len(list))
	for i := range list {
		switch x := &list[i]; {
		case x.Expiry <= 0:
			drops.add(i, x)
			kept[i] = x.Epoch == 0
		case x.Epoch > 0:
			claimed.add(i, x)
		default:
			free.add(i, x)
			kept[i] = true
		}
	}
	written := func(s *saving) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			return each(rows, func() error {
				var i int
				err := rows.Scan(&i)
				if err == nil {
					kept[s.at[i-1]] = true
				}
				return err
			})
		}
	}
	err = d.read(ctx, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue("BEGIN")
		if len(drops.at) > 0 {
			b.Queue(`DELETE FROM sessions s USING unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS w (usr, client, epoch, i)
				JOIN names n ON n.kind = 2 AND n.name = w.usr
				WHERE s.usr = n.id AND s.client = w.client AND (w.epoch = 0 OR w.epoch = s.epoch) RETURNING w.i`,
				drops.users, drops.clients, drops.epochs).Query(written(&drops))
		}
		if len(claimed.at) > 0 {
			b.Queue(`UPDATE sessions s SET state = w.state, expiry = w.expiry, gone_at = w.gone, expires_at = w.over
				FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
					WITH ORDINALITY AS w (usr, client, epoch, state, expiry, gone, over, i)
				JOIN names n ON n.kind = 2 AND n.name = w.usr
				WHERE s.usr = n.id AND s.client = w.client AND s.epoch = w.epoch RETURNING w.i`,
				claimed.users, claimed.clients, claimed.epochs, claimed.states, claimed.expiry, claimed.gone, claimed.over).Query(written(&claimed))
		}
		if len(free.at) > 0 {
			if err := d.internUsers(ctx, free.users); err != nil {
				return err
			}
			b.Queue(`INSERT INTO sessions (usr, client, state, expiry, gone_at, expires_at, owner, epoch)
				SELECT n.id, w.client, w.state, w.expiry, w.gone, w.over, '', 0
				FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[]) AS w (usr, client, state, expiry, gone, over)
				JOIN names n ON n.kind = 2 AND n.name = w.usr ORDER BY n.id, w.client
				ON CONFLICT (usr, client) DO UPDATE SET state = excluded.state, expiry = excluded.expiry, gone_at = excluded.gone_at,
					expires_at = excluded.expires_at`,
				free.users, free.clients, free.states, free.expiry, free.gone, free.over)
		}
		b.Queue("COMMIT")
		return d.pool.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if !kept[i] {
			lost = append(lost, list[i])
		}
	}
	return lost, nil
}

func (d *DB) internUsers(ctx context.Context, users []string) error {
	kinds := make([]int16, len(users))
	for i := range kinds {
		kinds[i] = int16(pactwire.InboxStream)
	}
	return d.intern(ctx, kinds, users)
}

// DeleteSession forgets a session. It is gone from the disk when DeleteSession returns.
func (d *DB) DeleteSession(ctx context.Context, key pactwire.SessionKey) error {
	err := d.read(ctx, func(ctx context.Context) error {
		_, err := d.pool.Exec(ctx, `DELETE FROM sessions WHERE usr = (SELECT id FROM names WHERE kind = 2 AND name = $1) AND client = $2`, key.User, key.ClientID)
		return err
	})
	return readError("delete session", err)
}

// ExpireSessions deletes the sessions whose time is over, in slices, and returns how many there were. Connections of nodes
// that are dead have ended.
func (d *DB) ExpireSessions(ctx context.Context, now time.Time) (int, error) {
	if err := d.bury(ctx, now); err != nil {
		return 0, readError("end the sessions of dead nodes", err)
	}
	total := 0
	for {
		var n int64
		err := d.read(ctx, func(ctx context.Context) error {
			tag, err := d.pool.Exec(ctx, `DELETE FROM sessions WHERE (usr, client) IN
				(SELECT usr, client FROM sessions WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`, millis(now), expireSlice)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return total, readError("expire sessions", err)
		}
		if total += int(n); n < expireSlice {
			return total, nil
		}
	}
}

// deadFor is how long a node must have been dead before another one ends its sessions. One that lost its connection to the
// database has its lock back sooner.
const deadFor = time.Minute

// sqlStandingOwners is who has sessions that stand, one step through the index each, however many sessions there are.
const sqlStandingOwners = `WITH RECURSIVE o AS (SELECT min(owner) AS owner FROM sessions WHERE gone_at IS NULL AND owner > ''
	UNION ALL SELECT (SELECT min(s.owner) FROM sessions s WHERE s.gone_at IS NULL AND s.owner > o.owner) FROM o WHERE o.owner IS NOT NULL)
	SELECT owner FROM o WHERE owner IS NOT NULL`

func (d *DB) standingOwners(ctx context.Context) ([]string, error) {
	rows, err := d.pool.Query(ctx, sqlStandingOwners)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// bury ends the sessions of nodes that died and did not start again.
func (d *DB) bury(ctx context.Context, now time.Time) error {
	d.burying.Lock()
	defer d.burying.Unlock()
	var owners []string
	live := map[int32]bool{}
	err := d.read(ctx, func(ctx context.Context) (err error) {
		if owners, err = d.standingOwners(ctx); err != nil {
			return err
		}
		rows, err := d.pool.Query(ctx, `SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::bigint::oid
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, int64(lockSpace))
		if err != nil {
			return err
		}
		keys, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, k := range keys {
			live[int32(uint32(k))] = true //nolint:gosec // 32 bits, as PostgreSQL has them
		}
		return err
	})
	if err != nil {
		return err
	}
	var dead []string
	since := map[string]time.Time{}
	for _, o := range owners {
		node := pactwire.NodeOf(o)
		if live[lockKey(node)] {
			continue
		}
		if since[node] = d.dead[node]; since[node].IsZero() {
			since[node] = now
		}
		if now.Sub(since[node]) >= deadFor {
			dead = append(dead, o)
		}
	}
	d.dead = since
	if len(dead) == 0 {
		return nil
	}
	return d.endStanding(ctx, now, dead)
}

// endStanding ends the sessions that stand in the name of these owners, in slices. A slice is MATERIALIZED, or it may be looked for again for
// each session: those of a node that has just come up are more than the database thinks.
func (d *DB) endStanding(ctx context.Context, now time.Time, owners []string) error {
	for n := int64(endSlice); n == endSlice; {
		err := d.read(ctx, func(ctx context.Context) error {
			tag, err := d.pool.Exec(ctx, `WITH part AS MATERIALIZED
				(SELECT usr, client FROM sessions WHERE gone_at IS NULL AND owner = ANY ($2) ORDER BY owner LIMIT $3 FOR UPDATE SKIP LOCKED)
				UPDATE sessions s SET gone_at = $1, expires_at = $1 + expiry FROM part p WHERE s.usr = p.usr AND s.client = p.client`,
				millis(now), owners, endSlice)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// abandonSessions notes that connections which stood when this node was killed ended then; now is the best guess. There may be more than
// one statement has the time for.
func (d *DB) abandonSessions(ctx context.Context) error {
	owners, err := d.standingOwners(ctx)
	if err != nil {
		return err
	}
	now := d.cfg.Now()
	own := append(slices.DeleteFunc(owners, func(o string) bool { return pactwire.NodeOf(o) != d.cfg.Node }), "")
	if err := d.endStanding(ctx, now, own); err != nil {
		return err
	}
	_, err = d.pool.Exec(ctx, `UPDATE sessions SET gone_at = $1, expires_at = $1 + expiry WHERE gone_at IS NULL AND owner = ANY ($2)`,
		millis(now), own) // those that were passed over, since somebody held them
	return err
}
