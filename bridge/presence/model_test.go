package presence_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/presence"
	"pgregory.net/rapid"
)

// model is presence as one would say it in a sentence: a list of everything that ever connected, looked at anew each
// time.
type model struct {
	conns []*modelConn
}

type modelConn struct {
	c       presence.Conn
	arrived bool
	said    pactwire.PresenceStatus
	gone    bool
	until   time.Time // of its grace, when gone
	ghost   bool      // of the process before
}

func (m *model) status(u pactwire.UserID, now time.Time) pactwire.PresenceStatus {
	best := offline
	for _, c := range m.conns {
		if c.c.User != u || !c.arrived || c.gone && !c.until.After(now) {
			continue
		}
		if c.said == active || c.said == away && best == offline {
			best = c.said
		}
	}
	return best
}

// arrive counts c, and ends the grace of what was the same device.
func (m *model) arrive(c *modelConn) {
	if c.arrived {
		return
	}
	c.arrived = true
	for _, o := range m.conns {
		if o.c.User == c.c.User && o.gone && (o.ghost || o.c.ClientID == c.c.ClientID) {
			o.until = time.Time{}
		}
	}
}

func (m *model) leave(c *modelConn, now time.Time) {
	c.gone, c.until = true, now.Add(grace)
	for _, o := range m.conns {
		if o != c && !o.gone && o.arrived && o.c.User == c.c.User && o.c.ClientID == c.c.ClientID {
			c.until = time.Time{}
		}
	}
}

// restart replaces all by one ghost a person who was online.
func (m *model) restart(users []pactwire.UserID, before, now time.Time) {
	var ghosts []*modelConn
	for _, u := range users {
		if m.status(u, before) != offline {
			ghosts = append(ghosts, &modelConn{c: presence.Conn{User: u}, arrived: true, said: active, gone: true, until: now.Add(grace), ghost: true})
		}
	}
	m.conns = ghosts
}

func TestTrackerIsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.Custom(genStep), 20, 200).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) { err = play(t, seed) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

type step struct {
	what   string
	user   int
	device int
	status pactwire.PresenceStatus
	wait   time.Duration
}

func genStep(t *rapid.T) step {
	return step{
		what:   rapid.SampledFrom([]string{"connect", "connect", "arrive", "arrive", "say", "leave", "leave", "wait", "wait", "restart"}).Draw(t, "what"),
		user:   rapid.IntRange(0, 1).Draw(t, "user"),
		device: rapid.IntRange(0, 2).Draw(t, "device"),
		status: rapid.SampledFrom([]pactwire.PresenceStatus{active, away, offline}).Draw(t, "status"),
		wait:   time.Duration(rapid.IntRange(0, 12_000).Draw(t, "ms")) * time.Millisecond,
	}
}

func play(t *testing.T, steps []step) error {
	users := []pactwire.UserID{"alice", "bob"}
	store := newMemory()
	h := open(t, store)
	defer func() { h.stop() }()
	m := &model{}
	told := map[pactwire.UserID]pactwire.PresenceStatus{"alice": offline, "bob": offline}
	version := map[pactwire.UserID]uint64{}
	var id uint64
	for i, s := range steps {
		u := users[s.user]
		device := fmt.Sprint("d", s.device)
		var cur *modelConn // the newest connection of the device that stands
		for _, c := range m.conns {
			if !c.gone && c.c.User == u && c.c.ClientID == device {
				cur = c
			}
		}
		now := time.Now()
		switch {
		case s.what == "wait":
			wait(s.wait)
		case s.what == "restart":
			h.stop()
			synctest.Wait()
			if err := check(h, m, users, told, version, now, true); err != nil {
				return fmt.Errorf("step %d, before the restart: %w", i, err)
			}
			wait(s.wait)
			h = open(t, store)
			m.restart(users, now, time.Now())
			for _, u := range users { // what nobody was told before counts as told: snapshots are read anew
				told[u] = m.status(u, time.Now())
			}
		case s.what == "connect":
			id++
			m.conns = append(m.conns, &modelConn{c: presence.Conn{User: u, ID: id, ClientID: device}, said: active})
		case cur == nil:
		case s.what == "arrive":
			h.Arrive(cur.c)
			m.arrive(cur)
		case s.what == "say":
			h.Say(cur.c, s.status)
			cur.said = s.status
		case s.what == "leave":
			h.Leave(cur.c)
			m.leave(cur, now)
		}
		synctest.Wait()
		if err := check(h, m, users, told, version, time.Now(), false); err != nil {
			return fmt.Errorf("step %d (%+v): %w", i, s, err)
		}
	}
	return nil
}

// check compares what was announced and what a snapshot says with the model.
func check(h *house, m *model, users []pactwire.UserID, told map[pactwire.UserID]pactwire.PresenceStatus, version map[pactwire.UserID]uint64, now time.Time, stopped bool) error {
	for _, p := range h.take() {
		if p.Version <= version[p.UserID] {
			return fmt.Errorf("version %d after %d", p.Version, version[p.UserID])
		}
		if p.Status == told[p.UserID] {
			return fmt.Errorf("%s announced %s twice", p.UserID, p.Status)
		}
		version[p.UserID], told[p.UserID] = p.Version, p.Status
	}
	if stopped {
		return nil
	}
	for _, u := range users {
		want := m.status(u, now)
		if told[u] != want {
			return fmt.Errorf("%s was announced %s and is %s", u, told[u], want)
		}
		p := h.get(u)
		if p.Status != want {
			return fmt.Errorf("the snapshot of %s says %s, want %s", u, p.Status, want)
		}
		if p.Version < version[u] {
			return fmt.Errorf("the snapshot of %s has version %d after %d", u, p.Version, version[u])
		}
		version[u] = p.Version
	}
	return nil
}
