package bridge

import (
	"context"

	"github.com/pactwire/pactwire"
)

// relation is how two people stand to each other, from the sender of a command: both sides, and which of them a step changes.
// Each side holds what its owner may know. Whoever is blocked is not told: their side goes on as if nobody had answered.
type relation struct {
	op           *operation
	me, them     pactwire.UserID
	mine, theirs pactwire.Connection
	event        pactwire.EventType // CREATED or UPDATED, when a step changed something
	tellThem     bool               // their side changed too
	accepted     bool
}

// connect takes one step.
func (op *operation) connect(cmd *pactwire.Command) (done pactwire.CommandDone, err error) {
	r := &relation{op: op, me: cmd.Sender.UserID, them: cmd.User}
	if r.me == r.them {
		return done, pactwire.FieldErrorf("topic", "this is you; name another person")
	}
	if r.mine, _, err = op.tx.Connection(r.me, r.them); err != nil {
		return done, err
	}
	if r.theirs, _, err = op.tx.Connection(r.them, r.me); err != nil {
		return done, err
	}
	switch cmd.Connection.Action {
	case pactwire.ConnectionRequest:
		err = r.request()
	case pactwire.ConnectionAccept:
		err = r.accept()
	case pactwire.ConnectionDecline:
		err = r.decline()
	case pactwire.ConnectionEnd:
		err = r.end()
	case pactwire.ConnectionBlock:
		err = r.block()
	case pactwire.ConnectionUnblock:
		err = r.unblock()
	}
	if err != nil {
		return done, err
	}
	if r.event == "" {
		return pactwire.CommandDone{Duplicate: true}, nil
	}
	return done, r.write(cmd)
}

func (r *relation) request() error {
	switch {
	case r.mine.IsBlocked:
		return errBlockedByYou
	case r.mine.Status == pactwire.ConnectionAccepted:
		return pactwire.Errorf(pactwire.Conflict, "you are connected already")
	case r.mine.Status == pactwire.ConnectionRequested:
		return nil // said already
	case r.mine.Status == pactwire.ConnectionPending, r.theirs.Status == pactwire.ConnectionRequested && !r.theirs.IsBlocked:
		return r.agree() // both want it
	case r.mine.Asked >= pactwire.MaxAsked:
		return pactwire.Errorf(pactwire.TooMany, "you have asked this person %d times; now it is for them to ask", pactwire.MaxAsked)
	}
	n, err := r.op.tx.CountConnections(r.me)
	switch {
	case err != nil:
		return err
	case n.Requested >= pactwire.MaxRequests:
		return pactwire.Errorf(pactwire.TooMany, "%d of your requests are not answered yet; end some of them first", n.Requested)
	case r.mine.Status == "" && n.All >= pactwire.MaxConnectionRows:
		return errTooManyPeople
	}
	r.event = pactwire.EventConnectionCreated
	r.mine.Status = pactwire.ConnectionRequested
	r.mine.Asked++
	if !r.theirs.IsBlocked {
		r.theirs.Status, r.tellThem = pactwire.ConnectionPending, true
	}
	return nil
}

var errTooManyPeople = pactwire.Errorf(pactwire.TooMany, "you have asked and blocked more people than can be kept")

func (r *relation) accept() error {
	switch r.mine.Status {
	case pactwire.ConnectionAccepted:
		return nil
	case pactwire.ConnectionPending:
		return r.agree()
	}
	return errNoRequest
}

var errNoRequest = pactwire.Errorf(pactwire.Conflict, "there is no request of this person that waits for you")

// agree connects the two.
func (r *relation) agree() error {
	for _, u := range []pactwire.UserID{r.me, r.them} {
		n, err := r.op.tx.CountConnections(u)
		if err != nil {
			return err
		}
		if n.Accepted >= pactwire.MaxConnections {
			return pactwire.Errorf(pactwire.TooMany, "one of you has %d connections, and nobody can have more", n.Accepted)
		}
	}
	r.both(pactwire.ConnectionAccepted)
	r.mine.Asked, r.theirs.Asked, r.accepted = 0, 0, true
	return nil
}

func (r *relation) decline() error {
	switch r.mine.Status {
	case pactwire.ConnectionDeclined:
		return nil
	case pactwire.ConnectionPending:
		r.both(pactwire.ConnectionDeclined)
		return nil
	}
	return errNoRequest
}

// both gives both sides the same status.
func (r *relation) both(s pactwire.ConnectionStatus) {
	r.event, r.tellThem = pactwire.EventConnectionUpdated, true
	r.mine.Status, r.theirs.Status = s, s
}

func (r *relation) end() error {
	switch r.mine.Status {
	case pactwire.ConnectionEnded, pactwire.ConnectionDeclined:
		return nil
	case pactwire.ConnectionPending:
		return r.decline()
	case "":
		return pactwire.Errorf(pactwire.Conflict, "you are not connected, and have not asked to be")
	}
	r.leave()
	return nil
}

// leave ends what there is between the two. A request that was held back has no other side.
func (r *relation) leave() {
	if s := r.theirs.Status; s == pactwire.ConnectionAccepted || s == pactwire.ConnectionPending {
		r.theirs.Status, r.tellThem = pactwire.ConnectionEnded, true
	}
	r.event, r.mine.Status = pactwire.EventConnectionUpdated, pactwire.ConnectionEnded
}

func (r *relation) block() error {
	if r.mine.IsBlocked {
		return nil
	}
	if r.mine.Status == "" {
		n, err := r.op.tx.CountConnections(r.me)
		if err != nil {
			return err
		}
		if n.All >= pactwire.MaxConnectionRows {
			return errTooManyPeople
		}
	}
	r.leave() // whom is waiting for an answer waits on
	r.mine.IsBlocked = true
	return nil
}

func (r *relation) unblock() error {
	if r.mine.IsBlocked {
		r.event, r.mine.IsBlocked = pactwire.EventConnectionUpdated, false
	}
	return nil
}

// write stores the sides that changed and tells their owners.
func (r *relation) write(cmd *pactwire.Command) error {
	op, now := r.op, pactwire.Time(r.op.now)
	if r.mine.UserID == "" { // the first word between them: who is asked exists from now on, as who is invited to a pact
		r.mine.UserID = r.them
		if err := op.tx.TouchUser(r.them, "", op.now); err != nil {
			return err
		}
		them, _, err := op.tx.User(r.them)
		if err != nil {
			return err
		}
		r.mine.UserName = them.UserName
	}
	r.mine.UpdatedAt = now
	if err := op.tx.PutConnection(r.me, r.mine); err != nil {
		return err
	}
	if err := op.event(r.me, &pactwire.Event{Type: r.event, CommandID: commandID(cmd)}, pactwire.ConnectionChanged{Connection: r.mine}); err != nil {
		return err
	}
	if s := r.mine.Status; s == pactwire.ConnectionAccepted || s == pactwire.ConnectionDeclined {
		if err := op.answered(r.me, requestOfUser(r.them)); err != nil {
			return err
		}
	}
	if !r.tellThem {
		return nil
	}
	r.theirs.UserID, r.theirs.UserName, r.theirs.UpdatedAt = r.me, cmd.Sender.DisplayName(), now
	if err := op.tx.PutConnection(r.them, r.theirs); err != nil {
		return err
	}
	if err := op.event(r.them, &pactwire.Event{Type: r.event}, pactwire.ConnectionChanged{Connection: r.theirs}); err != nil {
		return err
	}
	n := pactwire.Notification{UserID: r.them, FromUserID: r.me, FromUserName: cmd.Sender.DisplayName()}
	switch {
	case r.accepted:
		op.met = append(op.met, meeting{r.theirs, r.mine})
		n.Type = pactwire.NotifyConnectionAccepted
	case r.event == pactwire.EventConnectionCreated:
		n.Type = pactwire.NotifyConnectionRequest
		n.Subject = requestOfUser(r.me)
	default:
		return nil
	}
	return op.notify(n, pactwire.ConnectionChanged{Connection: r.theirs})
}

// Connections reads a page of the caller's sides, ascending by the other's id.
func (b *Bridge) Connections(ctx context.Context, id pactwire.Identity, status pactwire.ConnectionStatus, after pactwire.UserID, limit int) (items []pactwire.Connection, more bool, err error) {
	items, err = b.store.ReadConnections(ctx, id.UserID, status, after, limit+1)
	if more = len(items) > limit; more {
		items = items[:limit]
	}
	return items, more, err
}
