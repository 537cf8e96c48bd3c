package pactwire

import "encoding/json"

// EventType names an inbox event; it is also the type that an old client dispatches.
type EventType string

// The events.
const (
	EventCheckinLogged   EventType = "SERVER:CHECKIN_LOGGED"
	EventCheckinPending  EventType = "SERVER:CHECKIN_PENDING"
	EventCommandDone     EventType = "SERVER:COMMAND_DONE"
	EventPactHistory     EventType = "SERVER:PACT_HISTORY"
	EventStreakMilestone EventType = "SERVER:STREAK_MILESTONE"
	EventPactInvitation  EventType = "SERVER:PACT_INVITATION"
	EventLeftPact        EventType = "SERVER:LEFT_PACT"
	EventFeedReset       EventType = "SERVER:FEED_RESET"
	EventTokenExpiring   EventType = "SERVER:TOKEN_EXPIRING"
	EventError           EventType = "SERVER:ERROR"

	EventCelebration         EventType = "SERVER:CELEBRATION_RECEIVED"
	EventEncouragement       EventType = "SERVER:ENCOURAGEMENT_RECEIVED"
	EventDirectMessage       EventType = "SERVER:SEND_DIRECT_MESSAGE"
	EventConnectionCreated   EventType = "SERVER:USER_CONNECTION_CREATED"
	EventConnectionUpdated   EventType = "SERVER:USER_CONNECTION_UPDATED"
	EventActiveLoaded        EventType = "SERVER:ACTIVE_CONNECTIONS_LOADED"
	EventActiveAdded         EventType = "SERVER:ACTIVE_CONNECTIONS_ADDED"
	EventActiveLoggedIn      EventType = "SERVER:ACTIVE_CONNECTION_LOGGED_IN"
	EventActiveLoggedOut     EventType = "SERVER:ACTIVE_CONNECTION_LOGGED_OUT"
	EventActiveDisconnected  EventType = "SERVER:ACTIVE_CONNECTION_DISCONNECTED"
	EventActiveRefreshed     EventType = "SERVER:ACTIVE_CONNECTION_REFRESHED"
	EventNotificationCreated EventType = "SERVER:NOTIFICATION_CREATED"
	EventNotificationUpdated EventType = "SERVER:NOTIFICATION_UPDATED"
)

// Event is one entry of a person's inbox, or an answer on a response topic. Seq is set for logged events alone.
type Event struct {
	ID        string          `json:"id"`
	Seq       Seq             `json:"seq,omitempty"`
	Type      EventType       `json:"type"`
	CommandID *string         `json:"commandId"`
	Index     *int            `json:"index,omitempty"` // of the item, in the answer to a batch
	Data      json.RawMessage `json:"data"`
	CreatedAt Time            `json:"createdAt"`
}

// ErrorData is the data of SERVER:ERROR and, without Topic, the body of an HTTP error.
type ErrorData struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Field     string `json:"field,omitempty"`
	Retryable bool   `json:"retryable"`
	Topic     string `json:"topic,omitempty"`
}

// Data is the error as clients see it.
func (e *Error) Data(topic string) ErrorData {
	return ErrorData{Code: e.Code, Message: e.Message, Field: e.Field, Retryable: e.Retryable(), Topic: topic}
}

// CommandDone is the data of SERVER:COMMAND_DONE. What there is none of is null: the pact of a direct message, the activity of
// what was done before.
type CommandDone struct {
	PactID      *PactID `json:"pactId"`
	ActivityID  *string `json:"activityId"`
	ActivitySeq *Seq    `json:"activitySeq"`
	Duplicate   bool    `json:"duplicate"`
}

// CheckinPending is the data of SERVER:CHECKIN_PENDING.
type CheckinPending struct {
	PactID      PactID        `json:"pactId"`
	HabitGoalID GoalID        `json:"habitGoalId"`
	Status      CheckinStatus `json:"status"`
	LocalDate   LocalDate     `json:"localDate"`
}

// HistoryPage is the data of SERVER:PACT_HISTORY and, as a list, of GET /v1/pacts/{id}/activities. Items ascend.
type HistoryPage struct {
	PactID  PactID            `json:"pactId"`
	Items   []json.RawMessage `json:"items"` // never null
	HeadSeq Seq               `json:"headSeq"`
	HasMore bool              `json:"hasMore"`
	// LeftOut are the numbers of those that are larger than the asker's Maximum Packet Size.
	LeftOut []Seq `json:"leftOut,omitempty"`
}

// FeedReset is the data of SERVER:FEED_RESET: what lies before FromSeq is no longer kept.
type FeedReset struct {
	Stream  string `json:"stream"` // the topic
	FromSeq Seq    `json:"fromSeq"`
	HeadSeq Seq    `json:"headSeq"`
}

// LeftPact is the data of SERVER:LEFT_PACT.
type LeftPact struct {
	PactID PactID `json:"pactId"`
	Reason string `json:"reason"`
}

// PactInvitation is the data of SERVER:PACT_INVITATION.
type PactInvitation struct {
	Pact         Pact   `json:"pact"`
	FromUserID   UserID `json:"fromUserId"`
	FromUserName string `json:"fromUserName"`
}

// TokenExpiring is the data of SERVER:TOKEN_EXPIRING.
type TokenExpiring struct {
	ExpiresAt Time `json:"expiresAt"`
}
