package presence

import (
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// Conn is one connection of a person. ID is unique in the process. ClientID names the device over reconnects; Kind
// "" is a phone.
type Conn struct {
	User     pactwire.UserID
	Name     string
	ID       uint64
	ClientID string
	Kind     pactwire.DeviceKind
}

// maxLingering bounds what lingers of one person's ended connections. Past it the oldest is let go early: it can cost a
// person who reconnects under ever new client ids a part of the grace, and nobody else anything.
const maxLingering = 16

// standing is a connection that has not ended. Before it arrived it only remembers what it said.
type standing struct {
	conn    Conn
	status  pactwire.PresenceStatus
	arrived bool
}

// lingering is what an ended connection said last, until its grace is over.
type lingering struct {
	id       uint64
	clientID string
	status   pactwire.PresenceStatus
	until    time.Time
}

// person is all that is known of one person's presence. Guarded by Tracker.mu.
type person struct {
	user     pactwire.UserID
	name     string
	standing []standing
	lingers  []lingering

	status   pactwire.PresenceStatus // the truth now, as of version
	lastSeen time.Time               // zero = never
	version  uint64
	loaded   bool // what the store keeps was merged in; without it version may not be raised

	told   uint64 // the version that was announced last, or needed no announcement
	queued bool   // stands in Tracker.queue

	saved  pactwire.Seen // as the store has it, or is about to
	dirty  bool          // stands in Tracker.dirty
	saving bool          // is on its way to the store
}

// best is what the person's connections make of them now.
func (p *person) best() pactwire.PresenceStatus {
	b := pactwire.PresenceOffline
	for i := range p.standing {
		if p.standing[i].arrived {
			b = better(b, p.standing[i].status)
		}
	}
	for i := range p.lingers {
		b = better(b, p.lingers[i].status)
	}
	return b
}

func better(a, b pactwire.PresenceStatus) pactwire.PresenceStatus {
	switch {
	case a == pactwire.PresenceActive || b == pactwire.PresenceActive:
		return pactwire.PresenceActive
	case a == pactwire.PresenceAway || b == pactwire.PresenceAway:
		return pactwire.PresenceAway
	}
	return pactwire.PresenceOffline
}

// settle brings status in line with the connections and raises the version when that changed it. floor is at least every
// version of people that were forgotten meanwhile.
func (p *person) settle(now time.Time, floor uint64) {
	if b := p.best(); b != p.status {
		p.status = b
		p.raise(now, floor)
	}
}

// raise makes a version that is above every one before it, in this process or, by the clock, in one before.
func (p *person) raise(now time.Time, floor uint64) {
	p.version = max(p.version+1, floor+1, uint64(now.UnixMilli()))
}

// merge takes in what the store keeps. It may come late, after the person was seen alive.
func (p *person) merge(s pactwire.Seen) {
	p.loaded = true
	p.saved = s
	if s.LastSeen.After(p.lastSeen) {
		p.lastSeen = s.LastSeen
	}
	if p.version == p.told { // nothing waits to be announced
		p.told = max(p.told, s.Version)
	}
	p.version = max(p.version, s.Version)
}

func (p *person) find(id uint64) *standing {
	i := slices.IndexFunc(p.standing, func(s standing) bool { return s.conn.ID == id })
	if i < 0 {
		return nil
	}
	return &p.standing[i]
}

// ensure finds the connection or notes it as one that has not arrived.
func (p *person) ensure(c Conn) *standing {
	if s := p.find(c.ID); s != nil {
		return s
	}
	p.standing = append(p.standing, standing{conn: c, status: pactwire.PresenceActive})
	return &p.standing[len(p.standing)-1]
}

// stopLingering ends the grace of a device that is back.
//
// What was taken over from the process before (id 0) cannot be told apart by device; the first to return stands for all.
func (p *person) stopLingering(clientID string) {
	p.lingers = slices.DeleteFunc(p.lingers, func(l lingering) bool {
		return l.id == 0 || clientID != "" && l.clientID == clientID
	})
}

// remove takes a connection away and reports whether it lingers, so that its end must be seen to.
func (p *person) remove(id uint64, until time.Time) bool {
	i := slices.IndexFunc(p.standing, func(s standing) bool { return s.conn.ID == id })
	if i < 0 {
		return false
	}
	s := p.standing[i]
	p.standing = slices.Delete(p.standing, i, i+1)
	if len(p.standing) == 0 {
		p.standing = nil
	}
	if !s.arrived || s.status == pactwire.PresenceOffline {
		return false
	}
	if s.conn.ClientID != "" && slices.ContainsFunc(p.standing, func(o standing) bool {
		return o.arrived && o.conn.ClientID == s.conn.ClientID
	}) {
		return false // the device already stands again
	}
	if len(p.lingers) >= maxLingering {
		p.lingers = slices.Delete(p.lingers, 0, 1)
	}
	p.lingers = append(p.lingers, lingering{id: id, clientID: s.conn.ClientID, status: s.status, until: until})
	return true
}

// expire drops what has lingered long enough.
func (p *person) expire(now time.Time) {
	p.lingers = slices.DeleteFunc(p.lingers, func(l lingering) bool { return !l.until.After(now) })
	if len(p.lingers) == 0 {
		p.lingers = nil
	}
}

// seen is what the store should keep of the person.
func (p *person) seen() pactwire.Seen {
	return pactwire.Seen{User: p.user, LastSeen: p.lastSeen, Version: p.version, Online: p.status != pactwire.PresenceOffline}
}

// presence is the person as others see them, without a pact.
func (p *person) presence() pactwire.Presence {
	v := view(p.seen(), p.name, p.status)
	v.LoggedOut = p.status == pactwire.PresenceOffline && slices.ContainsFunc(p.standing, func(s standing) bool { return s.arrived })
	return v
}

func view(s pactwire.Seen, name string, status pactwire.PresenceStatus) pactwire.Presence {
	out := pactwire.Presence{
		UserID: s.User, UserName: name,
		IsOnline: status != pactwire.PresenceOffline, Status: status, Version: s.Version,
	}
	if !s.LastSeen.IsZero() {
		t := pactwire.Time(s.LastSeen)
		out.LastSeen = &t
	}
	return out
}

// idle reports whether the store knows all that there is to know.
func (p *person) idle() bool {
	return len(p.standing) == 0 && len(p.lingers) == 0 && !p.queued && !p.dirty && !p.saving
}
