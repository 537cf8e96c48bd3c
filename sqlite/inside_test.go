package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	lib "modernc.org/sqlite/lib"
)

func openInside(t testing.TB, cfg Config) *DB {
	t.Helper()
	cfg.Path = filepath.Join(t.TempDir(), "pactwire.db")
	d, err := Open(context.Background(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestConnectionIsOpenedAnewAfterAFault plays a disk that fails once, under the committer and under a reader.
func TestConnectionIsOpenedAnewAfterAFault(t *testing.T) {
	ctx := context.Background()
	d := openInside(t, Config{Readers: 1})
	broken := &fault{Code: lib.SQLITE_IOERR, Msg: "disk I/O error"}
	var old, now *conn
	err := d.Update(ctx, func(tx *Tx) error {
		old = tx.c
		if _, err := tx.NextCommandID(); err != nil {
			return err
		}
		tx.c.fault = broken // as when a statement hit it and fn overlooked it
		return nil
	})
	if pactwire.CodeOf(err) != pactwire.Unavailable || !errors.As(err, &broken) {
		t.Fatalf("told %v", err)
	}
	if err := d.Update(ctx, func(tx *Tx) error { now = tx.c; return nil }); err != nil {
		t.Fatalf("after that: %v", err)
	}
	if now == old {
		t.Error("the committer kept its connection")
	}

	err = d.read(ctx, func(c *conn) error { old = c; c.fault = broken; return broken })
	if !errors.Is(err, broken) {
		t.Fatalf("told %v", err)
	}
	if err := d.read(ctx, func(c *conn) error { now = c; return c.q(sqlProbeRead).run() }); err != nil {
		t.Fatalf("after that: %v", err)
	}
	if now == old {
		t.Error("the reader kept its connection")
	}
}

// TestDurability looks at what the promises rest on.
func TestDurability(t *testing.T) {
	d := openInside(t, Config{})
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "page_size": "2048",
	} {
		err := d.Update(context.Background(), func(tx *Tx) error {
			s := &stmt{c: tx.c}
			if err := s.prepare("PRAGMA " + pragma); err != nil {
				return err
			}
			defer lib.Xsqlite3_finalize(tx.c.tls, s.p)
			if !s.next() {
				return s.err
			}
			if got := s.colText(0); got != want {
				t.Errorf("%s is %s, not %s", pragma, got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryStatementIsValid prepares all of them, on both kinds of connection.
func TestEveryStatementIsValid(t *testing.T) {
	d := openInside(t, Config{})
	all := func(c *conn) error {
		for k, sql := range queries {
			s := c.q(query(k))
			if s.err != nil {
				t.Errorf("%s: %v", sql, s.err)
			}
			s.reset()
		}
		return nil
	}
	if err := d.Update(context.Background(), func(tx *Tx) error { return all(tx.c) }); err != nil {
		t.Fatal(err)
	}
}

// TestHotStatementsUseAnIndex keeps full scans out of the paths that run for every command or connection.
func TestHotStatementsUseAnIndex(t *testing.T) {
	d := openInside(t, Config{})
	cold := map[query]bool{ // once a start or once a prune slice
		sqlOnline: true, sqlAbandonSessions: true, sqlOldCodes: true,
		sqlCountPending: true, sqlPushDue: true, // walks of a partial index, over what waits
	}
	err := d.Update(context.Background(), func(tx *Tx) error {
		for k, sql := range queries {
			verb, _, _ := strings.Cut(sql, " ")
			if cold[query(k)] || verb != "SELECT" && verb != "UPDATE" && verb != "DELETE" {
				continue
			}
			s := &stmt{c: tx.c}
			if err := s.prepare("EXPLAIN QUERY PLAN " + sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			for s.next() {
				if plan := s.colText(3); strings.HasPrefix(plan, "SCAN") && !strings.Contains(plan, "CONSTANT ROW") {
					t.Errorf("%s: %s", sql, plan)
				}
			}
			lib.Xsqlite3_finalize(tx.c.tls, s.p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBoundValuesThatDoNotFitTheArena(t *testing.T) {
	d := openInside(t, Config{})
	err := d.Update(context.Background(), func(tx *Tx) error {
		small, big := strings.Repeat("s", 100), bytes.Repeat([]byte("b"), 3*arenaSize)
		w := pactwire.Webhook{ID: small, Target: string(big), Body: big}
		if err := tx.PutWebhook(w); err != nil {
			return err
		}
		if len(tx.c.spill) != 0 || tx.c.used != 0 || len(tx.c.bound) != 0 {
			t.Errorf("left behind: %d pieces, %d bytes, %d statements", len(tx.c.spill), tx.c.used, len(tx.c.bound))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.DueWebhooks(context.Background(), strings.Repeat("b", 3*arenaSize), time.Now(), 9)
	if err != nil || len(got) != 1 || len(got[0].Body) != 3*arenaSize {
		t.Fatalf("%d webhooks, %v", len(got), err)
	}
}

// TestNamesAreForgottenBeyondTheirBound keeps the memory of a connection bounded, and its answers right.
func TestNamesAreForgottenBeyondTheirBound(t *testing.T) {
	ctx := context.Background()
	d := openInside(t, Config{})
	stream := pactwire.ActivityOf("p")
	add := func(tx *Tx) error {
		head, err := tx.Head(stream)
		if err != nil {
			return err
		}
		return tx.Append(pactwire.Entry{Stream: stream, Seq: head + 1, Payload: []byte("x")}, time.Now())
	}
	if err := d.Update(ctx, add); err != nil {
		t.Fatal(err)
	}
	err := d.Update(ctx, func(tx *Tx) error {
		for i := range maxNames {
			tx.c.ids[name{goalName, fmt.Sprint("filler", i)}] = &interned{id: int64(1e9 + i)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Update(ctx, func(tx *Tx) error {
		if n := len(tx.c.ids); n > maxNames {
			t.Errorf("%d names are remembered", n)
		}
		return add(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := d.Bounds(ctx, []pactwire.Stream{stream}); err != nil || b[0].Head != 2 {
		t.Fatalf("%v, %v", b, err)
	}
}

// TestReturningSessionsShareReads holds the only connection while callers gather behind a first one.
func TestReturningSessionsShareReads(t *testing.T) {
	ctx := context.Background()
	d := openInside(t, Config{Readers: 1})
	const n = sessionBatch - 12
	errs := make(chan error, n+1)
	load := func(i int) {
		_, _, err := d.LoadSession(ctx, pactwire.SessionKey{User: pactwire.UserID(fmt.Sprint("u", i)), ClientID: "c"})
		errs <- err
	}
	err := d.read(ctx, func(*conn) error {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		go load(0)
		for d.sessionReads.Load() == 0 {
			<-tick.C
		}
		for i := range n {
			go load(i)
		}
		for len(d.loads) < n {
			<-tick.C
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range n + 1 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if reads := d.sessionReads.Load(); reads != 2 {
		t.Errorf("%d callers took %d reads", n+1, reads)
	}
}

func TestDateNumbers(t *testing.T) {
	for _, d := range []pactwire.LocalDate{"", "2026-11-23", "0001-01-01", "9999-12-31"} {
		if _, ok := dateNumber(d); !ok {
			t.Errorf("%q is refused", d)
		}
	}
	for _, d := range []pactwire.LocalDate{"2026-11-2", "20261123", "2026-11-23 ", "2026-1a-23", "-026-11-23"} {
		if _, ok := dateNumber(d); ok {
			t.Errorf("%q is accepted", d)
		}
	}
}

// together runs functions in one transaction and returns what became of each.
func together(t *testing.T, d *DB, fns ...func(*Tx) error) []error {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	first := true
	submit := func(fn func(*Tx) error, done func(error)) {
		if err := d.Submit(context.Background(), fn, done); err != nil {
			t.Fatal(err)
		}
	}
	submit(func(*Tx) error {
		if first {
			first = false
			close(in)
			<-out
		}
		return nil
	}, nil)
	<-in
	done := make(chan error, len(fns))
	for _, fn := range fns {
		submit(fn, func(err error) { done <- err })
	}
	close(out)
	errs := make([]error, len(fns))
	for i := range errs {
		errs[i] = <-done
	}
	return errs
}

// TestNothingUndoneIsRemembered: a function is refused, what follows reads again what those before it wrote, and then the disk is
// full. No head and no number of a name may be left in memory of what was never committed.
func TestNothingUndoneIsRemembered(t *testing.T) {
	ctx := context.Background()
	d := openInside(t, Config{})
	room := pactwire.ActivityOf("p")
	add := func(tx *Tx) error {
		h, err := tx.Head(room)
		if err != nil {
			return err
		}
		return tx.Append(pactwire.Entry{Stream: room, Seq: h + 1}, time.Now())
	}
	refusal := errors.New("refused")
	errs := together(t, d,
		func(tx *Tx) error {
			if _, err := tx.internID(userName("new")); err != nil {
				return err
			}
			return add(tx)
		},
		func(tx *Tx) error {
			if err := add(tx); err != nil {
				return err
			}
			return refusal
		},
		func(tx *Tx) error {
			if _, err := tx.c.id(userName("new")); err != nil {
				return err
			}
			_, err := tx.Head(room)
			return err
		},
		func(tx *Tx) error {
			if err := tx.c.exec(`PRAGMA max_page_count = 1`); err != nil {
				return err
			}
			return tx.Append(pactwire.Entry{Stream: pactwire.ActivityOf("q"), Seq: 1, Payload: make([]byte, 1<<20)}, time.Now())
		})
	for i, err := range errs {
		if pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Fatalf("function %d on a full disk: %v", i, err)
		}
	}
	if err := d.Update(ctx, func(tx *Tx) error { return tx.c.exec(`PRAGMA max_page_count = 1000000`) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Update(ctx, add); err != nil {
		t.Fatal(err)
	}
	if list, err := d.ReadAfter(ctx, room, 0, 9); err != nil || len(list) != 1 || list[0].Seq != 1 {
		t.Errorf("the first entry that stands: %v, %v", list, err)
	}
	var old, other int64
	err := d.Update(ctx, func(tx *Tx) (err error) {
		if other, err = tx.internID(userName("other")); err == nil {
			old, err = tx.internID(userName("new"))
		}
		return err
	})
	if err != nil || old == other {
		t.Errorf("two people are number %d: %v", old, err)
	}
}

// TestARefusalThatWroteNothingCostsOthersNothing: no function of its transaction runs again, no cache is cleared.
func TestARefusalThatWroteNothingCostsOthersNothing(t *testing.T) {
	d := openInside(t, Config{})
	d.OnRollback(func(bool) { t.Error("caches were cleared") })
	room, runs := pactwire.ActivityOf("p"), 0
	add := func(seq pactwire.Seq) func(*Tx) error {
		return func(tx *Tx) error {
			runs++
			return tx.Append(pactwire.Entry{Stream: room, Seq: seq}, time.Now())
		}
	}
	refusal := pactwire.Errorf(pactwire.NotFound, "there is no such thing")
	errs := together(t, d, add(1), func(tx *Tx) error {
		runs++
		if _, err := tx.Head(room); err != nil {
			return err
		}
		return refusal
	}, func(*Tx) error { panic("a fault of ours") }, add(2))
	if errs[0] != nil || !errors.Is(errs[1], refusal) || pactwire.CodeOf(errs[2]) != pactwire.Internal || errs[3] != nil {
		t.Errorf("told %v", errs)
	}
	if runs != 3 {
		t.Errorf("%d runs of three functions", runs)
	}
	if list, err := d.ReadAfter(context.Background(), room, 0, 9); err != nil || len(list) != 2 {
		t.Errorf("entries %v, %v", list, err)
	}
}
