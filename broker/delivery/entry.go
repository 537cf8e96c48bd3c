package delivery

import (
	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// entry is an entry on its way to many clients: its topic is spelt once, and its bytes are written once a version. It is
// used by one goroutine.
type entry struct {
	pactwire.Entry
	name    string
	topic   topics.Topic
	matters bool      // its acknowledgement is to be told
	packets [2][]byte // PUBLISH of QoS 1 without identifiers, for 3.1.1 and 5; stamped for each client
}

// set makes x carry e; buffers are kept.
func (x *entry) set(e pactwire.Entry) {
	x.Entry, x.name, x.topic = e, topics.OfStream(e.Stream), topicOf(e.Stream)
	x.packets[0], x.packets[1] = x.packets[0][:0], x.packets[1][:0]
}

// topicOf is the topic that carries a stream.
func topicOf(s pactwire.Stream) topics.Topic {
	if u := s.User(); u != "" {
		return topics.Topic{Kind: topics.InboxKind, User: u}
	}
	return topics.Topic{Kind: topics.ActivityKind, Pact: s.Pact()}
}

func (x *entry) publish(version byte) wire.Publish {
	return wire.Publish{Version: version, QoS: 1, Topic: x.name, Payload: x.Payload}
}

// packet is the entry's PUBLISH without identifiers, to be stamped. It is valid until the next call.
func (x *entry) packet(version byte) []byte {
	b := &x.packets[0]
	if version >= 5 {
		b = &x.packets[1]
	}
	if len(*b) == 0 {
		p := x.publish(version)
		*b = p.Append(*b)
	}
	return *b
}

func (x *entry) stamp(version byte, id uint16, dup bool) {
	p := x.publish(version)
	p.Stamp(x.packet(version), id, dup)
}
