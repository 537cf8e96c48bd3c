package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/sqlite"
)

// turns are those of nodes in this process, in fake time; those of a database are tested in package postgres.
type turns struct {
	db   *sqlite.DB
	mu   sync.Mutex
	next int64
	held map[pactwire.UserID]turn
	seen map[int64]pactwire.CommandRecord // that were pending; Answered finds them by their keys
}

type turn struct {
	number int64
	node   *nodeTurns
	until  time.Time
}

type nodeTurns struct {
	*turns
	dead bool // under mu: it is not heard any more
}

func (n *nodeTurns) ClaimTurn(_ context.Context, u pactwire.UserID, d time.Duration) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.held[u]; n.dead || t.node != nil && t.node != n && time.Now().Before(t.until) {
		return 0, nil
	}
	n.next++
	n.held[u] = turn{n.next, n, time.Now().Add(d)}
	return n.next, nil
}

func (n *nodeTurns) RenewTurns(_ context.Context, turns []int64, d time.Duration) (lost []int64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		return nil, errDown
	}
	for _, number := range turns {
		there := false
		for u, t := range n.held {
			if t.number == number {
				t.until, there = time.Now().Add(d), true
				n.held[u] = t
			}
		}
		if !there {
			lost = append(lost, number)
		}
	}
	return lost, nil
}

func (n *nodeTurns) EndTurns(_ context.Context, turns []int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for u, t := range n.held {
		if !n.dead && slices.Contains(turns, t.number) {
			delete(n.held, u)
		}
	}
	return nil
}

func (n *nodeTurns) Answered(ctx context.Context, ids []int64) (out []pactwire.CommandRecord, err error) {
	pending, err := n.db.PendingCommands(ctx, 0, 1000)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	for _, r := range pending {
		n.seen[r.ID] = r
	}
	var asked []pactwire.CommandRecord
	for _, id := range ids {
		if r, ok := n.seen[id]; ok {
			asked = append(asked, r)
		}
	}
	n.mu.Unlock()
	done := make(chan error, 1)
	err = n.db.Submit(ctx, func(tx *sqlite.Tx) error {
		out = nil
		for _, r := range asked {
			now, _, err := tx.Command(r.User, r.Key)
			if err != nil {
				return err
			}
			if now.Answer != nil {
				out = append(out, now)
			}
		}
		return nil
	}, func(err error) { done <- err })
	if err == nil {
		err = <-done
	}
	return out, err
}

func (n *nodeTurns) Unserved(ctx context.Context, before time.Time, _ int) (out []pactwire.UserID, err error) {
	recs, err := n.db.PendingCommands(ctx, 0, 1000)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range recs {
		if t := n.held[r.User]; r.AcceptedAt.Before(before) && (t.node == nil || !time.Now().Before(t.until)) && !slices.Contains(out, r.User) {
			out = append(out, r.User)
		}
	}
	return out, err
}

// twoNodes runs a test in fake time with two bridges on one store and one scripted habits-service, which panics when two calls
// of one person are under way.
func twoNodes(t *testing.T, s *script, f func(t *testing.T, a, b *node, of [2]*nodeTurns)) {
	path := filepath.Join(t.TempDir(), "n.db")
	synctest.Test(t, func(t *testing.T) { withTwoNodes(t, path, s, f) })
}

// withTwoNodes is twoNodes in the time that it is.
func withTwoNodes(t *testing.T, path string, s *script, f func(t *testing.T, a, b *node, of [2]*nodeTurns)) {
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	shared := &turns{db: db, held: map[pactwire.UserID]turn{}, seen: map[int64]pactwire.CommandRecord{}}
	of := [2]*nodeTurns{{turns: shared}, {turns: shared}}
	a, b := scripted(t, db, s, bridge.Config{Shared: true, Turns: of[0]}), scripted(t, db, s, bridge.Config{Shared: true, Turns: of[1]})
	defer func() {
		a.bridge.Stop()
		a.members.Stop()
		b.close(t)
	}()
	f(t, a, b, of)
}

// TestOnePersonsCommandsGoInOrderOverNodes: whichever node took them in, one at a time, in order of acceptance, each once.
func TestOnePersonsCommandsGoInOrderOverNodes(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(context.Context, pactwire.CheckinRequest) error { <-time.After(30 * time.Millisecond); return nil }
	twoNodes(t, s, func(t *testing.T, a, b *node, _ [2]*nodeTurns) {
		a.hold(t, alice, bob)
		b.hold(t, alice, bob)
		var want []string
		for i := range 20 {
			n := []*node{a, b}[i/3%2]
			if err := n.accept(t, done(alice, p.ID, fmt.Sprint("k", i), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(i))
			wait(10 * time.Millisecond)
		}
		wait(10 * time.Second)
		var notes []string
		for _, c := range s.of("alice") {
			notes = append(notes, c.note)
		}
		if !slices.Equal(notes, want) {
			t.Errorf("went as %v", notes)
		}
		if got := len(a.told.activities(t, p.ID)) + len(b.told.activities(t, p.ID)); got != 20 {
			t.Errorf("%d activities", got)
		}
	})
}

// TestAnotherNodeFinishesWhatADeadOneBegan: a node that is not heard any more loses its turns, and does nothing more when it
// wakes up.
func TestAnotherNodeFinishesWhatADeadOneBegan(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	failing := true
	s.answer = func(context.Context, pactwire.CheckinRequest) error {
		if failing {
			return errDown
		}
		return nil
	}
	twoNodes(t, s, func(t *testing.T, a, b *node, of [2]*nodeTurns) {
		a.hold(t, alice, bob)
		for i := range 3 {
			if err := a.accept(t, done(alice, p.ID, fmt.Sprint("k", i), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		wait(time.Second)
		of[0].mu.Lock()
		of[0].dead = true
		of[0].mu.Unlock()
		wait(13 * time.Second) // its turn has lapsed, on its own clock before that
		s.set(func() { failing = false })
		wait(20 * time.Second)
		if got := len(b.told.activities(t, p.ID)); got != 3 {
			t.Errorf("the other node has done %d", got)
		}
		if got := len(a.told.activities(t, p.ID)); got != 0 {
			t.Errorf("the one that lost its turn did %d", got)
		}
	})
}

// TestNodesThatStopLeaveTheirTurns: the other goes on at once.
func TestNodesThatStopLeaveTheirTurns(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	s.answer = func(ctx context.Context, _ pactwire.CheckinRequest) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return ctx.Err()
	}
	twoNodes(t, s, func(t *testing.T, a, b *node, _ [2]*nodeTurns) {
		a.hold(t, alice, bob)
		for i := range 2 {
			if err := a.accept(t, done(alice, p.ID, fmt.Sprint("k", i), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		wait(100 * time.Millisecond)
		a.bridge.Stop()
		wait(8 * time.Second)
		if got := len(b.told.activities(t, p.ID)); got != 2 {
			t.Errorf("%d done after the stop of the other", got)
		}
	})
}

// TestTrapAnOlderReadingIsNotRecordedAfterANewerOne: two nodes read a pact of a remote habits-service, in whatever order the
// readings begin, are answered and are recorded. The people who join there never leave, so whoever is said to have left was
// put out by what was true before.
func TestTrapAnOlderReadingIsNotRecordedAfterANewerOne(t *testing.T) {
	s := newScript()
	withTwoNodes(t, filepath.Join(t.TempDir(), "n.db"), s, func(t *testing.T, a, b *node, _ [2]*nodeTurns) {
		nodes, round := []*node{a, b}, 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			p := activePact(pactwire.PactID(fmt.Sprint("p", round)), "g1", alice, bob)
			s.set(func() { s.pacts[p.ID] = p })
			for _, n := range nodes {
				if err := n.bridge.Refresh(t.Context(), p.ID); err != nil {
					rt.Fatal(err)
				}
			}
			type reading struct {
				record func(context.Context, pactwire.Pact) error
				said   pactwire.Pact
			}
			var begun, answered []reading
			take := func(list *[]reading) (r reading) {
				if len(*list) == 0 {
					rt.Skip("there is none")
				}
				i := rapid.IntRange(0, len(*list)-1).Draw(rt, "reading")
				r = (*list)[i]
				*list = slices.Delete(*list, i, i+1)
				return r
			}
			rt.Repeat(map[string]func(*rapid.T){
				"join": func(*rapid.T) {
					u := pactwire.UserID(fmt.Sprint("u", len(p.Members)))
					p.Members = append(slices.Clone(p.Members), pactwire.Member{UserID: u, UserName: "U", Role: pactwire.RolePartner, Status: pactwire.MemberActive})
					s.set(func() { s.pacts[p.ID] = p })
				},
				"begin": func(rt *rapid.T) {
					begun = append(begun, reading{record: rapid.SampledFrom(nodes).Draw(rt, "node").bridge.Reading()})
				},
				"answer": func(*rapid.T) {
					r := take(&begun)
					r.said = p
					answered = append(answered, r)
				},
				"record": func(rt *rapid.T) {
					if r := take(&answered); r.record(t.Context(), r.said) != nil {
						rt.Fatal("not recorded")
					}
				},
			})
			for _, n := range nodes {
				if err := n.bridge.Refresh(t.Context(), p.ID); err != nil {
					rt.Fatal(err)
				}
			}
			log, err := a.db.ReadAfter(t.Context(), pactwire.ActivityOf(p.ID), 0, 1000)
			if err != nil {
				rt.Fatal(err)
			}
			joined := 0
			for _, e := range log {
				var x pactwire.Activity
				if err := json.Unmarshal(e.Payload, &x); err != nil {
					rt.Fatal(err)
				}
				if joined++; x.Type != pactwire.PartnerJoined {
					rt.Fatalf("%s of %s", x.Type, x.UserID)
				}
			}
			if want := len(p.Members) - 2; joined != want {
				rt.Errorf("%d joined, want %d", joined, want)
			}
		})
	})
}

// TestWhatAnotherNodeHasReadIsShown: a state that a node tells of while it still has the older view is told once more, whether it takes the
// newer one from what was recorded or reads it too.
func TestWhatAnotherNodeHasReadIsShown(t *testing.T) {
	ways := []func(*bridge.Bridge, context.Context, pactwire.PactID) error{(*bridge.Bridge).Relearn, (*bridge.Bridge).Refresh}
	for i, learn := range ways {
		s := newScript(activePact("p1", "g1", alice, bob))
		twoNodes(t, s, func(t *testing.T, a, b *node, _ [2]*nodeTurns) {
			b.bridge.Share(nil, b.told)
			a.hold(t, alice)
			b.hold(t, bob)
			s.set(func() {
				p := activePact("p1", "g1", alice, bob, carol)
				p.Members[2].Status = pactwire.MemberPending
				s.pacts["p1"] = p
			})
			if err := a.bridge.Refresh(t.Context(), "p1"); err != nil {
				t.Fatal(err)
			}
			before := b.told.stated("p1")
			for range 2 { // the news may come twice
				if err := learn(b.bridge, t.Context(), "p1"); err != nil {
					t.Fatal(err)
				}
			}
			if p, _ := b.members.Pact("p1"); len(p.Members) != 3 || b.told.stated("p1") != before+1 {
				t.Errorf("%d: %d members are known, the state was told %d times", i, len(p.Members), b.told.stated("p1")-before)
			}
		})
	}
}
