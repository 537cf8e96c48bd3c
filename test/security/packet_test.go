package security_test

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	connack    = 2
	publish    = 3
	puback     = 4
	pubrec     = 5
	pubrel     = 6
	pubcomp    = 7
	suback     = 9
	unsuback   = 11
	pingresp   = 13
	disconnect = 14
)

// Properties of MQTT 5 that the tests look at.
const (
	propExpiry        = 0x11
	propAssignedID    = 0x12
	propKeepAlive     = 0x13
	propResponseTopic = 0x08
	propCorrelation   = 0x09
	propReceiveMax    = 0x21
	propAliasMax      = 0x22
	propAlias         = 0x23
	propMaxPacket     = 0x27
	propShared        = 0x2a
	propUser          = 0x26
	propFormat        = 0x01
	propMessageExpiry = 0x02
	propContentType   = 0x03
	propSubscription  = 0x0b
	propWillDelay     = 0x18
)

// packet is one packet from the server.
type packet struct {
	kind    byte
	code    byte // of CONNACK, PUBACK…PUBCOMP, DISCONNECT
	present bool // Session Present
	id      uint16
	codes   []byte // of SUBACK and UNSUBACK
	topic   string
	payload string
	qos     byte
	dup     bool
	retain  bool
	props   map[byte]any // uint32 or string; of several with one name the last, and all of them in subs and user
	subs    []uint32     // subscription identifiers
	user    string       // user properties, as a=1&b=2
}

var errBad = errors.New("a malformed packet from the server")

func readPacket(r io.Reader, v byte) (p packet, err error) {
	var head [1]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return p, err
	}
	n := 0
	for shift := 0; ; shift += 7 {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return p, err
		}
		n |= int(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			break
		}
		if shift > 21 {
			return p, errBad
		}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return p, err
	}
	defer func() {
		if recover() != nil { // an index past the end
			err = errBad
		}
	}()
	p.kind = head[0] >> 4
	switch p.kind {
	case connack:
		p.present, p.code = body[0]&1 == 1, body[1]
		if v == 5 {
			p.props, _ = readProps(body[2:])
		}
	case publish:
		p.qos, p.dup, p.retain = head[0]>>1&3, head[0]&8 != 0, head[0]&1 != 0
		n := int(binary.BigEndian.Uint16(body))
		p.topic, body = string(body[2:2+n]), body[2+n:]
		if p.qos > 0 {
			p.id, body = binary.BigEndian.Uint16(body), body[2:]
		}
		if v == 5 {
			p.props, body = p.readProps(body)
		}
		p.payload = string(body)
	case puback, pubrec, pubrel, pubcomp:
		p.id = binary.BigEndian.Uint16(body)
		if len(body) > 2 {
			p.code = body[2]
		}
		if len(body) > 3 {
			p.props, _ = readProps(body[3:])
		}
	case suback, unsuback:
		p.id, body = binary.BigEndian.Uint16(body), body[2:]
		if v == 5 {
			p.props, body = readProps(body)
		}
		p.codes = body
	case disconnect:
		if len(body) > 0 {
			p.code = body[0]
		}
	}
	return p, nil
}

func readProps(b []byte) (map[byte]any, []byte) { return (&packet{}).readProps(b) }

func (p *packet) readProps(b []byte) (map[byte]any, []byte) {
	n, used := binary.Uvarint(b)
	b, rest := b[used:used+int(n)], b[used+int(n):]
	m := map[byte]any{}
	text := func() string {
		n := int(binary.BigEndian.Uint16(b))
		s := string(b[2 : 2+n])
		b = b[2+n:]
		return s
	}
	for len(b) > 0 {
		k := b[0]
		b = b[1:]
		switch k {
		case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			m[k], b = uint32(b[0]), b[1:]
		case 0x13, 0x21, 0x22, 0x23:
			m[k], b = uint32(binary.BigEndian.Uint16(b)), b[2:]
		case 0x02, 0x11, 0x18, 0x27:
			m[k], b = binary.BigEndian.Uint32(b), b[4:]
		case 0x0b:
			n, used := binary.Uvarint(b)
			m[k], b = uint32(n), b[used:]
			p.subs = append(p.subs, uint32(n))
		case 0x26:
			pair := text() + "=" + text()
			if m[k] = pair; p.user != "" {
				pair = "&" + pair
			}
			p.user += pair
		default:
			m[k] = text()
		}
	}
	return m, rest
}

func frame(first byte, body []byte) []byte { return append([]byte{first}, withLength(body)...) }

func withLength(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

func str(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func prop16(k byte, v uint16) []byte { return binary.BigEndian.AppendUint16([]byte{k}, v) }

func prop32(k byte, v uint32) []byte { return binary.BigEndian.AppendUint32([]byte{k}, v) }

func propStr(k byte, s string) []byte { return append([]byte{k}, str(s)...) }

func userProp(k, v string) []byte { return append(append([]byte{propUser}, str(k)...), str(v)...) }

func join(bs ...[]byte) (out []byte) {
	for _, b := range bs {
		out = append(out, b...)
	}
	return out
}
