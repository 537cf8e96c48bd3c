package presence_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/presence"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	active  = pactwire.PresenceActive
	away    = pactwire.PresenceAway
	offline = pactwire.PresenceOffline
	grace   = presence.DefaultGrace
)

// people is what both implementations do.
type people interface {
	Arrive(presence.Conn)
	Say(presence.Conn, pactwire.PresenceStatus)
	Touch(presence.Conn)
	Leave(presence.Conn)
	Get(context.Context, []pactwire.UserID) ([]pactwire.Presence, error)
	Start(context.Context) error
	Stop(context.Context) error
	People() int
	Online() int
}

// house is one node on a store, in a synctest bubble.
type house struct {
	people
	heard
	t     *testing.T
	store *memory
}

func open(t *testing.T, store *memory) *house {
	t.Helper()
	h := &house{t: t, store: store}
	h.people = presence.New(presence.Config{}, store, h.on, nil, prometheus.NewRegistry())
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) stop() {
	h.t.Helper()
	if err := h.Stop(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

// want checks the statuses announced since the last call, all of one person.
func (h *house) want(statuses ...pactwire.PresenceStatus) []pactwire.Presence {
	h.t.Helper()
	synctest.Wait()
	got := h.take()
	if len(got) != len(statuses) {
		h.t.Fatalf("announced %v, want %v", got, statuses)
	}
	for i, p := range got {
		if p.Status != statuses[i] || p.IsOnline != (statuses[i] != offline) {
			h.t.Fatalf("announcement %d is %+v, want %s", i, p, statuses[i])
		}
	}
	return got
}

func (h *house) get(u pactwire.UserID) pactwire.Presence {
	h.t.Helper()
	l, err := h.Get(h.t.Context(), []pactwire.UserID{u})
	if err != nil {
		h.t.Fatal(err)
	}
	return l[0]
}

func wait(d time.Duration) { <-time.After(d); synctest.Wait() }

func phone(id uint64) presence.Conn {
	return presence.Conn{User: "alice", Name: "Alice", ID: id, ClientID: "phone", Kind: pactwire.KindPhone}
}

func web(id uint64) presence.Conn {
	return presence.Conn{User: "alice", Name: "Alice", ID: id, ClientID: "web", Kind: pactwire.KindWeb}
}

// run runs f on a node alone and on one of several.
func run(t *testing.T, name string, f func(*testing.T, *house)) {
	t.Run(name+"/alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, newMemory())
			defer h.stop()
			f(t, h)
		})
	})
	t.Run(name+"/shared", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &house{t: t, store: newMemory()}
			h.people = share(t, &newTown(t, h.store).board, "a/1", h.store, h.on)
			defer h.stop()
			f(t, h)
		})
	})
}

func TestPromise6PresenceIsTrue(t *testing.T) {
	run(t, "offline is announced once, after the grace time", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		p := h.want(active)[0]
		if p.UserID != "alice" || p.UserName != "Alice" || p.LastSeen == nil {
			t.Errorf("announced %+v", p)
		}
		left := time.Now()
		h.Leave(phone(1))
		wait(grace - time.Millisecond)
		h.want()
		wait(time.Millisecond)
		off := h.want(offline)[0]
		if !off.LastSeen.Std().Equal(left) {
			t.Errorf("last seen %v, want %v", off.LastSeen.Std(), left)
		}
		if off.Version <= p.Version {
			t.Errorf("version %d after %d", off.Version, p.Version)
		}
		wait(10 * grace)
		h.want()
	})
	run(t, "a quick reconnect announces nothing", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.want(active)
		for id := uint64(2); id < 40; id++ {
			h.Leave(phone(id - 1))
			wait(time.Second)
			h.Arrive(phone(id))
		}
		wait(2 * grace)
		h.want()
	})
	run(t, "a takeover announces nothing, in either order", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.want(active)
		h.Arrive(phone(2))
		h.Leave(phone(1))
		h.Leave(phone(2))
		h.Arrive(phone(3))
		wait(2 * grace)
		h.want()
	})
	run(t, "another connection keeps one online", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.Arrive(web(2))
		h.want(active)
		h.Leave(phone(1))
		wait(2 * grace)
		h.want()
		h.Leave(web(2))
		wait(grace)
		h.want(offline)
	})
	run(t, "the best of the devices, and away is online", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.Arrive(web(2))
		h.want(active)
		h.Say(phone(1), away)
		h.want()
		h.Say(web(2), away)
		h.want(away)
		h.Say(phone(1), active)
		h.want(active)
		h.Leave(phone(1)) // its word stands for the grace time
		wait(grace - 1)
		h.want()
		wait(1)
		h.want(away)
	})
	run(t, "one who returns away is away at once", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.want(active)
		h.Leave(phone(1))
		wait(time.Second)
		h.Say(phone(2), away)
		h.Arrive(phone(2))
		h.want(away)
	})
	run(t, "an explicit offline is immediate until it says otherwise", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.want(active)
		h.Say(phone(1), offline)
		h.want(offline)
		h.Arrive(phone(1)) // another SUBSCRIBE
		h.Touch(phone(1))
		h.want()
		h.Say(phone(1), away)
		h.want(away)
		h.Say(phone(1), offline)
		h.want(offline)
		h.Leave(phone(1))
		h.Arrive(phone(2))
		h.want(active)
	})
	run(t, "the grace of a visit before does not end this one", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.Leave(phone(1)) // its grace ends after 10 s
		h.Arrive(phone(2))
		h.Say(phone(2), offline)
		h.Leave(phone(2)) // gone for good, and forgotten when that is saved
		wait(grace / 2)
		h.take()
		h.Arrive(phone(3))
		h.want(active)
		wait(grace)
		if n := h.Online(); n != 1 {
			t.Errorf("%d online", n)
		}
		h.Leave(phone(3))
		wait(grace)
		h.want(offline)
	})
	run(t, "an explicit offline of one device leaves the other", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.Arrive(web(2))
		h.want(active)
		h.Say(phone(1), offline)
		h.Leave(phone(1))
		wait(2 * grace)
		h.want()
	})
	run(t, "who only publishes is not there", func(t *testing.T, h *house) {
		h.Say(phone(1), active)
		h.Touch(phone(1))
		h.Leave(phone(1))
		wait(2 * grace)
		h.want()
		if p := h.get("alice"); p.IsOnline || p.LastSeen != nil || p.Status != offline || p.Version != 0 {
			t.Errorf("presence is %+v", p)
		}
	})
	run(t, "things have no presence", func(t *testing.T, h *house) {
		c := phone(1)
		c.Kind = pactwire.KindButton
		h.Arrive(c)
		h.Say(c, active)
		h.Leave(c)
		wait(2 * grace)
		h.want()
	})
	run(t, "an unknown word changes nothing", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.want(active)
		h.Say(phone(1), "asleep")
		h.want()
	})
	run(t, "last seen is the last sign of life", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		h.want(active)
		wait(time.Hour)
		h.Touch(phone(1))
		touched := time.Now()
		wait(time.Hour)
		if p := h.get("alice"); !p.LastSeen.Std().Equal(touched) {
			t.Errorf("last seen %v, want %v", p.LastSeen.Std(), touched)
		}
		if s := h.store.row("alice"); !s.LastSeen.Equal(touched) {
			t.Errorf("kept %v, want %v", s.LastSeen, touched)
		}
		h.want()
	})
}

func TestSnapshotAgreesWithAnnouncements(t *testing.T) {
	run(t, "", func(t *testing.T, h *house) {
		h.Arrive(phone(1))
		p := h.get("alice") // before anything was announced
		if !p.IsOnline {
			t.Errorf("snapshot right after arrival: %+v", p)
		}
		if a := h.want(active)[0]; a.Version != p.Version {
			t.Errorf("announced version %d, snapshot had %d", a.Version, p.Version)
		}
		h.Leave(phone(1))
		wait(grace)
		a := h.want(offline)[0]
		wait(time.Minute) // forgotten, so read from the store
		if p := h.get("alice"); p.Version != a.Version || p.IsOnline || !p.LastSeen.Std().Equal(a.LastSeen.Std()) {
			t.Errorf("snapshot %+v, announced %+v", p, a)
		}
	})
}

func TestRestartAnnouncesNobodyWhoIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		h := open(t, store)
		bob, carol := phone(2), phone(3)
		bob.User, carol.User = "bob", "carol"
		h.Arrive(phone(1))
		h.Arrive(bob)
		h.Arrive(carol)
		before := h.want(active, active, active)
		h.Say(carol, offline)
		h.want(offline)
		wait(time.Hour)
		h.stop()
		stopped := time.Now()
		h.Leave(phone(1)) // the broker drains
		h.Leave(bob)
		wait(5 * time.Second)
		h.want()

		h = open(t, store)
		defer h.stop()
		if p := h.get("alice"); !p.IsOnline || p.Version <= before[0].Version {
			t.Errorf("after the start alice is %+v", p)
		}
		wait(grace - time.Second)
		h.Arrive(phone(4))
		h.want()
		wait(time.Second)
		off := h.want(offline)[0]
		if off.UserID != "bob" || !off.LastSeen.Std().Equal(stopped) || off.Version <= before[1].Version {
			t.Errorf("announced %+v; stopped at %v", off, stopped)
		}
		wait(time.Hour)
		h.want()
	})
}

func TestCrashKeepsWhoWasOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		h := open(t, store)
		h.Arrive(phone(1))
		v := h.want(active)[0].Version
		wait(2 * time.Second) // past one flush
		copied := newMemory() // what is on disk now is all that is left
		maps.Copy(copied.rows, store.rows)
		h.stop()

		h = open(t, copied)
		defer h.stop()
		h.Arrive(phone(1))
		h.Say(phone(1), offline) // at once, though the grace of the crashed process runs
		if off := h.want(offline)[0]; off.Version <= v {
			t.Errorf("version %d after %d", off.Version, v)
		}
	})
}

func TestVersionsIncreaseWhenTheClockWentBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		future := uint64(time.Now().Add(24 * time.Hour).UnixMilli())
		store.rows["alice"] = pactwire.Seen{User: "alice", LastSeen: time.Now(), Version: future}
		h := open(t, store)
		defer h.stop()
		h.Arrive(phone(1))
		if p := h.want(active)[0]; p.Version != future+1 {
			t.Errorf("version %d, want %d", p.Version, future+1)
		}
	})
}

func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		h := open(t, store)
		defer h.stop()
		store.goAway(true)
		h.Arrive(phone(1))
		h.want(active)
		h.Say(phone(1), away)
		h.want(away)
		wait(time.Minute)
		if store.row("alice").Online {
			t.Fatal("written to a store that is away")
		}
		if _, err := h.Get(t.Context(), []pactwire.UserID{"bob"}); err == nil {
			t.Error("a snapshot of someone unknown needs the store")
		}
		store.goAway(false)
		wait(3 * time.Second)
		if !store.row("alice").Online {
			t.Error("not written after the store came back")
		}
	})
}

func TestStartFailsWithoutItsStore(t *testing.T) {
	store := newMemory()
	store.goAway(true)
	tr := presence.New(presence.Config{}, store, func(pactwire.Presence) {}, nil, nil)
	if err := tr.Start(t.Context()); err == nil {
		t.Error("started")
	}
	if err := tr.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWritesAreBatched(t *testing.T) {
	run(t, "", func(t *testing.T, h *house) {
		for i := range 100 {
			h.Arrive(phone(uint64(i)))
			h.Say(phone(uint64(i)), away)
			h.Say(phone(uint64(i)), active)
			h.Leave(phone(uint64(i)))
		}
		wait(2 * time.Second)
		if h.store.saves != 1 {
			t.Errorf("%d rows written for one person within a second", h.store.saves)
		}
	})
}

func TestNobodyIsKeptInMemory(t *testing.T) {
	run(t, "", func(t *testing.T, h *house) {
		for i := range 3000 {
			c := presence.Conn{User: pactwire.UserID("u" + pactwire.Seq(i).String()), ID: uint64(i + 1)}
			h.Arrive(c)
			h.Leave(c)
		}
		wait(2 * grace)
		if n := h.People(); n != 0 || h.Online() != 0 {
			t.Errorf("%d people in memory, %d online, after all have left", n, h.Online())
		}
	})
}

func TestManyDevicesThatFlapLingerBounded(t *testing.T) {
	run(t, "", func(t *testing.T, h *house) {
		for i := range 1000 {
			c := phone(uint64(i + 1))
			c.ClientID = pactwire.Seq(i).String()
			h.Arrive(c)
			h.Leave(c)
		}
		h.want(active)
		wait(grace)
		h.want(offline)
	})
}

func TestConcurrentUse(t *testing.T) {
	store := newMemory()
	var h heard
	tr := presence.New(presence.Config{Grace: time.Millisecond, Flush: time.Millisecond}, store, h.on, nil, nil)
	if err := tr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	users := []pactwire.UserID{"alice", "bob", "carol"}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				c := presence.Conn{User: users[(g+i)%3], ID: uint64(g*1000 + i + 1), ClientID: "c"}
				tr.Arrive(c)
				tr.Say(c, []pactwire.PresenceStatus{active, away, offline}[i%3])
				tr.Touch(c)
				if _, err := tr.Get(t.Context(), users); err != nil {
					t.Error(err)
				}
				tr.Leave(c)
			}
		})
	}
	wg.Wait()
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := map[pactwire.UserID]uint64{}
	for _, p := range h.take() {
		if p.Version <= last[p.UserID] {
			t.Fatalf("%s: version %d after %d", p.UserID, p.Version, last[p.UserID])
		}
		last[p.UserID] = p.Version
	}
}

// TestWhoIsConnectedForHoursIsStillOnline: nothing that is kept of a connection runs out while it stands.
func TestWhoIsConnectedForHoursIsStillOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, newMemory())
		defer h.stop()
		h.Arrive(presence.Conn{User: "alice", ID: 1, ClientID: "phone"})
		h.want(active)
		<-time.After(12 * time.Hour)
		h.want()
		if p := h.get("alice"); !p.IsOnline {
			t.Errorf("%+v", p)
		}
	})
}
