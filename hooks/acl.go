package hooks

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// ACL is the hook that decides about filters. For members the session answers, by membership; plain MQTT is for role lab
// and, under $SYS, for operators. It is the only hook that checks topics: the library would let any hook's yes outvote
// another's no.
type ACL struct {
	mqtt.HookBase
	lab     bool
	timeout time.Duration
	most    int
}

// NewACL makes the hook. timeout bounds how long a SUBSCRIBE may wait for the store; most is how many filters the library may
// hold for a connection (limits.subscriptions). Those of members are counted by their session.
func NewACL(lab bool, timeout time.Duration, most int) *ACL {
	return &ACL{lab: lab, timeout: timeout, most: most}
}

// nobody is the filter and topic that every subscription and publish of ours is turned into before the library sees it:
// no client may subscribe to it, so nothing of it enters the trie.
const nobody = "$pactwire/nobody"

// asTheLibrarySays marks a filter whose SUBACK code the library decides.
const asTheLibrarySays = 0xff

// ID implements mqtt.Hook.
func (*ACL) ID() string { return "acl" }

// Provides implements mqtt.Hook.
func (*ACL) Provides(b byte) bool {
	switch b {
	case mqtt.OnACLCheck, mqtt.OnSubscribe, mqtt.OnUnsubscribe, mqtt.OnPacketEncode, mqtt.OnPacketSent:
		return true
	}
	return false
}

// OnACLCheck implements mqtt.Hook. Publishes of members pass here, since the library would cut a 3.1.1 client that is
// refused; Commands refuses them with a word.
func (a *ACL) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	p := peerOf(cl)
	switch {
	case p == nil || topic == "" || topic == nobody && !write:
		return false
	case write:
		return true
	}
	_, verdict := p.topics.Subscribe(p.identity, a.lab, topic)
	return verdict == topics.Plain && p.lab || verdict == topics.SysFigures
}

// OnSubscribe implements mqtt.Hook.
func (a *ACL) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	p := peerOf(cl)
	if p == nil {
		for i := range pk.Filters {
			pk.Filters[i].Filter = nobody
		}
		return pk
	}
	for i := range pk.Filters { // the filter stays, the packet whose memory it is goes
		pk.Filters[i].Filter = strings.Clone(pk.Filters[i].Filter)
	}
	if p.lab {
		return a.subscribeLab(cl, p, pk)
	}
	after, unread := afterOf(pk.Properties.User)
	p.reason = ""
	subs := make([]pactwire.Subscription, 0, len(pk.Filters))
	at := make([]int, 0, len(pk.Filters))
	p.codes = make([]byte, len(pk.Filters))
	room := a.room(cl)
	for i, f := range pk.Filters {
		filter, verdict := p.topics.Subscribe(p.identity, a.lab, f.Filter)
		switch {
		case verdict == topics.SysFigures:
			p.codes[i] = room.take(p, &pk.Filters[i])
			continue
		case verdict == topics.Malformed: // by the limits too, of which the session knows nothing
			p.codes[i] = p.code(packets.ErrTopicFilterInvalid.Code)
			pk.Filters[i].Filter = nobody
			continue
		case unread != nil && starts(p, f.Qos, filter, verdict):
			p.codes[i], p.reason = packets.ErrImplementationSpecificError.Code, unread.Message
			pk.Filters[i].Filter = nobody
			continue
		}
		sub := pactwire.Subscription{Filter: f.Filter, QoS: f.Qos, RetainHandling: f.RetainHandling,
			NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished, After: after}
		if f.Identifier > 0 {
			sub.Identifier = uint32(f.Identifier) //nolint:gosec // a variable byte integer, at most 268,435,455
		}
		subs, at = append(subs, sub), append(at, i)
		pk.Filters[i].Filter = nobody
	}
	if len(subs) == 0 {
		return pk
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	codes, _ := aside(func() ([]byte, error) { return p.session.Subscribe(ctx, subs), nil })
	for k, code := range codes {
		p.codes[at[k]] = p.code(code)
		if asked := after != nil || unread != nil; p.reason == "" && asked && code < packets.ErrUnspecifiedError.Code {
			p.reason = unheeded(p, subs[k])
		}
	}
	return pk
}

// unheeded says why "after" means nothing for a filter that was granted; "" when it does.
func unheeded(p *peer, s pactwire.Subscription) string {
	filter, _ := topics.Unlimited.ParseFilter(s.Filter)
	switch _, one := filter.Stream(); {
	case p.identity.Is(pactwire.RoleOperator):
		return "the user property after is ignored for operators, who see what is live only"
	case !one:
		return "the user property after is ignored for filters that do not name one stream"
	case s.QoS == 0:
		return "the user property after is ignored with QoS 0, which is live only; subscribe with QoS 1"
	}
	return ""
}

// subscribeLab keeps filters that are deeper or longer than the limits away from the library's trie, whose work grows
// with the square of the depth, and those that are too many.
func (a *ACL) subscribeLab(cl *mqtt.Client, p *peer, pk packets.Packet) packets.Packet {
	p.codes = make([]byte, len(pk.Filters))
	room := a.room(cl)
	for i, f := range pk.Filters {
		if _, verdict := p.topics.Subscribe(p.identity, a.lab, f.Filter); verdict != topics.Plain {
			p.codes[i] = asTheLibrarySays
			pk.Filters[i].Filter = nobody
			continue
		}
		p.codes[i] = room.take(p, &pk.Filters[i])
	}
	return pk
}

// room is what is left of a connection's subscriptions with the library.
type room struct {
	held *mqtt.Subscriptions
	left int
}

func (a *ACL) room(cl *mqtt.Client) *room {
	return &room{cl.State.Subscriptions, a.most - cl.State.Subscriptions.Len()}
}

// take takes room for a filter. One for which there is none, and which is not held already, is kept from the library.
func (r *room) take(p *peer, sub *packets.Subscription) byte {
	if _, held := r.held.Get(sub.Filter); held {
		return asTheLibrarySays
	}
	if r.left--; r.left >= 0 {
		return asTheLibrarySays
	}
	sub.Filter = nobody
	return p.code(packets.ErrQuotaExceeded.Code)
}

// afterOf reads the user property "after": where a stream is to start. What cannot be read is an error, since to start
// somewhere else without a word would be a hole or a flood.
func afterOf(props []packets.UserProperty) (after *pactwire.Seq, unread *pactwire.Error) {
	for _, up := range props {
		if up.Key != "after" {
			continue
		}
		n, err := strconv.ParseUint(up.Val, 10, 63)
		if err != nil || after != nil {
			return nil, pactwire.FieldErrorf("after", "the user property after is the seq behind which a stream starts: one number, 0 or more")
		}
		seq := pactwire.Seq(n)
		after = &seq
	}
	return after, nil
}

// starts reports whether "after" says where this filter's stream starts. Whose pact it is, is not looked at: the answer is the
// same for one that is not there.
func starts(p *peer, qos byte, f topics.Filter, v topics.Verdict) bool {
	_, one := f.Stream()
	return one && qos > 0 && !p.identity.Is(pactwire.RoleOperator) && (v == topics.Yes || v == topics.IfMember)
}

// OnUnsubscribe implements mqtt.Hook.
func (a *ACL) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	p := peerOf(cl)
	if p == nil || p.session == nil {
		return pk
	}
	p.codes = make([]byte, len(pk.Filters))
	filters, at := make([]string, 0, len(pk.Filters)), make([]int, 0, len(pk.Filters))
	for i, f := range pk.Filters {
		if _, verdict := p.topics.Subscribe(p.identity, a.lab, f.Filter); verdict == topics.SysFigures {
			p.codes[i] = asTheLibrarySays
			continue
		}
		filters, at = append(filters, f.Filter), append(at, i)
		pk.Filters[i].Filter = nobody
	}
	for k, code := range p.session.Unsubscribe(filters) {
		p.codes[at[k]] = code
	}
	return pk
}

// OnPacketEncode implements mqtt.Hook: a SUBACK or UNSUBACK says the codes that the session gave, and why if there is room. The
// library would echo the request's user properties, and count too little for both.
func (*ACL) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if t := pk.FixedHeader.Type; t != packets.Suback && t != packets.Unsuback {
		return pk
	}
	p := peerOf(cl)
	if p == nil {
		return pk
	}
	pk.Properties.User = nil
	if len(p.codes) == len(pk.ReasonCodes) {
		for i, c := range p.codes {
			if c != asTheLibrarySays {
				pk.ReasonCodes[i] = c
			}
		}
	}
	if p.reason != "" && (p.maxPacket == 0 || aroundReason+len(pk.ReasonCodes)+len(p.reason) <= p.maxPacket) {
		pk.Properties.ReasonString = p.reason
	}
	p.codes, p.reason = nil, ""
	return pk
}

// aroundReason is what a SUBACK has beside its codes and its reason, at most: type, two lengths, packet id, the head of the property.
const aroundReason = 1 + 4 + 4 + 2 + 3

// OnPacketSent implements mqtt.Hook: once SUBACK is on its way, snapshots and replay may follow.
func (*ACL) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type != packets.Suback {
		return
	}
	if p := peerOf(cl); p != nil && p.session != nil {
		p.session.AfterSuback()
	}
}
