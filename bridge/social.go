package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// social does the commands by which people speak to each other. All checks come before the first write, since a refused
// command must leave nothing behind.
func (op *operation) social(cmd *pactwire.Command) (pactwire.CommandDone, error) {
	switch cmd.Kind {
	case pactwire.CommandMessage:
		return op.message(cmd)
	case pactwire.CommandCelebration:
		return op.celebrate(cmd)
	case pactwire.CommandEncouragement:
		return op.encourage(cmd)
	case pactwire.CommandReaction:
		return op.react(cmd)
	case pactwire.CommandDirectMessage:
		return op.writeTo(cmd)
	case pactwire.CommandConnection:
		return op.connect(cmd)
	case pactwire.CommandNotification:
		return op.mark(cmd)
	}
	return pactwire.CommandDone{}, pactwire.FieldErrorf("topic", "this server does not know the command %q", cmd.Kind)
}

// decide says what can be said before the transaction: whether the sender, who is held by Ensure, may speak to the pact or
// person at all, and what needs reads of the log, which are the sender's own goroutine's business.
func (b *Bridge) decide(ctx context.Context, cmd *pactwire.Command) error {
	if cmd.Sender.Is(pactwire.RoleOperator) && cmd.Kind != pactwire.CommandNotification { // a read mark reaches nobody else
		return pactwire.Errorf(pactwire.Denied, "operators read; they write to nobody")
	}
	if cmd.User != "" {
		return nil
	}
	if err := b.mayCommand(ctx, cmd.Sender.UserID, cmd.Pact); err != nil {
		return err
	}
	if cmd.Kind == pactwire.CommandReaction {
		return b.reactable(ctx, cmd)
	}
	return nil
}

// in is the command's pact as the transaction sees it.
func (op *operation) in(cmd *pactwire.Command) (*pactwire.Pact, error) {
	p, err := op.pactNow(cmd.Pact)
	if err == nil && p == nil {
		err = errStale
	}
	return p, err
}

// said is what a command came to that wrote one activity.
func said(a *pactwire.Activity) pactwire.CommandDone {
	return pactwire.CommandDone{PactID: &a.PactID, ActivityID: &a.ID, ActivitySeq: &a.Seq}
}

// by is an activity of the command's sender.
func by(cmd *pactwire.Command, typ pactwire.ActivityType) pactwire.Activity {
	return pactwire.Activity{PactID: cmd.Pact, Type: typ, UserID: cmd.Sender.UserID, UserName: cmd.Sender.DisplayName(), CommandID: commandID(cmd)}
}

func (op *operation) celebrate(cmd *pactwire.Command) (done pactwire.CommandDone, err error) {
	in, from := cmd.Celebration, cmd.Sender
	pact, err := op.in(cmd)
	if err != nil {
		return done, err
	}
	checkin, known, err := op.checkinByID(in.CheckinID)
	if err != nil {
		return done, err
	}
	to := checkin.UserID
	switch {
	case in.Target == from.UserID:
		return done, pactwire.FieldErrorf("targetUserId", "celebrate a partner: nobody celebrates themself here")
	case known && to == from.UserID:
		return done, pactwire.FieldErrorf("checkinId", "this check-in is your own; celebrate a partner's")
	case !known || op.past(checkin.LocalDate) || in.Target != "" && in.Target != to || !shows(pact, &checkin):
		return done, &pactwire.Error{Code: pactwire.NotFound, Field: "checkinId", Message: "there is no such check-in of that person in this pact"}
	}
	if err := op.mayReach(from.UserID, to); err != nil {
		return done, err
	}
	again, err := op.tx.Celebrated(from.UserID, in.CheckinID)
	if err != nil {
		return done, err
	}
	if again {
		return done, &pactwire.Error{Code: pactwire.Conflict, Field: "checkinId", Message: "you have celebrated this check-in already"}
	}
	if err := op.tx.PutCelebrated(from.UserID, in.CheckinID, op.now); err != nil {
		return done, err
	}
	data := pactwire.CelebrationData{CelebrationID: op.bridge.cfg.NewID(), TargetUserID: to, CheckinID: in.CheckinID, Message: in.Message}
	a := by(cmd, pactwire.CelebrationSent)
	if err := op.activity(&a, data); err != nil {
		return done, err
	}
	received := pactwire.CelebrationReceived{FromUserName: from.DisplayName(), Message: in.Message, Celebration: pactwire.Celebration{
		ID: data.CelebrationID, PactID: cmd.Pact, FromUserID: from.UserID, ToUserID: to, CheckinID: in.CheckinID, Message: in.Message}}
	if err := op.event(to, &pactwire.Event{Type: pactwire.EventCelebration}, received); err != nil {
		return done, err
	}
	return said(&a), op.notify(pactwire.Notification{UserID: to, Type: pactwire.NotifyCelebration, FromUserID: from.UserID,
		FromUserName: from.DisplayName(), PactID: cmd.Pact}, data)
}

// checkinByID finds a check-in: the embedded service's own, or what a remote one was last seen to say.
func (op *operation) checkinByID(id string) (c pactwire.Checkin, ok bool, err error) {
	if !op.bridge.cfg.Remote {
		return op.tx.CheckinByID(id)
	}
	c, ok, err = op.tx.SeenCheckinByID(id)
	return c, ok && c.Status != pactwire.StatusDeleted, err
}

// shows reports whether a check-in is an activity of the pact: its habit is the pact's, and the person was a member when it
// was last written, and still is.
func shows(p *pactwire.Pact, c *pactwire.Checkin) bool {
	m, ok := p.Member(c.UserID)
	if !ok || m.Status != pactwire.MemberActive || p.HabitGoalID != c.HabitGoalID {
		return false
	}
	written := c.UpdatedAt.Std() // a remote service may not say
	since := func(t *pactwire.Time) bool { return t == nil || written.IsZero() || !written.Before(t.Std()) }
	return since(p.StartDate) && since(m.JoinedAt)
}

// mayReach refuses what would come from somebody whom the other has blocked. What it says may be said of anybody.
func (op *operation) mayReach(from, to pactwire.UserID) error {
	theirs, _, err := op.tx.Connection(to, from)
	if err == nil && theirs.IsBlocked {
		err = &pactwire.Error{Code: pactwire.Denied, Field: "targetUserId", Message: "this cannot be sent to that person"}
	}
	return err
}

func (op *operation) encourage(cmd *pactwire.Command) (done pactwire.CommandDone, err error) {
	in, from := cmd.Encouragement, cmd.Sender
	pact, err := op.in(cmd)
	if err != nil {
		return done, err
	}
	if in.Target == from.UserID {
		return done, pactwire.FieldErrorf("targetUserId", "encourage a partner: nobody encourages themself here")
	}
	if m, ok := pact.Member(in.Target); !ok || m.Status != pactwire.MemberActive {
		return done, &pactwire.Error{Code: pactwire.NotFound, Field: "targetUserId", Message: "there is no such member of this pact"}
	}
	if err := op.mayReach(from.UserID, in.Target); err != nil {
		return done, err
	}
	day, err := op.localDay(from.UserID, cmd.ReceivedAt)
	if err != nil {
		return done, err
	}
	n, err := op.tx.Encouragements(from.UserID, in.Target, day)
	if err != nil {
		return done, err
	}
	if n >= pactwire.MaxEncouragements {
		return done, pactwire.Errorf(pactwire.TooMany, "that is enough for today: at most %d encouragements for one person a day", pactwire.MaxEncouragements)
	}
	if err := op.tx.PutEncouragements(from.UserID, in.Target, day, n+1); err != nil {
		return done, err
	}
	data := pactwire.EncouragementData{EncouragementID: op.bridge.cfg.NewID(), TargetUserID: in.Target, Message: in.Message, Emoji: orNil(in.Emoji)}
	a := by(cmd, pactwire.EncouragementSent)
	if err := op.activity(&a, data); err != nil {
		return done, err
	}
	received := pactwire.EncouragementReceived{FromUserName: from.DisplayName(), Message: in.Message, Encouragement: pactwire.Encouragement{
		ID: data.EncouragementID, PactID: cmd.Pact, FromUserID: from.UserID, ToUserID: in.Target, Message: in.Message, Emoji: data.Emoji}}
	if err := op.event(in.Target, &pactwire.Event{Type: pactwire.EventEncouragement}, received); err != nil {
		return done, err
	}
	return said(&a), op.notify(pactwire.Notification{UserID: in.Target, Type: pactwire.NotifyEncouragement, FromUserID: from.UserID,
		FromUserName: from.DisplayName(), PactID: cmd.Pact}, data)
}

// localDay is the sender's day; a sender without a profile lives by UTC.
func (op *operation) localDay(u pactwire.UserID, at time.Time) (pactwire.LocalDate, error) {
	day, _, err := op.bridge.cfg.LocalDay(op.tx, u, at)
	return day, err
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// react sets the sender's one emoji on an activity. That there is such an activity was found before.
func (op *operation) react(cmd *pactwire.Command) (done pactwire.CommandDone, err error) {
	in := cmd.Reaction
	was, err := op.tx.Reaction(in.ActivityID, cmd.Sender.UserID)
	if err != nil {
		return done, err
	}
	if was == in.Emoji {
		return pactwire.CommandDone{PactID: &cmd.Pact, Duplicate: true}, nil
	}
	if err := op.tx.PutReaction(in.ActivityID, cmd.Sender.UserID, in.Emoji); err != nil {
		return done, err
	}
	a := by(cmd, pactwire.ReactionAdded)
	if err := op.activity(&a, pactwire.ReactionData{ActivityID: in.ActivityID, Emoji: orNil(in.Emoji)}); err != nil {
		return done, err
	}
	return said(&a), nil
}

// writeTo sends a direct message: to who shares an active pact with the sender, or is connected to them, and has not blocked
// them. To everybody else it is refused as if they were not there.
func (op *operation) writeTo(cmd *pactwire.Command) (done pactwire.CommandDone, err error) {
	from, to := cmd.Sender, cmd.User
	if to == from.UserID {
		return done, pactwire.FieldErrorf("topic", "this is your own address; write to somebody else")
	}
	mine, _, err := op.tx.Connection(from.UserID, to)
	if err != nil {
		return done, err
	}
	if mine.IsBlocked {
		return done, errBlockedByYou
	}
	theirs, _, err := op.tx.Connection(to, from.UserID)
	if err != nil {
		return done, err
	}
	may := !theirs.IsBlocked && theirs.Status == pactwire.ConnectionAccepted
	if !theirs.IsBlocked && !may {
		if may, err = op.share(from.UserID, to); err != nil {
			return done, err
		}
	}
	if !may {
		return done, pactwire.Errorf(pactwire.Denied, "there is no such person, or you may not write to them: be connected, or in a pact together")
	}
	m := pactwire.DirectMessage{ID: op.bridge.cfg.NewID(), FromUserID: from.UserID, FromUserName: from.DisplayName(), ToUserID: to,
		Text: cmd.Message.Message, Time: pactwire.Time(op.now)}
	if err := op.event(to, &pactwire.Event{Type: pactwire.EventDirectMessage},
		pactwire.DirectMessageSent{ContextUserID: from.UserID, Message: m}); err != nil {
		return done, err
	}
	if err := op.event(from.UserID, &pactwire.Event{Type: pactwire.EventDirectMessage, CommandID: commandID(cmd)},
		pactwire.DirectMessageSent{ContextUserID: to, Message: m}); err != nil {
		return done, err
	}
	return done, op.notify(pactwire.Notification{UserID: to, Type: pactwire.NotifyMessage, FromUserID: from.UserID,
		FromUserName: from.DisplayName(), Subject: aboutMessages(from.UserID)}, pactwire.MessageData{MessageID: m.ID, Message: m.Text})
}

// aboutMessages is the subject of the notification of a person's direct messages.
func aboutMessages(from pactwire.UserID) string { return "message:" + string(from) }

var errBlockedByYou = pactwire.Errorf(pactwire.Conflict, "you have blocked this person; unblock them first")

// share reports whether two people are active members of an active pact, as the transaction under way sees it. The first is
// held by Ensure.
func (c *commit) share(u, other pactwire.UserID) (bool, error) {
	both := func(p *pactwire.Pact) bool {
		if p == nil || p.Status != pactwire.PactActive {
			return false
		}
		m, ok := p.Member(u)
		o, too := p.Member(other)
		return ok && too && m.Status == pactwire.MemberActive && o.Status == pactwire.MemberActive
	}
	for _, p := range c.b.changing {
		if both(p) {
			return true, nil
		}
	}
	for _, m := range c.b.members.Pacts(u) {
		if !both(c.b.members.get(m.Pact)) {
			continue
		}
		if p, err := c.pactNow(m.Pact); err != nil || both(p) {
			return err == nil, err
		}
	}
	return false, nil
}
