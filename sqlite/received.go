package sqlite

import (
	"context"

	"github.com/pactwire/pactwire"
)

// sessionNumber finds a session's row by ?1 user and ?2 client.
const sessionNumber = `(SELECT id FROM sessions WHERE user = ?1 AND client = ?2)`

var (
	sqlReceived    = newQuery(`SELECT 1 FROM received WHERE session = ` + sessionNumber + ` AND id = ?3`)
	sqlPutReceived = newQuery(`INSERT INTO received (session, id) SELECT id, ?3 FROM sessions WHERE user = ?1 AND client = ?2
		ON CONFLICT DO NOTHING`)
	sqlDropReceived    = newQuery(`DELETE FROM received WHERE session = ` + sessionNumber + ` AND id = ?3`)
	sqlDropAllReceived = newQuery(`DELETE FROM received WHERE session = ?`)
	sqlReceivedOf      = newQuery(`SELECT id FROM received WHERE session = ? ORDER BY id`)
)

// Received reports whether a QoS 2 publish was taken in before and not yet released.
func (t *Tx) Received(in pactwire.Inbound) (bool, error) {
	user, err := t.c.id(userName(in.Session.User))
	if user == 0 || err != nil {
		return false, err
	}
	s := t.c.q(sqlReceived).int(user).text(in.Session.ClientID).int(int64(in.PacketID))
	known := s.next()
	return known, s.end()
}

// PutReceived notes that a QoS 2 publish is taken in. Of a session that is not stored nothing is noted.
func (t *Tx) PutReceived(in pactwire.Inbound) error {
	user, err := t.c.id(userName(in.Session.User))
	if user == 0 || err != nil {
		return err
	}
	return t.c.q(sqlPutReceived).int(user).text(in.Session.ClientID).int(int64(in.PacketID)).run()
}

// ReleaseReceived forgets the packet id of a QoS 2 publish, in the next group commit; done is called as Submit calls it.
func (d *DB) ReleaseReceived(ctx context.Context, in pactwire.Inbound, done func(error)) error {
	return d.Submit(ctx, func(t *Tx) error {
		user, err := t.c.id(userName(in.Session.User))
		if user == 0 || err != nil {
			return err
		}
		return t.c.q(sqlDropReceived).int(user).text(in.Session.ClientID).int(int64(in.PacketID)).run()
	}, done)
}

// receivedOf reads the unreleased packet ids of a session.
func (c *conn) receivedOf(session int64) (ids []uint16, err error) {
	s := c.q(sqlReceivedOf).int(session)
	for s.next() {
		ids = append(ids, uint16(s.colInt(0))) //nolint:gosec // written from a uint16
	}
	return ids, s.end()
}
