package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// Received reports whether a QoS 2 publish was taken in before and not yet released.
func (t *Tx) Received(in pactwire.Inbound) (bool, error) {
	if _, known := t.received[in]; !known {
		err := t.want(func(w *wants) {
			w.lock(userName(in.Session.User))
			w.received[in] = none{}
		})
		if err != nil {
			return false, err
		}
	}
	return t.received[in], nil
}

// PutReceived notes that a QoS 2 publish is taken in. Of a session that is not stored nothing is noted.
func (t *Tx) PutReceived(in pactwire.Inbound) error {
	known, err := t.Received(in)
	if err != nil || known {
		return err
	}
	t.received[in] = true
	t.change(func() { t.received[in] = false })
	t.post(`INSERT INTO received (usr, client, id) SELECT usr, client, $3 FROM sessions WHERE usr = $1 AND client = $2 ON CONFLICT DO NOTHING`,
		t.d.ids[userName(in.Session.User)], in.Session.ClientID, int32(in.PacketID))
	return nil
}

// ReleaseReceived forgets the packet id of a QoS 2 publish, in the next group commit; done is called as Submit calls it.
func (d *DB) ReleaseReceived(ctx context.Context, in pactwire.Inbound, done func(error)) error {
	return d.Submit(ctx, func(t *Tx) error {
		if was, known := t.received[in]; known {
			t.received[in] = false
			t.change(func() { t.received[in] = was })
		}
		t.post(`DELETE FROM received WHERE usr = (SELECT id FROM names WHERE kind = 2 AND name = $1) AND client = $2 AND id = $3`,
			in.Session.User, in.Session.ClientID, int32(in.PacketID))
		return nil
	}, done)
}

func (t *Tx) queueReceived(b *pgx.Batch, w *wants) {
	var users []int64
	var clients []string
	var ids []int32
	var of []pactwire.Inbound
	for in := range w.received {
		if _, known := t.received[in]; known {
			continue
		}
		t.received[in] = false
		users, clients = append(users, t.d.ids[userName(in.Session.User)]), append(clients, in.Session.ClientID)
		ids, of = append(ids, int32(in.PacketID)), append(of, in)
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(`SELECT w.i FROM unnest($1::bigint[], $2::text[], $3::int[]) WITH ORDINALITY AS w (usr, client, id, i)
		JOIN received r ON r.usr = w.usr AND r.client = w.client AND r.id = w.id`, users, clients, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i int
			err := rows.Scan(&i)
			if err == nil {
				t.received[of[i-1]] = true
			}
			return err
		})
	})
}

// packetIDs are the unreleased packet ids of a session, as they are stored.
func packetIDs(stored []int32) (ids []uint16) {
	for _, id := range stored {
		ids = append(ids, uint16(id)) //nolint:gosec // written from a uint16
	}
	return ids
}

// receivedOf reads the unreleased packet ids of the session s of a statement.
const receivedOf = `ARRAY(SELECT r.id FROM received r WHERE r.usr = s.usr AND r.client = s.client ORDER BY r.id)`
