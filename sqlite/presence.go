package sqlite

import (
	"context"

	"github.com/pactwire/pactwire"
)

var (
	sqlSeen    = newQuery(`SELECT last_seen, version, online FROM presence WHERE id = ?`)
	sqlPutSeen = newQuery(`INSERT INTO presence (id, last_seen, version, online) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen, version = excluded.version, online = excluded.online`)
	sqlVisibility = newQuery(`SELECT last_seen FROM users WHERE id = ? AND last_seen IS NOT NULL`)
	sqlOnline     = newQuery(`SELECT n.name FROM presence p JOIN names n ON n.id = p.id WHERE p.online = 1 ORDER BY p.id`)
)

// LastSeen reads what is kept of people's presence. Who was never there is not in the map.
func (d *DB) LastSeen(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error) {
	out := make(map[pactwire.UserID]pactwire.Seen, len(users))
	err := d.view(ctx, func(c *conn) error {
		for _, u := range users {
			id, err := c.id(userName(u))
			if err != nil {
				return err
			}
			s := c.q(sqlSeen).int(id)
			if s.next() {
				out[u] = pactwire.Seen{User: u, LastSeen: s.colTime(0), Version: uint64(s.colInt(1)), Online: s.colBool(2)}
			}
			if err := s.end(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError("read presence", err)
	}
	return out, nil
}

// SaveSeen writes what is to be kept of people's presence. It is durable when it returns.
func (d *DB) SaveSeen(ctx context.Context, seen []pactwire.Seen) error {
	return d.slices(ctx, len(seen), func(t *Tx, i int) error {
		id, err := t.internID(userName(seen[i].User))
		if err != nil {
			return err
		}
		return t.c.q(sqlPutSeen).int(id).time(seen[i].LastSeen).int(int64(seen[i].Version)).bool(seen[i].Online).run()
	})
}

// WereOnline are the people who were online when they were last written.
func (d *DB) WereOnline(ctx context.Context) ([]pactwire.UserID, error) {
	var out []pactwire.UserID
	err := d.read(ctx, func(c *conn) error {
		s := c.q(sqlOnline)
		for s.next() {
			out = append(out, pactwire.UserID(s.colText(0)))
		}
		return s.end()
	})
	return out, readError("read who was online", err)
}

// LastSeenVisibility tells what others may learn of when people were last seen; who is not in the map hides nothing.
func (d *DB) LastSeenVisibility(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.LastSeenVisibility, error) {
	out := map[pactwire.UserID]pactwire.LastSeenVisibility{}
	err := d.view(ctx, func(c *conn) error {
		for _, u := range users {
			id, err := c.id(userName(u))
			if err != nil {
				return err
			}
			s := c.q(sqlVisibility).int(id)
			if s.next() {
				out[u] = pactwire.LastSeenVisibility(s.colText(0))
			}
			if err := s.end(); err != nil {
				return err
			}
		}
		return nil
	})
	return out, readError("read who hides when they were seen", err)
}
