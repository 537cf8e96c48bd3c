package sqlite

import (
	"context"

	"github.com/pactwire/pactwire"
)

const deviceColumns = `d.id, o.name, d.name, d.kind, p.name, g.name, d.secret, d.last_seen, d.battery, d.created_at`

const deviceTables = `devices d JOIN names o ON o.id = d.owner JOIN names p ON p.id = d.pact JOIN names g ON g.id = d.goal`

var (
	sqlDevice       = newQuery(`SELECT ` + deviceColumns + ` FROM ` + deviceTables + ` WHERE d.id = ?`)
	sqlDevicesOf    = newQuery(`SELECT ` + deviceColumns + ` FROM ` + deviceTables + ` WHERE d.owner = ? ORDER BY d.created_at, d.id`)
	sqlCountDevices = newQuery(`SELECT count(*) FROM devices WHERE owner = ?`)
	sqlAddDevice    = newQuery(`INSERT INTO devices (id, owner, name, kind, pact, goal, secret, last_seen, battery, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?)`)
	sqlRemoveDevice = newQuery(`DELETE FROM devices WHERE id = ? RETURNING 1`)
	// A sighting that comes late, from another node, does not turn the clock back.
	sqlSawDevice = newQuery(`UPDATE devices SET battery = CASE WHEN ?3 IS NULL OR last_seen > ?2 THEN battery ELSE ?3 END,
		last_seen = max(coalesce(last_seen, 0), ?2) WHERE id = ?1`)
)

// AddDevice stores a device, unless its owner has as many as may be: TooMany.
func (d *DB) AddDevice(ctx context.Context, dev pactwire.Device, limit int) error {
	return d.Update(ctx, func(t *Tx) error {
		owner, err := t.internID(userName(dev.Owner))
		if err != nil {
			return err
		}
		pact, err := t.internID(pactName(dev.PactID))
		if err != nil {
			return err
		}
		goal, err := t.internID(goalNameOf(dev.HabitGoalID))
		if err != nil {
			return err
		}
		has, s := 0, t.c.q(sqlCountDevices).int(owner)
		if s.next() {
			has = int(s.colInt(0))
		}
		if err := s.end(); err != nil {
			return err
		}
		if has >= limit {
			return pactwire.Errorf(pactwire.TooMany, "you have %d devices; revoke one that you do not use any more", has)
		}
		return t.c.q(sqlAddDevice).text(string(dev.ID)).int(owner).text(dev.Name).text(string(dev.Kind)).int(pact).int(goal).
			blob(dev.SecretHash).int(millis(dev.CreatedAt.Std())).run()
	})
}

// Device reads a device.
func (d *DB) Device(ctx context.Context, id pactwire.DeviceID) (dev pactwire.Device, ok bool, err error) {
	err = d.read(ctx, func(c *conn) error {
		s := c.q(sqlDevice).text(string(id))
		if ok = s.next(); ok {
			dev = s.device()
		}
		return s.end()
	})
	return dev, ok, readError("read device "+string(id), err)
}

// DevicesOf are a person's devices, oldest first.
func (d *DB) DevicesOf(ctx context.Context, u pactwire.UserID) ([]pactwire.Device, error) {
	var out []pactwire.Device
	err := d.read(ctx, func(c *conn) error {
		owner, err := c.id(userName(u))
		if owner == 0 || err != nil {
			return err
		}
		s := c.q(sqlDevicesOf).int(owner)
		for s.next() {
			out = append(out, s.device())
		}
		return s.end()
	})
	return out, readError("read devices of "+string(u), err)
}

// RemoveDevice deletes a device and writes down, in the same transaction, that it is revoked. It reports whether there was
// one.
func (d *DB) RemoveDevice(ctx context.Context, id pactwire.DeviceID, r pactwire.Revocation) (there bool, err error) {
	err = d.Update(ctx, func(t *Tx) error {
		if there, err = t.c.q(sqlRemoveDevice).text(string(id)).changed(); err != nil || !there {
			return err
		}
		return t.addRevocation(r)
	})
	return there && err == nil, err
}

// SawDevices notes signs of life. A device that is no more is passed over.
func (d *DB) SawDevices(ctx context.Context, seen []pactwire.Sighting) error {
	return d.slices(ctx, len(seen), func(t *Tx, i int) error {
		s := t.c.q(sqlSawDevice).text(string(seen[i].Device)).int(millis(seen[i].At))
		if b := seen[i].Battery; b != nil {
			s.int(int64(*b))
		} else {
			s.null()
		}
		return s.run()
	})
}

func (s *stmt) device() pactwire.Device {
	d := pactwire.Device{
		ID: pactwire.DeviceID(s.colText(0)), Owner: pactwire.UserID(s.colText(1)), Name: s.colText(2), Kind: pactwire.DeviceKind(s.colText(3)),
		PactID: pactwire.PactID(s.colText(4)), HabitGoalID: pactwire.GoalID(s.colText(5)), SecretHash: s.colBlob(6),
		LastSeen: s.colTimePtr(7), CreatedAt: pactwire.Time(s.colTime(9)),
	}
	if !s.colNull(8) {
		battery := int(s.colInt(8))
		d.Battery = &battery
	}
	return d
}
