package bridge

import (
	"encoding/json"
	"time"

	"github.com/pactwire/pactwire"
)

// request is a journalled check-in: all that is needed to work on it after a restart.
type request struct {
	Command pactwire.Command        `json:"command"`
	Call    pactwire.CheckinRequest `json:"call"`
	Key     string                  `json:"key"` // Idempotency-Key, the same on every attempt
	At      time.Time               `json:"at"`
	Sender  pactwire.UserID         `json:"sender"`
	Name    string                  `json:"name"`
	Device  pactwire.DeviceID       `json:"device,omitempty"`
}

// requestIn reads a journalled check-in back. A token is never stored, so the sender is a name and an id.
func requestIn(rec *pactwire.CommandRecord) (request, error) {
	var req request
	if err := json.Unmarshal(rec.Request, &req); err != nil {
		return req, err
	}
	req.Command.Sender = pactwire.Identity{UserID: req.Sender, UserName: req.Name, Device: req.Device}
	req.Call.IdempotencyKey, req.Call.ReceivedAt = req.Key, req.At
	return req, nil
}

// journal keeps a check-in for the worker, once everything is decided that needs no habits-service.
func (op *operation) journal(cmd *pactwire.Command, res *outcome) error {
	call := requestOf(cmd)
	if call.UserName == string(call.UserID) {
		call.UserName = "" // nobody knows a name, and the service would keep this as one
	}
	if p, ok := op.b.members.Pact(cmd.Pact); ok {
		if call.HabitGoalID == "" {
			call.HabitGoalID = p.HabitGoalID
		}
		if call.HabitGoalID != p.HabitGoalID {
			return op.refuse(cmd, res, pactwire.FieldErrorf("habitGoalId", "this pact is about another habit: leave habitGoalId out or send the pact's"))
		}
	}
	if err := op.dates(&call); err != nil {
		if e := pactwire.AsError(asSent(cmd, err)); !e.Retryable() {
			return op.refuse(cmd, res, e)
		}
		return err
	}
	if call.ProofMedia == nil {
		call.ProofMedia = []pactwire.Media{}
	}
	kept := *cmd
	kept.Sender = pactwire.Identity{}
	body, err := json.Marshal(request{Command: kept, Call: call, Key: op.b.cfg.NewID(), At: cmd.ReceivedAt,
		Sender: cmd.Sender.UserID, Name: cmd.Sender.UserName, Device: cmd.Sender.Device})
	if err != nil {
		return err
	}
	id, err := op.tx.NextCommandID()
	if err != nil {
		return err
	}
	rec := pactwire.CommandRecord{ID: id, User: cmd.Sender.UserID, Key: cmd.ID, Request: body, AcceptedAt: op.now}
	if err := op.tx.PutCommand(rec); err != nil {
		return err
	}
	res.journal = id
	op.pending = append(op.pending, cmd.Sender.UserID)
	return nil
}

// dates fixes the day that a check-in is about, in the sender's zone, or says why it cannot be that day. It is fixed when
// the command is accepted: a late attempt must not become another day.
func (op *operation) dates(call *pactwire.CheckinRequest) (err error) {
	call.ScheduledDate, err = call.Day(func(at time.Time) (day pactwire.LocalDate, err error) {
		day, call.TimeZone, err = op.b.cfg.LocalDay(op.tx, call.UserID, at)
		return day, err
	})
	return err
}
