package pactwire

import (
	"bytes"
	"encoding/json"
	"time"
)

// ActivityType is the kind of a feed entry.
type ActivityType string

// The types of activities.
const (
	CheckinCompleted  ActivityType = "checkin_completed"
	CheckinPartial    ActivityType = "checkin_partial"
	CheckinSkipped    ActivityType = "checkin_skipped"
	CheckinCorrected  ActivityType = "checkin_corrected"
	CelebrationSent   ActivityType = "celebration_sent"
	EncouragementSent ActivityType = "encouragement_sent"
	ReactionAdded     ActivityType = "reaction_added"
	MessageSent       ActivityType = "message_sent"
	StreakMilestone   ActivityType = "streak_milestone"
	StreakBroken      ActivityType = "streak_broken"
	PartnerJoined     ActivityType = "partner_joined"
	MemberLeftPact    ActivityType = "member_left"
	PactStarted       ActivityType = "pact_started"
	PactCompletedA    ActivityType = "pact_completed"
	PactAbandonedA    ActivityType = "pact_abandoned"
	PactExpiredA      ActivityType = "pact_expired"
)

// Activity is one entry of a pact's feed. Seq runs 1, 2, 3, … without a gap; every member sees the same order.
type Activity struct {
	ID        string          `json:"id"`
	PactID    PactID          `json:"pactId"`
	Seq       Seq             `json:"seq"`
	Type      ActivityType    `json:"type"`
	UserID    UserID          `json:"userId"` // who caused it
	UserName  string          `json:"userName"`
	CommandID *string         `json:"commandId"` // of the command that caused it, as its sender named it
	Data      json.RawMessage `json:"data"`
	CreatedAt Time            `json:"createdAt"`
}

// CheckinData is the data of checkin_* activities.
type CheckinData struct {
	CheckinID      string        `json:"checkinId"`
	HabitGoalID    GoalID        `json:"habitGoalId"`
	HabitName      string        `json:"habitName"`
	Status         CheckinStatus `json:"status"`
	PreviousStatus CheckinStatus `json:"previousStatus,omitempty"` // checkin_corrected
	LocalDate      LocalDate     `json:"localDate"`
	Notes          string        `json:"notes"`
	ProofMedia     []Media       `json:"proofMedia"`
	StreakUpdate   *StreakUpdate `json:"streakUpdate"`
}

// MessageData is the data of message_sent.
type MessageData struct {
	MessageID string `json:"messageId"`
	Message   string `json:"message"`
}

// MilestoneData is the data of streak_milestone, and with PactID of SERVER:STREAK_MILESTONE.
type MilestoneData struct {
	PactID      PactID `json:"pactId,omitempty"`
	HabitGoalID GoalID `json:"habitGoalId"`
	HabitName   string `json:"habitName"`
	StreakDays  int    `json:"streakDays"`
	IsNewRecord bool   `json:"isNewRecord"`
}

// MembershipData is the data of partner_joined, member_left and the pact_* activities.
type MembershipData struct {
	MemberUserID   UserID `json:"memberUserId,omitempty"`
	MemberUserName string `json:"memberUserName,omitempty"`
	Reason         string `json:"reason,omitempty"`
}

// WhoLeft is of whom an activity, as it is in the log, says that they have left; "" when it says something else.
func WhoLeft(activity []byte) UserID {
	if !bytes.Contains(activity, []byte(MemberLeftPact)) {
		return ""
	}
	var a struct {
		Type ActivityType
		Data MembershipData
	}
	if json.Unmarshal(activity, &a) != nil || a.Type != MemberLeftPact {
		return ""
	}
	return a.Data.MemberUserID
}

// Time is a point in time that writes itself in JSON as RFC 3339, UTC, with milliseconds: 2026-01-02T03:04:05.678Z.
type Time time.Time

const timeLayout = "2006-01-02T15:04:05.000Z"

// AppendTime appends t in the wire format, without quotes.
func AppendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, timeLayout) }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, len(timeLayout)+2), '"')
	return append(AppendTime(b, time.Time(t)), '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler; any RFC 3339 time is read.
func (t *Time) UnmarshalJSON(b []byte) error { return (*time.Time)(t).UnmarshalJSON(b) }

// Std is t as the standard library's type.
func (t Time) Std() time.Time { return time.Time(t) }
