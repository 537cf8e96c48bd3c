package sqlite

import "github.com/pactwire/pactwire"

// name is a text id of one kind. Pacts and users are also streams, under the same number.
type name struct {
	kind pactwire.StreamKind
	text string
}

const goalName = pactwire.StreamKind(3)

func pactName(p pactwire.PactID) name   { return name{pactwire.PactStream, string(p)} }
func userName(u pactwire.UserID) name   { return name{pactwire.InboxStream, string(u)} }
func goalNameOf(g pactwire.GoalID) name { return name{goalName, string(g)} }
func streamName(s pactwire.Stream) name { return name{s.Kind, s.ID} }

// interned is what a connection remembers of a name. Numbers never change once committed, so readers may keep them; the
// head is kept by the committer alone, which is the only one that moves it.
type interned struct {
	id        int64
	head      pactwire.Seq
	headKnown bool
	dirty     bool // changed in the running transaction, so to be forgotten when it is rolled back
}

// maxNames bounds what one connection remembers. When it is reached, everything is forgotten and read again as needed.
const maxNames = 100_000

var (
	sqlName    = newQuery(`SELECT id FROM names WHERE kind = ? AND name = ?`)
	sqlNewName = newQuery(`INSERT INTO names (kind, name) VALUES (?, ?) RETURNING id`)
)

// lookup finds a name; nil when it is not there.
func (c *conn) lookup(n name) (*interned, error) {
	if in := c.ids[n]; in != nil {
		return in, nil
	}
	s := c.q(sqlName).int(int64(n.kind)).text(n.text)
	var in *interned
	if s.next() {
		in = &interned{id: s.colInt(0)}
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	if in != nil {
		c.ids[n] = in
	}
	return in, nil
}

// id is the number of a name, 0 when it is not there.
func (c *conn) id(n name) (int64, error) {
	in, err := c.lookup(n)
	if in == nil {
		return 0, err
	}
	return in.id, nil
}

// forgetMany keeps the bound of ids. It is called between transactions.
func (c *conn) forgetMany() {
	if len(c.ids) > maxNames {
		clear(c.ids)
	}
}

// intern finds a name or adds it.
func (t *Tx) intern(n name) (*interned, error) {
	in, err := t.c.lookup(n)
	if in != nil || err != nil {
		return in, err
	}
	s := t.c.q(sqlNewName).int(int64(n.kind)).text(n.text)
	in = &interned{headKnown: true}
	for s.next() {
		in.id = s.colInt(0)
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	t.c.ids[n] = in
	t.touch(n, in)
	return in, nil
}

// internID is intern for who needs the number alone.
func (t *Tx) internID(n name) (int64, error) {
	in, err := t.intern(n)
	if err != nil {
		return 0, err
	}
	return in.id, nil
}

// touch marks what a rollback makes untrue.
func (t *Tx) touch(n name, in *interned) {
	if !in.dirty {
		in.dirty = true
		t.touched = append(t.touched, n)
	}
}
