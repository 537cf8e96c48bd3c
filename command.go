package pactwire

import "time"

// CommandKind is what a command asks for. It follows from the topic.
type CommandKind string

// The kinds of commands.
const (
	CommandCheckin       CommandKind = "checkin"
	CommandMessage       CommandKind = "message"
	CommandHistory       CommandKind = "history"
	CommandCelebration   CommandKind = "celebration"
	CommandEncouragement CommandKind = "encouragement"
	CommandReaction      CommandKind = "reaction"
	CommandDirectMessage CommandKind = "direct_message"
	CommandConnection    CommandKind = "connection"
	CommandNotification  CommandKind = "notification"
	CommandPresence      CommandKind = "presence" // heard at once: neither journalled nor remembered
)

// Command is one request of a client, parsed and valid in itself; whether it may be done is not yet decided. Exactly
// the part that Kind names is set.
type Command struct {
	Kind       CommandKind
	ID         string // the sender's, ≤ 64 characters; "" when they gave none
	Sender     Identity
	Pact       PactID
	User       UserID // whom it is about, when it is about a person and not a pact
	Topic      string // it was published to, for error answers; "" over HTTP
	Index      *int   // of the item, when the command is part of a batch
	ReceivedAt time.Time

	Checkin       *CheckinCommand
	Message       *MessageCommand // also of CommandDirectMessage
	History       *HistoryQuery
	Celebration   *CelebrationCommand
	Encouragement *EncouragementCommand
	Reaction      *ReactionCommand
	Connection    *ConnectionCommand
	Notification  *NotificationCommand

	Presence PresenceStatus `json:"-"`

	// Refused is why an item of a batch is invalid in itself: it is answered with that and not done. The other items are.
	Refused *Error

	Answer Answer

	// Inbound is the QoS 2 publish that the command came by, when its session is kept. Of a batch the first one's counts.
	Inbound *Inbound `json:"-"`
}

// Inbound names a QoS 2 publish of a session that is kept. It is committed together with what the publish asked for, so that
// the same publish is not taken in twice, whenever the process ends.
type Inbound struct {
	Session  SessionKey
	PacketID uint16
}

// Answer tells where the answer to a command goes. With a Topic it goes there alone, unlogged, with Correlation;
// without, into the sender's inbox.
type Answer struct {
	Topic       string
	Correlation []byte
	MaxPacket   int  // of the sender's connection, with all that surrounds the answer; 0 = no limit
	Silent      bool // the caller takes the answer itself (HTTP); nothing is sent
}

// CheckinCommand is the payload of a check-in.
type CheckinCommand struct {
	HabitGoalID   GoalID // "" = the pact's
	Status        CheckinStatus
	Notes         string
	ProofMedia    []Media
	ScheduledDate LocalDate      // "" = the day on which it happened
	Age           *time.Duration // how long ago, by the sender's own clock; trusted over OccurredAt
	OccurredAt    *time.Time
	Battery       *int // percent, of the device that sends it; nil = not said
}

// MessageCommand is the payload of a chat message.
type MessageCommand struct {
	Message string
}

// HistoryQuery asks for a page of a pact's activities. Bounds are exclusive and at most one is set; none asks for the
// latest. Limit 0 means 50; at most 200.
type HistoryQuery struct {
	After  *Seq
	Before *Seq
	Limit  int
}
