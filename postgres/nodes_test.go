package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// next appends an entry to a stream.
func next(tx *postgres.Tx, s pactwire.Stream, payload string) error {
	head, err := tx.Head(s)
	if err != nil {
		return err
	}
	return tx.Append(pactwire.Entry{Stream: s, Seq: head + 1, Payload: []byte(payload)}, time.Now())
}

// TestPromise3NumbersHaveNoGapOverNodes: nodes that start together on an empty database append to the same streams, in
// different orders. Some functions fail after their writes.
func TestPromise3NumbersHaveNoGapOverNodes(t *testing.T) {
	const nodes, writers, each = 3, 8, 30
	url := testkit.Postgres(t).URL()
	dbs := make([]*postgres.DB, nodes)
	var starting sync.WaitGroup
	for i := range dbs {
		starting.Go(func() { dbs[i] = open(t, postgres.Config{URL: url, Node: fmt.Sprint("n", i)}) })
	}
	starting.Wait()
	streams := []pactwire.Stream{pactwire.ActivityOf("p1"), pactwire.ActivityOf("p2"), pactwire.InboxOf("alice"), pactwire.InboxOf("bob")}
	failed := errors.New("on purpose")
	var writing sync.WaitGroup
	for i, db := range dbs {
		for w := range writers {
			writing.Go(func() {
				for n := range each {
					err := do(t.Context(), db, func(tx *postgres.Tx) error {
						for j := range streams {
							s := streams[(j*(2*(i%2)-1)+w+n+2*len(streams))%len(streams)] // to and fro
							if err := next(tx, s, fmt.Sprintf("%d %d %d", i, w, n)); err != nil {
								return err
							}
						}
						if n%5 == 4 {
							return failed
						}
						return nil
					})
					if n%5 == 4 && errors.Is(err, failed) {
						continue
					}
					if err != nil {
						t.Errorf("node %d, writer %d: %v", i, w, err)
						return
					}
				}
			})
		}
	}
	writing.Wait()
	const want = nodes * writers * each * 4 / 5
	for _, s := range streams {
		entries, err := dbs[0].ReadAfter(t.Context(), s, 0, 10*want)
		if err != nil || len(entries) != want {
			t.Fatalf("%s: %d entries, %v, want %d", s.ID, len(entries), err, want)
		}
		seen := map[string]bool{}
		for i, e := range entries {
			if e.Seq != pactwire.Seq(i+1) || seen[string(e.Payload)] {
				t.Fatalf("%s: number %d at place %d, twice: %v", s.ID, e.Seq, i+1, seen[string(e.Payload)])
			}
			seen[string(e.Payload)] = true
		}
	}
}

// TestPromise2OneEffectOnTwoNodes sends the same commands to two nodes at once.
func TestPromise2OneEffectOnTwoNodes(t *testing.T) {
	const keys = 200
	url := testkit.Postgres(t).URL()
	dbs := []*postgres.DB{open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"})}
	answers := make([][2]string, keys)
	var sending sync.WaitGroup
	for i, db := range dbs {
		for k := range keys {
			sending.Go(func() {
				key := fmt.Sprint("k", k)
				err := do(t.Context(), db, func(tx *postgres.Tx) error {
					rec, known, err := tx.Command("alice", key)
					if err != nil {
						return err
					}
					if known {
						answers[k][i] = string(rec.Answer)
						return nil
					}
					if rec.ID, err = tx.NextCommandID(); err != nil {
						return err
					}
					answers[k][i] = fmt.Sprint("of node ", i)
					rec.User, rec.Key, rec.Answer, rec.AcceptedAt = "alice", key, []byte(answers[k][i]), time.Now()
					if err := tx.PutCommand(rec); err != nil {
						return err
					}
					return next(tx, pactwire.ActivityOf("p"), key)
				})
				if err != nil {
					t.Errorf("%s on node %d: %v", key, i, err)
				}
			})
		}
	}
	sending.Wait()
	for k, a := range answers {
		if a[0] == "" || a[0] != a[1] {
			t.Errorf("key %d: answers %q", k, a)
		}
	}
	if got, err := dbs[0].ReadAfter(t.Context(), pactwire.ActivityOf("p"), 0, 2*keys); err != nil || len(got) != keys {
		t.Errorf("%d effects, %v", len(got), err)
	}
}

func TestOneLiveNodeOfAName(t *testing.T) {
	url := testkit.Postgres(t).URL()
	first := open(t, postgres.Config{URL: url, Node: "a"})
	open(t, postgres.Config{URL: url, Node: "b"})
	_, err := postgres.Open(t.Context(), postgres.Config{URL: url, Node: "a"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "another process runs as node a on this database; end it, or give this one another node.id") {
		t.Fatalf("a second one of the name: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, postgres.Config{URL: url, Node: "a"}) // at once
}

// TestCrashedNodeStartsAgainAtOnce: what a killed process held was a connection, which is gone with it.
func TestCrashedNodeStartsAgainAtOnce(t *testing.T) {
	server := testkit.Postgres(t)
	proxy := testkit.NewProxy(t, server.Addr)
	crashed, err := postgres.Open(t.Context(), postgres.Config{URL: testkit.Via(t, server.URL(), proxy.Addr), Node: "a"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := pactwire.SessionKey{User: "alice", ClientID: "phone"}
	if _, err := crashed.ClaimSession(t.Context(), pactwire.SessionClaim{Key: key, Node: "a/1"}); err != nil {
		t.Fatal(err)
	}
	err = do(t.Context(), crashed, func(tx *postgres.Tx) error {
		id, err := tx.NextCommandID()
		if err != nil {
			return err
		}
		return tx.PutCommand(pactwire.CommandRecord{ID: id, User: "alice", Request: []byte("x"), AcceptedAt: time.Now()})
	})
	if turn, failed := crashed.ClaimTurn(t.Context(), "alice", time.Hour); turn == 0 || err != nil || failed != nil {
		t.Fatal(turn, err, failed)
	}
	proxy.Down() // its sockets are closed, as by kill -9
	start := time.Now()
	again := open(t, postgres.Config{URL: server.URL(), Node: "a"})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	got, err := again.ClaimSession(t.Context(), pactwire.SessionClaim{Key: key, Node: "a/2"})
	if err != nil || got.Holder != "" {
		t.Errorf("its connections have not ended: %+v, %v", got, err)
	}
	if got, err := again.Unserved(t.Context(), time.Now().Add(time.Minute), 10); err != nil || !slices.Equal(got, []pactwire.UserID{"alice"}) {
		t.Errorf("whose journal it had begun: %v, %v", got, err)
	}
	if err := crashed.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartRefusesWeakCommits(t *testing.T) {
	url := testkit.Postgres(t).URL()
	_, err := postgres.Open(t.Context(), postgres.Config{URL: url + "&synchronous_commit=off"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit = off") || !strings.Contains(err.Error(), "set it to on") {
		t.Error(err)
	}
}

func TestStartRefusesANewerSchema(t *testing.T) {
	server := testkit.Postgres(t)
	if err := open(t, postgres.Config{URL: server.URL()}).Close(); err != nil {
		t.Fatal(err)
	}
	server.SQL(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()}, nil, nil); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Error(err)
	}
}

func TestStartSaysWhatIsWrongWithTheAddress(t *testing.T) {
	nobody := testkit.FreeAddr(t)
	for _, tt := range []struct{ url, want string }{
		{"postgres://u:geheim@" + nobody + "/db?sslmode=disable", "cannot use the database db on"},
		{"postgres://u:geheim@[", "write postgres://user:password@host/database"},
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: tt.url}, nil, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
}

func TestStartOnAStandbySaysWhatToDo(t *testing.T) {
	url := testkit.Postgres(t).URL()
	if err := open(t, postgres.Config{URL: url}).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.Open(t.Context(), postgres.Config{URL: url + "&default_transaction_read_only=on"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is this address that of a standby") {
		t.Error(err)
	}
}

// TestAnswersOfOneNodeAreFoundByAnother, and nothing of commands that have none.
func TestAnswersOfOneNodeAreFoundByAnother(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a, b := open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"})
	var ids []int64
	err := do(t.Context(), a, func(tx *postgres.Tx) error {
		ids = nil
		for _, key := range []string{"k1", "k2"} {
			id, err := tx.NextCommandID()
			if err != nil {
				return err
			}
			ids = append(ids, id)
			if err := tx.PutCommand(pactwire.CommandRecord{ID: id, User: "alice", Key: key, Request: []byte("x"), AcceptedAt: time.Now()}); err != nil {
				return err
			}
		}
		return tx.FinishCommand(ids[1], []byte("done"), time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Answered(t.Context(), append(ids, 999))
	if err != nil || len(got) != 1 || got[0].ID != ids[1] || got[0].User != "alice" || got[0].Key != "k2" || string(got[0].Answer) != "done" {
		t.Errorf("%+v %v", got, err)
	}
}

// TestTurns: one node at a time has a person, for as long as it renews.
func TestTurns(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a, b := open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"})
	err := do(t.Context(), a, func(tx *postgres.Tx) error {
		for _, u := range []pactwire.UserID{"alice", "bob"} {
			id, err := tx.NextCommandID()
			if err != nil {
				return err
			}
			if err := tx.PutCommand(pactwire.CommandRecord{ID: id, User: u, Request: []byte("x"), AcceptedAt: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	unserved := func(want ...pactwire.UserID) {
		t.Helper()
		if got, err := b.Unserved(t.Context(), soon, 10); err != nil || !slices.Equal(got, want) {
			t.Errorf("unserved: %v, %v, want %v", got, err, want)
		}
	}
	claim := func(db *postgres.DB, u pactwire.UserID, d time.Duration, want bool) int64 {
		t.Helper()
		turn, err := db.ClaimTurn(t.Context(), u, d)
		if err != nil || (turn != 0) != want {
			t.Fatalf("%s: turn %d, %v", u, turn, err)
		}
		return turn
	}
	unserved("alice", "bob")
	if got, err := b.Unserved(t.Context(), time.Now().Add(-time.Minute), 10); err != nil || len(got) != 0 {
		t.Errorf("of old ones: %v, %v", got, err)
	}
	first := claim(a, "alice", time.Minute, true)
	claim(b, "alice", time.Minute, false)
	unserved("bob")
	second := claim(a, "alice", time.Minute, true) // its own again, under another number
	if lost, err := a.RenewTurns(t.Context(), []int64{first, second}, time.Minute); err != nil || !slices.Equal(lost, []int64{first}) {
		t.Errorf("lost %v, %v", lost, err)
	}
	if err := a.EndTurns(t.Context(), []int64{first}); err != nil {
		t.Fatal(err)
	}
	claim(b, "alice", time.Minute, false) // what ended was another
	if err := a.EndTurns(t.Context(), []int64{second}); err != nil {
		t.Fatal(err)
	}
	claim(b, "alice", time.Millisecond, true)
	testkit.Eventually(t, 10*time.Second, "the turn lapses", func() bool {
		turn, err := a.ClaimTurn(context.Background(), "alice", time.Minute)
		return err == nil && turn != 0
	})

	err = do(t.Context(), a, func(tx *postgres.Tx) error {
		id, err := tx.NextCommandID()
		if err != nil {
			return err
		}
		return tx.PutCommand(pactwire.CommandRecord{ID: id, User: "carol", Request: []byte("x"), AcceptedAt: time.Now().Add(time.Hour)})
	})
	if got, failed := b.Unserved(t.Context(), time.Now().Add(-time.Minute), 10); err != nil || failed != nil || !slices.Equal(got, []pactwire.UserID{"carol"}) {
		t.Errorf("accepted by a node whose clock was ahead: %v, %v, %v", got, err, failed)
	}

	var claiming sync.WaitGroup // of many persons, each by both
	var mu sync.Mutex
	taken := map[pactwire.UserID]int{}
	for i := range 100 {
		u := pactwire.UserID(fmt.Sprint("u", i))
		if err := do(t.Context(), a, func(tx *postgres.Tx) error { return tx.TouchUser(u, "U", time.Now()) }); err != nil {
			t.Fatal(err)
		}
		for _, db := range []*postgres.DB{a, b} {
			claiming.Go(func() {
				turn, err := db.ClaimTurn(context.Background(), u, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if turn != 0 {
					mu.Lock()
					defer mu.Unlock()
					taken[u]++
				}
			})
		}
	}
	claiming.Wait()
	for u, n := range taken {
		if n != 1 {
			t.Errorf("%s was taken %d times", u, n)
		}
	}
	if len(taken) != 100 {
		t.Errorf("%d persons taken", len(taken))
	}
}

// TestSessionsOfADeadNodeEnd: nobody else would end them if it never came back. Those of a node that lives stay.
func TestSessionsOfADeadNodeEnd(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a, b, c := open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"}), open(t, postgres.Config{URL: url, Node: "c"})
	save := func(db *postgres.DB, node, client string) {
		t.Helper()
		key := pactwire.SessionKey{User: "alice", ClientID: client}
		got, err := db.ClaimSession(t.Context(), pactwire.SessionClaim{Key: key, Node: node})
		if err != nil {
			t.Fatal(err)
		}
		lost, err := db.SaveSessions(t.Context(), []pactwire.Session{{Key: key, Epoch: got.Session.Epoch, Expiry: time.Hour}})
		if err != nil || len(lost) > 0 {
			t.Fatalf("%v, %v", lost, err)
		}
	}
	save(a, "a/1", "phone")
	save(b, "b/1", "watch")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	holder := func(client string) string {
		t.Helper()
		got, err := c.ClaimSession(t.Context(), pactwire.SessionClaim{Key: pactwire.SessionKey{User: "alice", ClientID: client}, Node: "c/1"})
		if err != nil {
			t.Fatal(err)
		}
		return got.Holder
	}
	for _, passed := range []time.Duration{0, time.Minute / 2} {
		if n, err := c.ExpireSessions(t.Context(), now.Add(passed)); n != 0 || err != nil {
			t.Fatalf("after %s: %d, %v", passed, n, err)
		}
		if holder("phone") != "a/1" {
			t.Fatalf("ended after %s", passed)
		}
	}
	if n, err := c.ExpireSessions(t.Context(), now.Add(2*time.Minute)); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if holder("watch") != "b/1" {
		t.Error("one of a live node was ended")
	}
	if n, err := c.ExpireSessions(t.Context(), now.Add(2*time.Hour)); n != 1 || err != nil {
		t.Errorf("%d expired, %v", n, err)
	}
}

// TestManyStandingSessions: who has some is found without reading them all, and those of a dead node end in slices.
func TestManyStandingSessions(t *testing.T) {
	url := testkit.Postgres(t).URL()
	db := open(t, postgres.Config{URL: url, Node: "c"})
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	const many = 100_000
	for _, sql := range []string{
		`INSERT INTO sessions (usr, client, state, expiry, owner, epoch) SELECT i, 'phone', '', 3600000, CASE WHEN i % 40 = 0 THEN 'b/2' ELSE 'c/1' END, 1
			FROM generate_series(1, 100000) i`,
		`VACUUM ANALYZE sessions`,
	} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var plan []struct {
		Plan struct {
			Rows float64 `json:"Actual Rows"`
			Hit  int     `json:"Shared Hit Blocks"`
			Read int     `json:"Shared Read Blocks"`
		}
	}
	if err := c.QueryRow(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+postgres.StandingOwners).Scan(&plan); err != nil {
		t.Fatal(err)
	}
	if p := plan[0].Plan; p.Rows != 2 || p.Hit+p.Read > 30 {
		t.Errorf("%v owners found in %d blocks", p.Rows, p.Hit+p.Read)
	}
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(2 * time.Minute)} {
		if n, err := db.ExpireSessions(t.Context(), at); n != 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	var dead, live int
	err = c.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE owner = 'b/2'), count(*) FILTER (WHERE owner = 'c/1') FROM sessions WHERE gone_at IS NULL`).Scan(&dead, &live)
	if err != nil || dead != 0 || live != many-many/40 {
		t.Errorf("%d of the dead node stand, and %d of the live one, %v", dead, live, err)
	}
}

// TestANodeStartsAgainAfterManySessions: those that stood when it was killed end in slices, whatever time a statement may take.
func TestANodeStartsAgainAfterManySessions(t *testing.T) {
	server := testkit.Postgres(t)
	cfg := postgres.Config{URL: server.URL(), Node: "c"}
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	server.SQL(`INSERT INTO sessions (usr, client, state, expiry, owner, epoch) SELECT i, 'phone', '', 3600000, CASE i % 5 WHEN 0 THEN 'b/2' WHEN 1 THEN '' ELSE 'c/1' END, 1
		FROM generate_series(1, 10000) i`)
	server.SQL(`CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF (SELECT count(*) FROM changed) > 1000 THEN RAISE 'too many at once'; END IF; RETURN NULL; END $$`)
	server.SQL(`CREATE TRIGGER few AFTER UPDATE ON sessions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION few()`)
	open(t, cfg)
	if got := server.SQL(`SELECT owner, count(*) FROM sessions WHERE gone_at IS NULL OR expires_at <> gone_at + expiry GROUP BY owner`); got != "b/2|2000" {
		t.Errorf("these stand: %s", got)
	}
}

// TestAnEndAndALateWordOfOneCheckin: where one node is told of a deletion by id alone and another of the check-in itself, at the same
// moment, one of them sees what the other has written.
func TestAnEndAndALateWordOfOneCheckin(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a, b := open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"})
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	looked, bury := make(chan struct{}), make(chan struct{})
	var looking sync.Once
	ended, told := make(chan error, 1), make(chan error, 1)
	go func() {
		ended <- do(t.Context(), a, func(tx *postgres.Tx) error {
			if _, known, err := tx.SeenCheckinByID("c1"); known || err != nil {
				return fmt.Errorf("known %v, %w", known, err)
			}
			looking.Do(func() { close(looked) })
			<-bury
			return tx.Bury("c1", time.Now())
		})
	}()
	<-looked
	var gone bool
	go func() {
		told <- do(t.Context(), b, func(tx *postgres.Tx) error {
			_, known, err := tx.SeenCheckinByID("c1")
			if known || err != nil {
				return fmt.Errorf("known %v, %w", known, err)
			}
			_, gone, err = tx.Buried("c1")
			return err
		})
	}()
	waits := func() bool {
		var n int
		if err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n > 0 || len(told) > 0
	}
	testkit.Eventually(t, 10*time.Second, "the other waits, or is done", waits)
	close(bury)
	if err := errors.Join(<-ended, <-told); err != nil || !gone {
		t.Errorf("the end is known: %v, %v", gone, err)
	}
}
