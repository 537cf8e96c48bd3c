package storetest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/push"
)

var pushTests = []test{
	{"one cause is one job for a person", on(testPushCause)},
	{"a job is in the transaction of its entry or nowhere", on(testPushInTransaction)},
	{"leaving and cancelling are in the transaction of their entry", on(testPushEndsInTransaction)},
	{"who saw an entry has no job left", on(testPushSeen)},
	{"jobs are due when they are, all of a person's together", on(testPushDue)},
	{"seeing all of a batch stops its pushes", on(testPushBatchSeen)},
	{"leaving a pact takes its pushes away", on(testPushLeft)},
	{"a claimed push is nobody else's until the lease is over", on(testPushClaim)},
	{"the last push of a batch takes its jobs along", on(testPushDone)},
	{"a dead push is kept and can be revived", on(testPushDead)},
	{"pushes are counted by local day", on(testPushCount)},
	{"a token belongs to who registered it last", on(testPushTokens)},
	{"push settings are kept", on(testPushSettings)},
	{"old pushes are pruned", on(testPushPrune)},
}

// mustPush is must for a transaction about pushes.
func mustPush(t testing.TB, s Store, fn func(push.Tx) error) {
	t.Helper()
	if err := s.Push(ctx, fn); err != nil {
		t.Fatalf("transaction: %v", err)
	}
}

func job(u pactwire.UserID, cause string, due time.Time) pactwire.PushJob {
	return pactwire.PushJob{User: u, Cause: cause, Kind: pactwire.PushCheckin, Pact: "p", Event: []byte(`{"a":1}`), CreatedAt: noon, DueAt: due}
}

func message(id, batch string, next time.Time) pactwire.Push {
	return pactwire.Push{ID: id, Batch: batch, User: "bob", Pact: "p", Channel: "webhook", Body: []byte("{}"), CreatedAt: noon, NextAt: next}
}

// dueJobs are the jobs due at a time, without their numbers, and the numbers.
func dueJobs(t *testing.T, s Store, now time.Time) (jobs []pactwire.PushJob, ids []int64) {
	t.Helper()
	mustPush(t, s, func(tx push.Tx) (err error) {
		jobs, err = tx.DuePushJobs(now, 100)
		return err
	})
	for i := range jobs {
		ids = append(ids, jobs[i].ID)
		jobs[i].ID = 0
	}
	return jobs, ids
}

func testPushCause(t *testing.T, s Store) {
	better := job("bob", "c1", noon.Add(time.Hour))
	better.Kind, better.Event = pactwire.PushMilestone, []byte(`{"b":2}`)
	mustPush(t, s, func(tx push.Tx) error {
		for _, step := range []struct {
			j       pactwire.PushJob
			of      pactwire.PactID
			replace bool
		}{{job("bob", "c1", noon), "p", false}, {better, "p", true}, {job("bob", "c1", noon), "q", false}, {job("carol", "c1", noon), "p", false}} {
			if err := tx.PutPushJob(step.j, pactwire.ActivityOf(step.of), 1, step.replace); err != nil {
				return err
			}
		}
		return nil
	})
	want := job("bob", "c1", noon) // when it is due stays as it was first said
	want.Kind, want.Event = better.Kind, better.Event
	got, _ := dueJobs(t, s.Reopen(t), noon)
	same(t, "jobs", []pactwire.PushJob{want, job("carol", "c1", noon)}, got)
}

func testPushInTransaction(t *testing.T, s Store) {
	write := func(cause string, refuse error) error {
		return do(t, s, func(tx Tx) error {
			if err := appendNext(tx, pactwire.InboxOf("bob"), noon, "{}"); err != nil {
				return err
			}
			if err := appendNext(tx, pactwire.ActivityOf("p"), noon, "{}"); err != nil {
				return err
			}
			if err := tx.PutPushJob(job("bob", cause, noon), pactwire.ActivityOf("p"), 1, false); err != nil {
				return err
			}
			return refuse
		})
	}
	refused := pactwire.Errorf(pactwire.Invalid, "not this one")
	if err := write("c1", refused); err != refused { //nolint:errorlint // its very error
		t.Errorf("refused with %v", err)
	}
	if err := write("c2", nil); err != nil {
		t.Fatal(err)
	}
	got, _ := dueJobs(t, s.Reopen(t), noon)
	same(t, "jobs", []pactwire.PushJob{job("bob", "c2", noon)}, got)
}

func testPushEndsInTransaction(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		if err := appendNext(tx, pactwire.InboxOf("bob"), noon, "{}"); err != nil {
			return err
		}
		return appendNext(tx, pactwire.ActivityOf("p"), noon, "{}")
	})
	mustPush(t, s, func(tx push.Tx) error {
		other := job("bob", "c3", noon)
		other.Pact = "q"
		for i, j := range []pactwire.PushJob{job("bob", "c1", noon), other, job("bob", "c2", noon)} {
			if err := tx.PutPushJob(j, pactwire.ActivityOf(j.Pact), pactwire.Seq(i+1), false); err != nil {
				return err
			}
		}
		if err := tx.PutPush(message("m1", "b1", noon)); err != nil {
			return err
		}
		return tx.PutPush(message("m2", "b2", noon))
	})
	_, ids := dueJobs(t, s, noon)
	mustPush(t, s, func(tx push.Tx) error { return tx.BatchPushJob(ids[0], "b1") })
	must(t, s, func(tx Tx) error { return tx.CancelPushJob("bob", "c1") })
	if list, err := s.Pushes(ctx, false, "", 10); err != nil || len(list) != 1 || list[0].ID != "m2" {
		t.Errorf("after the cause was cancelled: %v, %v", list, err)
	}
	must(t, s, func(tx Tx) error { return tx.DropPushesOf("bob", "p") })
	if got, _ := dueJobs(t, s, noon); len(got) != 1 || got[0].Cause != "c3" {
		t.Errorf("after bob has left p: %v", got)
	}
	if list, err := s.Pushes(ctx, false, "", 10); err != nil || len(list) != 0 {
		t.Errorf("after bob has left p: %v, %v", list, err)
	}
}

func testPushSeen(t *testing.T, s Store) {
	mustPush(t, s, func(tx push.Tx) error {
		for _, u := range []pactwire.UserID{"bob", "carol"} {
			for _, p := range []pactwire.PactID{"p", "q"} {
				if err := tx.PutPushJob(job(u, "c1", noon), pactwire.ActivityOf(p), 7, false); err != nil {
					return err
				}
			}
		}
		return tx.PutPushJob(job("bob", "c2", noon), pactwire.InboxOf("bob"), 7, false)
	})
	var first, again, other bool
	mustPush(t, s, func(tx push.Tx) (err error) {
		if other, err = tx.SeenPush("bob", pactwire.ActivityOf("p"), 8); err != nil {
			return err
		}
		if first, err = tx.SeenPush("bob", pactwire.ActivityOf("q"), 7); err != nil {
			return err
		}
		if again, err = tx.SeenPush("bob", pactwire.ActivityOf("p"), 7); err != nil {
			return err
		}
		_, err = tx.SeenPush("nobody", pactwire.ActivityOf("nowhere"), 7)
		return err
	})
	if other || !first || again {
		t.Errorf("another entry %v, the second pact %v, the first pact afterwards %v", other, first, again)
	}
	got, _ := dueJobs(t, s, noon)
	same(t, "jobs", []pactwire.PushJob{job("bob", "c2", noon), job("carol", "c1", noon)}, got)
	mustPush(t, s, func(tx push.Tx) error { return tx.CancelPushJob("carol", "c1") })
	if got, _ = dueJobs(t, s, noon); len(got) != 1 {
		t.Errorf("after the cause was cancelled: %v", got)
	}
}

func testPushDue(t *testing.T, s Store) {
	late := noon.Add(time.Minute)
	mustPush(t, s, func(tx push.Tx) error {
		for i, j := range []pactwire.PushJob{job("bob", "c1", noon), job("carol", "c2", noon), job("bob", "c3", noon), job("bob", "c4", late)} {
			if err := tx.PutPushJob(j, pactwire.ActivityOf("p"), pactwire.Seq(i+1), false); err != nil {
				return err
			}
		}
		return nil
	})
	if jobs, channels, err := s.PushWork(ctx, noon.Add(-time.Second)); jobs || channels != nil || err != nil {
		t.Errorf("before: %v, %v, %v", jobs, channels, err)
	}
	if jobs, _, err := s.PushWork(ctx, noon); !jobs || err != nil {
		t.Errorf("when due: %v, %v", jobs, err)
	}
	got, ids := dueJobs(t, s, noon)
	same(t, "due", []pactwire.PushJob{job("bob", "c1", noon), job("bob", "c3", noon), job("carol", "c2", noon)}, got)
	mustPush(t, s, func(tx push.Tx) error {
		if err := tx.DelayPushJob(ids[0], late); err != nil {
			return err
		}
		if err := tx.DropPushJob(ids[2]); err != nil {
			return err
		}
		return tx.BatchPushJob(ids[1], "b1")
	})
	got, _ = dueJobs(t, s, late)
	same(t, "later", []pactwire.PushJob{job("bob", "c1", late), job("bob", "c4", late)}, got)
}

func testPushBatchSeen(t *testing.T, s Store) {
	mustPush(t, s, func(tx push.Tx) error {
		for i := range 2 {
			if err := tx.PutPushJob(job("bob", fmt.Sprint(i), noon), pactwire.InboxOf("bob"), pactwire.Seq(i+1), false); err != nil {
				return err
			}
		}
		dead := message("m3", "b1", noon)
		dead.Dead = true
		for _, m := range []pactwire.Push{message("m1", "b1", noon), message("m2", "b2", noon), dead} {
			if err := tx.PutPush(m); err != nil {
				return err
			}
		}
		return nil
	})
	_, ids := dueJobs(t, s, noon)
	left := func(seq pactwire.Seq) (names []string) {
		mustPush(t, s, func(tx push.Tx) error {
			for _, id := range ids {
				if err := tx.BatchPushJob(id, "b1"); err != nil {
					return err
				}
			}
			_, err := tx.SeenPush("bob", pactwire.InboxOf("bob"), seq)
			return err
		})
		list, err := s.Pushes(ctx, false, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			names = append(names, m.ID)
		}
		return names
	}
	same(t, "one of two seen", []string{"m1", "m2", "m3"}, left(1))
	same(t, "both seen", []string{"m2", "m3"}, left(2))
}

func testPushLeft(t *testing.T, s Store) {
	mustPush(t, s, func(tx push.Tx) error {
		other := job("bob", "c3", noon)
		other.Pact = "q"
		for i, j := range []pactwire.PushJob{job("bob", "c1", noon), job("bob", "c2", noon), other, job("carol", "c1", noon)} {
			if err := tx.PutPushJob(j, pactwire.ActivityOf(j.Pact), pactwire.Seq(i+1), false); err != nil {
				return err
			}
		}
		merged := message("m1", "b1", noon)
		merged.Pact = ""
		if err := tx.PutPush(merged); err != nil {
			return err
		}
		return tx.PutPush(message("m2", "b2", noon))
	})
	_, ids := dueJobs(t, s, noon) // bob's three, then carol's
	mustPush(t, s, func(tx push.Tx) error {
		for _, id := range ids[1:3] {
			if err := tx.BatchPushJob(id, "b1"); err != nil {
				return err
			}
		}
		return tx.DropPushesOf("bob", "p")
	})
	got, _ := dueJobs(t, s, noon)
	if len(got) != 2 || got[0].Cause != "c3" || got[1].User != "carol" {
		t.Errorf("left are %v; of what was merged the rest waits again", got)
	}
	if list, err := s.Pushes(ctx, false, "", 10); err != nil || len(list) != 0 {
		t.Errorf("pushes %v, %v", list, err)
	}
}

func testPushClaim(t *testing.T, s Store) {
	mustPush(t, s, func(tx push.Tx) error {
		for i, id := range []string{"m1", "m2", "m3"} {
			if err := tx.PutPush(message(id, "b"+id, noon.Add(time.Duration(i)*time.Second))); err != nil {
				return err
			}
		}
		return nil
	})
	claim := func(channel string, now time.Time) (ids []string) {
		mustPush(t, s, func(tx push.Tx) error {
			ids = nil
			list, err := tx.ClaimPushes(channel, now, now.Add(time.Minute), 2)
			for _, m := range list {
				ids = append(ids, m.ID)
			}
			return err
		})
		return ids
	}
	if _, channels, err := s.PushWork(ctx, noon); err != nil || len(channels) != 1 || channels[0] != "webhook" {
		t.Errorf("channels %v, %v", channels, err)
	}
	same(t, "another channel", []string(nil), claim("fcm", noon))
	same(t, "due", []string{"m1", "m2"}, claim("webhook", noon.Add(time.Second)))
	same(t, "claimed", []string(nil), claim("webhook", noon.Add(time.Second)))
	s = s.Reopen(t)
	same(t, "the third", []string{"m3"}, claim("webhook", noon.Add(2*time.Second)))
	same(t, "when the lease is over", []string{"m1", "m2"}, claim("webhook", noon.Add(time.Minute+time.Second)))
}

func testPushDone(t *testing.T, s Store) {
	mustPush(t, s, func(tx push.Tx) error {
		if err := tx.PutPushJob(job("bob", "c1", noon), pactwire.InboxOf("bob"), 1, false); err != nil {
			return err
		}
		if err := tx.PutPush(message("m1", "b1", noon)); err != nil {
			return err
		}
		return tx.PutPush(message("m2", "b1", noon))
	})
	_, ids := dueJobs(t, s, noon)
	seen := func() (there bool) {
		mustPush(t, s, func(tx push.Tx) (err error) {
			there, err = tx.SeenPush("bob", pactwire.InboxOf("bob"), 1)
			return err
		})
		return there
	}
	mustPush(t, s, func(tx push.Tx) error {
		if err := tx.BatchPushJob(ids[0], "b1"); err != nil {
			return err
		}
		if err := tx.DonePush("m1"); err != nil {
			return err
		}
		if err := tx.DonePush("m2"); err != nil {
			return err
		}
		return tx.DonePush("m2") // twice is harmless
	})
	if seen() {
		t.Error("the job outlived its pushes")
	}
}

func testPushDead(t *testing.T, s Store) {
	dead := message("m1", "b1", noon)
	mustPush(t, s, func(tx push.Tx) error {
		if err := tx.PutPush(dead); err != nil {
			return err
		}
		dead.Attempts, dead.NextAt, dead.Dead, dead.Error = 9, noon.Add(time.Hour), true, "HTTP 410"
		return tx.FailPush(dead)
	})
	s = s.Reopen(t)
	list, err := s.Pushes(ctx, true, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "dead", []pactwire.Push{dead}, list)
	if _, channels, err := s.PushWork(ctx, noon.Add(24*time.Hour)); err != nil || channels != nil {
		t.Errorf("a dead push is due: %v, %v", channels, err)
	}
	var first, again bool
	mustPush(t, s, func(tx push.Tx) (err error) {
		if first, err = tx.RevivePush("m1", noon.Add(2*time.Hour)); err != nil {
			return err
		}
		again, err = tx.RevivePush("m1", noon)
		return err
	})
	if !first || again {
		t.Errorf("revived %v, then %v", first, again)
	}
	dead.Dead, dead.Attempts, dead.CreatedAt, dead.NextAt = false, 0, noon.Add(2*time.Hour), noon.Add(2*time.Hour)
	if list, err = s.Pushes(ctx, false, "", 10); err != nil {
		t.Fatal(err)
	}
	same(t, "revived", []pactwire.Push{dead}, list)
	if list, err := s.Pushes(ctx, false, "m1", 10); err != nil || len(list) != 0 {
		t.Errorf("after the last: %v, %v", list, err)
	}
}

func testPushCount(t *testing.T, s Store) {
	counts := func(day pactwire.LocalDate) (n int) {
		mustPush(t, s, func(tx push.Tx) (err error) {
			n, err = tx.PushCount("bob", day)
			return err
		})
		return n
	}
	add := func(day pactwire.LocalDate) {
		mustPush(t, s, func(tx push.Tx) error { return tx.CountPush("bob", day) })
	}
	add("2026-05-01")
	add("2026-05-01")
	if n := counts("2026-05-01"); n != 2 {
		t.Errorf("%d on the first day", n)
	}
	if n := counts("2026-05-02"); n != 0 {
		t.Errorf("%d on a day without any", n)
	}
	add("2026-05-02")
	if n := counts("2026-05-02"); n != 1 {
		t.Errorf("%d on the second day", n)
	}
}

func testPushTokens(t *testing.T, s Store) {
	var long [2000]byte // more than an index takes, and not to be compressed
	if _, err := rand.NewChaCha8([32]byte{}).Read(long[:]); err != nil {
		t.Fatal(err)
	}
	first := pactwire.PushToken{ID: "t1", User: "alice", Kind: pactwire.TokenWebPush, Token: "https://push.example/" + hex.EncodeToString(long[:]), P256dh: "k", Auth: "a", CreatedAt: pactwire.Time(noon)}
	put := func(p pactwire.PushToken) (out pactwire.PushToken) {
		mustPush(t, s, func(tx push.Tx) (err error) {
			out, err = tx.PutPushToken(p)
			return err
		})
		return out
	}
	tokens := func(u pactwire.UserID) []pactwire.PushToken {
		list, err := s.PushTokens(ctx, u)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	put(first)
	moved := first
	moved.ID, moved.User, moved.P256dh, moved.CreatedAt = "t2", "bob", "k2", pactwire.Time(noon.Add(time.Hour))
	moved = put(moved)
	if moved.ID != "t1" || moved.CreatedAt != first.CreatedAt {
		t.Errorf("a known token got the id %s and the time %v", moved.ID, moved.CreatedAt.Std())
	}
	s = s.Reopen(t)
	same(t, "alice's", []pactwire.PushToken(nil), tokens("alice"))
	same(t, "bob's", []pactwire.PushToken{moved}, tokens("bob"))
	var wrong, right bool
	mustPush(t, s, func(tx push.Tx) (err error) {
		if list, err := tx.PushTokensOf("bob"); err != nil || len(list) != 1 {
			return fmt.Errorf("in a transaction: %v, %w", list, err)
		}
		if wrong, err = tx.DropPushToken("alice", "t1"); err != nil {
			return err
		}
		right, err = tx.DropPushToken("bob", "t1")
		return err
	})
	if left := tokens("bob"); wrong || !right || len(left) != 0 {
		t.Errorf("dropped by another %v, by its owner %v, left %v", wrong, right, left)
	}
}

func testPushSettings(t *testing.T, s Store) {
	u := pactwire.User{ID: "bob", UserName: "Bob", TimeZone: "UTC", DayStartsAt: "00:00",
		Push: pactwire.PushSettings{Off: []pactwire.PushKind{pactwire.PushCheckin}, MutedPacts: []pactwire.PactID{"p"}}}
	read := func() pactwire.User {
		got, _, err := s.ReadUser(ctx, "bob")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	must(t, s, func(tx Tx) error { return tx.PutUser(u) })
	same(t, "set", u, read())
	must(t, s, func(tx Tx) error { return tx.TouchUser("bob", "Bob", noon) })
	same(t, "touched", u, read())
	u.Push = pactwire.PushSettings{}
	must(t, s, func(tx Tx) error { return tx.PutUser(u) })
	same(t, "unset", u, read())
}

func testPushPrune(t *testing.T, s Store) {
	mustPush(t, s, func(tx push.Tx) error {
		old := message("m1", "b1", noon)
		old.Dead = true
		young := message("m2", "b2", noon)
		young.CreatedAt = noon.Add(time.Hour)
		if err := tx.PutPush(old); err != nil {
			return err
		}
		return tx.PutPush(young)
	})
	n := 0
	mustPush(t, s, func(tx push.Tx) (err error) {
		n, err = tx.PrunePushes(noon.Add(time.Minute), 10)
		return err
	})
	if list, err := s.Pushes(ctx, false, "", 10); err != nil || n != 1 || len(list) != 1 || list[0].ID != "m2" {
		t.Errorf("%d pruned, left %v, %v", n, list, err)
	}
}
