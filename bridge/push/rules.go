package push

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/pactwire/pactwire"
)

// subject says what an entry of some type is worth.
type subject struct {
	kind   pactwire.PushKind
	target bool // of an activity: only for data.targetUserId, not for all other members
	self   bool // of an event: also when its receiver caused it
}

// subjects are the types of activities and events that are worth a push; they share no names.
var subjects = map[string]subject{
	string(pactwire.CheckinCompleted):     {kind: pactwire.PushCheckin},
	string(pactwire.StreakMilestone):      {kind: pactwire.PushMilestone},
	string(pactwire.MessageSent):          {kind: pactwire.PushMessage},
	string(pactwire.CelebrationSent):      {kind: pactwire.PushCelebration, target: true},
	string(pactwire.EncouragementSent):    {kind: pactwire.PushEncouragement, target: true},
	string(pactwire.EventPactInvitation):  {kind: pactwire.PushInvitation},
	string(pactwire.EventStreakMilestone): {kind: pactwire.PushMilestone, self: true},
	string(pactwire.EventCelebration):     {kind: pactwire.PushCelebration},
	string(pactwire.EventEncouragement):   {kind: pactwire.PushEncouragement},
	string(pactwire.EventDirectMessage):   {kind: pactwire.PushMessage},
}

// Matters reports whether somebody may wait for the acknowledgement of an entry. It is asked for every entry that is
// delivered, so it looks at the type alone, which stands before anything that people write.
func Matters(e pactwire.Entry) bool {
	const key = `"type":"`
	_, rest, ok := bytes.Cut(e.Payload, []byte(key))
	if !ok {
		return false
	}
	typ, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return false
	}
	_, ok = subjects[string(typ)]
	return ok
}

// Rules write jobs for what is worth a push. Their methods run in the transaction of the entry.
type Rules struct {
	Delay time.Duration // until a job is due
}

// Activity writes the jobs for an activity, whose entry is e. cause is common to all entries that tell of the same thing;
// members are those who may read the pact.
func (r Rules) Activity(tx JobTx, a *pactwire.Activity, e pactwire.Entry, cause string, members []pactwire.UserID) error {
	if a.Type == pactwire.CheckinCorrected {
		return corrected(tx, a, cause, members)
	}
	s, ok := subjects[string(a.Type)]
	if !ok {
		return nil
	}
	var target pactwire.UserID
	if s.target {
		var data struct {
			TargetUserID pactwire.UserID `json:"targetUserId"`
		}
		if err := json.Unmarshal(a.Data, &data); err != nil || data.TargetUserID == "" {
			return err
		}
		target = data.TargetUserID
	}
	at := a.CreatedAt.Std()
	for _, u := range members {
		if u == a.UserID || s.target && u != target {
			continue
		}
		j := pactwire.PushJob{User: u, Cause: cause, Kind: s.kind, Pact: a.PactID, Event: e.Payload, CreatedAt: at, DueAt: at.Add(r.Delay)}
		// A milestone is better news than the check-in that reached it.
		if err := tx.PutPushJob(j, e.Stream, e.Seq, s.kind == pactwire.PushMilestone); err != nil {
			return err
		}
	}
	return nil
}

// corrected takes back what was to be said of a check-in that is now something else.
func corrected(tx JobTx, a *pactwire.Activity, cause string, members []pactwire.UserID) error {
	var data struct {
		Status pactwire.CheckinStatus `json:"status"`
	}
	if err := json.Unmarshal(a.Data, &data); err != nil || data.Status == pactwire.StatusCompleted {
		return err
	}
	for _, u := range members {
		if err := tx.CancelPushJob(u, cause); err != nil {
			return err
		}
	}
	return nil
}

// Event writes the job for an event in u's inbox, whose entry is e; by is who caused it.
func (r Rules) Event(tx JobTx, u pactwire.UserID, ev *pactwire.Event, e pactwire.Entry, cause string, by pactwire.UserID) error {
	s, ok := subjects[string(ev.Type)]
	if !ok || u == by && !s.self {
		return nil
	}
	at := ev.CreatedAt.Std()
	j := pactwire.PushJob{User: u, Cause: cause, Kind: s.kind, Pact: told(e.Payload).pact(), Event: e.Payload, CreatedAt: at, DueAt: at.Add(r.Delay)}
	return tx.PutPushJob(j, e.Stream, e.Seq, false)
}

// Over forgets what a person was to be pushed about a pact so far.
func (r Rules) Over(tx JobTx, u pactwire.UserID, p pactwire.PactID) error {
	return tx.DropPushesOf(u, p)
}
