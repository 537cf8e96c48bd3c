package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/presence"
	"github.com/pactwire/pactwire/broker"
	"github.com/pactwire/pactwire/broker/delivery"
	"github.com/pactwire/pactwire/devices"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/hooks"
	"github.com/pactwire/pactwire/httpapi"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/ratelimit"
)

// The packages do not know each other. What stands between them is here: each adapter says in one side's words what the
// other side does.

var _ hooks.Conn = (*broker.Conn)(nil)
var _ delivery.Transport = (*broker.Conn)(nil)

// embeddedHabits is the engine as the bridge calls it: inside the bridge's own transaction.
type embeddedHabits struct{ *habits.Embedded }

func (e embeddedHabits) Checkin(ctx context.Context, tx bridge.Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	return e.Embedded.Checkin(ctx, tx.(habits.Tx), req)
}

// remoteHabits is a habits-service over HTTP as the bridge calls it.
type remoteHabits struct{ *habits.Client }

func (r remoteHabits) Checkin(ctx context.Context, _ bridge.Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	res, err := r.Client.Checkin(ctx, req)
	if s := res.Streak; err == nil && s != nil && (s.IsNewRecord || s.After > s.Before && habits.IsMilestone(s.After)) {
		res.Milestones = []pactwire.Milestone{{StreakDays: s.After, IsNewRecord: s.IsNewRecord}}
	}
	return res, err
}

// recorder runs the changes of the embedded service in the bridge's transactions.
type recorder struct{ *bridge.Bridge }

func (r recorder) Do(ctx context.Context, fn func(habits.Tx) ([]pactwire.Change, error)) error {
	return r.Record(ctx, func(tx bridge.Tx) ([]pactwire.Change, error) { return fn(tx.(habits.Tx)) })
}

// takeBack deletes check-ins of the embedded service in the bridge's transactions.
type takeBack struct {
	bridge *bridge.Bridge
	engine *habits.Embedded
}

func (t takeBack) DeleteCheckin(ctx context.Context, id pactwire.Identity, checkin string) (pactwire.CheckinResult, error) {
	return t.bridge.TakeBack(ctx, id, func(tx bridge.Tx) (pactwire.CheckinResult, error) {
		return t.engine.DeleteCheckin(ctx, tx.(habits.Tx), id.UserID, checkin, time.Now())
	})
}

// profiles keeps settings here, where local days and quiet hours are reckoned, and first at the remote habits-service, which
// reckons streaks. A service that keeps none leaves them to us.
type profiles struct {
	*habits.Service
	remote *habits.Forwarder
}

func (p profiles) UpdateProfile(ctx context.Context, id pactwire.Identity, in pactwire.UserPatch) (pactwire.User, error) {
	if _, err := p.remote.UpdateProfile(ctx, id, in); err != nil && !errors.Is(err, pactwire.ErrNotImplemented) {
		return pactwire.User{}, err
	}
	return p.Service.UpdateProfile(ctx, id, in)
}

// localDay is the user's day by the profile that is stored here.
func localDay(tx bridge.Tx, u pactwire.UserID, at time.Time) (pactwire.LocalDate, string, error) {
	user, _, err := tx.(habits.Tx).User(u)
	if err != nil {
		return "", "", err
	}
	if user.TimeZone == "" {
		user.TimeZone = habits.DefaultZone
	}
	day, err := habits.LocalDay(at, user.TimeZone, user.DayStartsAt)
	return day, user.TimeZone, err
}

// streaks tells members' current streaks for the state of a pact.
type streaks struct{ *habits.Service }

func (s streaks) CurrentStreaks(ctx context.Context, goal pactwire.GoalID, users []pactwire.UserID) (map[pactwire.UserID]int, error) {
	rows, err := s.MemberStreaks(ctx, goal, users)
	if err != nil {
		return nil, err
	}
	days := make(map[pactwire.UserID]int, len(rows))
	for u, row := range rows {
		days[u] = row.Current
	}
	return days, nil
}

// mqttVerifier reads CONNECT's password: the token of a person, or the secret of a device that the user name names.
type mqttVerifier struct {
	tokens  *auth.Verifier
	devices *devices.Registry
}

func (v mqttVerifier) Verify(ctx context.Context, username, password string) (pactwire.Identity, error) {
	if id, isDevice := strings.CutPrefix(username, pactwire.DeviceUserPrefix); isDevice {
		return v.devices.Verify(ctx, pactwire.DeviceID(id), password)
	}
	return v.tokens.Verify(ctx, password)
}

// sessions opens sessions in the hub and binds them to the connection.
type sessions struct {
	hub     *delivery.Hub
	bridge  *bridge.Bridge
	devices *devices.Registry
}

func (s sessions) Open(ctx context.Context, in pactwire.Connecting, conn hooks.Conn) (hooks.Session, bool, error) {
	c := conn.(*broker.Conn)
	client, present, err := s.hub.Open(ctx, in, c)
	if err != nil {
		return nil, false, err
	}
	if d := in.Identity.Device; d != "" {
		s.devices.Arrived(d)
		c.OnGone(func() { s.devices.Left(d) })
	} else {
		s.bridge.Greet(ctx, in.Identity)
	}
	c.Bind(client)
	return client, present, nil
}

// presenceHooks tells of connections.
type presenceHooks struct {
	presences
	called func(u pactwire.UserID, name string) string
}

func (p presenceHooks) Arrive(conn uint64, clientID string, u pactwire.UserID, name string, kind pactwire.DeviceKind) {
	p.presences.Arrive(presence.Conn{User: u, Name: p.called(u, name), ID: conn, ClientID: clientID, Kind: kind})
}

func (p presenceHooks) Say(conn uint64, clientID string, u pactwire.UserID, name string, kind pactwire.DeviceKind, status pactwire.PresenceStatus) {
	p.presences.Say(presence.Conn{User: u, Name: p.called(u, name), ID: conn, ClientID: clientID, Kind: kind}, status)
}

func (p presenceHooks) Leave(conn uint64, clientID string, u pactwire.UserID) {
	p.presences.Leave(presence.Conn{User: u, ID: conn, ClientID: clientID})
}

// rate is that of a person's commands.
type rate struct{ limit *ratelimit.Limiter[string] }

// patience is how long a request that came too soon is held; who sends still more is refused.
const patience = 5 * time.Second

// take holds a request until it may be done, or refuses it.
func (r rate) take(ctx context.Context, id pactwire.Identity) error {
	wait, ok := r.limit.Take(hooks.Purse(id), patience)
	if !ok {
		return &pactwire.Error{Code: pactwire.TooMany, RetryAfter: patience,
			Message: "you have sent more commands than one person may; try again in a few seconds"}
	}
	if wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return pactwire.Errorf(pactwire.Unavailable, "the request ended while it was held")
	}
}

// invitations counts claims as commands: at their rate a code of 40 bits is not guessed.
type invitations struct {
	httpapi.Invitations
	rate
}

func (i invitations) Claim(ctx context.Context, id pactwire.Identity, code string) (pactwire.Pact, error) {
	if err := i.take(ctx, id); err != nil {
		return pactwire.Pact{}, err
	}
	return i.Invitations.Claim(ctx, id, code)
}

// commands does over HTTP what MQTT commands do.
type commands struct {
	*bridge.Bridge
	rate
}

func (c commands) Do(ctx context.Context, cmds []pactwire.Command) ([]httpapi.Outcome, error) {
	if err := c.take(ctx, cmds[0].Sender); err != nil {
		return nil, err
	}
	results, err := c.Bridge.Do(ctx, cmds)
	if err != nil {
		return nil, err
	}
	out := make([]httpapi.Outcome, len(results))
	for i, r := range results {
		out[i] = httpapi.Outcome{Answer: r.Answer, Pending: r.Pending}
	}
	return out, nil
}

// why explains permissions.
type why struct{ *bridge.Membership }

func (w why) Why(ctx context.Context, u pactwire.UserID, p pactwire.PactID) (httpapi.Explanation, error) {
	e, err := w.Membership.Why(ctx, u, p)
	return httpapi.Explanation{UserID: u, PactID: p, CanRead: e.CanRead, CanCommand: e.CanCommand, Because: e.Because, Involved: e.Involved}, err
}

// events takes signed webhooks.
type events struct{ *bridge.Bridge }

func (e events) Receive(ctx context.Context, h http.Header, body []byte) error {
	return e.Bridge.Event(ctx, h, body)
}
