package postgres

import (
	"context"

	"github.com/pactwire/pactwire"
)

// LastSeen reads what is kept of people's presence. Who was never there is not in the map.
func (d *DB) LastSeen(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error) {
	out := make(map[pactwire.UserID]pactwire.Seen, len(users))
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT n.name, p.last_seen, p.version, p.online FROM unnest($1::text[]) AS w (name)
			JOIN names n ON n.kind = 2 AND n.name = w.name JOIN presence p ON p.id = n.id`, users)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			var s pactwire.Seen
			var at *int64
			err := rows.Scan(&s.User, &at, &s.Version, &s.Online)
			s.LastSeen = nullTime(at)
			out[s.User] = s
			return err
		})
	})
	if err != nil {
		return nil, readError("read presence", err)
	}
	return out, nil
}

// SaveSeen writes what is to be kept of people's presence. It is durable when it returns. What another node wrote under a
// later version stays, and nobody was last seen earlier than was known.
func (d *DB) SaveSeen(ctx context.Context, seen []pactwire.Seen) error {
	n := len(seen)
	if n == 0 {
		return nil
	}
	users, last, versions, online := make([]string, n), make([]*int64, n), make([]int64, n), make([]bool, n)
	kinds := make([]int16, n)
	for i, s := range seen {
		kinds[i], users[i], last[i] = int16(pactwire.InboxStream), string(s.User), nullMillis(s.LastSeen)
		versions[i], online[i] = int64(s.Version), s.Online //nolint:gosec // made of a clock
	}
	err := d.read(ctx, func(ctx context.Context) error {
		if err := d.intern(ctx, kinds, users); err != nil {
			return err
		}
		_, err := d.pool.Exec(ctx, `INSERT INTO presence AS p (id, last_seen, version, online)
			SELECT n.id, w.last_seen, w.version, w.online
			FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bool[]) AS w (name, last_seen, version, online)
			JOIN names n ON n.kind = 2 AND n.name = w.name ORDER BY n.id
			ON CONFLICT (id) DO UPDATE SET last_seen = greatest(p.last_seen, excluded.last_seen), version = greatest(p.version, excluded.version),
				online = CASE WHEN excluded.version >= p.version THEN excluded.online ELSE p.online END`, users, last, versions, online)
		return err
	})
	return readError("save presence", err)
}

// WereOnline are the people who were online when they were last written.
func (d *DB) WereOnline(ctx context.Context) ([]pactwire.UserID, error) {
	out, err := d.readUsers(ctx, `SELECT n.name FROM presence p JOIN names n ON n.id = p.id WHERE p.online ORDER BY p.id`)
	return out, readError("read who was online", err)
}

// LastSeenVisibility tells what others may learn of when people were last seen; who is not in the map hides nothing.
func (d *DB) LastSeenVisibility(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.LastSeenVisibility, error) {
	out := map[pactwire.UserID]pactwire.LastSeenVisibility{}
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT n.name, u.last_seen FROM unnest($1::text[]) AS w (name)
			JOIN names n ON n.kind = 2 AND n.name = w.name JOIN users u ON u.id = n.id WHERE u.last_seen IS NOT NULL`, users)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			var u pactwire.UserID
			var v pactwire.LastSeenVisibility
			err := rows.Scan(&u, &v)
			out[u] = v
			return err
		})
	})
	return out, readError("read who hides when they were seen", err)
}
