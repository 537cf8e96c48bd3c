package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pactwire/pactwire"
)

// Who sends events does so one at a time, and gives one up after some seconds (ours: 5). So an event that must wait is sent
// away well before, to come again, and the others are not held up.
const (
	eventMost = 2 * time.Second        // for an event that needs the habits-service itself
	eventIdle = 300 * time.Millisecond // for its person's own check-ins
)

// ErrSignature is the cause of an error about a webhook that cannot be believed.
var ErrSignature = errors.New("the webhook's signature does not hold")

// webhookData is what the events of a habits-service say, the types taken together.
type webhookData struct {
	ID             string                 `json:"id"`
	PactID         pactwire.PactID        `json:"pactId"`
	UserID         pactwire.UserID        `json:"userId"`
	UserName       string                 `json:"userName"`
	HabitGoalID    pactwire.GoalID        `json:"habitGoalId"`
	HabitName      string                 `json:"habitName"`
	Status         pactwire.CheckinStatus `json:"status"`
	PreviousStatus pactwire.CheckinStatus `json:"previousStatus"`
	ScheduledDate  string                 `json:"scheduledDate"`
	Notes          string                 `json:"notes"`
	ProofMedia     []pactwire.Media       `json:"proofMedia"`
	CreatedAt      *pactwire.Time         `json:"createdAt"`
	UpdatedAt      *pactwire.Time         `json:"updatedAt"`
	HabitGoal      struct {
		Name string `json:"name"`
	} `json:"habitGoal"`
	StreakUpdate *pactwire.StreakUpdate `json:"streakUpdate"`
	CheckinID    string                 `json:"checkinId"`
	StreakDays   int                    `json:"streakDays"`
	IsNewRecord  bool                   `json:"isNewRecord"`

	at time.Time // of the event; zero when it does not say
}

// Event takes a signed webhook (Standard Webhooks) that tells of a change made elsewhere. A webhook-id that was seen before
// has no effect; nor have types that mean nothing here. Denied, caused by ErrSignature, means that the signature is wrong or
// too old, or that no secret is configured. Unavailable means: send it again.
func (b *Bridge) Event(ctx context.Context, header http.Header, body []byte) error {
	if err := b.verify(header, body); err != nil {
		return err
	}
	var e struct {
		Type      string          `json:"type"`
		Timestamp json.RawMessage `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return pactwire.Errorf(pactwire.Invalid, "the event is no JSON object with type, timestamp and data")
	}
	apply := b.applies(e.Type)
	if apply == nil || b.worker == nil {
		return nil // nothing of ours
	}
	var data webhookData
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return pactwire.FieldErrorf("data", "the data of %s cannot be read", e.Type)
	}
	_ = json.Unmarshal(e.Timestamp, &data.at) // what cannot be read is not said
	ctx, cancel := context.WithTimeout(ctx, eventMost)
	defer cancel()
	return apply(ctx, header.Get(standardwebhooks.HeaderWebhookID), &data)
}

func (b *Bridge) verify(header http.Header, body []byte) error {
	if b.cfg.Secret == "" {
		return &pactwire.Error{Code: pactwire.Denied, Message: "events are not taken: habits.secret is not set", Cause: ErrSignature}
	}
	wh, err := standardwebhooks.NewWebhook(b.cfg.Secret)
	if err != nil {
		return &pactwire.Error{Code: pactwire.Internal, Message: "habits.secret cannot be used", Cause: err}
	}
	if err := wh.Verify(body, header); err != nil {
		return &pactwire.Error{Code: pactwire.Denied, Message: "the signature does not fit, or the event is not of these 5 minutes", Cause: ErrSignature}
	}
	return nil
}

// applies is what an event of a type does, or nil.
func (b *Bridge) applies(typ string) func(context.Context, string, *webhookData) error {
	switch typ {
	case "pact.updated":
		return b.pactUpdated
	case "checkin.upserted":
		return b.checkinUpserted
	case "checkin.deleted":
		return b.checkinDeleted
	case "streak.milestone":
		return b.milestoneReached
	case "streak.broken":
		return b.streakBroken
	case "user.updated":
		return b.userUpdated
	}
	return nil
}

// once runs fn in a transaction unless the webhook was seen before.
func (b *Bridge) once(ctx context.Context, id string, fn func(*commit) error) error {
	return b.commit(ctx, func(c *commit) error {
		isNew, err := c.tx.SeenWebhook(id, c.now)
		if err != nil || !isNew {
			return err
		}
		return fn(c)
	})
}

// pactUpdated reads the pact again: what it says is true now, so an event that comes late or twice does no harm.
func (b *Bridge) pactUpdated(ctx context.Context, id string, d *webhookData) error {
	if !pactwire.ValidID(d.PactID) {
		return pactwire.FieldErrorf("data.pactId", "pact.updated names its pact in data.pactId")
	}
	for n := range rereadings {
		if !comeApart(ctx, n) {
			break
		}
		read := b.members.begin()
		pact, err := b.members.Look(ctx, d.PactID)
		if code := pactwire.CodeOf(err); code == pactwire.NotFound || code == pactwire.Denied {
			return nil // gone again
		}
		if err != nil {
			return pactwire.AsError(err)
		}
		err = b.once(ctx, id, func(c *commit) error {
			err := c.saw(pact, read)
			if err == nil && len(c.unclear) > 0 {
				return errUnclear
			}
			return err
		})
		if !errors.Is(err, errUnclear) {
			return err
		}
	}
	return errUnclear
}

// of runs fn with the pacts of a person held, once what they sent and we carried is answered, for which it waits so long at
// most: the service may tell of a check-in before it answers the call that made it.
func (b *Bridge) of(ctx context.Context, u pactwire.UserID, most time.Duration, fn func() error) error {
	if !pactwire.ValidID(u) {
		return pactwire.FieldErrorf("data.userId", "the event names its user in data.userId")
	}
	if err := b.members.Ensure(ctx, u); err != nil {
		return err
	}
	defer b.members.Release(u)
	if err := b.worker.idle(ctx, u, most); err != nil {
		return err
	}
	return fn()
}

func (b *Bridge) checkinUpserted(ctx context.Context, id string, d *webhookData) error {
	date, ok := d.date()
	if !ok || d.ID == "" || !pactwire.ValidID(d.HabitGoalID) || activityOf(d.Status) == "" {
		return pactwire.FieldErrorf("data", "checkin.upserted needs id, userId, habitGoalId, status and scheduledDate")
	}
	return b.of(ctx, d.UserID, eventIdle, func() error {
		return b.once(ctx, id, func(c *commit) error {
			if c.past(date) {
				return nil // whether it is news is not known any more
			}
			cmd := &pactwire.Command{Sender: pactwire.Identity{UserID: d.UserID, UserName: b.Called(d.UserID, d.UserName)}, Pact: d.PactID}
			res := pactwire.CheckinResult{HabitName: d.HabitGoal.Name, Streak: d.StreakUpdate, PreviousStatus: d.PreviousStatus,
				Checkin: pactwire.Checkin{ID: d.ID, PactID: d.PactID, HabitGoalID: d.HabitGoalID, UserID: d.UserID, Status: d.Status,
					LocalDate: date, Notes: d.Notes, ProofMedia: d.ProofMedia,
					CreatedAt: timeOr(d.CreatedAt, c.now), UpdatedAt: timeOr(d.UpdatedAt, c.now)}}
			return c.upserted(cmd, res, d.UpdatedAt != nil)
		})
	})
}

// date is the day that a check-in is for.
func (d *webhookData) date() (pactwire.LocalDate, bool) {
	date, err := time.Parse(time.DateOnly, d.ScheduledDate[:min(len(d.ScheduledDate), len(time.DateOnly))])
	return pactwire.LocalDate(date.Format(time.DateOnly)), err == nil
}

// upserted records a check-in that was told of, unless a later word about it is known: events may come late and in any order.
// Where the service does not say when the check-in was written, the last to come is the last word.
func (c *commit) upserted(cmd *pactwire.Command, res pactwire.CheckinResult, dated bool) error {
	late := func(was pactwire.Checkin, known bool) bool {
		at, by := was.UpdatedAt.Std(), res.Checkin.UpdatedAt.Std()
		if was.Status == pactwire.StatusDeleted { // times are kept in milliseconds, and nothing is made anew within one
			at = at.Truncate(time.Millisecond).Add(time.Millisecond)
		}
		return known && dated && by.Before(at)
	}
	was, known, err := c.tx.SeenCheckinByID(res.Checkin.ID) // it may have been of another day
	if err == nil && !known && dated {
		var at time.Time
		at, known, err = c.tx.Buried(res.Checkin.ID)
		was.UpdatedAt, was.Status = pactwire.Time(at), pactwire.StatusDeleted
	}
	if err != nil || late(was, known) {
		return err
	}
	was, known, err = c.tx.SeenCheckin(res.Checkin)
	if err != nil {
		return err
	}
	if late(was, known) {
		_, _, err = c.tx.SeenCheckin(was)
		return err
	}
	_, err = c.settledAfter(cmd, res, was, known)
	return err
}

func (b *Bridge) checkinDeleted(ctx context.Context, id string, d *webhookData) error {
	if d.ID == "" {
		return pactwire.FieldErrorf("data.id", "checkin.deleted names its check-in in data.id")
	}
	if d.UserID == "" { // a service may say no more than the id
		err := b.commit(ctx, func(c *commit) error {
			was, known, err := c.tx.SeenCheckinByID(d.ID)
			d.UserID = was.UserID
			if err == nil && !known {
				err = c.bury(d)
			}
			return err
		})
		if err != nil || d.UserID == "" {
			return err // never told of: nothing to take back
		}
	}
	return b.of(ctx, d.UserID, eventIdle, func() error { return b.once(ctx, id, func(c *commit) error { return c.deleted(d) }) })
}

// deleted takes a check-in back that was told of.
func (c *commit) deleted(d *webhookData) error {
	was, known, err := c.tx.SeenCheckinByID(d.ID)
	if err == nil && !known {
		return c.bury(d)
	}
	if err != nil || was.UserID != d.UserID || was.Status == pactwire.StatusDeleted {
		return err
	}
	gone := was
	gone.Status = pactwire.StatusDeleted
	if at := timeOr(d.UpdatedAt, d.at); at.Std().After(was.UpdatedAt.Std()) {
		gone.UpdatedAt = at // what was written before it and is told of later does not bring it back
	}
	if _, _, err := c.tx.SeenCheckin(gone); err != nil {
		return err
	}
	data := pactwire.CheckinData{CheckinID: was.ID, HabitGoalID: was.HabitGoalID, HabitName: d.HabitGoal.Name,
		Status: gone.Status, PreviousStatus: was.Status, LocalDate: was.LocalDate, Notes: was.Notes,
		ProofMedia: was.ProofMedia, StreakUpdate: d.StreakUpdate}
	if data.ProofMedia == nil {
		data.ProofMedia = []pactwire.Media{}
	}
	c.about(was.ID, d.UserID)
	return c.everywhere(d, was.HabitGoalID, was.PactID, pactwire.CheckinCorrected, data)
}

// bury remembers the end of a check-in that was never told of: there is nothing to take back, and what was written before it and is
// told of later has no effect. Whose and of which day it was is remembered too, if the event says so, and for longer.
func (c *commit) bury(d *webhookData) error {
	at := timeOr(d.UpdatedAt, d.at)
	if at.Std().IsZero() {
		return nil
	}
	date, ok := d.date()
	if !ok || !pactwire.ValidID(d.UserID) || !pactwire.ValidID(d.HabitGoalID) {
		if len(d.ID) > maxBuried {
			return nil
		}
		return c.tx.Bury(d.ID, at.Std())
	}
	was, known, err := c.tx.SeenCheckin(pactwire.Checkin{ID: d.ID, PactID: d.PactID, HabitGoalID: d.HabitGoalID, UserID: d.UserID,
		Status: pactwire.StatusDeleted, LocalDate: date, ProofMedia: []pactwire.Media{}, CreatedAt: at, UpdatedAt: at})
	if err != nil || !known {
		return err
	}
	_, _, err = c.tx.SeenCheckin(was) // another has that day
	return err
}

// maxBuried bounds the ids that are remembered, in bytes: a database finds no longer ones.
const maxBuried = 512

func (b *Bridge) milestoneReached(ctx context.Context, id string, d *webhookData) error {
	if d.StreakDays < 1 || !pactwire.ValidID(d.HabitGoalID) {
		return pactwire.FieldErrorf("data", "streak.milestone needs userId, habitGoalId and streakDays")
	}
	return b.of(ctx, d.UserID, eventIdle, func() error {
		return b.once(ctx, id, func(c *commit) error {
			isNew, err := c.tx.SaidMilestone(d.UserID, d.HabitGoalID, d.CheckinID, d.StreakDays)
			if err != nil || !isNew {
				return err
			}
			c.about(d.CheckinID, d.UserID)
			data := pactwire.MilestoneData{HabitGoalID: d.HabitGoalID, HabitName: d.HabitName, StreakDays: d.StreakDays, IsNewRecord: d.IsNewRecord}
			if err := c.everywhere(d, d.HabitGoalID, d.PactID, pactwire.StreakMilestone, data); err != nil {
				return err
			}
			data.PactID = d.PactID
			return c.milestone(d.UserID, nil, data)
		})
	})
}

func (b *Bridge) streakBroken(ctx context.Context, id string, d *webhookData) error {
	if !pactwire.ValidID(d.HabitGoalID) {
		return pactwire.FieldErrorf("data", "streak.broken needs userId, habitGoalId and streakDays")
	}
	return b.of(ctx, d.UserID, eventIdle, func() error {
		return b.once(ctx, id, func(c *commit) error {
			return c.everywhere(d, d.HabitGoalID, d.PactID, pactwire.StreakBroken, pactwire.BrokenData{HabitGoalID: d.HabitGoalID, HabitName: d.HabitName, StreakDays: d.StreakDays})
		})
	})
}

// userUpdated refreshes a name.
func (b *Bridge) userUpdated(ctx context.Context, id string, d *webhookData) error {
	if !pactwire.ValidID(d.UserID) || d.UserName == "" {
		return nil
	}
	return b.once(ctx, id, func(c *commit) error { return c.touch(pactwire.Identity{UserID: d.UserID, UserName: d.UserName}) })
}

// everywhere writes an activity into every active pact of a person and habit.
func (c *commit) everywhere(d *webhookData, g pactwire.GoalID, named pactwire.PactID, typ pactwire.ActivityType, data any) error {
	pacts, err := c.sharing(d.UserID, g, named)
	if err != nil {
		return err
	}
	for _, p := range pacts {
		a := pactwire.Activity{PactID: p, Type: typ, UserID: d.UserID, UserName: c.b.Called(d.UserID, d.UserName)}
		if err := c.activity(&a, data); err != nil {
			return err
		}
	}
	return nil
}

func timeOr(t *pactwire.Time, or time.Time) pactwire.Time {
	if t != nil {
		return *t
	}
	return pactwire.Time(or)
}
