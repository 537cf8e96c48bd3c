package bridge_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
)

func TestPromise5MembershipOutlivesAnOutageOfTheService(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		n.members.Release("alice")
		n.hold(t, bob)
		s.set(func() { s.down = true })
		wait(30 * time.Minute)
		n.hold(t, alice) // back while the service is away
		if !n.members.CanRead("alice", "p1") || !n.members.CanRead("bob", "p1") {
			t.Error("what was read half an hour ago is not valid any more")
		}
		if err := n.accept(t, done(alice, p.ID, "", "")); err != nil {
			t.Error(err)
		}
		if err := n.members.Ensure(t.Context(), "carol"); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("who was never read: %v", err)
		}
		if err := n.accept(t, done(alice, "p9", "", "")); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("a pact that was never read: %v", err)
		}
		if n.members.Stale("alice") {
			t.Error("too old after half an hour")
		}
		wait(31 * time.Minute)
		if !n.members.Stale("bob") || !n.members.CanRead("bob", "p1") {
			t.Error("after an hour nobody subscribes anew, and who has subscribed goes on")
		}
		if err := n.accept(t, done(bob, p.ID, "", "")); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("after an hour: %v", err)
		}
		if err := n.members.Ensure(t.Context(), "bob"); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("after an hour: %v", err)
		}
		s.set(func() { s.down = false })
		wait(time.Minute)
		if err := n.accept(t, done(bob, p.ID, "", "")); err != nil {
			t.Errorf("the service is back: %v", err)
		}
	})
}

// TestAServiceThatHangsIsWaitedForOnce by people of whom something valid is known, and not for longer than they have time.
func TestAServiceThatHangsIsWaitedForOnce(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		for _, who := range []pactwire.Identity{alice, bob} {
			n.hold(t, who)
			n.members.Release(who.UserID)
		}
		s.set(func() { s.hangs = true })
		wait(30 * time.Minute)
		for i, tt := range []struct {
			user         pactwire.UserID
			patience     time.Duration
			takes, pause time.Duration
			code         pactwire.Code
		}{
			{"alice", time.Minute, time.Second, 0, ""},
			{"bob", time.Minute, 0, time.Minute, ""},
			{"alice", time.Second / 5, time.Second / 5, 0, ""},
			{"carol", 2 * time.Second, 2 * time.Second, 0, pactwire.Unavailable},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
			began := time.Now()
			err := n.members.Ensure(ctx, tt.user)
			if took := time.Since(began); pactwire.CodeOf(err) != tt.code || took != tt.takes {
				t.Errorf("%d: %v after %v", i, err, took)
			}
			cancel()
			if err == nil {
				n.members.Release(tt.user)
			}
			wait(tt.pause)
		}
	})
}

// TestPromise5WhoDidNotWaitForTheServiceIsBoundByItsAnswer: it comes when they are held already, by what was known before.
func TestPromise5WhoDidNotWaitForTheServiceIsBoundByItsAnswer(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob), activePact("p2", "g2", alice, bob))
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		n.members.Release("alice")
		s.set(func() {
			s.pacts["p1"] = activePact("p1", "g1", bob)
			s.takes = 2 * time.Second
		})
		wait(30 * time.Minute)
		n.hold(t, alice)
		if !n.members.CanRead("alice", "p1") {
			t.Error("she waited for the service")
		}
		wait(s.takes)
		if n.members.CanRead("alice", "p1") || !n.members.CanRead("alice", "p2") {
			t.Error("the service has answered that she is in p2 alone, and she may read something else")
		}
	})
}

// TestWhoHasStoppedWaitingCountsAmongTheIdle when their pacts come in the end.
func TestWhoHasStoppedWaitingCountsAmongTheIdle(t *testing.T) {
	inBubble(t, newScript(), bridge.Config{}, func(t *testing.T, n *node) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range bridge.IdleUsers + 100 {
			if err := n.members.Ensure(gone, pactwire.UserID(fmt.Sprint("u", i))); err == nil {
				n.members.Release(pactwire.UserID(fmt.Sprint("u", i)))
			}
		}
		wait(time.Second)
		if got := n.members.Idle(); got == 0 || got > bridge.IdleUsers {
			t.Errorf("%d idle users are known", got)
		}
	})
}

func TestReadingsOfManyPactsAreForgottenInTime(t *testing.T) {
	held, last, asked := bridge.Notices(bridge.NoticesHeld + 100)
	if held > bridge.NoticesHeld || !last || !asked {
		t.Errorf("%d are held; the last one: %v; what was asked for: %v", held, last, asked)
	}
}

// TestWhatIsRecordedIsDone: a reading that nothing came between is not made again, nor waited for.
func TestWhatIsRecordedIsDone(t *testing.T) {
	s := newScript(activePact("p1", "g1", alice, bob))
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		wait(time.Second)
		for range 8 { // the pause would be a random one
			s.set(func() {
				p := s.pacts["p1"]
				p.HabitName += "!"
				s.pacts["p1"] = p
			})
			began := time.Now()
			if err := n.bridge.Refresh(t.Context(), "p1"); err != nil || time.Since(began) > 0 {
				t.Fatalf("took %s: %v", time.Since(began), err)
			}
		}
	})
}

func TestChangesElsewhereAreSeenInTheBackground(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	s := newScript(p)
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob, carol)
		wait(time.Second)
		if got := n.told.activities(t, p.ID); len(got) != 0 {
			t.Fatalf("at first sight: %v", got)
		}
		s.set(func() { s.pacts["p1"] = activePact("p1", "g1", alice, bob, carol) })
		wait(61 * time.Second)
		if !n.members.CanRead("carol", "p1") {
			t.Error("carol joined and cannot read")
		}
		reads := s.readCount()
		wait(10 * time.Minute)
		if got := s.readCount() - reads; got > 25 {
			t.Errorf("%d reads in ten minutes", got)
		}
		s.set(func() { s.pacts["p1"] = activePact("p1", "g1", alice, carol) }) // bob is left out of the answer
		wait(61 * time.Second)
		if n.members.CanRead("bob", "p1") || !n.members.CanRead("carol", "p1") {
			t.Error("bob left, carol stayed")
		}
		s.set(func() { delete(s.pacts, "p1") })
		wait(61 * time.Second)
		if n.members.CanRead("alice", "p1") || n.members.CanRead("carol", "p1") {
			t.Error("the pact is gone")
		}
		var got []string
		for _, a := range n.told.activities(t, p.ID) {
			got = append(got, fmt.Sprint(a.Type, " ", a.UserID))
		}
		if len(got) < 2 || got[0] != "partner_joined carol" || got[1] != "member_left bob" {
			t.Errorf("%v", got)
		}
	})
}

func TestPactJoinedElsewhereIsFoundAtTheFirstCommand(t *testing.T) {
	s := newScript()
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		reads := s.readCount()
		for range 20 {
			if err := n.accept(t, done(alice, "p1", "", "")); pactwire.CodeOf(err) != pactwire.Denied {
				t.Fatal(err)
			}
		}
		if got := s.readCount() - reads; got != 1 {
			t.Errorf("%d reads of a pact that is not there", got)
		}
		s.set(func() { s.pacts["p1"] = activePact("p1", "g1", bob, alice) })
		wait(11 * time.Second)
		reads = s.readCount()
		for i := range 5 {
			if err := n.accept(t, done(alice, "p1", "", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.readCount() - reads; got != 1 || !n.members.CanRead("alice", "p1") {
			t.Errorf("%d reads", got)
		}
	})
}

// TestANewPactIsFoundThoughItWasAskedForBefore: by somebody else, by the member a second ago, or by the member in the moment in which it was made.
func TestANewPactIsFoundThoughItWasAskedForBefore(t *testing.T) {
	s := newScript()
	made := func() { s.set(func() { s.pacts["p1"] = activePact("p1", "g1", alice, bob) }) }
	ask := func(t *testing.T, n *node, who pactwire.Identity) string {
		return string(pactwire.CodeOf(n.accept(t, done(who, "p1", "", ""))))
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, n *node) []string
		want []string
	}{
		{"by somebody else", func(t *testing.T, n *node) []string {
			first := ask(t, n, carol)
			made()
			return []string{first, ask(t, n, alice)}
		}, []string{"denied", ""}},
		{"a second ago", func(t *testing.T, n *node) []string {
			first := ask(t, n, alice)
			made()
			wait(time.Second)
			return []string{first, ask(t, n, alice)}
		}, []string{"denied", ""}},
		{"told of meanwhile", func(t *testing.T, n *node) []string {
			s.set(func() {
				s.onRead = func() {
					made()
					if err := n.bridge.Refresh(t.Context(), "p1"); err != nil {
						t.Error(err)
					}
				}
			})
			return []string{ask(t, n, alice), ask(t, n, alice)}
		}, []string{"", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.set(func() { clear(s.pacts) })
			inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
				n.hold(t, alice, bob, carol)
				if got := tt.do(t, n); !slices.Equal(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestAListedPactIsKnownAtOnce: who is shown a pact of theirs may use it, and their wildcards take it in.
func TestAListedPactIsKnownAtOnce(t *testing.T) {
	s := newScript(activePact("old", "g1", alice, bob))
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice)
		list := []pactwire.Pact{activePact("old", "g1", alice, bob), activePact("p1", "g1", alice, bob), activePact("others", "g1", carol, bob)}
		s.set(func() { s.pacts["p1"] = list[1] })
		reads := s.readCount()
		for range 3 {
			n.bridge.Listed(t.Context(), "alice", list)
			n.bridge.Listed(t.Context(), "carol", list) // who is not here
		}
		if !n.members.CanRead("alice", "p1") {
			t.Error("the new pact is not known")
		}
		if got := s.readCount() - reads; got != 1 {
			t.Errorf("%d reads", got)
		}
	})
}

// TestAnOldReadingDoesNotOverruleANewerOne: of two readings the one that began later counts, whichever is recorded first.
func TestAnOldReadingDoesNotOverruleANewerOne(t *testing.T) {
	before, after := activePact("p1", "g1", alice, bob), activePact("p1", "g1", alice, bob, carol)
	s := newScript(before)
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, carol)
		wait(time.Second)
		early := n.bridge.Reading()
		s.set(func() { s.pacts["p1"] = after })
		if err := n.bridge.Refresh(t.Context(), "p1"); err != nil {
			t.Fatal(err)
		}
		if err := early(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if got := n.told.activities(t, "p1"); len(got) != 1 || got[0].Type != pactwire.PartnerJoined {
			t.Errorf("%v", got)
		}
		if !n.members.CanRead("carol", "p1") {
			t.Error("carol was put out by an old reading")
		}
	})
}

func TestRemoteLifeOfAPact(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	p.Status, p.Members[1].Status = pactwire.PactPending, pactwire.MemberPending
	s := newScript()
	inBubble(t, s, bridge.Config{}, func(t *testing.T, n *node) {
		n.hold(t, alice, bob)
		step := func(f func(p *pactwire.Pact)) {
			p.Members = slices.Clone(p.Members)
			f(&p)
			s.set(func() { s.pacts["p1"] = p })
			if err := n.bridge.Saw(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		step(func(*pactwire.Pact) {})
		if got := types(n.told.events(t, "bob")); !slices.Equal(got, []pactwire.EventType{pactwire.EventPactInvitation}) {
			t.Errorf("bob is invited: %v", got)
		}
		if n.members.CanRead("bob", "p1") || !n.members.CanRead("alice", "p1") {
			t.Error("of a pending pact the creator alone is a member")
		}
		step(func(p *pactwire.Pact) { p.Status, p.Members[1].Status = pactwire.PactActive, pactwire.MemberActive })
		step(func(p *pactwire.Pact) { p.Members[1].Status = pactwire.MemberRemoved })
		step(func(p *pactwire.Pact) { p.Status, p.EndReason = pactwire.PactAbandoned, "alone" })
		var got []string
		for _, a := range n.told.activities(t, "p1") {
			got = append(got, fmt.Sprintf("%d %s %s", a.Seq, a.Type, a.UserID))
		}
		want := []string{"1 partner_joined bob", "2 pact_started bob", "3 member_left alice", "4 pact_abandoned alice"}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if got := types(n.told.events(t, "bob")); !slices.Equal(got, []pactwire.EventType{pactwire.EventPactInvitation, pactwire.EventLeftPact}) {
			t.Errorf("bob's inbox: %v", got)
		}
	})
}

// TestPromise5ViewIsExactUnderConcurrentChanges lets people come and go while others connect, and compares the view with
// the store afterwards.
func TestPromise5ViewIsExactUnderConcurrentChanges(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	var people []pactwire.Identity
	for i := range 6 {
		people = append(people, pactwire.Identity{UserID: pactwire.UserID(fmt.Sprint("u", i)), UserName: "U"})
	}
	var pacts []pactwire.Pact
	for i := range 6 {
		pacts = append(pacts, pactOf(t, n.service, people[i], people[(i+1)%6], people[(i+2)%6]))
	}
	var wg sync.WaitGroup
	for i, u := range people {
		wg.Go(func() {
			for range 30 {
				if err := n.members.Ensure(ctx, u.UserID); err != nil {
					t.Error(err)
				}
				n.members.Release(u.UserID)
			}
			n.hold(t, u)
		})
		wg.Go(func() {
			if _, err := n.service.Act(ctx, people[(i+2)%6], pacts[i].ID, pactwire.ActLeave); err != nil {
				t.Error(err)
			}
			if _, err := n.service.Invite(ctx, people[i], pacts[i].ID, []pactwire.UserID{people[(i+3)%6].UserID}); err != nil {
				t.Error(err)
			}
			if _, err := n.service.Act(ctx, people[(i+3)%6], pacts[i].ID, pactwire.ActAccept); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range pacts {
		stored, ok, err := n.db.ReadPact(ctx, p.ID)
		if err != nil || !ok {
			t.Fatal(err)
		}
		for _, u := range people {
			want := stored.CanRead(u.UserID, time.Now())
			listed := slices.ContainsFunc(n.members.Pacts(u.UserID), func(m pactwire.Membership) bool { return m.Pact == p.ID })
			if got := n.members.CanRead(u.UserID, p.ID); got != want || listed != want {
				t.Errorf("%s in %s: can read %v, listed %v, want %v", u.UserID, p.ID, got, listed, want)
			}
		}
	}
}

func TestWhyExplains(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	if _, err := n.service.Invite(t.Context(), alice, p.ID, []pactwire.UserID{"carol"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user           pactwire.UserID
		pact           pactwire.PactID
		read, involved bool
	}{{"alice", p.ID, true, true}, {"bob", p.ID, true, true}, {"carol", p.ID, false, true}, {"dave", p.ID, false, false}, {"alice", "none", false, false}} {
		e, err := n.members.Why(t.Context(), c.user, c.pact)
		if err != nil || e.CanRead != c.read || e.CanCommand != c.read || e.Involved != c.involved || e.Because == "" {
			t.Errorf("%s %s: %+v %v", c.user, c.pact, e, err)
		}
	}
}
