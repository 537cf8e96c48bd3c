package topics

import (
	"github.com/pactwire/pactwire"
)

// Verdict is what a role may do with a filter or topic, as far as the words alone tell.
type Verdict uint8

// The verdicts.
const (
	No         Verdict = iota // never
	Yes                       // always
	IfMember                  // if the identity may read (or command) the pact that the filter or topic names
	IfPartner                 // if that holds and the named member is one of the pact's
	Plain                     // plain MQTT, outside the product's topics (role lab)
	SharedNo                  // no, since it is a shared subscription
	Malformed                 // the filter is no filter
	SysFigures                // broker figures: plain MQTT under $SYS (role operator)
)

// Subscribe says what id may do with filter s. lab says whether lab.enabled is on.
func (l Limits) Subscribe(id pactwire.Identity, lab bool, s string) (Filter, Verdict) {
	f, err := l.ParseFilter(s)
	switch {
	case err != nil:
		return f, Malformed
	case lab && id.Is(pactwire.RoleLab):
		return f, subscribeLab(f)
	case f.Shared():
		return f, SharedNo
	case id.Is(pactwire.RoleOperator):
		if f.Sys() {
			return f, SysFigures
		}
		return f, Yes
	case id.Device != "":
		if f.class == deviceFilter && f.device == id.Device {
			return f, Yes
		}
		return f, No
	}
	switch f.class {
	case pactFilter:
		switch {
		case f.AllPacts():
			return f, Yes
		case f.user != "":
			return f, IfPartner
		}
		return f, IfMember
	case userFilter:
		if f.user == id.UserID {
			return f, Yes
		}
	}
	return f, No
}

// subscribeLab keeps a lab connection away from the product's topics. The filter test/nosubscribe is refused, as the
// Eclipse Paho interoperability suite wants it.
func subscribeLab(f Filter) Verdict {
	inner := f.raw
	if f.class == sharedFilter {
		_, inner, _ = cutShare(f.raw)
	}
	if !labTopic(inner) || inner == "test/nosubscribe" {
		return No
	}
	return Plain
}

// Publish says what id may do with topic t.
func Publish(id pactwire.Identity, lab bool, t Topic) Verdict {
	switch {
	case lab && id.Is(pactwire.RoleLab):
		if t.Kind == Other && labTopic(t.Rest) {
			return Plain
		}
		return No
	case id.Is(pactwire.RoleOperator), !t.Kind.Up():
		return No
	case id.Device != "":
		if t.Kind == DeviceCheckinKind && t.Device == id.Device {
			return Yes
		}
		return No
	}
	switch t.Kind {
	case UserPresenceKind, NotificationsKind:
		if t.User == id.UserID {
			return Yes
		}
		return No
	case UserMessagesKind, ConnectionsKind:
		return Yes // who may write to whom is a question of pacts and connections, not of words
	case DeviceCheckinKind:
		return No
	}
	return IfMember
}

// ResponseTopic reports whether id may ask for answers on t.
func ResponseTopic(id pactwire.Identity, t Topic) bool {
	switch t.Kind {
	case RepliesKind, InboxKind:
		return id.Device == "" && t.User == id.UserID
	case DeviceRepliesKind:
		return id.Device != "" && t.Device == id.Device
	}
	return false
}
