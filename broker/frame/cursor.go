package frame

import (
	"bytes"
	"unicode/utf8"
)

// cursor reads the fields of one packet, front to back. Each method returns what it read, or a violation when the packet
// ends too early or the field is wrong. The slices it returns lie within the packet.
type cursor struct {
	b []byte
}

var errShort = violation(Malformed, "packet ends too early")

func (c *cursor) u8() (byte, *Violation) {
	if len(c.b) < 1 {
		return 0, errShort
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v, nil
}

func (c *cursor) u16() (uint16, *Violation) {
	if len(c.b) < 2 {
		return 0, errShort
	}
	v := uint16(c.b[0])<<8 | uint16(c.b[1])
	c.b = c.b[2:]
	return v, nil
}

func (c *cursor) u32() (uint32, *Violation) {
	if len(c.b) < 4 {
		return 0, errShort
	}
	v := uint32(c.b[0])<<24 | uint32(c.b[1])<<16 | uint32(c.b[2])<<8 | uint32(c.b[3])
	c.b = c.b[4:]
	return v, nil
}

// varint reads a variable byte integer of at most four bytes, in its shortest form.
func (c *cursor) varint() (int, *Violation) {
	v, n, ok := varint(c.b)
	switch {
	case !ok:
		return 0, malformed("variable byte integer too long")
	case n == 0:
		return 0, errShort
	case n > 1 && c.b[n-1] == 0:
		return 0, malformed("variable byte integer not in its shortest form")
	}
	c.b = c.b[n:]
	return v, nil
}

// varint decodes a variable byte integer at the front of b: its value and length. The length is 0 when more bytes are
// needed; ok is false when it has more than four.
func varint(b []byte) (v, n int, ok bool) {
	for i := 0; i < 4; i++ {
		if i == len(b) {
			return 0, 0, true
		}
		v |= int(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1, true
		}
	}
	return 0, 0, false
}

func (c *cursor) binary() ([]byte, *Violation) {
	n, err := c.u16()
	if err != nil {
		return nil, err
	}
	if len(c.b) < int(n) {
		return nil, errShort
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v, nil
}

// text reads a UTF-8 string and says whether it holds a wildcard character.
func (c *cursor) text() (s []byte, wild bool, err *Violation) {
	s, err = c.binary()
	if err != nil {
		return nil, false, err
	}
	ascii := true
	for _, ch := range s {
		switch {
		case ch == 0:
			return nil, false, malformed("NUL in a string")
		case ch == '+' || ch == '#':
			wild = true
		case ch >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && !utf8.Valid(s) {
		return nil, false, malformed("string is not UTF-8")
	}
	return s, wild, nil
}

func (c *cursor) packetID() (uint16, *Violation) {
	id, err := c.u16()
	if err != nil {
		return 0, err
	}
	if id == 0 {
		return 0, protocol("packet identifier 0")
	}
	return id, nil
}

// end is a violation when anything is left.
func (c *cursor) end() *Violation {
	if len(c.b) > 0 {
		return malformed("bytes after the end of the packet")
	}
	return nil
}

var shareLevel = []byte("$share")

// filter reads a topic filter and checks its grammar.
func (c *cursor) filter() (shared bool, err *Violation) {
	s, wild, err := c.text()
	if err != nil {
		return false, err
	}
	if len(s) == 0 {
		return false, protocol("empty topic filter")
	}
	if s[0] == '$' {
		first, rest, more := bytes.Cut(s, []byte{'/'})
		// The broker library compares without regard to case, so the grammar is held to that.
		if bytes.EqualFold(first, shareLevel) {
			group, inner, ok := bytes.Cut(rest, []byte{'/'})
			if !more || !ok || len(group) == 0 || len(inner) == 0 || bytes.ContainsAny(group, "+#") {
				return false, violation(FilterInvalid, "malformed shared subscription")
			}
			shared, s = true, inner
		}
	}
	if wild && !wildcardsFit(s) {
		return false, violation(FilterInvalid, "misplaced wildcard in a topic filter")
	}
	return shared, nil
}

// wildcardsFit reports whether each + fills a level and each # fills the last one.
func wildcardsFit(s []byte) bool {
	for i, ch := range s {
		if ch != '+' && ch != '#' {
			continue
		}
		if i > 0 && s[i-1] != '/' {
			return false
		}
		if i+1 < len(s) && (ch == '#' || s[i+1] != '/') {
			return false
		}
	}
	return true
}
