package bridge

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/pactwire/pactwire"
)

// onePact is a habits-service that has one pact.
type onePact struct {
	Habits
	mu    sync.Mutex
	pact  pactwire.Pact
	reads int
	loads int    // of people's pacts
	hook  func() // called when the pact has been read, before the reader gets it
	load  func() // called when people's pacts have been
}

func (h *onePact) PactsOf(_ context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loads++
	if h.load != nil {
		h.load()
	}
	all := make(map[pactwire.UserID][]pactwire.Pact)
	for _, u := range users {
		if _, in := h.pact.Member(u); in {
			all[u] = []pactwire.Pact{h.pact}
		}
	}
	return all, nil
}

func (h *onePact) Pact(context.Context, pactwire.PactID) (pactwire.Pact, error) {
	h.mu.Lock()
	p, hook := h.pact, h.hook
	p.Members = slices.Clone(p.Members)
	h.reads++
	h.mu.Unlock()
	if hook != nil {
		hook()
	}
	return p, nil
}

func (h *onePact) set(p pactwire.Pact, hook func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pact, h.hook = p, hook
}

// noJoins is a store in which nobody's own story has begun.
type noJoins struct{ Store }

func (noJoins) JoinedAt(context.Context, []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error) {
	return map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq{}, nil
}

func (noJoins) OnRollback(func(bool)) {}

// counted is a publisher that counts what it is told.
type counted struct {
	Publisher
	mu            sync.Mutex
	states, lists int
}

func (c *counted) StateChanged(pactwire.PactID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states++
}

func (c *counted) PactsChanged(pactwire.UserID, []pactwire.Membership, []pactwire.PactID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
}

// oneOfSeveral is a node of several on which alice, a member of p, is connected.
func oneOfSeveral(t *testing.T) (*Bridge, *onePact, *counted) {
	t.Helper()
	h, pub := &onePact{pact: called("Alice")}, &counted{}
	m := NewMembership(MembershipConfig{Shared: true}, h, noJoins{}, slog.New(slog.DiscardHandler))
	t.Cleanup(m.Stop)
	b := New(Config{Shared: true}, noJoins{}, h, m, slog.New(slog.DiscardHandler), nil)
	b.Bind(pub)
	b.Share(nil, pub)
	if err := m.Ensure(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	return b, h, pub
}

func called(name string) pactwire.Pact {
	return pactwire.Pact{ID: "p", Status: pactwire.PactActive,
		Members: []pactwire.Member{{UserID: "alice", UserName: name, Status: pactwire.MemberActive}}}
}

// TestReadersOfOnePactDoNotHoldEachOtherUp: of what all find the same nobody needs to read once more.
func TestReadersOfOnePactDoNotHoldEachOtherUp(t *testing.T) {
	b, h, _ := oneOfSeveral(t)
	const readers = 16
	var begun, done sync.WaitGroup
	begun.Add(readers)
	h.set(called("Alice"), func() { begun.Done(); begun.Wait() })
	for range readers {
		done.Go(func() {
			if err := b.Relearn(t.Context(), "p"); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if h.reads != readers {
		t.Errorf("%d reads", h.reads)
	}
}

// TestOfTwoReadingsAtOnceTheOtherIsMadeAgain: it may have read what was before.
func TestOfTwoReadingsAtOnceTheOtherIsMadeAgain(t *testing.T) {
	b, _, _ := oneOfSeveral(t)
	one, two := b.members.watch("p"), b.members.watch("p")
	if _, ok := b.members.takeUnless(one, called("Alicia")); !ok {
		t.Error("the first is not taken")
	}
	if _, ok := b.members.takeUnless(two, called("Alice")); ok {
		t.Error("what was read before is taken")
	}
	if n := len(b.members.watched); n != 0 {
		t.Errorf("%d pacts are still being read", n)
	}
}

// TestANewNameThatWasReadFirstIsTold when its news come.
func TestANewNameThatWasReadFirstIsTold(t *testing.T) {
	b, h, pub := oneOfSeveral(t)
	h.set(called("Alicia"), nil) // by another node
	if err := b.Learn(t.Context(), "mallory", []pactwire.PactID{"p"}); err != nil {
		t.Fatal(err)
	}
	if pub.states != 0 {
		t.Error("an outsider has the state told")
	}
	b.members.Rename("alice", "Alicia", []pactwire.PactID{"p"}, pub)
	if pub.states == 0 || pub.lists == 0 {
		t.Errorf("told %d states and %d lists", pub.states, pub.lists)
	}
}

// TestANewNameOutlivesAReadingOfBefore: the news come while the old name is on its way.
func TestANewNameOutlivesAReadingOfBefore(t *testing.T) {
	b, h, pub := oneOfSeveral(t)
	h.set(called("Alice"), func() {
		h.set(called("Alicia"), nil)
		b.members.Rename("alice", "Alicia", []pactwire.PactID{"p"}, pub)
	})
	if err := b.Relearn(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if got := b.members.get("p").Members[0].UserName; got != "Alicia" {
		t.Errorf("the view says %q for good", got)
	}
}

// TestAStrangersNameHoldsNobodyUp: in a storm of new people names are stored all the time, and who shares no pact with them need
// not have their own read again for it.
func TestAStrangersNameHoldsNobodyUp(t *testing.T) {
	b, h, pub := oneOfSeveral(t)
	before := h.loads
	h.load = func() {
		h.load = nil
		b.members.rename("zoe", "Zoe", pub)
		b.members.Rename("zoe", "Zoe", []pactwire.PactID{"another"}, pub)
	}
	if err := b.members.Ensure(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	if n := h.loads - before; n != 1 {
		t.Errorf("%d loads", n)
	}
	h.load = func() {
		h.load = nil
		b.members.Rename("alice", "Alicia", []pactwire.PactID{"p"}, pub)
	}
	before = h.loads
	b.members.Release("alice")
	h.set(called("Alicia"), nil)
	if err := b.members.Ensure(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if n := h.loads - before; n != 2 {
		t.Errorf("%d loads of who shares the pact", n)
	}
}

// TestAskingForThePactsOfOthersIsBounded: each question costs a read of the store, or of the habits-service, by whichever way it comes.
func TestAskingForThePactsOfOthersIsBounded(t *testing.T) {
	b, h, _ := oneOfSeveral(t)
	for i := range 1000 {
		if err := b.Learn(t.Context(), "mallory", []pactwire.PactID{pactwire.PactID("p" + strconv.Itoa(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if h.reads > asksInARow+asksASecond*10 {
		t.Errorf("%d reads", h.reads)
	}
	before := h.reads
	if err := b.Learn(t.Context(), "bob", []pactwire.PactID{"p"}); err != nil || h.reads == before {
		t.Errorf("somebody else may not ask: %v", err)
	}
}
