package chaos_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// phone is a device that writes down everything it receives.
type phone struct {
	testkit.Device

	mu       sync.Mutex
	feed     map[pactwire.PactID][]delivery
	inbox    []inboxed
	presence map[seen][]told
	strange  []string // what nobody should get
}

// delivery is one activity that arrived.
type delivery struct {
	pactwire.Activity
	dup  bool
	at   time.Time
	conn int // on which of the phone's connections
}

type inboxed struct {
	pactwire.Event
	dup bool
}

// seen is whose presence in which pact.
type seen struct {
	pact pactwire.PactID
	user pactwire.UserID
}

// told is one message about it.
type told struct {
	pactwire.Presence
	snapshot bool // sent because we subscribed
	at       time.Time
	conn     int
}

const (
	patience = 6 * time.Second
	retry    = 200 * time.Millisecond
)

func newPhone(addr string, user pactwire.UserID, clientID string, filters ...string) *phone {
	p := &phone{feed: map[pactwire.PactID][]delivery{}, presence: map[seen][]told{}}
	p.Device = testkit.Device{
		Addr: addr, User: user, ClientID: clientID, Patience: patience, Retry: retry, Filters: filters, Message: p.take,
	}
	return p
}

// newMemberPhone subscribes to everything that a member may hear.
func newMemberPhone(addr string, user pactwire.UserID, clientID string) *phone {
	return newPhone(addr, user, clientID, "pacts/+/activity", "pacts/+/presence/+", "users/"+string(user)+"/inbox")
}

func (p *phone) take(m rawmqtt.Publish) {
	conn := p.Ready()
	topic, payload := string(m.Topic), m.Payload
	words := strings.Split(topic, "/")
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	switch {
	case len(words) == 3 && words[2] == "activity":
		d := delivery{dup: m.Dup, at: time.Now(), conn: conn}
		err = json.Unmarshal(payload, &d.Activity)
		p.feed[pactwire.PactID(words[1])] = append(p.feed[pactwire.PactID(words[1])], d)
	case len(words) == 4 && words[2] == "presence":
		s := told{snapshot: m.Retain, at: time.Now(), conn: conn}
		err = json.Unmarshal(payload, &s.Presence)
		who := seen{pactwire.PactID(words[1]), pactwire.UserID(words[3])}
		p.presence[who] = append(p.presence[who], s)
	case topic == "users/"+string(p.User)+"/inbox":
		e := inboxed{dup: m.Dup}
		err = json.Unmarshal(payload, &e.Event)
		p.inbox = append(p.inbox, e)
	default:
		p.strange = append(p.strange, topic)
	}
	if err != nil {
		p.strange = append(p.strange, fmt.Sprintf("%s: %v in %q", topic, err, payload))
	}
}

// last is the highest number of a pact that arrived.
func (p *phone) last(pact pactwire.PactID) pactwire.Seq {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last pactwire.Seq
	for i := range p.feed[pact] {
		last = max(last, p.feed[pact][i].Seq)
	}
	return last
}

// hasCommand tells whether the activity of a command has arrived.
func (p *phone) hasCommand(pact pactwire.PactID, id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.feed[pact], func(d delivery) bool { return d.CommandID != nil && *d.CommandID == id })
}

// lastInbox is the highest number of the inbox that arrived.
func (p *phone) lastInbox() pactwire.Seq {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last pactwire.Seq
	for i := range p.inbox {
		last = max(last, p.inbox[i].Seq)
	}
	return last
}

// sees tells what the phone believes of somebody's presence now.
func (p *phone) sees(pact pactwire.PactID, user pactwire.UserID) (pactwire.Presence, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.presence[seen{pact, user}]
	if len(all) == 0 {
		return pactwire.Presence{}, false
	}
	return all[len(all)-1].Presence, true
}

// story is what the phone was told of somebody's presence lately.
func (p *phone) story(pact pactwire.PactID, user pactwire.UserID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.presence[seen{pact, user}]
	var b strings.Builder
	for _, s := range all[max(0, len(all)-12):] {
		kind := "change"
		if s.snapshot {
			kind = "snapshot"
		}
		fmt.Fprintf(&b, "\n%s connection %d: %s %s, version %d", s.at.Format("15:04:05.000"), s.conn, kind, s.Status, s.Version)
	}
	return b.String()
}

// goings counts how often the phone was told, live, that somebody is offline now.
func (p *phone) goings(pact pactwire.PactID, user pactwire.UserID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.presence[seen{pact, user}] {
		if !s.snapshot && !s.IsOnline {
			n++
		}
	}
	return n
}

// received are the activities of a pact, in order of arrival.
func (p *phone) received(pact pactwire.PactID) []delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.feed[pact])
}

// events are the inbox events in order of arrival.
func (p *phone) events() []inboxed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.inbox)
}

// oddities are the messages that nobody should get.
func (p *phone) oddities() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.strange)
}

// answer is what somebody was told of a command in the end.
type answer struct {
	event     pactwire.EventType
	duplicate bool // of a command that was done before
}

// answers are the final answers to each command, events that came again left out.
func (p *phone) answers() map[string][]answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string][]answer{}
	known := map[pactwire.Seq]bool{}
	for _, e := range p.inbox {
		if e.CommandID == nil || e.Type == pactwire.EventCheckinPending || known[e.Seq] {
			continue
		}
		known[e.Seq] = true
		var data struct {
			Duplicate bool `json:"duplicate"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			panic(err) // the event as a whole was JSON
		}
		out[*e.CommandID] = append(out[*e.CommandID], answer{e.Type, data.Duplicate})
	}
	return out
}
