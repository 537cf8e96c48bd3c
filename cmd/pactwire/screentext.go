package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/pactwire/pactwire"
)

// said is the data of every kind of activity, as far as the feed tells it.
type said struct {
	pactwire.CheckinData
	Message        string          `json:"message"`
	Emoji          *string         `json:"emoji"`
	TargetUserID   pactwire.UserID `json:"targetUserId"`
	StreakDays     int             `json:"streakDays"`
	IsNewRecord    bool            `json:"isNewRecord"`
	MemberUserID   pactwire.UserID `json:"memberUserId"`
	MemberUserName string          `json:"memberUserName"`
	Reason         string          `json:"reason"`
}

// activity writes one entry of a pact's feed.
func (f *screen) activity(a pactwire.Activity) error {
	var d said
	if err := json.Unmarshal(a.Data, &d); err != nil {
		d = said{} // of a kind to come; its name is told all the same
	}
	f.meet(a.UserID, a.UserName)
	f.meet(d.MemberUserID, d.MemberUserName)
	l := line{at: a.CreatedAt.Std(), who: a.UserID, pact: a.PactID}
	l.sign, l.text, l.style = f.tell(a, d)
	switch a.Type {
	case pactwire.PartnerJoined, pactwire.MemberLeftPact:
		if d.MemberUserID != "" {
			l.who = d.MemberUserID
		}
	case pactwire.PactStarted, pactwire.PactCompletedA, pactwire.PactAbandonedA, pactwire.PactExpiredA:
		l.who = "" // it is about all
	}
	return f.write(l)
}

// tell is the sign, the words and the style of an activity.
func (f *screen) tell(a pactwire.Activity, d said) (sign, text string, style lipgloss.Style) {
	habit := oneLine(d.HabitName)
	if habit == "" {
		habit = f.habits[a.PactID]
	}
	if habit == "" {
		habit = "the habit"
	}
	switch a.Type {
	case pactwire.CheckinCompleted:
		return "✅", "checked in: " + habit + f.streak(d) + f.when(a, d) + quote(d.Notes), style
	case pactwire.CheckinPartial:
		return "◐", "did a part of " + habit + f.when(a, d) + quote(d.Notes), style
	case pactwire.CheckinSkipped:
		return "⏭", "skipped " + habit + f.when(a, d) + quote(d.Notes), style
	case pactwire.CheckinCorrected:
		return "✎", f.corrected(d, habit), style
	case pactwire.CelebrationSent:
		return "🎉", "celebrated " + f.target(d) + quote(d.Message), style
	case pactwire.EncouragementSent:
		return "💪", "encouraged " + f.target(d) + emoji(d) + quote(d.Message), style
	case pactwire.ReactionAdded:
		if d.Emoji == nil {
			return "↩", "took a reaction back", faint
		}
		return "💛", "reacted" + emoji(d), style
	case pactwire.MessageSent:
		return "💬", oneLine(d.Message), style
	case pactwire.StreakMilestone:
		return "🔥", fmt.Sprintf("%d days of %s in a row!%s", d.StreakDays, habit, record(d.IsNewRecord)), warm
	case pactwire.StreakBroken:
		return "💔", fmt.Sprintf("lost a streak of %d days of %s", d.StreakDays, habit), style
	case pactwire.PartnerJoined:
		return "👋", "joined", style
	case pactwire.MemberLeftPact:
		return "🚪", "left" + reason(d), style
	case pactwire.PactStarted:
		return "🤝", "the pact has begun: " + habit, strong
	case pactwire.PactCompletedA:
		return "🏆", "the pact is complete: " + habit, warm
	case pactwire.PactAbandonedA:
		return "🏁", "the pact was abandoned: " + habit + reason(d), strong
	case pactwire.PactExpiredA:
		return "⌛", "the pact has expired: " + habit, strong
	}
	return "•", strings.ReplaceAll(oneLine(string(a.Type)), "_", " "), faint
}

func (f *screen) target(d said) string { return f.name(d.TargetUserID) }

func (f *screen) streak(d said) string {
	if d.StreakUpdate == nil || d.StreakUpdate.After == 0 {
		return ""
	}
	s := fmt.Sprintf(", day %d", d.StreakUpdate.After)
	if d.StreakUpdate.GraceUsed > 0 {
		s += " (kept by a grace day)"
	}
	return s + record(d.StreakUpdate.IsNewRecord)
}

func record(is bool) string {
	if is {
		return " A new record!"
	}
	return ""
}

// when names the day of a check-in that is not about the day on which it was made.
func (f *screen) when(a pactwire.Activity, d said) string {
	day, err := time.Parse(time.DateOnly, string(d.LocalDate))
	if err != nil {
		return ""
	}
	made := a.CreatedAt.Std().In(f.zone)
	if far := day.Sub(time.Date(made.Year(), made.Month(), made.Day(), 0, 0, 0, 0, time.UTC)); far > -48*time.Hour && far < 48*time.Hour && day.Day() == made.Day() {
		return ""
	}
	return ", for " + day.Format("Monday 2 January")
}

func (f *screen) corrected(d said, habit string) string {
	day := string(d.LocalDate)
	if t, err := time.Parse(time.DateOnly, day); err == nil {
		day = t.Format("Monday 2 January")
	}
	switch {
	case d.Status == pactwire.StatusDeleted:
		return "took a check-in back: " + habit + ", " + day
	case d.PreviousStatus == d.Status || d.PreviousStatus == "":
		return "changed a check-in: " + habit + ", " + day + quote(d.Notes)
	}
	return fmt.Sprintf("changed %s, %s: %s, was %s%s%s", habit, day, oneLine(string(d.Status)), oneLine(string(d.PreviousStatus)), f.streak(d), quote(d.Notes))
}

func emoji(d said) string {
	if d.Emoji == nil || *d.Emoji == "" {
		return ""
	}
	return " " + oneLine(*d.Emoji)
}

func quote(s string) string {
	if s = oneLine(s); s != "" {
		return " “" + s + "”"
	}
	return ""
}

func reason(d said) string {
	if r := oneLine(d.Reason); r != "" && r != "left" {
		return " (" + strings.ReplaceAll(r, "_", " ") + ")"
	}
	return ""
}

// presence writes that somebody came or went.
func (f *screen) presence(p pactwire.Presence, at time.Time) error {
	f.meet(p.UserID, p.UserName)
	l := line{at: at, who: p.UserID, style: faint}
	switch p.Status {
	case pactwire.PresenceActive:
		l.sign, l.text = "●", "is here"
	case pactwire.PresenceAway:
		l.sign, l.text = "◌", "is away"
	default:
		l.sign, l.text = "○", "is gone"
		if p.LastSeen != nil {
			l.text += ", last seen " + p.LastSeen.Std().In(f.zone).Format("15:04")
		}
	}
	return f.write(l)
}

// event writes what the inbox says and no activity does.
func (f *screen) event(e pactwire.Event) error {
	l := line{at: e.CreatedAt.Std(), style: faint}
	switch e.Type {
	case pactwire.EventError:
		var d pactwire.ErrorData
		_ = json.Unmarshal(e.Data, &d)
		l.sign, l.text, l.style = "⚠", oneLine(d.Message), alarm
	case pactwire.EventPactInvitation:
		var d pactwire.PactInvitation
		_ = json.Unmarshal(e.Data, &d)
		f.meet(d.FromUserID, d.FromUserName)
		l.sign, l.who, l.style = "💌", d.FromUserID, strong
		l.text = "invites you to a pact: " + oneLine(d.Pact.HabitName) + " (pactwire pact accept " + oneLine(string(d.Pact.ID)) + ")"
	case pactwire.EventLeftPact:
		var d pactwire.LeftPact
		_ = json.Unmarshal(e.Data, &d)
		l.sign, l.text, l.pact = "🚪", "you are no longer in this pact", d.PactID
		if habit := f.habits[d.PactID]; habit != "" {
			l.text = "you are no longer in the pact: " + habit
		}
	case pactwire.EventCheckinPending:
		l.sign, l.text = "⏳", "your check-in is kept and will be counted soon"
	case pactwire.EventFeedReset:
		l.sign, l.text = "✂", "what is older than this is no longer kept"
	case pactwire.EventTokenExpiring:
		l.sign, l.text = "⏰", "your token ends within a minute"
	default:
		return nil // CHECKIN_LOGGED, STREAK_MILESTONE and the like: the feed has the activity
	}
	return f.write(l)
}
