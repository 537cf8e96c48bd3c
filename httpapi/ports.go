package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Ports is what the API speaks to. Verifier is needed; each other nil port takes its routes away.
type Ports struct {
	Forwards    bool // some of these ask another server, which is not to be this one
	Verifier    Verifier
	Profile     Profile
	Goals       Goals
	Pacts       Pacts
	Invitations Invitations
	Membership  Membership
	Streaks     Streaks
	Checkins    Checkins
	Commands    Commands
	Parse       Parse // needed with Commands
	History     History
	Inbox       Inbox
	People      People
	Events      Events
	Why         Why
	Devices     Devices
	Revocations Revocations
	Heads       Heads // nil: headSeq stays as the Pacts port says
	PushTokens  PushTokens
	WebPushKey  string // what browsers subscribe with; "" = none
	Pushes      Pushes

	Ready   func() []Cause      // what is amiss; nil = nothing ever is
	Metrics prometheus.Gatherer // nil: no /metrics
	// Fallback answers what is none of the API's paths; nil: 404.
	Fallback http.Handler
}

// Verifier knows whom a token speaks for. Its errors are Denied or Unavailable.
type Verifier interface {
	Verify(ctx context.Context, token string) (pactwire.Identity, error)
}

// Profile reads and changes the caller's settings.
type Profile interface {
	Profile(ctx context.Context, id pactwire.Identity) (pactwire.User, error)
	UpdateProfile(ctx context.Context, id pactwire.Identity, in pactwire.UserPatch) (pactwire.User, error)
}

// Goals keeps habit goals.
type Goals interface {
	CreateGoal(ctx context.Context, id pactwire.Identity, in pactwire.GoalInput) (pactwire.Goal, error)
	Goals(ctx context.Context, id pactwire.Identity) ([]pactwire.Goal, error)
}

// Pacts makes and shows pacts. It shows a pact to its members and to the invited; to others it is NotFound.
type Pacts interface {
	CreatePact(ctx context.Context, id pactwire.Identity, in pactwire.PactInput) (pactwire.Pact, error)
	Pacts(ctx context.Context, id pactwire.Identity, status string) ([]pactwire.Pact, error)
	Pact(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Pact, error)
}

// Invitations let people into pacts.
type Invitations interface {
	Invite(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, users []pactwire.UserID) (pactwire.Pact, error)
	InviteCode(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Invitation, error)
	Claim(ctx context.Context, id pactwire.Identity, code string) (pactwire.Pact, error)
}

// Membership takes the steps of a pact's life.
type Membership interface {
	Act(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, action pactwire.PactAction) (pactwire.Pact, error)
	Remove(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, user pactwire.UserID) (pactwire.Pact, error)
}

// Streaks tells the caller's streaks as of their local today.
type Streaks interface {
	Streaks(ctx context.Context, id pactwire.Identity) ([]pactwire.Streak, error)
}

// Checkins takes check-ins back and tells what came of it.
type Checkins interface {
	DeleteCheckin(ctx context.Context, id pactwire.Identity, checkin string) (pactwire.CheckinResult, error)
}

// Commands does what MQTT commands do. Do carries out the commands of one request in order, and waits 2 s at most for
// the answers: one Outcome for each. An error is about all of them; none was accepted then.
type Commands interface {
	Do(ctx context.Context, cmds []pactwire.Command) ([]Outcome, error)
}

// Outcome is what became of one command.
type Outcome struct {
	Answer  pactwire.Event // SERVER:CHECKIN_LOGGED or SERVER:ERROR, unless it is pending
	Pending bool           // accepted; the answer will come to the inbox
}

// Parse reads a body as the payload of the MQTT topic that takes the same command is read.
type Parse func(t topics.Topic, contentType string, body []byte) ([]pactwire.Command, error)

// People shows what others want of the caller, and how the caller stands to them.
type People interface {
	Notifications(ctx context.Context, id pactwire.Identity, q pactwire.NotificationQuery) (pactwire.NotificationPage, error)
	Connections(ctx context.Context, id pactwire.Identity, status pactwire.ConnectionStatus, after pactwire.UserID, limit int) (items []pactwire.Connection, more bool, err error)
}

// History reads a pact's log for a member.
type History interface {
	History(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, q pactwire.HistoryQuery) (pactwire.HistoryPage, error)
}

// Inbox reads the caller's events after a place, ascending.
type Inbox interface {
	Inbox(ctx context.Context, id pactwire.Identity, after pactwire.Seq, limit int) (items []json.RawMessage, more bool, err error)
}

// Events takes signed webhooks. Denied means that the signature is wrong, or that none is expected.
type Events interface {
	Receive(ctx context.Context, header http.Header, body []byte) error
}

// Why explains permissions.
type Why interface {
	Why(ctx context.Context, user pactwire.UserID, pact pactwire.PactID) (Explanation, error)
}

// Explanation is the answer of GET /v1/why.
type Explanation struct {
	UserID     pactwire.UserID `json:"userId"`
	PactID     pactwire.PactID `json:"pactId"`
	CanRead    bool            `json:"canRead"`
	CanCommand bool            `json:"canCommand"`
	Because    string          `json:"because"` // a sentence
	// Involved reports whether the user is or was a member or invited. Who is not learns nothing of the pact.
	Involved bool `json:"-"`
}

// Devices keeps the things that check in for the caller. AddDevice answers with the secret, which nothing else ever does. What is
// not the caller's is NotFound.
type Devices interface {
	AddDevice(ctx context.Context, id pactwire.Identity, in pactwire.DeviceInput) (pactwire.DeviceSecret, error)
	Devices(ctx context.Context, id pactwire.Identity) ([]pactwire.Device, error)
	RemoveDevice(ctx context.Context, id pactwire.Identity, device pactwire.DeviceID) error
}

// Revocations takes credentials back. What it has revoked is worth nothing any more when it returns.
type Revocations interface {
	Revoke(ctx context.Context, by pactwire.UserID, in pactwire.RevocationInput) (pactwire.Revocation, error)
	Revocations(ctx context.Context) ([]pactwire.Revocation, error)
}

// Heads tells the last sequence number of each pact's activity, in the order asked for.
type Heads interface {
	Heads(ctx context.Context, pacts []pactwire.PactID) ([]pactwire.Seq, error)
}

// PushTokens keeps where the caller's apps take pushes.
type PushTokens interface {
	Register(ctx context.Context, id pactwire.Identity, in pactwire.PushTokenInput) (pactwire.PushToken, error)
	Tokens(ctx context.Context, id pactwire.Identity) ([]pactwire.PushToken, error)
	Unregister(ctx context.Context, id pactwire.Identity, token string) error
}

// Pushes shows operators what waits to be pushed, and what was given up.
type Pushes interface {
	// Pending lists pushes after an id, ascending: those that were given up, or all.
	Pending(ctx context.Context, dead bool, after string, limit int) ([]pactwire.Push, error)
	Retry(ctx context.Context, id string) error
}

// Cause is something that is amiss.
type Cause struct {
	Name     string `json:"name"`
	Error    string `json:"error"`
	Degraded bool   `json:"-"` // the node serves all the same
}
