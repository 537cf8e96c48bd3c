package rawmqtt

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The packet types that are used here.
const (
	typeConnect    = 1
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typePubrec     = 5
	typePubrel     = 6
	typePubcomp    = 7
	typeSubscribe  = 8
	typeSuback     = 9
	typeUnsuback   = 11
	typePingreq    = 12
	typePingresp   = 13
	typeDisconnect = 14
	typeAuth       = 15
)

var errMalformed = errors.New("malformed packet from the server")

// Publish is a message that came. Topic and Payload are valid until the handler returns.
type Publish struct {
	Topic   []byte
	Payload []byte
	ID      uint16
	QoS     byte
	Dup     bool
	Retain  bool
}

// Connack is the server's answer to CONNECT.
type Connack struct {
	SessionPresent bool
	Code           byte
}

// Refused is a CONNACK that says no.
type Refused struct{ Code byte }

func (e *Refused) Error() string { return fmt.Sprintf("connection refused with 0x%02X", e.Code) }

func appendLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendConnect(b []byte, o *Options) []byte {
	var flags byte
	if o.Clean {
		flags |= 0x02
	}
	if o.WillTopic != "" {
		flags |= 0x04 | 0x08 // QoS 1
	}
	if o.Password != "" {
		flags |= 0x40
	}
	if o.Username != "" {
		flags |= 0x80
	}
	body := appendString(nil, "MQTT")
	body = append(body, o.version(), flags)
	body = binary.BigEndian.AppendUint16(body, o.KeepAlive)
	if o.version() == 5 {
		var props []byte
		if o.SessionExpiry > 0 {
			props = binary.BigEndian.AppendUint32(append(props, 0x11), o.SessionExpiry)
		}
		if o.ReceiveMaximum > 0 {
			props = binary.BigEndian.AppendUint16(append(props, 0x21), o.ReceiveMaximum)
		}
		if o.AuthMethod != "" {
			props = appendString(append(props, 0x15), o.AuthMethod)
		}
		for _, p := range o.UserProperties {
			props = appendString(appendString(append(props, 0x26), p[0]), p[1])
		}
		body = append(appendLength(body, len(props)), props...)
	}
	body = appendString(body, o.ClientID)
	if o.WillTopic != "" {
		if o.version() == 5 {
			body = append(body, 0)
		}
		body = appendString(appendString(body, o.WillTopic), o.WillPayload)
	}
	if o.Username != "" {
		body = appendString(body, o.Username)
	}
	if o.Password != "" {
		body = appendString(body, o.Password)
	}
	b = appendLength(append(b, typeConnect<<4), len(body))
	return append(b, body...)
}

func appendPublish(b []byte, version byte, id uint16, qos byte, dup bool, topic string, payload []byte) []byte {
	n := 2 + len(topic) + len(payload)
	first := byte(typePublish<<4) | qos<<1
	if dup {
		first |= 0x08
	}
	if qos > 0 {
		n += 2
	}
	if version == 5 {
		n++
	}
	b = appendLength(append(b, first), n)
	b = appendString(b, topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if version == 5 {
		b = append(b, 0)
	}
	return append(b, payload...)
}

func appendSubscribe(b []byte, version byte, id uint16, qos byte, userProperties [][2]string, filters []string) []byte {
	body := binary.BigEndian.AppendUint16(nil, id)
	if version == 5 {
		var props []byte
		for _, p := range userProperties {
			props = appendString(appendString(append(props, 0x26), p[0]), p[1])
		}
		body = append(appendLength(body, len(props)), props...)
	}
	for _, f := range filters {
		body = append(appendString(body, f), qos)
	}
	b = appendLength(append(b, typeSubscribe<<4|2), len(body))
	return append(b, body...)
}

func appendAuth(b []byte, method, data string) []byte {
	props := appendString(append(appendString([]byte{0x15}, method), 0x16), data)
	body := append(appendLength([]byte{0x19}, len(props)), props...)
	return append(appendLength(append(b, typeAuth<<4), len(body)), body...)
}

func appendAck(b []byte, kind byte, id uint16) []byte {
	first := kind << 4
	if kind == typePubrel {
		first |= 2
	}
	return append(b, first, 2, byte(id>>8), byte(id))
}

// next splits the first whole packet off buf. need is 0 when there is one, else how long buf must at least be.
func next(buf []byte) (first byte, body []byte, size, need int, err error) {
	if len(buf) < 2 {
		return 0, nil, 0, 2, nil
	}
	n, shift, i := 0, 0, 1
	for ; ; i++ {
		if i > 4 {
			return 0, nil, 0, 0, errMalformed
		}
		if i >= len(buf) {
			return 0, nil, 0, i + 1, nil
		}
		n |= int(buf[i]&0x7F) << shift
		shift += 7
		if buf[i] < 0x80 {
			break
		}
	}
	i++
	if len(buf) < i+n {
		return 0, nil, 0, i + n, nil
	}
	return buf[0], buf[i : i+n], i + n, 0, nil
}

func readPublish(version, first byte, body []byte) (p Publish, err error) {
	p.QoS, p.Dup, p.Retain = first>>1&3, first&8 != 0, first&1 != 0
	if len(body) < 2 {
		return p, errMalformed
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if len(body) < n {
		return p, errMalformed
	}
	p.Topic, body = body[:n], body[n:]
	if p.QoS > 0 {
		if len(body) < 2 {
			return p, errMalformed
		}
		p.ID, body = binary.BigEndian.Uint16(body), body[2:]
	}
	if version == 5 {
		if body, err = skipProperties(body); err != nil {
			return p, err
		}
	}
	p.Payload = body
	return p, nil
}

func skipProperties(b []byte) ([]byte, error) {
	n, shift := 0, 0
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7F) << shift
		shift += 7
		if b[i] < 0x80 {
			if len(b) < i+1+n {
				return nil, errMalformed
			}
			return b[i+1+n:], nil
		}
	}
	return nil, errMalformed
}
