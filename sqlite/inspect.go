package sqlite

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// Inspection is what can be seen of a database without changing it.
type Inspection struct {
	Schema, Known int    // versions: of the file, and the highest that this program can read
	InUse         bool   // a process has it open
	Holder        string // the process id that it left, if any
}

var sqlSchema = newQuery(`SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`)

// Inspect looks at the database in a file. It neither makes nor migrates one.
func Inspect(path string) (Inspection, error) {
	var in Inspection
	names, err := migrations.ReadDir("migrations")
	if err != nil {
		return in, err
	}
	for _, f := range names {
		if v, err := goose.NumericComponent(f.Name()); err == nil {
			in.Known = max(in.Known, int(v))
		}
	}
	in.InUse, in.Holder = inUse(path)
	c, err := openConn(path, openRead, "PRAGMA busy_timeout = 2000", "PRAGMA query_only = 1")
	if err != nil {
		return in, err
	}
	defer c.close()
	s := c.q(sqlSchema)
	if s.next() {
		in.Schema = int(s.colInt(0))
	}
	return in, s.end()
}

// inUse asks for the lock of a database and gives it back at once.
func inUse(db string) (bool, string) {
	f, err := os.OpenFile(db+".lock", os.O_RDWR, 0)
	if err != nil {
		return false, ""
	}
	defer f.Close()
	if tryLock(f) == nil {
		return false, ""
	}
	pid, _ := io.ReadAll(io.LimitReader(f, 32))
	if _, err := strconv.Atoi(strings.TrimSpace(string(pid))); err != nil {
		pid = nil
	}
	return true, strings.TrimSpace(string(pid))
}
