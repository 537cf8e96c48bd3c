package relay

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pactwire/pactwire"
)

// A message between nodes: a version, a header, then items, each with its length before it so that one of a kind that is not
// known yet is passed over. Numbers are uvarints, texts have their length before them.

const messageVersion = 1

// kind says what an item is about.
type kind byte

// The kinds.
const (
	kindEntry    kind = iota + 1 // a committed entry
	kindDirect                   // an unlogged message to a user
	kindState                    // a pact's state is another
	kindPact                     // a pact, or its members, are others: read it
	kindName                     // a user has another name
	kindPresence                 // a person's presence is another
	kindYield                    // a session is to be let go
	kindYielded                  // the answer
	kindRevoked                  // credentials were taken back: read which
)

var kindNames = map[kind]string{0: "warning", kindEntry: "entry", kindDirect: "direct", kindState: "state", kindPact: "pact", kindName: "name",
	kindPresence: "presence", kindYield: "yield", kindYielded: "yielded", kindRevoked: "revoked"}

// header comes before the items of a message.
type header struct {
	from string
	n    uint64 // of this message among those from one node to another, from 1; 0 = not counted
	lost uint64 // how often the sender left something out, for any node
	at   time.Time
}

// item is one thing that a node tells another. Which fields count is the kind's matter.
type item struct {
	kind    kind
	to      string // the one node that it is for; "" = those that it concerns. Not written.
	user    pactwire.UserID
	pact    pactwire.PactID
	entry   pactwire.Entry
	text    string // topic, name or client id
	payload []byte
	more    []byte // correlation data
	number  uint64 // version, or what a question and its answer share
	ok      bool
	status  pactwire.PresenceStatus
	seen    time.Time
	pacts   []pactwire.PactID
}

func appendHeader(b []byte, h header) []byte {
	b = append(b, messageVersion)
	b = appendText(b, h.from)
	b = binary.AppendUvarint(b, h.n)
	b = binary.AppendUvarint(b, h.lost)
	return binary.AppendUvarint(b, uint64(h.at.UnixMilli())) //nolint:gosec // after 1970
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendItem writes an item. All fields but the entry's are written whatever the kind: most are empty, and take a byte.
func appendItem(b []byte, it *item) []byte {
	body := append(make([]byte, 0, 64+len(it.entry.Payload)+len(it.payload)), byte(it.kind))
	if it.kind == kindEntry {
		body = append(body, byte(it.entry.Stream.Kind))
		body = appendText(body, it.entry.Stream.ID)
		body = binary.AppendUvarint(body, uint64(it.entry.Seq))
		return appendText(b, appendText(body, it.entry.Payload))
	}
	body = appendText(body, string(it.user))
	body = appendText(body, string(it.pact))
	body = appendText(body, it.text)
	body = appendText(body, it.payload)
	body = appendText(body, it.more)
	body = binary.AppendUvarint(body, it.number)
	body = append(body, boolByte(it.ok))
	body = appendText(body, string(it.status))
	var seen uint64
	if !it.seen.IsZero() {
		seen = uint64(it.seen.UnixMilli()) //nolint:gosec // after 1970
	}
	body = binary.AppendUvarint(body, seen)
	body = binary.AppendUvarint(body, uint64(len(it.pacts)))
	for _, p := range it.pacts {
		body = appendText(body, string(p))
	}
	return appendText(b, body)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

var errMessage = errors.New("a message of another node cannot be read")

// reader takes a message apart. After an error everything is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.bytes()) }

func (r *reader) time() time.Time {
	ms := r.number()
	if ms == 0 || ms > 1<<52 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC() //nolint:gosec // checked
}

// readMessage takes a message apart and calls f for each item of a known kind. What f is given may be kept.
func readMessage(m []byte, head func(header) bool, f func(*item)) error {
	r := &reader{b: m}
	if r.byte() != messageVersion {
		return errMessage
	}
	h := header{from: r.text(), n: r.number(), lost: r.number(), at: r.time()}
	if r.bad {
		return errMessage
	}
	if !head(h) {
		return nil
	}
	for len(r.b) > 0 {
		body := &reader{b: r.bytes()}
		if r.bad {
			return errMessage
		}
		it, ok := readItem(body)
		if body.bad {
			return errMessage
		}
		if ok {
			f(&it)
		}
	}
	return nil
}

func readItem(r *reader) (it item, known bool) {
	it.kind = kind(r.byte())
	if it.kind < kindEntry || it.kind > kindRevoked {
		return it, false
	}
	if it.kind == kindEntry {
		it.entry.Stream.Kind = pactwire.StreamKind(r.byte())
		it.entry.Stream.ID = r.text()
		it.entry.Seq = pactwire.Seq(r.number()) //nolint:gosec // as it was written
		it.entry.Payload = r.bytes()
		return it, true
	}
	it.user, it.pact, it.text = pactwire.UserID(r.text()), pactwire.PactID(r.text()), r.text()
	it.payload, it.more = r.bytes(), r.bytes()
	it.number = r.number()
	it.ok = r.byte() == 1
	it.status = pactwire.PresenceStatus(r.text())
	it.seen = r.time()
	for n := r.number(); n > 0 && !r.bad; n-- {
		it.pacts = append(it.pacts, pactwire.PactID(r.text()))
	}
	return it, true
}
