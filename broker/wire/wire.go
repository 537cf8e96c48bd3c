package wire

import "encoding/binary"

// Packet types in the high half of the first byte.
const (
	typePublish = 0x30
	typePuback  = 0x40
	typePubrec  = 0x50
	typePubcomp = 0x70
)

// MQTT 5 property identifiers.
const (
	propCorrelation  = 0x09
	propSubscription = 0x0b
	propReason       = 0x1f
)

// Publish is a PUBLISH to be written. With QoS 0, ID is not written; before version 5 Identifiers and Correlation are not.
type Publish struct {
	Version     byte
	QoS         byte
	Retain, Dup bool
	ID          uint16
	Topic       string
	Identifiers []uint32 // subscription identifiers
	Correlation []byte
	Payload     []byte
}

// Append appends the packet to b.
func (p *Publish) Append(b []byte) []byte {
	first := byte(typePublish) | p.QoS<<1
	if p.Retain {
		first |= 1
	}
	if p.Dup {
		first |= 8
	}
	props := p.properties()
	b = append(b, first)
	b = binary.AppendUvarint(b, uint64(p.body(props)))
	b = appendString(b, p.Topic)
	if p.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, p.ID)
	}
	if p.Version >= 5 {
		b = binary.AppendUvarint(b, uint64(props))
		for _, id := range p.Identifiers {
			b = binary.AppendUvarint(append(b, propSubscription), uint64(id))
		}
		if p.Correlation != nil {
			b = binary.BigEndian.AppendUint16(append(b, propCorrelation), uint16(len(p.Correlation))) //nolint:gosec // came in as one
			b = append(b, p.Correlation...)
		}
	}
	return append(b, p.Payload...)
}

// Stamp turns a written PUBLISH of QoS 1 into that of another client: it sets DUP and the packet id, which stands behind
// the topic.
func (p *Publish) Stamp(b []byte, id uint16, dup bool) {
	b[0] &^= 8
	if dup {
		b[0] |= 8
	}
	at := 1 + uvarintLen(p.body(p.properties())) + 2 + len(p.Topic)
	binary.BigEndian.PutUint16(b[at:], id)
}

// Size is how many bytes Append writes.
func (p *Publish) Size() int {
	body := p.body(p.properties())
	return 1 + uvarintLen(body) + body
}

func (p *Publish) body(props int) int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	if p.Version >= 5 {
		n += uvarintLen(props) + props
	}
	return n
}

func (p *Publish) properties() (n int) {
	if p.Version < 5 {
		return 0
	}
	for _, id := range p.Identifiers {
		n += 1 + uvarintLen(int(id))
	}
	if p.Correlation != nil {
		n += 3 + len(p.Correlation)
	}
	return n
}

// noSubscribers is the one code below 0x80, besides success, that PUBACK and PUBREC know.
const noSubscribers = 0x10

// AppendAck appends PUBACK (qos 1) or PUBREC (qos 2). Code and reason are written for version 5 alone, and code 0 in the
// short form. A code below 0x80 that these packets do not know, such as 0x01, is written as success.
func AppendAck(b []byte, version, qos byte, id uint16, code byte, reason string) []byte {
	if code < 0x80 && code != noSubscribers {
		code = 0
	}
	first := byte(typePuback)
	if qos == 2 {
		first = typePubrec
	}
	return appendReply(b, first, version, id, code, reason)
}

// AppendPubcomp appends PUBCOMP.
func AppendPubcomp(b []byte, version byte, id uint16, code byte) []byte {
	return appendReply(b, typePubcomp, version, id, code, "")
}

func appendReply(b []byte, first, version byte, id uint16, code byte, reason string) []byte {
	if version < 5 || code == 0 {
		return binary.BigEndian.AppendUint16(append(b, first, 2), id)
	}
	if reason == "" {
		return append(binary.BigEndian.AppendUint16(append(b, first, 3), id), code)
	}
	props := 3 + len(reason)
	b = append(b, first)
	b = binary.AppendUvarint(b, uint64(3+uvarintLen(props)+props))
	b = append(binary.BigEndian.AppendUint16(b, id), code)
	b = binary.AppendUvarint(b, uint64(props))
	return appendString(append(b, propReason), reason)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) //nolint:gosec // topics and reasons are far shorter
}

// uvarintLen is the length of a variable byte integer, whose encoding up to 268,435,455 is that of encoding/binary.
func uvarintLen(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}
