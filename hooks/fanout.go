package hooks

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// fanout delivers what role lab publishes, in place of the library: it encodes a message once for all who get the same
// bytes, and hands them to each connection there and then. The library encodes for each, and by a queue of 64 and a goroutine
// for each connection, which drops what comes faster. Sessions, packet ids and what is not acknowledged stay the library's.
type fanout struct {
	server *mqtt.Server
	log    *slog.Logger
}

// wide is from how many subscribers on a message's bytes wait a moment for those of the next.
const wide = 64

// patient is a connection that can put off a write until more has come.
type patient interface {
	WriteLater(p []byte) (int, error)
}

// faithful is a connection that does not drop a packet to which later ones refer.
type faithful interface {
	WriteSurely(p []byte) (int, error)
}

// publish delivers and retains a message.
func (f *fanout) publish(pk packets.Packet) {
	if pk.Expiry = 0; pk.Properties.MessageExpiryInterval > 0 { // the library sets a bound of its own, and would tell the receivers
		pk.Expiry = pk.Created + int64(pk.Properties.MessageExpiryInterval)
	}
	base := pk.Copy(false)
	if base.FixedHeader.Retain {
		f.server.Topics.RetainMessage(pk.Copy(false))
		atomic.StoreInt64(&f.server.Info.Retained, int64(f.server.Topics.Retained.Len()))
	}
	subs := f.server.Topics.Subscribers(base.TopicName)
	if len(subs.Shared) > 0 {
		subs.SelectShared()
		subs.MergeSharedSelected()
	}
	enc := encoder{base: &base, wide: len(subs.Subscriptions) >= wide}
	for id, sub := range subs.Subscriptions {
		if cl, ok := f.server.Clients.Get(id); ok {
			f.deliver(cl, sub, &enc)
		}
	}
}

// deliver does for one subscriber what the library's publishToClient does.
func (f *fanout) deliver(cl *mqtt.Client, sub packets.Subscription, enc *encoder) {
	p := peerOf(cl)
	if p == nil || !p.lab || sub.NoLocal && enc.base.Origin == cl.ID {
		return
	}
	out := *enc.base
	out.ProtocolVersion = cl.Properties.ProtocolVersion
	out.FixedHeader.Qos = min(out.FixedHeader.Qos, sub.Qos)
	if out.ProtocolVersion < 5 || !sub.RetainAsPublished {
		out.FixedHeader.Retain = false
	}
	special := false
	for _, id := range sub.Identifiers {
		if id > 0 { // a filter without one is noted as 0
			special = true
			out.Properties.SubscriptionIdentifier = append(out.Properties.SubscriptionIdentifier, id)
		}
	}
	slices.Sort(out.Properties.SubscriptionIdentifier)
	if out.FixedHeader.Qos > 0 && !f.number(cl, &out) {
		return
	}
	b := enc.encode(&out, special)
	if !fits(cl, len(b)) {
		return
	}
	if out.FixedHeader.Qos > 0 && cl.State.Inflight.Set(out) { // without an alias: it may be sent again on another connection
		atomic.AddInt64(&f.server.Info.Inflight, 1)
	}
	if cl.Closed() || cl.Net.Conn == nil {
		return
	}
	n, err := send(cl, p, &out, b, enc.wide)
	if err != nil {
		return // the session has it, if there is one
	}
	atomic.AddInt64(&f.server.Info.BytesSent, int64(n))
	atomic.AddInt64(&f.server.Info.PacketsSent, 1)
	atomic.AddInt64(&f.server.Info.MessagesSent, 1)
}

// fits reports whether a packet is within the client's Maximum Packet Size.
func fits(cl *mqtt.Client, n int) bool {
	most := cl.Properties.Props.MaximumPacketSize
	return most == 0 || uint64(n) <= uint64(most) //nolint:gosec // a length
}

// send writes a message, b as it is without an alias.
func send(cl *mqtt.Client, p *peer, out *packets.Packet, b []byte, wide bool) (int, error) {
	if p.aliases != nil {
		return p.aliases.send(cl, out, b)
	}
	write := cl.Net.Conn.Write
	if c, ok := cl.Net.Conn.(patient); ok && wide {
		write = c.WriteLater
	}
	_, err := write(b)
	return len(b), err
}

// aliases are the topic aliases that a client has been told. The library has none to give: it uses up one for a message that it then
// drops, and sends it again on another connection.
type aliases struct {
	mu    sync.Mutex
	most  int // the client's Topic Alias Maximum
	known map[string]uint16
}

// aliasCost is by how much an alias that is told makes a packet longer, at most: the property, and a byte of each length.
const aliasCost = 5

// send writes a message with an alias, if there is one to be had for its topic, before any other that uses it. plain is the message
// without.
func (a *aliases) send(cl *mqtt.Client, out *packets.Packet, plain []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, write, topic := plain, cl.Net.Conn.Write, out.TopicName
	alias, told := a.known[topic]
	if !told && len(a.known) < a.most && fits(cl, len(plain)+aliasCost) {
		alias = uint16(len(a.known) + 1) //nolint:gosec // at most a.most
		if c, ok := cl.Net.Conn.(faithful); ok {
			write = c.WriteSurely
		}
	}
	if alias > 0 {
		aliased := *out
		aliased.Properties.TopicAlias, aliased.Properties.TopicAliasFlag = alias, true
		if told {
			aliased.TopicName = ""
		}
		b = encodePublish(&aliased)
	}
	_, err := write(b)
	if err == nil && alias > 0 {
		a.known[topic] = alias
	}
	return len(b), err
}

// number gives a message a packet id, if its session has room for it.
func (f *fanout) number(cl *mqtt.Client, out *packets.Packet) bool {
	if cl.State.Inflight.Len() < int(f.server.Options.Capabilities.MaximumInflight) {
		if id, err := cl.NextPacketID(); err == nil {
			out.PacketID = uint16(id) //nolint:gosec // the library counts in 16 bits
			return true
		}
	}
	atomic.AddInt64(&f.server.Info.InflightDropped, 1)
	f.log.Debug("a lab session has no room for a message", "client", cl.ID)
	return false
}

// encoder makes the bytes of a message, once for those who get the same.
type encoder struct {
	base *packets.Packet
	wide bool
	made [2 * 3 * 2][]byte // by version, QoS and retain flag
}

// encode returns the bytes, which hold until the next call.
func (e *encoder) encode(out *packets.Packet, special bool) []byte {
	if special {
		return encodePublish(out)
	}
	i := int(out.FixedHeader.Qos) * 4
	if out.ProtocolVersion == 5 {
		i += 2
	}
	if out.FixedHeader.Retain {
		i++
	}
	b := e.made[i]
	if b == nil {
		b = encodePublish(out)
		e.made[i] = b
	}
	if out.FixedHeader.Qos > 0 {
		_, n := binary.Uvarint(b[1:]) // the same encoding of lengths
		binary.BigEndian.PutUint16(b[1+n+2+len(out.TopicName):], out.PacketID)
	}
	return b
}

func encodePublish(out *packets.Packet) []byte {
	pk := *out
	pk.Mods.AllowResponseInfo = true
	if pk.Expiry > 0 {
		pk.Properties.MessageExpiryInterval = uint32(max(pk.Expiry-time.Now().Unix(), 1)) //nolint:gosec // of 32 bits
	}
	var b bytes.Buffer
	_ = pk.PublishEncode(&b) // fails without a packet id alone
	return b.Bytes()
}
