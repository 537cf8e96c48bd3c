package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/sessionstate"
)

type claimedSession struct {
	got pactwire.SessionClaimed
	err error
}

// ClaimSession makes a node the owner of a session under a new epoch, and returns what is kept of it. A session that is not
// there is made, so that what is not kept has one owner as well.
func (d *DB) ClaimSession(ctx context.Context, claim pactwire.SessionClaim) (pactwire.SessionClaimed, error) {
	got, err := join(ctx, d, d.claims, "claim session", claim)
	if err != nil {
		return pactwire.SessionClaimed{}, err
	}
	return got.got, got.err
}

// errClaimRace says that another node made a session's row at the same moment.
var errClaimRace = errors.New("claimed by another node at the same time")

// claimSessions serves claims, each key once in a transaction.
func (d *DB) claimSessions(claims []pactwire.SessionClaim) []claimedSession {
	out := make([]claimedSession, len(claims))
	rest := make([]int, len(claims))
	for i := range rest {
		rest[i] = i
	}
	for len(rest) > 0 {
		var now, later []int
		seen := map[pactwire.SessionKey]bool{}
		for _, i := range rest {
			if seen[claims[i].Key] {
				later = append(later, i)
				continue
			}
			seen[claims[i].Key] = true
			now = append(now, i)
		}
		again := d.claimOnce(claims, now, out)
		rest = append(again, later...)
	}
	return out
}

// claimOnce serves the claims at these places and returns those to be tried again.
func (d *DB) claimOnce(claims []pactwire.SessionClaim, at []int, out []claimedSession) (again []int) {
	err := d.read(context.Background(), func(ctx context.Context) error {
		again = again[:0]
		var keys []pactwire.SessionKey
		for _, i := range at {
			keys = append(keys, claims[i].Key)
		}
		users, clients := keyColumns(keys)
		if err := d.internUsers(ctx, users); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			there, err := d.heldSessions(ctx, tx, claims, at, users, clients, out)
			if err != nil {
				return err
			}
			var changed, made saving
			var nodes, newNodes []string
			for x, i := range at {
				got := &out[i].got
				if got.Holder != "" || out[i].err != nil {
					continue
				}
				got.Session.Key = claims[i].Key
				got.Session.Epoch = max(got.Before+1, uint64(d.cfg.Now().UnixMicro())) //nolint:gosec // after 1970
				if there[x] {
					stands := got.Session.Standing()
					changed.add(i, &stands)
					nodes = append(nodes, claims[i].Node)
				} else {
					made.add(i, &got.Session)
					newNodes = append(newNodes, claims[i].Node)
				}
			}
			if len(changed.at) > 0 {
				if err := dropReceived(ctx, tx, claims, changed.at, out); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, `UPDATE sessions s SET state = w.state, expiry = w.expiry, owner = w.owner, epoch = w.epoch, gone_at = NULL, expires_at = NULL
					FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[]) AS w (usr, client, state, expiry, owner, epoch)
					JOIN names n ON n.kind = 2 AND n.name = w.usr WHERE s.usr = n.id AND s.client = w.client`,
					changed.users, changed.clients, changed.states, changed.expiry, nodes, changed.epochs)
				if err != nil {
					return err
				}
			}
			if len(made.at) == 0 {
				return nil
			}
			rows, err := tx.Query(ctx, `INSERT INTO sessions (usr, client, state, expiry, owner, epoch)
				SELECT n.id, w.client, w.state, w.expiry, w.owner, w.epoch
				FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[]) AS w (usr, client, state, expiry, owner, epoch)
				JOIN names n ON n.kind = 2 AND n.name = w.usr ORDER BY n.id, w.client
				ON CONFLICT DO NOTHING RETURNING (SELECT name FROM names WHERE id = usr), client`,
				made.users, made.clients, made.states, made.expiry, newNodes, made.epochs)
			if err != nil {
				return err
			}
			defer rows.Close()
			ours := map[pactwire.SessionKey]bool{}
			err = each(rows, func() error {
				var k pactwire.SessionKey
				err := rows.Scan(&k.User, &k.ClientID)
				ours[k] = true
				return err
			})
			for _, i := range made.at {
				if !ours[claims[i].Key] {
					out[i].err = errClaimRace
				}
			}
			return err
		})
	})
	for _, i := range at {
		if err != nil {
			out[i] = claimedSession{err: readError("claim session", err)}
		} else if errors.Is(out[i].err, errClaimRace) {
			out[i] = claimedSession{}
			again = append(again, i)
		}
	}
	return again
}

// dropReceived forgets the unreleased packet ids of sessions that begin anew.
func dropReceived(ctx context.Context, tx pgx.Tx, claims []pactwire.SessionClaim, at []int, out []claimedSession) error {
	var anew []pactwire.SessionKey
	for _, i := range at {
		if !out[i].got.Found {
			anew = append(anew, claims[i].Key)
		}
	}
	if len(anew) == 0 {
		return nil
	}
	users, clients := keyColumns(anew)
	_, err := tx.Exec(ctx, `DELETE FROM received r USING unnest($1::text[], $2::text[]) AS w (usr, client)
		JOIN names n ON n.kind = 2 AND n.name = w.usr WHERE r.usr = n.id AND r.client = w.client`, users, clients)
	return err
}

// heldSessions locks the sessions that are there, says who holds them and what is kept, and which are there at all.
func (d *DB) heldSessions(ctx context.Context, tx pgx.Tx, claims []pactwire.SessionClaim, at []int, users, clients []string, out []claimedSession) ([]bool, error) {
	there := make([]bool, len(at))
	now := d.cfg.Now()
	rows, err := tx.Query(ctx, `SELECT w.i, s.epoch, s.owner, s.gone_at, s.expires_at, s.state, s.expiry, `+receivedOf+`
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (usr, client, i)
		JOIN names n ON n.kind = 2 AND n.name = w.usr JOIN sessions s ON s.usr = n.id AND s.client = w.client
		ORDER BY s.usr, s.client FOR UPDATE OF s`, users, clients)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for _, i := range at {
		out[i] = claimedSession{}
	}
	err = each(rows, func() error {
		var x int
		var epoch, expiry int64
		var owner string
		var gone, over *int64
		var state []byte
		var received []int32
		if err := rows.Scan(&x, &epoch, &owner, &gone, &over, &state, &expiry, &received); err != nil {
			return err
		}
		there[x-1] = true
		claim, o := &claims[at[x-1]], &out[at[x-1]]
		o.got.Before = uint64(epoch) //nolint:gosec // as it was written
		isOver := over != nil && !timeOf(*over).After(now)
		switch {
		case gone == nil && owner != "" && owner != claim.Node && !claim.Force:
			o.got.Holder = owner
		case !isOver && !claim.Clean && expiry > 0:
			o.got.Found = true
			o.got.Session, o.err = sessionstate.Decode(state)
			o.got.Session.Received = packetIDs(received)
			o.got.Session.Expiry, o.got.Session.GoneAt = time.Duration(expiry)*time.Millisecond, nullTime(gone)
		}
		return nil
	})
	return there, err
}

// LostSessions returns those of the sessions that have been claimed under another epoch, or are gone.
func (d *DB) LostSessions(ctx context.Context, sessions []pactwire.Session) (lost []pactwire.Session, err error) {
	var ask saving
	for i := range sessions {
		ask.users, ask.clients = append(ask.users, string(sessions[i].Key.User)), append(ask.clients, sessions[i].Key.ClientID)
		ask.epochs = append(ask.epochs, int64(sessions[i].Epoch)) //nolint:gosec // made of a clock
	}
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT w.i FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS w (usr, client, epoch, i)
			WHERE NOT EXISTS (SELECT FROM names n JOIN sessions s ON s.usr = n.id
				WHERE n.kind = 2 AND n.name = w.usr AND s.client = w.client AND s.epoch = w.epoch) ORDER BY w.i`, ask.users, ask.clients, ask.epochs)
		if err != nil {
			return err
		}
		defer rows.Close()
		lost = nil
		return each(rows, func() error {
			var i int
			err := rows.Scan(&i)
			if err == nil {
				lost = append(lost, pactwire.Session{Key: sessions[i-1].Key, Epoch: sessions[i-1].Epoch})
			}
			return err
		})
	})
	return lost, readError("look for lost sessions", err)
}
