package bridge

import (
	"errors"

	"encoding/json"

	"github.com/pactwire/pactwire"
)

// asSent names the field that a sender used for the time at which it happened.
func asSent(cmd *pactwire.Command, err error) error {
	e, ok := errors.AsType[*pactwire.Error](err)
	if !ok || e.Field != "occurredAt" || cmd.Checkin.Age == nil {
		return err
	}
	aged := *e
	aged.Field = "ageMs"
	return &aged
}

// checkin applies a check-in inside the transaction and records what came of it.
func (op *operation) checkin(cmd *pactwire.Command) (pactwire.CheckinLogged, error) {
	req := requestOf(cmd)
	res, err := op.bridge.habits.Checkin(op.bridge.ctx, op.tx, req)
	if err != nil {
		return pactwire.CheckinLogged{}, asSent(cmd, err)
	}
	if err := op.changes(res.Broken); err != nil {
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
	c.about(res.Checkin.ID, cmd.Sender.UserID)
	logged := pactwire.CheckinLogged{Checkin: res.Checkin, StreakUpdate: res.Streak, AchievementsUnlocked: res.Achievements,
		Duplicate: res.Duplicate}
	if res.Duplicate {
		c.repeats++
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
	pacts, err := c.sharing(cmd.Sender.UserID, res.Checkin.HabitGoalID, cmd.Pact)
	if err != nil {
		return logged, err
	}
	for _, p := range pacts {
		a := pactwire.Activity{PactID: p, Type: typ, UserID: cmd.Sender.UserID, UserName: cmd.Sender.DisplayName(), CommandID: commandID(cmd)}
		if err := c.activity(&a, raw); err != nil {
			return logged, err
		}
		if p == cmd.Pact {
			logged.ActivityID, logged.ActivitySeq = &a.ID, &a.Seq
		}
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
			return c.milestone(cmd.Sender.UserID, commandID(cmd), data)
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
