//go:build unix

package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

// BenchmarkSubmit measures a command of four rows (journal, check-in, activity, inbox), with so many of them under way at
// a time. fns/commit is how many shared a transaction; cpu-µs/op is the processor time of the whole process.
func BenchmarkSubmit(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16, 64, 256} {
		b.Run("underway="+strconv.Itoa(n), func(b *testing.B) {
			benchmarkSubmit(b, n, func(d *DB, w *world, i int) func(*Tx) error {
				return func(tx *Tx) error { return w.command(tx, i, true) }
			})
		})
	}
}

// BenchmarkSubmitThreeRows is a check-in without an id, which needs no journal row in embedded mode.
func BenchmarkSubmitThreeRows(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		b.Run("underway="+strconv.Itoa(n), func(b *testing.B) {
			benchmarkSubmit(b, n, func(d *DB, w *world, i int) func(*Tx) error {
				return func(tx *Tx) error { return w.command(tx, i, false) }
			})
		})
	}
}

func benchmarkSubmit(b *testing.B, underway int, fn func(*DB, *world, int) func(*Tx) error) {
	d := openInside(b, Config{})
	w := newWorld(b, d, 1000)
	slots := make(chan struct{}, underway)
	var wg sync.WaitGroup
	before := d.k.commits.Load()
	start := processorTime(b)
	b.ResetTimer()
	for i := range b.N {
		slots <- struct{}{}
		wg.Add(1)
		err := d.Submit(context.Background(), fn(d, w, i), func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-slots
			wg.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.StopTimer()
	used := processorTime(b) - start
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/float64(max(d.k.commits.Load()-before, 1)), "fns/commit")
}

func processorTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// world is what the benchmarks write about: pairs of people with a pact each.
type world struct {
	pacts    []pactwire.PactID
	users    []pactwire.UserID
	goals    []pactwire.GoalID
	activity []byte
	inbox    []byte
	answer   []byte
}

func newWorld(b *testing.B, d *DB, pairs int) *world {
	w := &world{activity: make([]byte, 520), inbox: make([]byte, 560), answer: make([]byte, 180)}
	for i := range pairs {
		w.pacts = append(w.pacts, pactwire.PactID(fmt.Sprintf("0190a000-0000-7000-8000-%012d", i)))
		w.goals = append(w.goals, pactwire.GoalID(fmt.Sprintf("0190b000-0000-7000-8000-%012d", i)))
		w.users = append(w.users, pactwire.UserID(fmt.Sprintf("user%06d", 2*i)), pactwire.UserID(fmt.Sprintf("user%06d", 2*i+1)))
	}
	err := d.Update(context.Background(), func(tx *Tx) error {
		for i, p := range w.pacts {
			err := tx.PutPact(pactwire.Pact{ID: p, Status: pactwire.PactActive, HabitGoalID: w.goals[i], CreatorUserID: w.users[2*i],
				Members: []pactwire.Member{{UserID: w.users[2*i], Status: pactwire.MemberActive}, {UserID: w.users[2*i+1], Status: pactwire.MemberActive}}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// command writes the rows of the i-th check-in: a later word about a day that has one, as in the load test.
func (w *world) command(tx *Tx, i int, journal bool) error {
	now := time.Now()
	pair := i * 7 % len(w.pacts)
	user, pact, goal := w.users[2*pair+i%2], w.pacts[pair], w.goals[pair]
	n := strconv.Itoa(i)
	if journal {
		key := "key-" + n
		if _, ok, err := tx.Command(user, key); ok || err != nil {
			return fmt.Errorf("known: %v, %w", ok, err)
		}
		id, err := tx.NextCommandID()
		if err != nil {
			return err
		}
		if err := tx.PutCommand(pactwire.CommandRecord{ID: id, User: user, Key: key, Answer: w.answer, AcceptedAt: now}); err != nil {
			return err
		}
	}
	err := tx.PutCheckin(pactwire.Checkin{ID: "0190c000-0000-7000-8000-" + n, PactID: pact, HabitGoalID: goal, UserID: user,
		Status: pactwire.StatusCompleted, LocalDate: "2026-11-23", Notes: "note number " + n, CreatedAt: pactwire.Time(now), UpdatedAt: pactwire.Time(now)})
	if err != nil {
		return err
	}
	for s, payload := range map[pactwire.Stream][]byte{pactwire.ActivityOf(pact): w.activity, pactwire.InboxOf(user): w.inbox} {
		head, err := tx.Head(s)
		if err != nil {
			return err
		}
		if err := tx.Append(pactwire.Entry{Stream: s, Seq: head + 1, Payload: payload}, now); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkLoadSessions is a storm of returning sessions.
func BenchmarkLoadSessions(b *testing.B) {
	ctx := context.Background()
	d := openInside(b, Config{})
	var sessions []pactwire.Session
	for i := range 5000 {
		u := pactwire.UserID(fmt.Sprint("user", i))
		sessions = append(sessions, pactwire.Session{
			Key: pactwire.SessionKey{User: u, ClientID: "phone"}, Expiry: time.Hour,
			Filters: []pactwire.SessionFilter{{Filter: "pacts/+/activity", QoS: 1}, {Filter: "users/" + string(u) + "/inbox", QoS: 1}},
			Cursors: []pactwire.Cursor{{Stream: pactwire.ActivityOf("0190a000-0000-7000-8000-000000000001"), Acked: 9, Sent: 9}, {Stream: pactwire.InboxOf(u), Acked: 9, Sent: 9}},
		})
	}
	if _, err := d.SaveSessions(ctx, sessions); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var wg sync.WaitGroup
		for i := range sessions {
			wg.Go(func() {
				if _, ok, err := d.LoadSession(ctx, sessions[i].Key); !ok || err != nil {
					b.Error(ok, err)
				}
			})
		}
		wg.Wait()
	}
}

// BenchmarkReadMany is what a batch of returning sessions asks of the log.
func BenchmarkReadMany(b *testing.B) {
	ctx := context.Background()
	d := openInside(b, Config{})
	w := newWorld(b, d, 1000)
	err := d.Update(ctx, func(tx *Tx) error {
		for i := range 20_000 {
			if err := w.command(tx, i, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var reqs []pactwire.ReadRequest
	for i := range 256 {
		reqs = append(reqs, pactwire.ReadRequest{Stream: pactwire.ActivityOf(w.pacts[i]), After: 10, Limit: 64})
	}
	for b.Loop() {
		if _, err := d.ReadMany(ctx, reqs); err != nil {
			b.Fatal(err)
		}
	}
}
