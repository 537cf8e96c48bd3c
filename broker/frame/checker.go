package frame

// The packet types that clients send.
const (
	Connect     byte = 1
	Publish     byte = 3
	Puback      byte = 4
	Pubrec      byte = 5
	Pubrel      byte = 6
	Pubcomp     byte = 7
	Subscribe   byte = 8
	Unsubscribe byte = 10
	Pingreq     byte = 12
	Disconnect  byte = 14
	Auth        byte = 15
)

// Connack is what only servers send, for who writes packets.
const Connack byte = 2

// Frame is one whole packet that passed.
type Frame struct {
	Type   byte
	Flags  byte   // the lower half of the first byte
	Reason byte   // of an acknowledgement, DISCONNECT or AUTH
	ID     uint16 // packet identifier, where the packet has one
	Bytes  []byte // the packet, fixed header included; lies within the buffer given to Next
	Topic  []byte // name in a PUBLISH; lies within Bytes
}

// QoS is the quality of service of a PUBLISH.
func (f Frame) QoS() byte { return f.Flags >> 1 & 3 }

// Checker checks the packets of one connection. It holds no bytes between calls.
type Checker struct {
	lim       *Limits
	version   byte // protocol level; 0 before CONNECT
	keepalive uint16
}

// NewChecker makes a checker for one connection. lim must be complete (see Limits.WithDefaults) and is shared.
func NewChecker(lim *Limits) Checker { return Checker{lim: lim} }

// Version is the protocol level that CONNECT named: 3, 4 or 5, or 0 before CONNECT passed.
func (c *Checker) Version() byte { return c.version }

// Keepalive is the number of seconds that CONNECT named.
func (c *Checker) Keepalive() uint16 { return c.keepalive }

// Next finds one whole packet at the front of buf and checks it. n is its length; n = 0 without an error means that more
// bytes are needed. What can be told from the first bytes (a wrong first packet, reserved flags, a length that is too
// large) is told before the rest has arrived. err is nil or a *Violation.
func (c *Checker) Next(buf []byte) (f Frame, n int, err error) {
	if len(buf) == 0 {
		return Frame{}, 0, nil
	}
	if v := c.first(buf[0]); v != nil {
		return Frame{}, 0, v
	}
	length, ln, ok := varint(buf[1:])
	if !ok {
		return Frame{}, 0, malformed("remaining length too long")
	}
	if ln == 0 {
		return Frame{}, 0, nil
	}
	n = 1 + ln + length
	if n > c.lim.PacketSize {
		return Frame{}, 0, violation(PacketTooLarge, "packet too large")
	}
	if len(buf) < n {
		return Frame{}, 0, nil
	}
	f = Frame{Type: buf[0] >> 4, Flags: buf[0] & 0x0F, Bytes: buf[:n:n]}
	v := c.body(&f, cursor{buf[1+ln : n]})
	if v == nil && ln > 1 && buf[ln] == 0 && c.version == 5 {
		v = malformed("remaining length not in its shortest form")
	}
	if v != nil {
		return Frame{}, 0, v
	}
	return f, n, nil
}

// first judges the first byte of a packet.
func (c *Checker) first(b byte) *Violation {
	typ, flags := b>>4, b&0x0F
	if c.version == 0 && typ != Connect {
		return protocol("first packet is not CONNECT")
	}
	switch typ {
	case Connect:
		if c.version != 0 {
			return protocol("second CONNECT")
		}
	case Publish:
		if flags>>1&3 == 3 {
			return malformed("QoS 3")
		}
		if flags&0x08 != 0 && flags>>1&3 == 0 {
			return malformed("DUP with QoS 0")
		}
		return nil
	case Pubrel, Subscribe, Unsubscribe:
		if flags != 2 {
			return malformed("reserved flags")
		}
		return nil
	case Puback, Pubrec, Pubcomp, Pingreq, Disconnect:
	case Auth:
		if c.version != 5 {
			return protocol("AUTH before MQTT 5")
		}
	case 0:
		return malformed("packet type 0")
	default:
		return protocol("packet that only a server sends")
	}
	if flags != 0 {
		return malformed("reserved flags")
	}
	return nil
}

func (c *Checker) body(f *Frame, b cursor) *Violation {
	switch f.Type {
	case Connect:
		return c.connect(b)
	case Publish:
		return c.publish(f, b)
	case Puback, Pubrec, Pubrel, Pubcomp:
		return c.ack(f, b)
	case Subscribe, Unsubscribe:
		return c.subscribe(f, b)
	case Disconnect:
		return c.disconnect(f, b)
	case Auth:
		return c.auth(f, b)
	}
	return b.end() // PINGREQ
}
