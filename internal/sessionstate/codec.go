// Package sessionstate writes what is kept of a session as one compact value, the same in every store.
package sessionstate

import (
	"encoding/binary"
	"errors"

	"github.com/pactwire/pactwire"
)

const sessionVersion = 1 // it ends in a count that is zero: packet ids stood there once

const (
	filterQoS     = 0b0000_0011
	filterHandle  = 0b0000_1100 // retain handling, shifted by 2
	filterNoLocal = 0b0001_0000
	filterRAP     = 0b0010_0000
)

// Encode writes the filters and cursors of a session. It is done once a second while a session moves, so it is one compact
// value: a version, then each list with its count before it; all numbers are uvarints.
func Encode(s *pactwire.Session) []byte {
	n := 16
	for i := range s.Filters {
		n += len(s.Filters[i].Filter) + 8
	}
	for i := range s.Cursors {
		n += len(s.Cursors[i].Stream.ID) + 12
	}
	b := append(make([]byte, 0, n), sessionVersion)
	b = binary.AppendUvarint(b, uint64(len(s.Filters)))
	for _, f := range s.Filters {
		b = appendText(b, f.Filter)
		flags := f.QoS&filterQoS | f.RetainHandling<<2&filterHandle
		if f.NoLocal {
			flags |= filterNoLocal
		}
		if f.RetainAsPub {
			flags |= filterRAP
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(f.Identifier))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Cursors)))
	for _, c := range s.Cursors {
		b = append(b, byte(c.Stream.Kind))
		b = appendText(b, c.Stream.ID)
		b = binary.AppendUvarint(b, uint64(c.Acked))
		b = binary.AppendUvarint(b, uint64(c.Sent))
	}
	return append(b, 0)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errSessionState = errors.New("stored session state cannot be read")

// Decode reads back what Encode wrote.
func Decode(b []byte) (s pactwire.Session, err error) {
	r := stateReader{b: b}
	if r.byte() != sessionVersion {
		return s, errSessionState
	}
	if n := r.count(3); n > 0 {
		s.Filters = make([]pactwire.SessionFilter, n)
		for i := range s.Filters {
			f := &s.Filters[i]
			f.Filter = r.text()
			flags := r.byte()
			f.QoS, f.RetainHandling = flags&filterQoS, flags&filterHandle>>2
			f.NoLocal, f.RetainAsPub = flags&filterNoLocal != 0, flags&filterRAP != 0
			f.Identifier = uint32(r.number())
		}
	}
	if n := r.count(4); n > 0 {
		s.Cursors = make([]pactwire.Cursor, n)
		for i := range s.Cursors {
			c := &s.Cursors[i]
			c.Stream.Kind = pactwire.StreamKind(r.byte())
			c.Stream.ID = r.text()
			c.Acked, c.Sent = pactwire.Seq(r.number()), pactwire.Seq(r.number())
		}
	}
	for range r.count(1) {
		r.number()
	}
	if r.bad || len(r.b) > 0 {
		return pactwire.Session{}, errSessionState
	}
	return s, nil
}

// stateReader reads from the front of b; after the first mistake it is bad and reads zeros.
type stateReader struct {
	b   []byte
	bad bool
}

func (r *stateReader) fail() { r.b, r.bad = nil, true }

func (r *stateReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *stateReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many items follow, each of at least size bytes, so that a damaged count allocates nothing.
func (r *stateReader) count(size uint64) int {
	n := r.number()
	if n > uint64(len(r.b))/size {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *stateReader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v
}
