package pactwire

import (
	"encoding/json"
	"slices"
	"time"
)

// PushKind is what a push is about.
type PushKind string

// The kinds. A push of one kind has the type "push." and its name; several that were merged are a PushSummary.
const (
	PushCelebration   PushKind = "celebration"
	PushEncouragement PushKind = "encouragement"
	PushCheckin       PushKind = "checkin"
	PushMilestone     PushKind = "milestone"
	PushMessage       PushKind = "message"
	PushInvitation    PushKind = "invitation"
	PushSummary       PushKind = "summary"
)

// PushKinds are those that a person may turn off, in the order in which they are shown.
func PushKinds() []PushKind {
	return []PushKind{PushCelebration, PushEncouragement, PushCheckin, PushMilestone, PushMessage, PushInvitation}
}

// PushJob is something that a person will be pushed about, unless one of their devices acknowledges it first.
type PushJob struct {
	ID        int64
	User      UserID // whom it is for
	Cause     string // one cause gives a person one job, however many entries tell of it
	Kind      PushKind
	Pact      PactID // "" = none
	Event     []byte // the Activity or Event that tells of it, as it is in the log
	CreatedAt time.Time
	DueAt     time.Time
	Batch     string // names the pushes that were made of it; "" while it waits
}

// Push is one message on its way to one target. Its ID is the same on every attempt.
type Push struct {
	ID        string
	Batch     string // common to the pushes that were made of the same jobs
	User      UserID
	Pact      PactID // "" = none, or several
	Channel   string
	Target    string // id of a PushToken; "" when the channel has one target for all
	Body      []byte // {"type","timestamp","data"}
	CreatedAt time.Time
	Attempts  int
	NextAt    time.Time // not before
	Dead      bool      // given up; kept for an operator to look at
	Error     string    // of the last attempt
}

// PushToken is where one app of a person takes pushes.
type PushToken struct {
	ID        string    `json:"id"`
	User      UserID    `json:"-"`
	Kind      TokenKind `json:"kind"`
	Token     string    `json:"-"` // of FCM or APNs; the endpoint of a Web Push subscription
	P256dh    string    `json:"-"` // keys of a Web Push subscription, base64url
	Auth      string    `json:"-"`
	CreatedAt Time      `json:"createdAt"`
}

// TokenKind names the service that a token belongs to; the channel that serves it has the same name.
type TokenKind string

// The kinds of tokens.
const (
	TokenFCM     TokenKind = "fcm"
	TokenAPNs    TokenKind = "apns"
	TokenWebPush TokenKind = "webpush"
)

// PushTokenInput is the body of POST /v1/push-tokens.
type PushTokenInput struct {
	Kind         TokenKind         `json:"kind"`
	Token        string            `json:"token,omitempty"`        // fcm and apns
	Subscription *PushSubscription `json:"subscription,omitempty"` // webpush: what the browser's subscribe() gives
}

// PushSubscription is a browser's PushSubscription.
type PushSubscription struct {
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256dh string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

// PushSettings are a person's own words about pushes. The zero value takes all.
type PushSettings struct {
	Off        []PushKind `json:"off"`        // kinds that they do not want; never null in JSON
	MutedPacts []PactID   `json:"mutedPacts"` // never null in JSON
}

// PushPatch changes PushSettings; nil leaves a list as it is.
type PushPatch struct {
	Off        *[]PushKind `json:"off,omitempty"`
	MutedPacts *[]PactID   `json:"mutedPacts,omitempty"`
}

// MarshalJSON writes the lists as lists, also when there is nothing in them.
func (s PushSettings) MarshalJSON() ([]byte, error) {
	type plain PushSettings
	if s.Off == nil {
		s.Off = []PushKind{}
	}
	if s.MutedPacts == nil {
		s.MutedPacts = []PactID{}
	}
	return json.Marshal(plain(s))
}

// Wants reports whether the person takes pushes of a kind about a pact.
func (s PushSettings) Wants(k PushKind, p PactID) bool {
	return !slices.Contains(s.Off, k) && (p == "" || !slices.Contains(s.MutedPacts, p))
}
