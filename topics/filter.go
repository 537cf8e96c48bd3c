package topics

import (
	"strings"

	"github.com/pactwire/pactwire"
)

// Filter is a parsed topic filter. The zero Filter covers nothing.
type Filter struct {
	raw    string
	class  class
	kinds  kindSet
	pact   pactwire.PactID // of one pact; "" with class pactFilter means all of the subscriber's pacts
	user   pactwire.UserID // owner of users/ filters; in a presence filter the one member, or "" for all
	device pactwire.DeviceID
}

type class uint8

const (
	plainFilter  class = iota // outside the grammar: matched level by level
	pactFilter                // pacts/…
	userFilter                // users/{u}/…
	deviceFilter              // devices/{d}/…
	sharedFilter              // $share/…
	sysFilter                 // $SYS/…
)

type kindSet uint32

func setOf(ks ...Kind) (s kindSet) {
	for _, k := range ks {
		s |= 1 << k
	}
	return s
}

func (s kindSet) has(k Kind) bool { return s&(1<<k) != 0 }

var (
	pactDown = setOf(ActivityKind, StateKind, PresenceKind)
	userDown = setOf(InboxKind, PactsKind, RepliesKind)
)

// ParseFilter reads a topic filter by MQTT's rules. Well-formed filters outside the grammar parse too: Subscribe decides
// what may be done with them. Errors are Invalid, about field "topic".
func (l Limits) ParseFilter(s string) (Filter, error) {
	if err := l.checkName(s); err != nil {
		return Filter{}, err
	}
	for rest := s; rest != ""; {
		level, tail, more := strings.Cut(rest, "/")
		if strings.ContainsAny(level, "+#") && len(level) > 1 {
			return Filter{}, pactwire.FieldErrorf("topic", "a wildcard stands for a whole level: write a/+/b or a/#")
		}
		if level == "#" && more {
			return Filter{}, pactwire.FieldErrorf("topic", "# may stand only at the end of a filter")
		}
		rest = tail
	}
	f := Filter{raw: s}
	head, tail, _ := strings.Cut(s, "/")
	switch {
	case strings.EqualFold(head, "$share"):
		group, inner, _ := strings.Cut(tail, "/")
		if group == "" || inner == "" || strings.ContainsAny(group, "+#") {
			return Filter{}, pactwire.FieldErrorf("topic", "a shared subscription is $share/{group}/{filter}")
		}
		f.class = sharedFilter
	case isSys(head):
		f.class = sysFilter
	case head == "pacts":
		f.parsePact(tail)
	case head == "users":
		f.parseUser(tail)
	case head == "devices":
		id, word, _ := strings.Cut(tail, "/")
		if pactwire.ValidID(id) && word == "replies" {
			f.class, f.device, f.kinds = deviceFilter, pactwire.DeviceID(id), setOf(DeviceRepliesKind)
		}
	}
	return f, nil
}

// parsePact recognises the subscribable shapes under pacts/; any other stays a plain filter.
func (f *Filter) parsePact(tail string) {
	id, word, deeper := strings.Cut(tail, "/")
	if id == "#" && !deeper {
		f.class, f.kinds = pactFilter, pactDown
		return
	}
	all := id == "+"
	if !all && !pactwire.ValidID(id) {
		return
	}
	var kinds kindSet
	var member pactwire.UserID
	switch word {
	case "activity":
		kinds = setOf(ActivityKind)
	case "state":
		kinds = setOf(StateKind)
	case "presence/+":
		kinds = setOf(PresenceKind)
	case "#":
		if all {
			return // pacts/+/# says the same as pacts/#, and is not offered
		}
		kinds = pactDown
	default:
		u, ok := strings.CutPrefix(word, "presence/")
		if !ok || all || !pactwire.ValidID(u) {
			return
		}
		kinds, member = setOf(PresenceKind), pactwire.UserID(u)
	}
	f.class, f.kinds, f.user = pactFilter, kinds, member
	if !all {
		f.pact = pactwire.PactID(id)
	}
}

// parseUser recognises the subscribable shapes under users/; any other stays a plain filter.
func (f *Filter) parseUser(tail string) {
	id, word, _ := strings.Cut(tail, "/")
	if !pactwire.ValidID(id) {
		return
	}
	switch {
	case word == "inbox":
		f.kinds = setOf(InboxKind)
	case word == "pacts":
		f.kinds = setOf(PactsKind)
	case word == "#":
		f.kinds = userDown
	case strings.HasPrefix(word, "replies/"):
		f.kinds = setOf(RepliesKind)
	default:
		return
	}
	f.class, f.user = userFilter, pactwire.UserID(id)
}

// String is the filter as it was written.
func (f Filter) String() string { return f.raw }

// AllPacts reports whether the filter means all of the subscriber's pacts, now and later.
func (f Filter) AllPacts() bool { return f.class == pactFilter && f.pact == "" }

// Pact is the one pact that the filter names, or "".
func (f Filter) Pact() pactwire.PactID { return f.pact }

// Member is the one member whose presence the filter names, or "" for all members.
func (f Filter) Member() pactwire.UserID {
	if f.class == pactFilter {
		return f.user
	}
	return ""
}

// Has reports whether the filter, being one of the grammar, takes in topics of kind k.
func (f Filter) Has(k Kind) bool { return f.kinds.has(k) }

// Shared reports whether this is a shared subscription.
func (f Filter) Shared() bool { return f.class == sharedFilter }

// Sys reports whether the filter is under $SYS.
func (f Filter) Sys() bool { return f.class == sysFilter }

// Stream is the one durable stream that the filter names. A filter over all pacts names none; one that takes in a
// whole pact or all of a user's topics names that pact's activity or that user's inbox.
func (f Filter) Stream() (pactwire.Stream, bool) {
	switch {
	case f.class == pactFilter && f.pact != "" && f.Has(ActivityKind):
		return pactwire.ActivityOf(f.pact), true
	case f.class == userFilter && f.Has(InboxKind):
		return pactwire.InboxOf(f.user), true
	}
	return pactwire.Stream{}, false
}

// Covers reports whether a message on t matches the filter.
func (f Filter) Covers(t Topic) bool {
	switch f.class {
	case pactFilter:
		return f.kinds.has(t.Kind) && (f.pact == "" || f.pact == t.Pact) && (f.user == "" || f.user == t.User)
	case userFilter:
		if !f.kinds.has(t.Kind) || f.user != t.User {
			return false
		}
		return t.Kind != RepliesKind || Match(f.raw, t.String())
	case deviceFilter:
		return f.kinds.has(t.Kind) && f.device == t.Device
	case sharedFilter:
		return false
	}
	return f.raw != "" && Match(f.raw, t.String())
}

// Match reports whether a concrete topic matches a filter by MQTT's rules: + is one level, # the rest and its parent,
// and a wildcard at the front does not match a topic that begins with $.
func Match(filter, topic string) bool {
	if topic != "" && topic[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		fl, frest, fmore := strings.Cut(filter, "/")
		if fl == "#" {
			return true
		}
		tl, trest, tmore := strings.Cut(topic, "/")
		if fl != "+" && fl != tl {
			return false
		}
		switch {
		case !fmore && !tmore:
			return true
		case fmore && !tmore:
			return frest == "#"
		case !fmore:
			return false
		}
		filter, topic = frest, trest
	}
}
