package relay

import (
	"github.com/pactwire/pactwire"
)

// Publish carries a committed entry to this node's readers, in order, and to the nodes of the others.
func (r *Relay) Publish(e pactwire.Entry) {
	r.seq.offer(e)
	r.tell(item{kind: kindEntry, entry: e})
}

// publish hands an entry to the readers here, whichever node wrote it. With an entry goes a state, of which no hint may tell.
func (r *Relay) publish(e pactwire.Entry) {
	r.hub.Publish(e)
	r.stateOf(e.Stream)
}

func (r *Relay) behind(s pactwire.Stream, head pactwire.Seq) {
	r.hub.Behind(s, head)
	r.stateOf(s)
}

func (r *Relay) stateOf(s pactwire.Stream) {
	if p := s.Pact(); p != "" {
		r.hub.StateChanged(p)
	}
}

// Direct carries an unlogged message to a user's connections, on whichever nodes.
func (r *Relay) Direct(u pactwire.UserID, about pactwire.PactID, topic string, payload, correlation []byte) {
	r.hub.Direct(u, about, topic, payload, correlation)
	r.tell(item{kind: kindDirect, user: u, pact: about, text: topic, payload: payload, more: correlation})
}

// PactsChanged tells this node's connections. Other nodes find out by themselves, from PactChanged.
func (r *Relay) PactsChanged(u pactwire.UserID, joined []pactwire.Membership, left []pactwire.PactID) {
	r.hub.PactsChanged(u, joined, left)
}

// StateChanged tells the readers of a pact that its state is another.
func (r *Relay) StateChanged(p pactwire.PactID) {
	r.hub.StateChanged(p)
	r.tell(item{kind: kindState, pact: p})
}

// PactChanged tells all nodes that a pact was changed here: a member may be on the way to any of them. This node reads it again
// as well, since another may have changed it at the same time.
func (r *Relay) PactChanged(p pactwire.Pact) {
	if r.shared != nil {
		r.relearn(p.ID, false)
	}
	r.tell(item{kind: kindPact, pact: p.ID})
}

// Renamed tells the nodes of a user's partners that the user has another name.
func (r *Relay) Renamed(u pactwire.UserID, name string, pacts []pactwire.PactID) {
	r.tell(item{kind: kindName, user: u, text: name, pacts: pacts})
}

// Revoked tells all nodes that credentials were taken back here: what they were given for may be connected to any of them.
func (r *Relay) Revoked() { r.tell(item{kind: kindRevoked}) }

// PresenceChanged tells everybody who may see it of a person's presence.
func (r *Relay) PresenceChanged(p pactwire.Presence, pacts []pactwire.PactID) {
	it := item{kind: kindPresence, user: p.UserID, text: p.UserName, status: p.Status, number: p.Version, pacts: pacts}
	if p.LastSeen != nil {
		it.seen = p.LastSeen.Std()
	}
	r.show(&it)
	r.tell(it)
}

// show tells this node's readers of a presence.
func (r *Relay) show(it *item) {
	p := pactwire.Presence{UserID: it.user, UserName: it.text, Status: it.status, Version: it.number,
		IsOnline: it.status != pactwire.PresenceOffline}
	if !it.seen.IsZero() {
		t := pactwire.Time(it.seen)
		p.LastSeen = &t
	}
	for _, id := range it.pacts {
		p.PactID = id
		r.hub.PresenceChanged(p)
	}
}

// Moved says that a user's first connection to this node has come, or the last one has gone. "" stands for the operators.
func (r *Relay) Moved(u pactwire.UserID) {
	if r.bus == nil {
		return // nobody is told where to find them
	}
	r.came.add(u)
	r.moved.add(u)
}

// tell has an item sent to the nodes that it concerns.
func (r *Relay) tell(it item) {
	switch {
	case r.bus == nil:
	case r.alone.Load(): // as far as is known: who has just come is told that it may lack something
		r.lost.Add(1)
	default:
		r.enqueue(it)
	}
}

// enqueue has an item sent, whoever is known to live.
func (r *Relay) enqueue(it item) {
	if !r.out.add(it) {
		r.lost.Add(1)
		r.metrics.dropped.Inc()
	}
}
