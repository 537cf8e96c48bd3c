package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Export reads a store of another kind: for each table it calls table, which calls rows to read through it. Values are int64,
// string, []byte or nil.
type Export func(ctx context.Context, table func(name string, columns []string, rows func(row func([]any) error) error) error) error

// Imported is what Import has written and counted.
type Imported struct {
	Tables  []ImportedTable
	Streams int // whose numbers were found to run from floor to head
}

// ImportedTable is a table and how many rows it has.
type ImportedTable struct {
	Name string
	Rows int64
}

// importSlice is how many rows are sent at once.
const importSlice = 1000

// rowNumbers are columns by which the other store finds a row that has another key here.
var rowNumbers = map[string]bool{
	"checkins.id": true, "sessions.id": true, "seen_checkins.id": true, "seen_webhooks.id": true, "webhooks.id": true,
}

// Import fills an empty database with everything of another store, in one transaction: all of it is there, counted, or
// nothing. No node may use the database meanwhile.
func Import(ctx context.Context, url string, export Export) (done Imported, err error) {
	pc, err := parse(url)
	if err != nil {
		return done, err
	}
	if err := migrate(ctx, pc.ConnConfig); err != nil {
		return done, openError(pc.ConnConfig, err)
	}
	conns := pc.ConnConfig.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		conns.RuntimeParams[limit] = "0" // it takes the time it needs
	}
	c, err := pgx.ConnectConfig(ctx, conns)
	if err != nil {
		return done, openError(conns, err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // what matters is committed or not
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		i := importer{tx: tx}
		if err := i.begin(ctx); err != nil {
			return err
		}
		if err := export(ctx, func(name string, columns []string, rows func(func([]any) error) error) error {
			return i.table(ctx, name, columns, rows)
		}); err != nil {
			return err
		}
		done.Tables = i.tables
		done.Streams, err = i.check(ctx)
		return err
	})
	if err != nil {
		return Imported{}, fmt.Errorf("nothing was written to the database %s: %w", where(conns), err)
	}
	_, err = c.Exec(ctx, `ANALYZE`)
	return done, err
}

type importer struct {
	tx     pgx.Tx
	types  map[string]map[string]string // by table and column
	tables []ImportedTable
}

// begin finds out what tables there are, and that all are empty and no node is at work.
func (i *importer) begin(ctx context.Context) error {
	var nodes int
	err := i.tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, uint32(lockSpace)).Scan(&nodes)
	if err != nil {
		return err
	}
	if nodes > 0 {
		return fmt.Errorf("%d nodes use it; stop them first", nodes)
	}
	i.types = map[string]map[string]string{}
	rows, err := i.tx.Query(ctx, `SELECT table_name, column_name, data_type FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name <> 'goose_db_version'`)
	if err != nil {
		return err
	}
	var table, column, typ string
	if _, err := pgx.ForEachRow(rows, []any{&table, &column, &typ}, func() error {
		if i.types[table] == nil {
			i.types[table] = map[string]string{}
		}
		i.types[table][column] = typ
		return nil
	}); err != nil {
		return err
	}
	for table := range i.types {
		var has bool
		if _, err := i.tx.Exec(ctx, `LOCK TABLE `+quoted(table)+` IN EXCLUSIVE MODE`); err != nil {
			return err
		}
		if err := i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+quoted(table)+`)`).Scan(&has); err != nil {
			return err
		}
		if has {
			return fmt.Errorf("it is not empty: table %s has rows; name another database, or drop this one's tables", table)
		}
	}
	return nil
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// table copies one table.
func (i *importer) table(ctx context.Context, name string, columns []string, rows func(func([]any) error) error) error {
	if name == "counters" {
		return i.counters(ctx, rows)
	}
	types := i.types[name]
	if types == nil {
		return errors.New("there is no such table on PostgreSQL; use a newer pactwire")
	}
	var names, kinds []string
	var from []int
	for at, column := range columns {
		if column == "user" {
			column = "usr"
		}
		typ, ok := types[column]
		if !ok {
			if rowNumbers[name+"."+column] {
				continue
			}
			return fmt.Errorf("there is no column %s on PostgreSQL; use a newer pactwire", column)
		}
		names, kinds, from = append(names, column), append(kinds, typ), append(from, at)
	}
	var sent int64
	buffer := make([][]any, 0, importSlice)
	flush := func() error {
		n, err := i.tx.CopyFrom(ctx, pgx.Identifier{name}, names, pgx.CopyFromRows(buffer))
		sent += n
		buffer = buffer[:0]
		return err
	}
	if err := rows(func(row []any) error {
		values := make([]any, len(from))
		for j, at := range from {
			values[j] = converted(row[at], kinds[j])
		}
		if buffer = append(buffer, values); len(buffer) < importSlice {
			return nil
		}
		return flush()
	}); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	var there int64
	if err := i.tx.QueryRow(ctx, `SELECT count(*) FROM `+quoted(name)).Scan(&there); err != nil {
		return err
	}
	if there != sent {
		return fmt.Errorf("%d rows were sent and %d are there", sent, there)
	}
	i.tables = append(i.tables, ImportedTable{name, sent})
	return nil
}

// converted fits a value to a column's type. The other store has no booleans, and keeps texts that nobody searches as they come.
func converted(v any, typ string) any {
	switch x := v.(type) {
	case int64:
		if typ == "boolean" {
			return x != 0
		}
	case string:
		if typ == "bytea" {
			return []byte(x)
		}
	}
	return v
}

// counters sets the sequences to go on behind what was given out.
func (i *importer) counters(ctx context.Context, rows func(func([]any) error) error) error {
	return rows(func(row []any) error {
		if row[0] != "commands" {
			return fmt.Errorf("there is no counter %v on PostgreSQL; use a newer pactwire", row[0])
		}
		_, err := i.tx.Exec(ctx, `SELECT setval('command_numbers', greatest($1, 1))`, row[1])
		return err
	})
}

// check counts once more: of every stream what is kept runs without a gap from its floor to its head, and what points at names
// finds them.
func (i *importer) check(ctx context.Context) (streams int, err error) {
	if _, err := i.tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence('names', 'id'), greatest((SELECT max(id) FROM names), 1))`); err != nil {
		return 0, err
	}
	var broken string
	err = i.tx.QueryRow(ctx, `SELECT coalesce((SELECT min(coalesce(n.name, l.stream::text))
		FROM (SELECT stream, count(*) AS n, min(seq) AS first, max(seq) AS last FROM log GROUP BY stream) l
			FULL JOIN names n ON n.id = l.stream
		WHERE n.id IS NULL OR coalesce(l.n, 0) <> n.head - n.floor OR l.last <> n.head OR l.first <> n.floor + 1), ''),
		(SELECT count(*) FROM names WHERE head > 0)`).Scan(&broken, &streams)
	if err == nil && broken != "" {
		err = fmt.Errorf("the numbers of stream %s have a gap; the other store is damaged", broken)
	}
	return streams, err
}
