package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const selectDevices = `SELECT d.id, o.name, d.name, d.kind, p.name, g.name, d.secret, d.last_seen, d.battery, d.created_at
	FROM devices d JOIN names o ON o.id = d.owner JOIN names p ON p.id = d.pact JOIN names g ON g.id = d.goal `

// AddDevice stores a device, unless its owner has as many as may be: TooMany. The owner is locked meanwhile.
func (d *DB) AddDevice(ctx context.Context, dev pactwire.Device, limit int) error {
	err := d.once(ctx, func(ctx context.Context) error {
		err := d.intern(ctx, []int16{int16(pactwire.PactStream), int16(pactwire.InboxStream), int16(goalKind)},
			[]string{string(dev.PactID), string(dev.Owner), string(dev.HabitGoalID)})
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			var owner int64
			if err := tx.QueryRow(ctx, `SELECT id FROM names WHERE kind = 2 AND name = $1 FOR NO KEY UPDATE`, dev.Owner).Scan(&owner); err != nil {
				return err
			}
			has := 0
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM devices WHERE owner = $1`, owner).Scan(&has); err != nil {
				return err
			}
			if has >= limit {
				return pactwire.Errorf(pactwire.TooMany, "you have %d devices; revoke one that you do not use any more", has)
			}
			_, err := tx.Exec(ctx, `INSERT INTO devices (id, owner, name, kind, pact, goal, secret, created_at)
				SELECT $1, $2, $3, $4, p.id, g.id, $7, $8 FROM names p, names g WHERE p.kind = 1 AND p.name = $5 AND g.kind = 3 AND g.name = $6`,
				dev.ID, owner, dev.Name, dev.Kind, dev.PactID, dev.HabitGoalID, dev.SecretHash, millis(dev.CreatedAt.Std()))
			return err
		})
	})
	return readError("add device", err)
}

// Device reads a device.
func (d *DB) Device(ctx context.Context, id pactwire.DeviceID) (dev pactwire.Device, ok bool, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		dev, err = scanDevice(d.pool.QueryRow(ctx, selectDevices+`WHERE d.id = $1`, id))
		ok = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if !ok {
		return pactwire.Device{}, false, readError("read device "+string(id), err)
	}
	return dev, true, nil
}

// DevicesOf are a person's devices, oldest first.
func (d *DB) DevicesOf(ctx context.Context, u pactwire.UserID) (out []pactwire.Device, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, selectDevices+`WHERE o.kind = 2 AND o.name = $1 ORDER BY d.created_at, d.id`, u)
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			dev, err := scanDevice(rows)
			out = append(out, dev)
			return err
		})
	})
	return out, readError("read devices of "+string(u), err)
}

// RemoveDevice deletes a device and writes down, in the same transaction, that it is revoked. It reports whether there was
// one.
func (d *DB) RemoveDevice(ctx context.Context, id pactwire.DeviceID, r pactwire.Revocation) (there bool, err error) {
	err = d.once(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, `DELETE FROM devices WHERE id = $1`, id)
			if there = tag.RowsAffected() > 0; err != nil || !there {
				return err
			}
			return addRevocation(ctx, tx, r)
		})
	})
	return there && err == nil, readError("remove device "+string(id), err)
}

// SawDevices notes signs of life. A device that is no more is passed over, and a sighting that comes late, from another
// node, does not turn the clock back.
func (d *DB) SawDevices(ctx context.Context, seen []pactwire.Sighting) error {
	n := len(seen)
	ids, at, batteries := make([]string, n), make([]int64, n), make([]*int32, n)
	for i, s := range seen {
		ids[i], at[i] = string(s.Device), millis(s.At)
		if s.Battery != nil {
			b := int32(*s.Battery) //nolint:gosec // percent
			batteries[i] = &b
		}
	}
	err := d.read(ctx, func(ctx context.Context) error {
		_, err := d.pool.Exec(ctx, `UPDATE devices d SET battery = CASE WHEN w.battery IS NULL OR d.last_seen > w.at THEN d.battery ELSE w.battery END,
			last_seen = greatest(d.last_seen, w.at)
			FROM (SELECT DISTINCT ON (id) id, at, battery FROM unnest($1::text[], $2::bigint[], $3::int[]) AS s (id, at, battery)
				ORDER BY id, at DESC) AS w WHERE d.id = w.id`, ids, at, batteries)
		return err
	})
	return readError("note sightings", err)
}

func scanDevice(row pgx.Row) (d pactwire.Device, err error) {
	var seen *int64
	var created int64
	err = row.Scan(&d.ID, &d.Owner, &d.Name, &d.Kind, &d.PactID, &d.HabitGoalID, &d.SecretHash, &seen, &d.Battery, &created)
	d.LastSeen, d.CreatedAt = ptrTime(seen), pactwire.Time(timeOf(created))
	return d, err
}
