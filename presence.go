package pactwire

import "time"

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

// ParseDeviceKind returns the kind of that name; a phone for one that is not known.
func ParseDeviceKind(name string) DeviceKind {
	for _, k := range []DeviceKind{KindWatch, KindWeb, KindButton, KindScale} {
		if string(k) == name {
			return k
		}
	}
	return KindPhone
}

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

	LoggedOut bool `json:"-"` // is offline because they said so, on a connection that stands
}

// LastSeenVisibility is what others learn of when a person was last seen.
type LastSeenVisibility string

// The visibilities.
const (
	LastSeenExact   LastSeenVisibility = "exact" // the default, also ""
	LastSeenRounded LastSeenVisibility = "rounded"
	LastSeenHidden  LastSeenVisibility = "hidden"
)

// Show is the presence as others may see it: rounded is down to the hour, hidden is null. Whether somebody is there is no
// secret among people who share a pact or are connected.
func (v LastSeenVisibility) Show(p Presence) Presence {
	switch {
	case p.LastSeen == nil:
	case v == LastSeenHidden:
		p.LastSeen = nil
	case v == LastSeenRounded:
		hour := Time(p.LastSeen.Std().Truncate(time.Hour))
		p.LastSeen = &hour
	}
	return p
}

// ActiveConnection is the presence of somebody whom one is connected to: the data of SERVER:ACTIVE_CONNECTION_LOGGED_IN,
// _LOGGED_OUT, _DISCONNECTED and _REFRESHED.
type ActiveConnection struct {
	UserID   UserID         `json:"userId"`
	UserName string         `json:"userName"`
	IsOnline bool           `json:"isOnline"`
	Status   PresenceStatus `json:"status"`
	LastSeen *Time          `json:"lastSeen"`
	Version  uint64         `json:"version"`
}

// ActiveConnections is the data of SERVER:ACTIVE_CONNECTIONS_LOADED and _ADDED.
type ActiveConnections struct {
	ActiveUsers []ActiveConnection `json:"activeUsers"` // never null
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
