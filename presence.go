package pactwire

// PresenceStatus is what a person, or one of their connections, says of being there.
type PresenceStatus string

// The statuses, best first.
const (
	PresenceActive  PresenceStatus = "active"
	PresenceAway    PresenceStatus = "away"
	PresenceOffline PresenceStatus = "offline"
)

// DeviceKind is what a connection runs on. Things have no presence.
type DeviceKind string

// The kinds.
const (
	KindPhone  DeviceKind = "phone"
	KindWatch  DeviceKind = "watch"
	KindWeb    DeviceKind = "web"
	KindButton DeviceKind = "button"
	KindScale  DeviceKind = "scale"
)

// Human reports whether a person looks at such a device. Unknown kinds are human.
func (k DeviceKind) Human() bool { return k != KindButton && k != KindScale }

// Presence is a person's presence as one pact's members see it. Version strictly increases per user, over restarts too.
type Presence struct {
	PactID   PactID         `json:"pactId"`
	UserID   UserID         `json:"userId"`
	UserName string         `json:"userName"`
	IsOnline bool           `json:"isOnline"` // active or away
	Status   PresenceStatus `json:"status"`
	LastSeen *Time          `json:"lastSeen"` // last sign of life; null if never
	Version  uint64         `json:"version"`
}

// State is a pact now.
type State struct {
	Pact    Pact          `json:"pact"`
	Habit   Habit         `json:"habit"`
	Members []StateMember `json:"members"`
	HeadSeq Seq           `json:"headSeq"`
}

// Habit is the habit of a pact in its State.
type Habit struct {
	ID    GoalID `json:"id"`
	Name  string `json:"name"`
	Emoji string `json:"emoji"`
}

// StateMember is a member in a State; Streak is the current streak in days.
type StateMember struct {
	UserID   UserID       `json:"userId"`
	UserName string       `json:"userName"`
	Role     MemberRole   `json:"role"`
	Status   MemberStatus `json:"status"`
	Streak   int          `json:"streak"`
}
