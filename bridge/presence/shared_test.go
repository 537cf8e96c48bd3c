package presence_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/presence"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

const lease = presence.DefaultLease

// town is several nodes over one store and one board.
type town struct {
	heard
	t     *testing.T
	store *memory
	board memoryBoard
	nodes map[string]*presence.Shared
}

func newTown(t *testing.T, store *memory, names ...string) *town {
	t.Helper()
	w := &town{t: t, store: store, nodes: map[string]*presence.Shared{}}
	for _, name := range names {
		w.open(name)
	}
	return w
}

func share(t *testing.T, board *memoryBoard, name string, store *memory, on func(pactwire.Presence)) *presence.Shared {
	t.Helper()
	s := presence.NewShared(presence.Config{}, nodeBoard{board, name}, store, on, nil, prometheus.NewRegistry())
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *town) open(name string) *presence.Shared {
	w.t.Helper()
	s := share(w.t, &w.board, name, w.store, w.on)
	w.nodes[name] = s
	return s
}

func (w *town) stop() {
	for name := range w.nodes {
		w.end(name)
	}
}

func (w *town) end(name string) {
	w.t.Helper()
	s := w.nodes[name]
	delete(w.nodes, name)
	if err := s.Stop(w.t.Context()); err != nil {
		w.t.Error(err)
	}
}

// kill ends a node without a word: what it does after that reaches neither board nor store.
func (w *town) kill(name string) {
	s := w.nodes[name]
	delete(w.nodes, name)
	w.board.goAway(true)
	w.store.goAway(true)
	_ = s.Stop(w.t.Context())
	synctest.Wait()
	w.board.goAway(false)
	w.store.goAway(false)
}

// bury tells all nodes that another's lease is over.
func (w *town) bury(name string, age time.Duration) {
	for _, s := range w.nodes {
		s.Bury(w.t.Context(), []pactwire.NodeBeat{{Addr: name, Age: age, Lapsed: true}})
	}
}

func (w *town) reset() {
	for _, s := range w.nodes {
		s.Repeat()
	}
}

// want checks what was announced since the last call, by whichever node.
func (w *town) want(what ...string) {
	w.t.Helper()
	synctest.Wait()
	var got []string
	for _, p := range w.take() {
		how := ""
		if p.LoggedOut {
			how = " by their word"
		}
		got = append(got, fmt.Sprint(p.UserID, " ", p.Status, how))
	}
	slices.Sort(got)
	if !slices.Equal(got, what) {
		w.t.Fatalf("announced %q, want %q", got, what)
	}
}

func (w *town) get(name string, u pactwire.UserID) pactwire.Presence {
	w.t.Helper()
	l, err := w.nodes[name].Get(w.t.Context(), []pactwire.UserID{u})
	if err != nil {
		w.t.Fatal(err)
	}
	return l[0]
}

func runTown(t *testing.T, name string, f func(*testing.T, *town)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t, newMemory(), "a/1", "b/1")
			defer w.stop()
			f(t, w)
		})
	})
}

func conn(u pactwire.UserID, client string, id uint64) presence.Conn {
	return presence.Conn{User: u, Name: string(u), ID: id, ClientID: client}
}

func TestPromise6PresenceIsTrueOverNodes(t *testing.T) {
	runTown(t, "the best of all nodes, and offline is announced once", func(t *testing.T, w *town) {
		a, b := w.nodes["a/1"], w.nodes["b/1"]
		a.Arrive(conn("alice", "phone", 1))
		w.want("alice active")
		b.Arrive(conn("alice", "web", 2))
		w.want()
		a.Leave(conn("alice", "phone", 1))
		wait(2 * grace)
		w.want()
		b.Say(conn("alice", "web", 2), away)
		w.want("alice away")
		for name := range w.nodes {
			if p := w.get(name, "alice"); p.Status != away {
				t.Errorf("a snapshot at %s says %+v", name, p)
			}
		}
		left := time.Now()
		b.Leave(conn("alice", "web", 2))
		wait(grace)
		w.want("alice offline")
		for name := range w.nodes {
			if p := w.get(name, "alice"); p.IsOnline || !p.LastSeen.Std().Equal(left) {
				t.Errorf("a snapshot at %s says %+v", name, p)
			}
		}
		wait(time.Hour)
		w.want()
	})
	runTown(t, "who says offline is told from who vanishes", func(t *testing.T, w *town) {
		a, b := w.nodes["a/1"], w.nodes["b/1"]
		a.Arrive(conn("alice", "phone", 1))
		b.Arrive(conn("alice", "web", 2))
		w.want("alice active")
		a.Say(conn("alice", "phone", 1), offline)
		w.want()
		b.Say(conn("alice", "web", 2), offline)
		w.want("alice offline by their word")
		b.Say(conn("alice", "web", 2), away)
		w.want("alice away")
		w.board.forget()
		w.reset()
		b.Say(conn("alice", "web", 2), offline) // waits until all have repeated their words
		w.want()
		wait(time.Minute)
		w.want("alice offline by their word")
		a.Say(conn("alice", "phone", 1), pactwire.PresenceActive)
		w.want("alice active")
		a.Leave(conn("alice", "phone", 1))
		wait(grace)
		w.want("alice offline")
	})
	runTown(t, "moving to another node announces nothing", func(t *testing.T, w *town) {
		a, b := w.nodes["a/1"], w.nodes["b/1"]
		a.Arrive(conn("alice", "phone", 1))
		w.want("alice active")
		for range 5 {
			a.Leave(conn("alice", "phone", 1))
			wait(grace / 2)
			b.Arrive(conn("alice", "phone", 1))
			wait(2 * grace)
			a, b = b, a
		}
		w.want()
	})
	runTown(t, "a snapshot tells of who has just come", func(t *testing.T, w *town) {
		w.nodes["a/1"].Arrive(conn("alice", "phone", 1))
		if p := w.get("a/1", "alice"); !p.IsOnline {
			t.Errorf("%+v", p)
		}
	})
	runTown(t, "whom a killed node held goes offline once", func(t *testing.T, w *town) {
		for i, u := range []pactwire.UserID{"alice", "bob", "carol"} {
			w.nodes["a/1"].Arrive(conn(u, "phone", uint64(i+1)))
		}
		w.want("alice active", "bob active", "carol active")
		w.open("c/1")
		w.nodes["b/1"].Arrive(conn("bob", "web", 9))
		wait(time.Minute)
		died := time.Now()
		w.kill("a/1")
		wait(lease / 2)
		w.nodes["b/1"].Arrive(conn("carol", "phone", 10)) // is back at another node
		wait(lease / 2)
		w.bury("a/1", lease)
		w.want("alice offline")
		if p := w.get("b/1", "alice"); p.IsOnline || p.LastSeen.Std().Before(died) {
			t.Errorf("%+v; died at %v", p, died)
		}
		w.bury("a/1", lease)
		wait(time.Hour)
		w.want()
	})
	runTown(t, "a stop takes no word back", func(t *testing.T, w *town) {
		w.nodes["a/1"].Arrive(conn("alice", "phone", 1))
		w.nodes["a/1"].Arrive(conn("bob", "phone", 2))
		w.want("alice active", "bob active")
		w.nodes["a/1"].Leave(conn("alice", "phone", 1))
		w.end("a/1")
		w.nodes["b/1"].Arrive(conn("alice", "phone", 1))
		wait(grace)
		w.want()
		w.bury("a/1", grace)
		w.want("bob offline")
	})
	runTown(t, "when all restart, whoever is back in time never was away", func(t *testing.T, w *town) {
		w.nodes["a/1"].Arrive(conn("alice", "phone", 1))
		w.nodes["b/1"].Arrive(conn("bob", "phone", 2))
		w.want("alice active", "bob active")
		w.end("a/1")
		w.end("b/1")
		wait(time.Hour)
		w.open("a/2")
		w.open("b/2")
		w.bury("a/1", time.Hour)
		w.bury("b/1", time.Hour)
		w.want()
		w.nodes["b/2"].Arrive(conn("alice", "phone", 1))
		wait(grace)
		w.bury("a/1", time.Hour)
		w.bury("b/1", time.Hour)
		w.want("bob offline")
		wait(time.Hour)
		w.want()
	})
}

func TestTheManyPeopleOfADeadNodeAreAnnouncedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, newMemory(), "a/1")
		defer w.stop()
		const people = 3000
		for i := range people {
			w.nodes["a/1"].Arrive(conn(pactwire.UserID(fmt.Sprint("u", i)), "phone", uint64(i+1)))
		}
		wait(5 * time.Second)
		b := share(t, &w.board, "b/1", w.store, func(p pactwire.Presence) {
			<-time.After(100 * time.Millisecond) // a read of a busy database
			w.on(p)
		})
		w.nodes["b/1"] = b
		wait(grace)
		w.kill("a/1")
		w.take()
		w.bury("a/1", lease)
		wait(15 * time.Second) // after a lease of 30 s
		gone := 0
		for _, p := range w.take() {
			if p.Status == offline {
				gone++
			}
		}
		if gone != people {
			t.Errorf("%d of %d", gone, people)
		}
	})
}

func TestTrap14PresenceWhileTheBoardIsAway(t *testing.T) {
	runTown(t, "who comes is announced, who goes is not before it is back", func(t *testing.T, w *town) {
		a, b := w.nodes["a/1"], w.nodes["b/1"]
		a.Arrive(conn("alice", "phone", 1))
		b.Arrive(conn("alice", "web", 2))
		a.Arrive(conn("bob", "phone", 3))
		w.want("alice active", "bob active")
		w.board.goAway(true)
		a.Arrive(conn("carol", "phone", 4))
		w.want("carol active")
		a.Leave(conn("alice", "phone", 1))
		a.Leave(conn("bob", "phone", 3))
		wait(time.Minute)
		w.want()
		if p := w.get("a/1", "bob"); !p.IsOnline {
			t.Errorf("by mistake: %+v", p)
		}
		w.board.goAway(false)
		w.reset()
		wait(10 * time.Second)
		w.want("bob offline", "carol active") // carol once more, for the other nodes
		wait(time.Hour)
		w.want()
	})
	runTown(t, "a board that has forgotten all hears it again, and nobody else does", func(t *testing.T, w *town) {
		a, b := w.nodes["a/1"], w.nodes["b/1"]
		a.Arrive(conn("alice", "phone", 1))
		w.want("alice active")
		b.Arrive(conn("alice", "web", 2))
		b.Say(conn("alice", "web", 2), away)
		b.Arrive(conn("bob", "phone", 3))
		w.want("bob active")
		before := w.get("a/1", "bob")
		w.board.forget()
		b.Repeat()
		wait(time.Second)
		a.Repeat()
		wait(time.Hour)
		w.want()
		for name := range w.nodes {
			if p := w.get(name, "bob"); p.Status != active || p.Version <= before.Version {
				t.Errorf("at %s %+v", name, p)
			}
			if p := w.get(name, "alice"); p.Status != active {
				t.Errorf("at %s %+v", name, p)
			}
		}
	})
	runTown(t, "who goes as it forgets is announced, unless another node has them", func(t *testing.T, w *town) {
		a, b := w.nodes["a/1"], w.nodes["b/1"]
		a.Arrive(conn("alice", "phone", 1))
		b.Arrive(conn("alice", "web", 2))
		a.Arrive(conn("bob", "phone", 3))
		w.want("alice active", "bob active")
		a.Leave(conn("alice", "phone", 1))
		a.Leave(conn("bob", "phone", 3))
		wait(grace - time.Millisecond)
		w.board.forget()
		wait(time.Second)
		w.want()
		w.reset()
		wait(10 * time.Second)
		w.want("bob offline")
	})
	t.Run("who was there when everything died goes offline once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t, newMemory(), "a/1", "b/1")
			defer w.stop()
			w.nodes["a/1"].Arrive(conn("alice", "phone", 1))
			w.nodes["b/1"].Arrive(conn("bob", "phone", 2))
			wait(5 * time.Second)
			w.want("alice active", "bob active")
			w.kill("a/1")
			w.kill("b/1")
			w.board.forget()
			w.open("a/2")
			w.open("b/2")
			w.nodes["a/2"].Arrive(conn("bob", "phone", 1))
			wait(lease + 10*time.Second)
			w.want("alice offline", "bob active")
			wait(time.Hour)
			w.want()
		})
	})
}

// TestPresenceOverNodesIsItsModel plays random lives on two nodes over a board that forgets and goes away, and looks whether
// everybody knows the truth in the end.
func TestPresenceOverNodesIsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) townStep {
			return townStep{
				what: rapid.SampledFrom([]string{"come", "come", "go", "go", "say", "wait", "wait", "forget", "away", "back"}).Draw(t, "what"),
				user: rapid.IntRange(0, 1).Draw(t, "user"), node: rapid.IntRange(0, 1).Draw(t, "node"),
				status: rapid.SampledFrom([]pactwire.PresenceStatus{active, away, offline}).Draw(t, "status"),
				wait:   time.Duration(rapid.IntRange(0, 15_000).Draw(t, "ms")) * time.Millisecond,
			}
		}), 5, 60).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) { err = live(t, steps) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

type townStep struct {
	what       string
	user, node int
	status     pactwire.PresenceStatus
	wait       time.Duration
}

func live(t *testing.T, steps []townStep) error {
	w := newTown(t, newMemory(), "a/1", "b/1")
	defer w.stop()
	users, nodes := []pactwire.UserID{"alice", "bob"}, []string{"a/1", "b/1"}
	is := map[string]pactwire.PresenceStatus{} // by person and node, while connected
	told, version := map[pactwire.UserID]pactwire.PresenceStatus{"alice": offline, "bob": offline}, map[pactwire.UserID]uint64{}
	var id uint64
	ids := map[string]uint64{}
	gone, parted := false, false
	for _, s := range steps {
		u, n := users[s.user], w.nodes[nodes[s.node]]
		key := fmt.Sprint(u, nodes[s.node])
		c := conn(u, nodes[s.node], ids[key])
		_, here := is[key]
		wait(10 * time.Millisecond) // versions are dated, and what is not written yet is lost with the board
		switch {
		case s.what == "come" && !here:
			id++
			ids[key], c.ID = id, id
			n.Arrive(c)
			is[key] = active
		case s.what == "go" && here:
			n.Leave(c)
			delete(is, key)
		case s.what == "say" && here:
			n.Say(c, s.status)
			is[key] = s.status
		case s.what == "wait":
			wait(s.wait)
		case s.what == "forget":
			w.board.forget()
			w.reset()
		case s.what == "away" || s.what == "back":
			if gone && s.what == "back" {
				w.board.goAway(false)
				w.reset()
			}
			gone = s.what == "away"
			parted = parted || gone
			w.board.goAway(gone)
		}
		synctest.Wait()
	}
	w.board.goAway(false)
	w.reset()
	wait(2 * (lease + grace))
	for _, p := range w.take() {
		if p.Version <= version[p.UserID] {
			// While the board is away each node tells its own readers alone. Nobody hears of both.
			if !parted {
				return fmt.Errorf("%s is %s with version %d after %d", p.UserID, p.Status, p.Version, version[p.UserID])
			}
			continue // older than what is known
		}
		version[p.UserID], told[p.UserID] = p.Version, p.Status
	}
	for _, u := range users {
		want := offline
		for _, n := range nodes {
			if s, ok := is[fmt.Sprint(u, n)]; ok && rank(s) > rank(want) {
				want = s
			}
		}
		if told[u] != want {
			return fmt.Errorf("%s was announced %s and is %s", u, told[u], want)
		}
		for _, n := range nodes {
			if p := w.get(n, u); p.Status != want {
				return fmt.Errorf("at %s the snapshot of %s says %s, want %s", n, u, p.Status, want)
			}
		}
	}
	return nil
}
