package sqlite

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/sessionstate"
)

var (
	sqlSession    = newQuery(`SELECT state, expiry, gone_at, expires_at, id FROM sessions WHERE user = ? AND client = ?`)
	sqlPutSession = newQuery(`INSERT INTO sessions (user, client, state, expiry, gone_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user, client) DO UPDATE SET state = excluded.state, expiry = excluded.expiry, gone_at = excluded.gone_at,
			expires_at = excluded.expires_at`)
	sqlDropSession    = newQuery(`DELETE FROM sessions WHERE user = ? AND client = ?`)
	sqlExpireSessions = newQuery(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?) RETURNING 1`)
	sqlOwner          = newQuery(`SELECT epoch, owner, gone_at, expires_at, state, expiry, id FROM sessions WHERE user = ? AND client = ?`)
	sqlClaimSession   = newQuery(`INSERT INTO sessions (user, client, state, expiry, owner, epoch) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user, client) DO UPDATE SET state = excluded.state, expiry = excluded.expiry, owner = excluded.owner,
			epoch = excluded.epoch, gone_at = NULL, expires_at = NULL`)
	sqlAbandonSessions = newQuery(`UPDATE sessions SET gone_at = ?1, expires_at = ?1 + expiry WHERE gone_at IS NULL`)
)

const (
	sessionQueue = 1024 // callers that wait to be loaded; beyond it LoadSession blocks
	sessionBatch = 512  // sessions in one read
)

// sessionLoad is one caller of LoadSession.
type sessionLoad struct {
	key    pactwire.SessionKey
	result chan loadedSession // room for one
}

type loadedSession struct {
	s   pactwire.Session
	ok  bool
	err error
}

// LoadSession reads one session. Callers that come at the same time share reads: when thousands of clients return at
// once, each transaction reads hundreds of sessions. A session whose time is over is not there.
func (d *DB) LoadSession(ctx context.Context, key pactwire.SessionKey) (pactwire.Session, bool, error) {
	l := sessionLoad{key, make(chan loadedSession, 1)}
	select {
	case d.loads <- l:
	case <-ctx.Done():
		return pactwire.Session{}, false, readError("load session", ctx.Err())
	case <-d.k.closing:
		return pactwire.Session{}, false, errClosed
	}
	select {
	case r := <-l.result:
		return r.s, r.ok, r.err
	case <-ctx.Done():
		return pactwire.Session{}, false, readError("load session", ctx.Err())
	case <-d.k.closing:
		return pactwire.Session{}, false, errClosed
	}
}

// loadSessions serves LoadSession until the store is closed.
func (d *DB) loadSessions() {
	batch := make([]sessionLoad, 0, sessionBatch)
	for {
		select {
		case l := <-d.loads:
			batch = append(batch[:0], l)
		case <-d.k.closing:
			return
		}
	more:
		for len(batch) < cap(batch) {
			select {
			case l := <-d.loads:
				batch = append(batch, l)
			default:
				break more
			}
		}
		for i, r := range d.readSessions(batch) {
			batch[i].result <- r
		}
		clear(batch)
	}
}

func (d *DB) readSessions(batch []sessionLoad) []loadedSession {
	out := make([]loadedSession, len(batch))
	now := d.cfg.Now()
	d.sessionReads.Add(1)
	err := d.view(context.Background(), func(c *conn) error {
		for i, l := range batch {
			user, err := c.id(userName(l.key.User))
			if err != nil {
				return err
			}
			if user == 0 {
				continue
			}
			s := c.q(sqlSession).int(user).text(l.key.ClientID)
			if s.next() && (s.colNull(3) || s.colTime(3).After(now)) {
				out[i].s, out[i].err = sessionstate.Decode(s.colBlob(0))
				out[i].ok = out[i].err == nil
				out[i].s.Key = l.key
				out[i].s.Expiry = time.Duration(s.colInt(1)) * time.Millisecond
				out[i].s.GoneAt = s.colTime(2)
				if out[i].s.Received, err = c.receivedOf(s.colInt(4)); err != nil {
					return err
				}
			}
			if err := s.end(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for i := range out {
			out[i] = loadedSession{err: readError("load session", err)}
		}
	}
	return out
}

// SaveSessions stores sessions as they are now, and returns those that it did not because they have been claimed since. One
// without an expiry is not kept. Received is not written: transactions and ReleaseReceived keep it.
func (d *DB) SaveSessions(ctx context.Context, sessions []pactwire.Session) (fenced []pactwire.Session, err error) {
	lost := make([]bool, len(sessions)) // set, not appended to: a function may run again
	err = d.slices(ctx, len(sessions), func(t *Tx, i int) error {
		s := &sessions[i]
		if s.Epoch > 0 {
			epoch, err := t.c.epoch(s.Key)
			if lost[i] = epoch != s.Epoch; lost[i] || err != nil {
				return err
			}
		}
		if s.Expiry <= 0 {
			return t.dropSession(s.Key)
		}
		user, err := t.internID(userName(s.Key.User))
		if err != nil {
			return err
		}
		q := t.c.q(sqlPutSession).int(user).text(s.Key.ClientID).blob(sessionstate.Encode(s)).int(s.Expiry.Milliseconds()).time(s.GoneAt)
		if s.GoneAt.IsZero() {
			return q.null().run()
		}
		return q.time(s.GoneAt.Add(s.Expiry)).run()
	})
	for i := range sessions {
		if lost[i] {
			fenced = append(fenced, sessions[i])
		}
	}
	return fenced, err
}

// epoch is the claim under which a session is held; 0 when it was never claimed, or is not there.
func (c *conn) epoch(key pactwire.SessionKey) (epoch uint64, err error) {
	user, err := c.id(userName(key.User))
	if user == 0 || err != nil {
		return 0, err
	}
	s := c.q(sqlOwner).int(user).text(key.ClientID)
	if s.next() {
		epoch = uint64(s.colInt(0)) //nolint:gosec // as it was written
	}
	return epoch, s.end()
}

// ClaimSession makes a node the owner of a session under a new epoch, and returns what is kept of it. A session that is not
// there is made, so that what is not kept has one owner as well.
func (d *DB) ClaimSession(ctx context.Context, claim pactwire.SessionClaim) (out pactwire.SessionClaimed, err error) {
	err = d.Update(ctx, func(t *Tx) (err error) {
		out, err = t.claimSession(claim, d.cfg.Now())
		return err
	})
	return out, err
}

func (t *Tx) claimSession(claim pactwire.SessionClaim, now time.Time) (out pactwire.SessionClaimed, err error) {
	user, err := t.internID(userName(claim.Key.User))
	if err != nil {
		return out, err
	}
	var number int64 // of the session, 0 when there is none
	s := t.c.q(sqlOwner).int(user).text(claim.Key.ClientID)
	if s.next() {
		out.Before = uint64(s.colInt(0)) //nolint:gosec // as it was written
		owner, stands := s.colText(1), s.colNull(2)
		over := !s.colNull(3) && !s.colTime(3).After(now)
		number = s.colInt(6)
		switch {
		case stands && owner != "" && owner != claim.Node && !claim.Force:
			out.Holder = owner
		case !over && !claim.Clean && s.colInt(5) > 0:
			out.Found = true
			out.Session, err = sessionstate.Decode(s.colBlob(4))
			out.Session.Expiry = time.Duration(s.colInt(5)) * time.Millisecond
			out.Session.GoneAt = s.colTime(2)
		}
	}
	if e := s.end(); err == nil {
		err = e
	}
	if err != nil || out.Holder != "" {
		return out, err
	}
	if out.Found {
		out.Session.Received, err = t.c.receivedOf(number)
	} else {
		err = t.c.q(sqlDropAllReceived).int(number).run()
	}
	if err != nil {
		return out, err
	}
	out.Session.Key = claim.Key
	out.Session.Epoch = max(out.Before+1, uint64(now.UnixMicro())) //nolint:gosec // after 1970
	stands := out.Session.Standing()
	return out, t.c.q(sqlClaimSession).int(user).text(claim.Key.ClientID).blob(sessionstate.Encode(&stands)).
		int(out.Session.Expiry.Milliseconds()).text(claim.Node).int(int64(out.Session.Epoch)).run() //nolint:gosec // a time
}

// LostSessions returns those of the sessions that have been claimed under another epoch, or are gone.
func (d *DB) LostSessions(ctx context.Context, sessions []pactwire.Session) (lost []pactwire.Session, err error) {
	err = d.view(ctx, func(c *conn) error {
		lost = nil
		for _, s := range sessions {
			epoch, err := c.epoch(s.Key)
			if err != nil {
				return err
			}
			if epoch != s.Epoch {
				lost = append(lost, pactwire.Session{Key: s.Key, Epoch: s.Epoch})
			}
		}
		return nil
	})
	return lost, err
}

// DeleteSession forgets a session. It is gone from the disk when DeleteSession returns.
func (d *DB) DeleteSession(ctx context.Context, key pactwire.SessionKey) error {
	return d.Update(ctx, func(t *Tx) error { return t.dropSession(key) })
}

func (t *Tx) dropSession(key pactwire.SessionKey) error {
	user, err := t.c.id(userName(key.User))
	if user == 0 || err != nil {
		return err
	}
	return t.c.q(sqlDropSession).int(user).text(key.ClientID).run()
}

// ExpireSessions deletes the sessions whose time is over, in slices, and returns how many there were.
func (d *DB) ExpireSessions(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		n := 0
		err := d.Update(ctx, func(t *Tx) (err error) {
			n, err = t.c.q(sqlExpireSessions).int(millis(now)).int(pruneSlice).count()
			return err
		})
		if err != nil {
			return total, err
		}
		if total += n; n < pruneSlice {
			return total, nil
		}
	}
}
