package sqlite

import (
	"context"
	"fmt"

	"github.com/pactwire/pactwire"
)

var (
	sqlPutPushToken = newQuery(`INSERT INTO push_tokens (id, user, kind, token, p256dh, auth, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (kind, token) DO UPDATE SET user = excluded.user, p256dh = excluded.p256dh, auth = excluded.auth
		RETURNING id, created_at`)
	sqlPushTokens    = newQuery(`SELECT id, kind, token, p256dh, auth, created_at FROM push_tokens WHERE user = ? ORDER BY created_at, id`)
	sqlDropPushToken = newQuery(`DELETE FROM push_tokens WHERE id = ? AND user = ? RETURNING 1`)
)

// PutPushToken keeps where an app takes pushes. A token that is known goes on under its id, and belongs to whoever
// registered it last. The stored row is returned.
func (t *Tx) PutPushToken(p pactwire.PushToken) (pactwire.PushToken, error) {
	user, err := t.internID(userName(p.User))
	if err != nil {
		return p, err
	}
	s := t.c.q(sqlPutPushToken).text(p.ID).int(user).text(string(p.Kind)).text(p.Token).text(p.P256dh).text(p.Auth).
		int(millis(p.CreatedAt.Std()))
	for s.next() {
		p.ID, p.CreatedAt = s.colText(0), pactwire.Time(s.colTime(1))
	}
	if err := s.end(); err != nil {
		return p, fmt.Errorf("put push token of %s: %w", p.User, err)
	}
	return p, nil
}

// DropPushToken forgets one of a person's tokens and reports whether there was one.
func (t *Tx) DropPushToken(u pactwire.UserID, id string) (bool, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return false, err
	}
	return t.c.q(sqlDropPushToken).text(id).int(user).changed()
}

// PushTokensOf are a person's tokens, the oldest first.
func (t *Tx) PushTokensOf(u pactwire.UserID) ([]pactwire.PushToken, error) { return t.c.pushTokens(u) }

// PushTokens reads a person's tokens outside of transactions.
func (d *DB) PushTokens(ctx context.Context, u pactwire.UserID) (out []pactwire.PushToken, err error) {
	err = d.read(ctx, func(c *conn) (err error) {
		out, err = c.pushTokens(u)
		return err
	})
	return out, readError("read push tokens of "+string(u), err)
}

func (c *conn) pushTokens(u pactwire.UserID) (out []pactwire.PushToken, err error) {
	user, err := c.id(userName(u))
	if user == 0 || err != nil {
		return nil, err
	}
	s := c.q(sqlPushTokens).int(user)
	for s.next() {
		out = append(out, pactwire.PushToken{ID: s.colText(0), User: u, Kind: pactwire.TokenKind(s.colText(1)), Token: s.colText(2),
			P256dh: s.colText(3), Auth: s.colText(4), CreatedAt: pactwire.Time(s.colTime(5))})
	}
	return out, s.end()
}
