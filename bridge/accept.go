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
	results []outcome         // by item: of the last run
	pending []pactwire.UserID // one for each command that the last run journalled
}

// committed tells everyone what a committed run did.
func (op *operation) committed() {
	op.publish()
	for _, u := range op.pending {
		op.bridge.worker.accepted(u)
	}
}

// release lets go of the sender's membership, which was held so that it is known when the transaction runs, also when
// the connection is gone by then.
func (op *operation) release() { op.bridge.members.Release(op.cmds[0].Sender.UserID) }

// outcome is what became of one command.
type outcome struct {
	answer  *pactwire.Event
	refusal *pactwire.Error
	journal int64 // its number in the journal, while it waits for the habits-service
}

// operation decides what can be decided without the store. All commands have one sender and one pact. On success the
// caller releases the operation in the end.
func (b *Bridge) operation(ctx context.Context, cmds []pactwire.Command) (*operation, error) {
	sender := cmds[0].Sender.UserID
	if err := b.members.Ensure(ctx, sender); err != nil {
		return nil, err
	}
	if err := b.members.CanCommand(ctx, sender, cmds[0].Pact); err != nil {
		b.members.Release(sender)
		return nil, err
	}
	return &operation{bridge: b, cmds: cmds, results: make([]outcome, len(cmds))}, nil
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
	for i := range op.cmds {
		if err := op.run(i); err != nil {
			return err
		}
	}
	return nil
}

func (op *operation) run(i int) error {
	cmd, res := &op.cmds[i], &op.results[i]
	*res = outcome{}
	if cmd.Refused != nil {
		return op.refuse(cmd, res, cmd.Refused)
	}
	if err := op.touch(cmd.Sender); err != nil {
		return err
	}
	if cmd.ID != "" {
		rec, known, err := op.tx.Command(cmd.Sender.UserID, cmd.ID)
		if err != nil {
			return err
		}
		if known {
			return op.again(cmd, res, rec)
		}
	}
	if e := op.revoked(cmd); e != nil {
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
	case pactwire.CommandMessage:
		typ = pactwire.EventCommandDone
		data, err = op.message(cmd)
	default:
		err = pactwire.FieldErrorf("topic", "this server does not know the command %q", cmd.Kind)
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
func (op *operation) revoked(cmd *pactwire.Command) *pactwire.Error {
	pact := op.bridge.pactNow(cmd.Pact)
	if pact == nil {
		return nil // a remote one that the view did not keep; it was read a moment ago
	}
	if e := mayCommand(pact, cmd.Sender.UserID, op.now); e != nil {
		return e
	}
	if pact.Status == pactwire.PactPending && cmd.Kind == pactwire.CommandMessage {
		return pactwire.Errorf(pactwire.Conflict, "nobody has accepted this pact yet; write when it has begun")
	}
	return nil
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
	op.bridge.metrics.duplicates.Inc()
	if rec.Answer == nil {
		res.journal = rec.ID
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

// touch stores a name that a token gave, when it is another than the stored one.
func (c *commit) touch(id pactwire.Identity) error {
	b := c.b
	if name, ok := b.names.Load(id.UserID); ok && name == id.UserName {
		return nil
	}
	if err := c.tx.TouchUser(id.UserID, id.UserName, c.now); err != nil {
		return err
	}
	if b.held++; b.held > namesHeld {
		b.names.Clear()
		b.held = 1
	}
	b.names.Store(id.UserID, id.UserName) // forgotten when this is rolled back
	if !b.cfg.Remote && id.UserName != "" {
		c.named = append(c.named, id)
	}
	return nil
}

// Greet makes known who has connected: from the first valid token on, a user exists.
func (b *Bridge) Greet(ctx context.Context, id pactwire.Identity) {
	if name, ok := b.names.Load(id.UserID); ok && name == id.UserName {
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
	return pactwire.CommandDone{PactID: cmd.Pact, ActivityID: &a.ID, ActivitySeq: &a.Seq}, nil
}

// checkin applies a check-in inside the transaction and records what came of it.
func (op *operation) checkin(cmd *pactwire.Command) (pactwire.CheckinLogged, error) {
	req := requestOf(cmd)
	res, err := op.bridge.habits.Checkin(op.bridge.ctx, op.tx, req)
	if err != nil {
		return pactwire.CheckinLogged{}, err
	}
	return op.record(cmd, res)
}

// requestOf is the check-in as the habits-service gets it.
func requestOf(cmd *pactwire.Command) pactwire.CheckinRequest {
	in := cmd.Checkin
	req := pactwire.CheckinRequest{UserID: cmd.Sender.UserID, UserName: cmd.Sender.DisplayName(), PactID: cmd.Pact,
		HabitGoalID: in.HabitGoalID, Status: in.Status, Notes: in.Notes, ProofMedia: in.ProofMedia,
		ScheduledDate: in.ScheduledDate, ReceivedAt: cmd.ReceivedAt, IdempotencyKey: cmd.ID}
	switch {
	case in.Age != nil:
		at := pactwire.Time(cmd.ReceivedAt.Add(-*in.Age))
		req.OccurredAt = &at
	case in.OccurredAt != nil:
		at := pactwire.Time(*in.OccurredAt)
		req.OccurredAt = &at
	}
	return req
}

// record writes what a check-in came to: an activity in every active pact of that person and habit, then milestones.
func (c *commit) record(cmd *pactwire.Command, res pactwire.CheckinResult) (pactwire.CheckinLogged, error) {
	if res.Checkin.ProofMedia == nil {
		res.Checkin.ProofMedia = []pactwire.Media{}
	}
	if res.Achievements == nil {
		res.Achievements = []string{}
	}
	res.Checkin.PactID = cmd.Pact
	logged := pactwire.CheckinLogged{Checkin: res.Checkin, StreakUpdate: res.Streak, AchievementsUnlocked: res.Achievements,
		Duplicate: res.Duplicate}
	if res.Duplicate {
		c.b.metrics.duplicates.Inc()
		return logged, nil
	}
	data := pactwire.CheckinData{CheckinID: res.Checkin.ID, HabitGoalID: res.Checkin.HabitGoalID, HabitName: res.HabitName,
		Status: res.Checkin.Status, LocalDate: res.Checkin.LocalDate, Notes: res.Checkin.Notes,
		ProofMedia: res.Checkin.ProofMedia, StreakUpdate: res.Streak}
	typ := activityOf(res.Checkin.Status)
	if res.PreviousStatus != "" {
		typ, data.PreviousStatus = pactwire.CheckinCorrected, res.PreviousStatus
	}
	raw := json.RawMessage(appendCheckinData(make([]byte, 0, 384+len(data.Notes)), &data)) // once for all pacts
	pacts := c.b.sharing(cmd.Sender.UserID, res.Checkin.HabitGoalID, cmd.Pact)
	for _, p := range pacts {
		a := pactwire.Activity{PactID: p, Type: typ, UserID: cmd.Sender.UserID, UserName: cmd.Sender.DisplayName(), CommandID: commandID(cmd)}
		if err := c.activity(&a, raw); err != nil {
			return logged, err
		}
		if p == cmd.Pact {
			logged.ActivityID, logged.ActivitySeq = &a.ID, &a.Seq
		}
	}
	if res.Streak == nil || res.Streak.Before != res.Streak.After || res.PreviousStatus == "" {
		c.states = append(c.states, pacts...)
	}
	return logged, c.milestones(cmd, res, pacts)
}

func (c *commit) milestones(cmd *pactwire.Command, res pactwire.CheckinResult, pacts []pactwire.PactID) error {
	for _, m := range res.Milestones {
		data := pactwire.MilestoneData{HabitGoalID: res.Checkin.HabitGoalID, HabitName: res.HabitName,
			StreakDays: m.StreakDays, IsNewRecord: m.IsNewRecord}
		for _, p := range pacts {
			a := pactwire.Activity{PactID: p, Type: pactwire.StreakMilestone, UserID: cmd.Sender.UserID,
				UserName: cmd.Sender.DisplayName(), CommandID: commandID(cmd)}
			if err := c.activity(&a, data); err != nil {
				return err
			}
		}
		data.PactID = cmd.Pact
		c.after = append(c.after, func() error {
			return c.event(cmd.Sender.UserID, &pactwire.Event{Type: pactwire.EventStreakMilestone, CommandID: commandID(cmd)}, data)
		})
	}
	return nil
}

func activityOf(s pactwire.CheckinStatus) pactwire.ActivityType {
	switch s {
	case pactwire.StatusPartial:
		return pactwire.CheckinPartial
	case pactwire.StatusSkipped:
		return pactwire.CheckinSkipped
	case pactwire.StatusCompleted:
		return pactwire.CheckinCompleted
	}
	return ""
}

// Refuse tells the sender of a command that was refused before the journal why: where they wanted the answer, or in their
// inbox. It may wait for room in the store's queue, so it is not for the committing goroutine.
func (b *Bridge) Refuse(cmd pactwire.Command, err error) {
	e := pactwire.AsError(err)
	if cmd.Answer.Topic != "" && !cmd.Answer.Silent {
		b.tell(&cmd, pactwire.EventError, e.Data(cmd.Topic))
		return
	}
	var c *commit
	submitted := b.store.Submit(b.ctx, func(tx Tx) error {
		c = b.begin(tx)
		_, err := c.answer(&cmd, pactwire.EventError, e.Data(cmd.Topic))
		return err
	}, func(err error) {
		if err == nil {
			c.publish()
		}
	})
	if submitted != nil {
		b.log.Debug("refusal not told", "user", cmd.Sender.UserID, "error", submitted)
	}
}

// Result is what became of one command that was done for a caller who waits.
type Result struct {
	Answer  pactwire.Event // unless Pending
	Pending bool
}

// Do carries commands out for a caller who waits for the answers, at most Config.Told. An error means that none was
// accepted, or for a single command its refusal.
func (b *Bridge) Do(ctx context.Context, cmds []pactwire.Command) ([]Result, error) {
	for i := range cmds {
		cmds[i].Answer = pactwire.Answer{Silent: true}
	}
	op, err := b.operation(ctx, cmds)
	if err != nil {
		return nil, err
	}
	defer op.release()
	waiters := make([]*waiter, len(cmds))
	done := make(chan error, 1)
	if err := b.store.Submit(ctx, op.apply, func(err error) {
		if err == nil {
			for i := range op.results {
				if id := op.results[i].journal; id != 0 {
					waiters[i] = b.worker.expect(id)
				}
			}
			op.committed()
		}
		done <- err
	}); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	if len(cmds) == 1 && op.results[0].refusal != nil {
		return nil, op.results[0].refusal
	}
	until := op.now.Add(b.cfg.Told)
	results := make([]Result, len(cmds))
	for i := range op.results {
		if r := &op.results[i]; r.answer != nil {
			results[i].Answer = *r.answer
		} else {
			results[i] = b.worker.await(ctx, r.journal, waiters[i], until)
		}
	}
	return results, nil
}
