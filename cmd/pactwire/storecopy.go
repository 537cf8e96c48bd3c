package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/pactwire/pactwire/postgres"
	"github.com/pactwire/pactwire/sqlite"
)

// storeCmd is about the database.
type storeCmd struct {
	Copy storeCopyCmd `cmd:"" help:"Copy everything from a SQLite file to an empty PostgreSQL database, while no server runs."`
}

type storeCopyCmd struct {
	From string `help:"The file, as in store.url: sqlite:data/pactwire.db." required:"" placeholder:"URL"`
	To   string `help:"The database, as in store.url: postgres://user:password@host/db." required:"" placeholder:"URL"`
}

// Run implements the command.
func (c *storeCopyCmd) Run(ctx context.Context, out *output) (err error) {
	path, ok := strings.CutPrefix(c.From, "sqlite:")
	if !ok || path == "" {
		return usagef("--from %s: only SQLite can be copied from; write sqlite:path", c.From)
	}
	if !strings.HasPrefix(c.To, "postgres://") && !strings.HasPrefix(c.To, "postgresql://") {
		return usagef("--to: only PostgreSQL can be copied to; write postgres://user:password@host/db")
	}
	if _, err := os.Stat(path); err != nil { // else an empty one would be made
		return fmt.Errorf("--from: %w", err)
	}
	from, err := sqlite.Open(ctx, sqlite.Config{Path: path}, nil, nil)
	if err != nil {
		return err
	}
	defer func() {
		if e := from.Close(); err == nil {
			err = e
		}
	}()
	done, err := postgres.Import(ctx, c.To, from.Export)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	for _, table := range done.Tables {
		fmt.Fprintf(t, "%s\t%d\n", table.Name, table.Rows)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "\nCopied and counted; the numbers of %d streams have no gap. Set store.url to the new database; keep data_dir, and the file until you are sure.\n", done.Streams)
	return nil
}
