package bridge

import (
	"context"
	"encoding/json"

	"github.com/pactwire/pactwire"
)

// Accept takes in the commands of one packet: one, or the items of a batch. A refusal that can be decided at once comes
// back as the error, and nothing was done. Otherwise ack is called once: with nil after the commit, with the refusal
// when only the transaction could tell, whose SERVER:ERROR is committed by then, or with Unavailable.
// ack runs on the committing goroutine and must not block.
func (b *Bridge) Accept(ctx context.Context, cmds []pactwire.Command, ack func(error)) error {
	if cmds[0].Kind == pactwire.CommandHistory {
		return b.acceptHistory(ctx, &cmds[0], ack)
	}
	op, err := b.operation(ctx, cmds)
	if err != nil {
		return err
	}
	err = b.store.Submit(ctx, op.apply, func(err error) {
		if err == nil {
			op.committed()
			err = op.verdict()
		}
		ack(err)
		op.release()
	})
	if err != nil {
		op.release()
	}
	return err
}

// operation is the commands of one packet on their way through a transaction.
type operation struct {
	*commit
	bridge  *Bridge
	cmds    []pactwire.Command
	unnamed bool              // the sender's token has no name
	results []outcome         // by item: of the last run
	pending []pactwire.UserID // one for each command that the last run journalled
}

// committed tells everyone what a committed run did.
func (op *operation) committed() {
	op.publish()
	for _, u := range op.pending {
		op.bridge.worker.accepted(u)
	}
	if op.cmds[0].Sender.Device != "" && op.bridge.cfg.Sighted != nil {
		op.sighted()
	}
}

// sighted tells of a device's sign of life, with the last battery that it spoke of.
func (op *operation) sighted() {
	seen := pactwire.Sighting{Device: op.cmds[0].Sender.Device, At: op.now}
	for i := range op.cmds {
		if in := op.cmds[i].Checkin; in != nil && in.Battery != nil {
			seen.Battery = in.Battery
		}
	}
	op.bridge.cfg.Sighted(seen)
}

// release lets go of the sender's membership, which was held so that it is known when the transaction runs, also when
// the connection is gone by then.
func (op *operation) release() { op.bridge.members.Release(op.cmds[0].Sender.UserID) }

// outcome is what became of one command.
type outcome struct {
	answer  *pactwire.Event
	refusal *pactwire.Error
	journal int64 // its number in the journal, while it waits for the habits-service
	again   bool  // it was accepted before
}

// operation decides what can be decided without the store. All commands have one sender and are about one pact or person. On
// success the caller releases the operation in the end.
func (b *Bridge) operation(ctx context.Context, cmds []pactwire.Command) (*operation, error) {
	sender := cmds[0].Sender.UserID
	if err := b.members.Ensure(ctx, sender); err != nil {
		return nil, err
	}
	if err := b.decide(ctx, &cmds[0]); err != nil {
		b.members.Release(sender)
		return nil, err
	}
	if cmds[0].Sender.Device != "" {
		b.speakFor(cmds)
	}
	return &operation{bridge: b, cmds: cmds, unnamed: cmds[0].Sender.UserName == "", results: make([]outcome, len(cmds))}, nil
}

// speakFor gives a device's commands the name of its owner, which no secret tells.
func (b *Bridge) speakFor(cmds []pactwire.Command) {
	pact, _ := b.members.Pact(cmds[0].Pact)
	owner, _ := pact.Member(cmds[0].Sender.UserID)
	name := b.Called(cmds[0].Sender.UserID, owner.UserName)
	for i := range cmds {
		cmds[i].Sender.UserName = name
	}
}

// verdict is nil when at least one command was accepted, else the first one's refusal.
func (op *operation) verdict() error {
	for i := range op.results {
		if op.results[i].refusal == nil {
			return nil
		}
	}
	return op.results[0].refusal
}

// apply runs the commands in order. It returns errors of the store alone; a refused command is answered, and the others
// are done.
func (op *operation) apply(tx Tx) error {
	op.commit, op.pending = op.bridge.begin(tx), op.pending[:0]
	if err := op.expect(); err != nil {
		return err
	}
	inbound := op.cmds[0].Inbound
	if inbound != nil {
		clear(op.results)
		if known, err := tx.Received(*inbound); known || err != nil {
			return err // only its acknowledgement was lost
		}
	}
	for i := range op.cmds {
		if err := op.run(i); err != nil {
			return err
		}
	}
	if inbound != nil && op.verdict() == nil {
		return tx.PutReceived(*inbound)
	}
	return nil
}

// expect tells the store what is going to be asked.
func (op *operation) expect() error {
	cmd := &op.cmds[0]
	if !op.bridge.cfg.Shared || cmd.Pact == "" && cmd.Kind != pactwire.CommandDirectMessage {
		return nil
	}
	x := pactwire.Expected{User: cmd.Sender.UserID, Pact: cmd.Pact}
	for i := range op.cmds {
		if op.cmds[i].ID != "" {
			x.Keys = append(x.Keys, op.cmds[i].ID)
		}
	}
	switch cmd.Kind {
	case pactwire.CommandCheckin:
		if pact := op.bridge.members.get(cmd.Pact); pact != nil && !op.bridge.cfg.Remote {
			x.Goal, x.Shares = pact.HabitGoalID, op.bridge.members.sharing(x.User, pact.HabitGoalID)
		}
	case pactwire.CommandCelebration:
		x.To, x.Checkin = cmd.Celebration.Target, cmd.Celebration.CheckinID
	case pactwire.CommandEncouragement:
		x.To, x.Encourages = cmd.Encouragement.Target, true
	case pactwire.CommandReaction:
		x.Activity = cmd.Reaction.ActivityID
	case pactwire.CommandDirectMessage:
		x.To, x.Subject = cmd.User, aboutMessages(x.User)
	}
	return op.tx.Expect(x)
}

func (op *operation) run(i int) error {
	cmd, res := &op.cmds[i], &op.results[i]
	*res = outcome{}
	op.about("", cmd.Sender.UserID)
	if cmd.Refused != nil {
		return op.refuse(cmd, res, cmd.Refused)
	}
	if op.unnamed {
		cmd.Sender.UserName = "" // an earlier run may have set it
	}
	if err := op.touch(cmd.Sender); err != nil {
		return err
	}
	cmd.Sender.UserName = op.called(cmd.Sender)
	if cmd.ID != "" {
		rec, known, err := op.tx.Command(cmd.Sender.UserID, cmd.ID)
		if err != nil {
			return err
		}
		if known {
			return op.again(cmd, res, rec)
		}
	}
	if e, err := op.revoked(cmd); err != nil {
		return err
	} else if e != nil {
		return op.refuse(cmd, res, e)
	}
	if op.bridge.cfg.Remote && cmd.Kind == pactwire.CommandCheckin {
		return op.journal(cmd, res)
	}
	var typ pactwire.EventType
	var data any
	var err error
	switch cmd.Kind {
	case pactwire.CommandCheckin:
		typ = pactwire.EventCheckinLogged
		data, err = op.checkin(cmd)
	default:
		typ = pactwire.EventCommandDone
		data, err = op.social(cmd)
	}
	if err != nil {
		if e := pactwire.AsError(err); !e.Retryable() {
			return op.refuse(cmd, res, e)
		}
		return err
	}
	return op.finish(cmd, res, typ, data)
}

// revoked looks again, inside the transaction, whether the sender may command the pact: earlier transactions, and earlier
// functions of this one, may have ended it.
func (op *operation) revoked(cmd *pactwire.Command) (*pactwire.Error, error) {
	if cmd.User != "" {
		return nil, nil // it is about no pact
	}
	pact, err := op.pactNow(cmd.Pact)
	if err != nil {
		return nil, err
	}
	if pact == nil && !op.b.truth() {
		return nil, nil // a remote one that the view did not keep; it was read a moment ago
	}
	if e := mayCommand(pact, cmd.Sender.UserID, op.now); e != nil {
		return e, nil
	}
	if pact.Status == pactwire.PactPending && cmd.Kind == pactwire.CommandMessage {
		return pactwire.Errorf(pactwire.Conflict, "nobody has accepted this pact yet; write when it has begun"), nil
	}
	return nil, nil
}

// refuse answers an item of a batch, or a command that only the transaction could judge.
func (op *operation) refuse(cmd *pactwire.Command, res *outcome, e *pactwire.Error) (err error) {
	res.refusal = e
	res.answer, err = op.answer(cmd, pactwire.EventError, e.Data(cmd.Topic))
	return err
}

// finish answers a command and remembers the answer under its key.
func (op *operation) finish(cmd *pactwire.Command, res *outcome, typ pactwire.EventType, data any) (err error) {
	if res.answer, err = op.answer(cmd, typ, data); err != nil || cmd.ID == "" {
		return err
	}
	id, err := op.tx.NextCommandID()
	if err != nil {
		return err
	}
	return op.tx.PutCommand(pactwire.CommandRecord{ID: id, User: cmd.Sender.UserID, Key: cmd.ID,
		Answer: appendStored(nil, typ, res.answer.Data), AcceptedAt: op.now})
}

// storedAnswer is the answer to a command as the journal keeps it.
type storedAnswer struct {
	Type pactwire.EventType `json:"type"`
	Data json.RawMessage    `json:"data"`
}

// again answers a command that was accepted before: with its first answer, marked as a duplicate, or, while that is not
// there, not at all: it will come.
func (op *operation) again(cmd *pactwire.Command, res *outcome, rec pactwire.CommandRecord) error {
	op.repeats++
	if rec.Answer == nil {
		res.journal, res.again = rec.ID, true
		return nil
	}
	var first storedAnswer
	if err := json.Unmarshal(rec.Answer, &first); err != nil {
		return err
	}
	data, err := asDuplicate(first)
	if err != nil {
		return err
	}
	res.answer, err = op.answer(cmd, first.Type, data)
	return err
}

// asDuplicate sets duplicate in the data of an answer that has it.
func asDuplicate(a storedAnswer) (any, error) {
	switch a.Type {
	case pactwire.EventCheckinLogged:
		var data pactwire.CheckinLogged
		err := json.Unmarshal(a.Data, &data)
		data.Duplicate = true
		return data, err
	case pactwire.EventCommandDone:
		var data pactwire.CommandDone
		err := json.Unmarshal(a.Data, &data)
		data.Duplicate = true
		return data, err
	}
	return a.Data, nil
}

// touch stores a name that a token gave, when it is another than the stored one. Of who has a token without a name it learns the
// stored one.
func (c *commit) touch(id pactwire.Identity) error {
	if id.Device != "" || c.b.touched(id) {
		return nil
	}
	if err := c.tx.TouchUser(id.UserID, id.UserName, c.now); err != nil {
		return err
	}
	if id.UserName == "" {
		u, _, err := c.tx.User(id.UserID)
		if err != nil {
			return err
		}
		id.UserName = u.UserName
	}
	c.named = append(c.named, id)
	return nil
}

// touched reports whether a token says nothing new.
func (b *Bridge) touched(id pactwire.Identity) bool {
	name, ok := b.names.Load(id.UserID)
	return ok && (name == id.UserName || id.UserName == "")
}

// called is how a person is called in the transaction under way, which may have just learned it.
func (c *commit) called(id pactwire.Identity) string {
	if n := len(c.named); id.UserName == "" && n > 0 && c.named[n-1].UserID == id.UserID {
		id = c.named[n-1]
	}
	return c.b.Called(id.UserID, id.UserName)
}

// known remembers names that are stored now.
func (c *commit) known() {
	b := c.b
	for _, id := range c.named {
		if b.held++; b.held > namesHeld {
			b.names.Clear()
			b.held = 1
		}
		b.names.Store(id.UserID, id.UserName)
		if !b.cfg.Remote && id.UserName != "" {
			pacts := b.members.rename(id.UserID, id.UserName, b.pub)
			if b.peers != nil && len(pacts) > 0 {
				b.peers.Renamed(id.UserID, id.UserName, pacts)
			}
		}
	}
}

// Called is how a person is called: by the name that is given, else the one that is stored or that a pact of theirs has, as far
// as it is in memory, else by their id.
func (b *Bridge) Called(u pactwire.UserID, name string) string {
	if name != "" {
		return name
	}
	if known, ok := b.names.Load(u); ok && known != "" {
		return known.(string)
	}
	if known := b.members.nameOf(u); known != "" {
		return known
	}
	return string(u)
}

// Greet makes known who has connected: from the first valid token on, a user exists.
func (b *Bridge) Greet(ctx context.Context, id pactwire.Identity) {
	if b.touched(id) {
		return
	}
	var c *commit
	err := b.store.Submit(ctx, func(tx Tx) error {
		c = b.begin(tx)
		return c.touch(id)
	}, func(err error) {
		if err == nil {
			c.publish()
		}
	})
	if err != nil {
		b.log.Debug("user not noted", "user", id.UserID, "error", err)
	}
}

// message writes a line of chat.
func (op *operation) message(cmd *pactwire.Command) (pactwire.CommandDone, error) {
	a := pactwire.Activity{PactID: cmd.Pact, Type: pactwire.MessageSent, UserID: cmd.Sender.UserID,
		UserName: cmd.Sender.DisplayName(), CommandID: commandID(cmd)}
	if err := op.activity(&a, pactwire.MessageData{MessageID: op.bridge.cfg.NewID(), Message: cmd.Message.Message}); err != nil {
		return pactwire.CommandDone{}, err
	}
	return pactwire.CommandDone{PactID: &a.PactID, ActivityID: &a.ID, ActivitySeq: &a.Seq}, nil
}
