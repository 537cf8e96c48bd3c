package bridge

import (
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// commit is one run of a function in a transaction: what it writes to the log, and what is to be told once it is committed.
// A run starts from an empty one, since functions may run again.
type commit struct {
	b       *Bridge
	tx      Tx
	now     time.Time
	entries []pactwire.Entry
	directs []direct
	pacts   []pactwire.Pact     // changed
	news    []pactwire.Pact     // of those, the ones that became others
	states  []pactwire.PactID   // whose State is another now
	named   []pactwire.Identity // whose name was stored
	met     []meeting           // who has become connected
	unclear []pactwire.PactID   // of which another node has recorded a reading that may be newer
	types   []pactwire.ActivityType
	repeats int            // commands that had been done before
	undo    []func()       // what this run changed in memory, should it fail
	after   []func() error // events that follow the answer, as a milestone follows its check-in

	cause string          // names what the entries that are written now tell of, for pushes; "" = the first of them does
	by    pactwire.UserID // who caused them
}

// meeting is two people who have become connected, each as the other sees them.
type meeting struct{ a, b pactwire.Connection }

// direct is an unlogged message.
type direct struct {
	user        pactwire.UserID
	topic       string
	payload     []byte
	correlation []byte
}

func (b *Bridge) begin(tx Tx) *commit { return &commit{b: b, tx: tx, now: time.Now()} }

// activity writes one activity; its place in the stream is set here.
func (c *commit) activity(a *pactwire.Activity, data any) error {
	raw, err := encode(data)
	if err != nil {
		return err
	}
	stream := pactwire.ActivityOf(a.PactID)
	head, err := c.tx.Head(stream)
	if err != nil {
		return err
	}
	a.ID, a.Seq, a.Data, a.CreatedAt = c.b.cfg.NewID(), head+1, raw, pactwire.Time(c.now)
	c.types = append(c.types, a.Type)
	c.stateChanged(a.PactID) // its headSeq
	e := pactwire.Entry{Stream: stream, Seq: a.Seq, Payload: appendActivity(make([]byte, 0, 256+len(raw)), a)}
	if err := c.append(e); err != nil {
		return err
	}
	return c.pushActivity(a, e)
}

// stateChanged notes that a pact's State is another now.
func (c *commit) stateChanged(p pactwire.PactID) {
	if !slices.Contains(c.states, p) {
		c.states = append(c.states, p)
	}
}

// event writes one event to a person's inbox.
func (c *commit) event(u pactwire.UserID, e *pactwire.Event, data any) error {
	if err := c.fill(e, data); err != nil {
		return err
	}
	return c.log(u, e)
}

// log writes an event that has been filled to a person's inbox.
func (c *commit) log(u pactwire.UserID, e *pactwire.Event) error {
	stream := pactwire.InboxOf(u)
	head, err := c.tx.Head(stream)
	if err != nil {
		return err
	}
	e.Seq = head + 1
	entry := pactwire.Entry{Stream: stream, Seq: e.Seq, Payload: appendEvent(make([]byte, 0, 192+len(e.Data)), e)}
	if err := c.append(entry); err != nil {
		return err
	}
	return c.pushEvent(u, e, entry)
}

func (c *commit) fill(e *pactwire.Event, data any) (err error) {
	if e.Data, err = encode(data); err != nil {
		return err
	}
	e.ID, e.CreatedAt = c.b.cfg.NewID(), pactwire.Time(c.now)
	return nil
}

func (c *commit) append(e pactwire.Entry) error {
	if err := c.tx.Append(e, c.now); err != nil {
		return err
	}
	c.entries = append(c.entries, e)
	return nil
}

// answer gives a command its answer: where it asked for it, unlogged, or into its sender's inbox. What follows the answer
// is written then.
func (c *commit) answer(cmd *pactwire.Command, typ pactwire.EventType, data any) (*pactwire.Event, error) {
	e, err := c.reply(cmd, typ, data)
	for _, f := range c.after {
		if err == nil {
			err = f()
		}
	}
	c.after = nil
	return e, err
}

func (c *commit) reply(cmd *pactwire.Command, typ pactwire.EventType, data any) (*pactwire.Event, error) {
	e := &pactwire.Event{Type: typ, CommandID: commandID(cmd), Index: cmd.Index}
	switch {
	case cmd.Answer.Silent:
		return e, c.fill(e, data)
	case cmd.Answer.Topic != "":
		if err := c.fill(e, data); err != nil {
			return nil, err
		}
		c.directs = append(c.directs, direct{cmd.Sender.UserID, cmd.Answer.Topic, appendEvent(nil, e), cmd.Answer.Correlation})
		if cmd.Sender.Device != "" && typ != pactwire.EventError {
			return e, c.log(cmd.Sender.UserID, e) // the owner wants to see what their devices did
		}
		return e, nil
	}
	return e, c.event(cmd.Sender.UserID, e, data)
}

// publish hands over what was committed. It runs on the committing goroutine and does not block. Membership goes first,
// so that who has joined receives the activity that says so, and who has left does not.
func (c *commit) publish() {
	for i := range c.pacts {
		p := &c.pacts[i]
		was := c.b.members.get(p.ID)
		delete(c.b.changing, p.ID)
		c.b.notices.keep(p.ID)
		c.b.members.learn(*p, c.b.pub)
		if was != nil && !slices.Contains(c.states, p.ID) && !alike(was, p) {
			c.b.here().StateChanged(p.ID) // another node has told of it, maybe while the view was older here
		}
	}
	c.known()
	c.tellPeers()
	c.b.metrics.duplicates.Add(float64(c.repeats))
	for _, t := range c.types {
		c.b.metrics.recorded.WithLabelValues(string(t)).Inc()
	}
	for _, e := range c.entries {
		c.b.pub.Publish(e)
	}
	for _, d := range c.directs {
		c.b.pub.Direct(d.user, "", d.topic, d.payload, d.correlation)
	}
	for _, p := range c.states {
		c.b.pub.StateChanged(p)
	}
	for _, m := range c.met {
		c.b.introduce(m)
	}
}

func commandID(cmd *pactwire.Command) *string {
	if cmd.ID == "" {
		return nil
	}
	return &cmd.ID
}
