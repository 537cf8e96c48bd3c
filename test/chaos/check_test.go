package chaos_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// figures are what a run is summed up in.
type figures struct {
	acked, again         int // commands; of these, said more than once
	delivered, recovered int // activities; of these, on a later connection than the phone's first
	repeated             int // with DUP
	ack, partner         time.Duration
}

func (f figures) String() string {
	return fmt.Sprintf("acked %d (%d said again), delivered %d (%d after a reconnect, %d repeated), longest gap %.1f s to an ack, %.1f s from there to a partner",
		f.acked, f.again, f.delivered, f.recovered, f.repeated, f.ack.Seconds(), f.partner.Seconds())
}

// quiet waits until all that was said is acked, answered and delivered.
func (w *town) quiet() {
	w.t.Helper()
	mended := time.Now()
	for _, p := range w.everybody() {
		testkit.Eventually(w.t, limit, string(p.user)+"'s commands are acked", p.phone.Settled)
	}
	acked := time.Since(mended)
	testkit.Eventually(w.t, limit, "the outsider's command is refused", w.outsider.Settled)
	for _, p := range w.everybody() {
		testkit.Eventually(w.t, limit, string(p.user)+"'s commands are answered", func() bool { return len(p.phone.answers()) >= p.said })
	}
	answered := time.Since(mended)
	api := w.cluster.Nodes[0]
	for _, id := range w.pacts {
		h := head(api.Activities(w.owner(id), id))
		for _, r := range w.readers(id) {
			if !testkit.Within(limit, func() bool { return r.phone.last(id) >= h }) {
				w.t.Errorf("%s has activities of pact %s up to %d of %d", r.name, id, r.phone.last(id), h)
			}
		}
	}
	for _, p := range w.everybody() {
		h := lastSeq(api.Inbox(p.user))
		if !testkit.Within(limit, func() bool { return p.phone.lastInbox() >= h }) {
			w.t.Errorf("%s has inbox events up to %d of %d", p.user, p.phone.lastInbox(), h)
		}
	}
	w.t.Logf("after all was mended: everything acked in %.1f s, answered in %.1f s, delivered in %.1f s",
		acked.Seconds(), answered.Seconds(), time.Since(mended).Seconds())
}

// reader is a device that must have all of a pact from a number on.
type reader struct {
	name  string
	phone *phone
	from  pactwire.Seq
}

// readers are those of a pact who were in it all the time, and the one who came.
func (w *town) readers(id pactwire.PactID) []reader {
	var out []reader
	add := func(p *phone, from pactwire.Seq) {
		out = append(out, reader{string(p.User) + "'s " + p.ClientID, p, from})
	}
	i := slices.Index(w.pacts, id)
	for m := range 3 {
		p := w.people[(i+m)%len(w.people)]
		add(p.phone, w.heads[id])
		for _, d := range append(slices.Clone(w.watches), w.away...) {
			if d.User == p.user {
				add(d, w.heads[id])
			}
		}
	}
	if i == 1 {
		for _, a := range w.cluster.Nodes[0].Activities(w.owner(id), id) {
			if a.Type == pactwire.PartnerJoined && a.UserID == w.joiner.user {
				add(w.joiner.phone, a.Seq-1)
			}
		}
	}
	return out
}

// check compares all that was seen with promises 1 to 5.
func (w *town) check() (f figures) {
	w.t.Helper()
	acked := map[pactwire.PactID]map[string]bool{}
	said := map[string]testkit.Said{}
	for _, p := range w.everybody() {
		for _, s := range p.phone.Said() {
			id := pactwire.PactID(strings.Split(s.Topic, "/")[1])
			if acked[id] == nil {
				acked[id] = map[string]bool{}
			}
			acked[id][s.ID], said[s.ID] = true, s
			f.acked++
			if s.Sent > 1 {
				f.again++
			}
			f.ack = max(f.ack, s.Acked.Sub(s.At))
		}
	}
	for i, id := range w.pacts {
		w.checkPact(i, id, acked[id], said, &f)
	}
	for _, p := range w.everybody() {
		w.checkInbox(p)
	}
	w.checkStrangers(said)
	return f
}

func (w *town) checkPact(i int, id pactwire.PactID, acked map[string]bool, said map[string]testkit.Said, f *figures) {
	h := testkit.History{Acked: acked, Received: map[string][]pactwire.Activity{}, From: map[string]pactwire.Seq{}}
	for n, node := range w.cluster.Nodes {
		log := node.Activities(w.owner(id), id)
		if n == 0 {
			h.Log = log
		} else if !slices.EqualFunc(h.Log, log, sameActivity) {
			w.t.Errorf("pact %d: two nodes tell different logs, of %d and %d activities", i, len(h.Log), len(log))
		}
	}
	for _, r := range w.readers(id) {
		got := r.phone.received(id)
		h.From[r.name] = r.from
		last := r.from
		for _, d := range got {
			h.Received[r.name] = append(h.Received[r.name], d.Activity)
			f.delivered++
			if d.conn > 1 {
				f.recovered++
			}
			if d.Seq <= last {
				if d.Seq <= r.from {
					continue // who joins may be told a little of what was before; it is theirs to read
				}
				f.repeated++
				if !d.dup {
					w.t.Errorf("pact %d: %s got seq %d again, after %d and without DUP", i, r.name, d.Seq, last)
				}
				continue
			}
			last = d.Seq
			if r.phone.ClientID == "phone" && d.CommandID != nil {
				f.partner = max(f.partner, d.at.Sub(said[*d.CommandID].Acked))
			}
		}
	}
	for _, err := range h.Check() {
		w.t.Errorf("pact %d: %v", i, err)
	}
	for _, a := range h.Log {
		if a.UserID == w.outsider.User {
			w.t.Errorf("pact %d: the outsider caused activity %d", i, a.Seq)
		}
	}
}

func sameActivity(a, b pactwire.Activity) bool {
	return a.ID == b.ID && a.Seq == b.Seq && slices.Equal(a.Data, b.Data)
}

// checkInbox: 1, 2, 3, … and for each command one answer, besides those that say that it was said again.
func (w *town) checkInbox(p *person) {
	last := p.inbox
	for _, e := range p.phone.events() {
		switch {
		case e.Seq == last+1:
			last = e.Seq
		case e.Seq > last:
			w.t.Errorf("%s got inbox seq %d after %d", p.user, e.Seq, last)
			last = e.Seq
		case !e.dup:
			w.t.Errorf("%s got inbox seq %d again, after %d and without DUP", p.user, e.Seq, last)
		}
	}
	answers := p.phone.answers()
	for _, s := range p.phone.Said() {
		want := pactwire.EventCommandDone
		if strings.HasSuffix(s.Topic, "/checkins") {
			want = pactwire.EventCheckinLogged
		}
		got := answers[s.ID]
		first := 0
		for _, a := range got {
			if !a.duplicate {
				first++
			}
			if a.event != want {
				first = -1
			}
		}
		if first != 1 || len(got) > s.Sent {
			w.t.Errorf("%s was told of %s, sent %d times: %v, want one %s that is no duplicate", p.user, s.ID, s.Sent, got, want)
		}
	}
}

// checkStrangers: the outsider got nothing; who left nothing that was said later.
func (w *town) checkStrangers(said map[string]testkit.Said) {
	o := w.outsider
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.feed)+len(o.inbox)+len(o.presence)+len(o.strange) > 0 {
		w.t.Errorf("the outsider got %d feeds, %d inbox events, %d presences, %q", len(o.feed), len(o.inbox), len(o.presence), o.strange)
	}
	for _, d := range w.leaver.phone.received(w.pacts[0]) {
		if d.CommandID == nil {
			continue
		}
		if late := said[*d.CommandID].At.Sub(w.left); late > time.Second {
			w.t.Errorf("who left got activity %d, which was said %v after", d.Seq, late)
		}
	}
	for _, p := range append(slices.Clone(w.watches), w.away...) {
		if s := p.oddities(); len(s) > 0 {
			w.t.Errorf("%s's %s got %q", p.User, p.ClientID, s)
		}
		if n := p.Lost(); n > 0 {
			w.t.Errorf("the session of %s's %s was lost %d times", p.User, p.ClientID, n)
		}
	}
	for _, p := range w.everybody() {
		if s := p.phone.oddities(); len(s) > 0 {
			w.t.Errorf("%s got %q", p.user, s)
		}
		if n := p.phone.Lost(); n > 0 {
			w.t.Errorf("%s's session was lost %d times", p.user, n)
		}
	}
}

// checkPresence: in the end everybody sees everybody who is there; who goes is seen to go, once; and no version ever goes
// back on one connection's live changes.
func (w *town) checkPresence(gone time.Duration) {
	w.t.Helper()
	for i, id := range w.pacts {
		for m := range 3 {
			for n := range 3 {
				viewer, other := w.people[(i+m)%len(w.people)], w.user(i+n)
				if !testkit.Within(limit, func() bool {
					p, ok := viewer.phone.sees(id, other)
					return ok && p.IsOnline
				}) {
					w.t.Fatalf("%s does not see %s online; it was told, the last at the end: %s", viewer.user, other, viewer.phone.story(id, other))
				}
			}
		}
	}
	// The one after a watch's and an away device's owner has a phone alone.
	leaving, pact := w.people[1], w.pacts[0]
	viewers := []*person{w.people[0], w.people[2]}
	before := make([]int, len(viewers))
	for i, v := range viewers {
		before[i] = v.phone.goings(pact, leaving.user)
	}
	leaving.goes()
	for i, v := range viewers {
		testkit.Eventually(w.t, gone, fmt.Sprintf("%s sees %s go", v.user, leaving.user), func() bool {
			p, _ := v.phone.sees(pact, leaving.user)
			return !p.IsOnline
		})
		if n := v.phone.goings(pact, leaving.user) - before[i]; n != 1 {
			w.t.Errorf("%s was told %d times that %s went", v.user, n, leaving.user)
		}
	}
}
