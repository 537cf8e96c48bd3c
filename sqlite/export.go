package sqlite

import (
	"context"
	"fmt"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// Tables whose rows are given in another form than they are stored in: what another kind of store needs of them.
var exported = map[string]string{
	"names": `SELECT n.id, n.kind, n.name, coalesce(f.floor, 0) AS floor,
		coalesce((SELECT max(seq) FROM log WHERE stream = n.id), f.floor, 0) AS head
		FROM names n LEFT JOIN floors f ON f.stream = n.id ORDER BY n.id`,
	"log":      `SELECT stream, seq, at, payload FROM log ORDER BY id`,
	"received": `SELECT s.user, s.client, r.id FROM received r JOIN sessions s ON s.id = r.session`,
	"counters": `SELECT 'commands' AS name, max(coalesce((SELECT max(id) FROM commands), 0),
		coalesce((SELECT value FROM counters WHERE name = 'pruned_command'), 0)) AS value`,
}

// Export reads everything, as of one moment. For each table, those that others refer to first, it calls table, which calls rows
// to read through it. Values are int64, string, []byte or nil, in the order of the columns, and are not used again.
func (d *DB) Export(ctx context.Context, table func(name string, columns []string, rows func(row func([]any) error) error) error) error {
	err := d.view(ctx, func(c *conn) error {
		tables, err := c.tables()
		if err != nil {
			return err
		}
		for _, name := range tables {
			sql, ok := exported[name]
			if !ok {
				sql = `SELECT * FROM "` + name + `"`
			}
			if err := c.export(ctx, name, sql, table); err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
		}
		return nil
	})
	return err
}

// tables are the names of all tables with rows of ours; sessions come before what belongs to them.
func (c *conn) tables() (names []string, err error) {
	s, err := c.once(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN ('goose_db_version', 'floors')
		ORDER BY name = 'received', name`)
	if err != nil {
		return nil, err
	}
	defer s.finalize()
	for s.next() {
		names = append(names, s.colText(0))
	}
	return names, s.end()
}

func (c *conn) export(ctx context.Context, name, sql string, table func(string, []string, func(func([]any) error) error) error) error {
	s, err := c.once(sql)
	if err != nil {
		return err
	}
	defer s.finalize()
	columns := s.columns()
	return table(name, columns, func(row func([]any) error) error {
		for s.next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			values := make([]any, len(columns))
			for i := range values {
				values[i] = s.value(int32(i)) //nolint:gosec // a table has few columns
			}
			if err := row(values); err != nil {
				return err
			}
		}
		return s.end()
	})
}

// once prepares a statement that is no query of this package; its user finalizes it.
func (c *conn) once(sql string) (*stmt, error) {
	s := &stmt{c: c, inUse: true}
	if err := s.prepare(sql); err != nil {
		return nil, err
	}
	c.bound = append(c.bound, s)
	return s, nil
}

func (s *stmt) finalize() {
	s.reset()
	lib.Xsqlite3_finalize(s.c.tls, s.p)
}

// columns are the names of what a statement selects.
func (s *stmt) columns() []string {
	names := make([]string, lib.Xsqlite3_column_count(s.c.tls, s.p))
	for i := range names {
		names[i] = libc.GoString(lib.Xsqlite3_column_name(s.c.tls, s.p, int32(i))) //nolint:gosec // a table has few columns
	}
	return names
}

// value is a column in the type that it is stored in.
func (s *stmt) value(i int32) any {
	switch lib.Xsqlite3_column_type(s.c.tls, s.p, i) {
	case lib.SQLITE_NULL:
		return nil
	case lib.SQLITE_INTEGER:
		return s.colInt(i)
	case lib.SQLITE_BLOB:
		return s.colBlob(i)
	}
	return s.colText(i)
}
