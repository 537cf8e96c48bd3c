package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/httpapi"
	"github.com/pactwire/pactwire/topics"
)

var at = pactwire.Time(time.Date(2026, 11, 23, 9, 0, 0, 123e6, time.UTC))

// fake stands for everything behind the API. It records what it was asked, and answers with err when that is set.
type fake struct {
	err      error
	asked    []any
	outcomes []httpapi.Outcome
	causes   []httpapi.Cause
	explain  httpapi.Explanation
	many     int // pacts in a list
}

func (f *fake) note(v ...any) error {
	f.asked = append(f.asked, v...)
	return f.err
}

func (f *fake) Verify(_ context.Context, token string) (pactwire.Identity, error) {
	switch token {
	case "alice", "bob":
		return pactwire.Identity{UserID: pactwire.UserID(token), UserName: strings.ToUpper(token), Token: token, TokenID: "jti-" + token, ExpiresAt: at.Std()}, nil
	case "nameless":
		return pactwire.Identity{UserID: "alice", Token: token, ExpiresAt: at.Std()}, nil
	case "op":
		return pactwire.Identity{UserID: "op", Roles: pactwire.RoleOperator, Token: token}, nil
	case "issuer-down":
		return pactwire.Identity{}, pactwire.Errorf(pactwire.Unavailable, "the issuer does not answer")
	}
	return pactwire.Identity{}, pactwire.Errorf(pactwire.Denied, "the token has expired; sign in again")
}

func user() pactwire.User {
	return pactwire.User{ID: "alice", UserName: "Alice", TimeZone: "Europe/Berlin", DayStartsAt: "00:00", LastSeenVisibility: pactwire.LastSeenExact}
}

func (f *fake) Profile(_ context.Context, id pactwire.Identity) (pactwire.User, error) {
	return user(), f.note(id.UserID)
}

func (f *fake) UpdateProfile(_ context.Context, id pactwire.Identity, in pactwire.UserPatch) (pactwire.User, error) {
	return user(), f.note(id.UserID, in)
}

func goal() pactwire.Goal {
	return pactwire.Goal{ID: "goal1", Name: "Run <fast>", Emoji: "🏃", FrequencyType: "daily", FrequencyCount: 1, CreatedByUserID: "alice", CreatedAt: at}
}

func (f *fake) CreateGoal(_ context.Context, id pactwire.Identity, in pactwire.GoalInput) (pactwire.Goal, error) {
	return goal(), f.note(id.UserID, in)
}

func (f *fake) Goals(_ context.Context, id pactwire.Identity) ([]pactwire.Goal, error) {
	return []pactwire.Goal{goal()}, f.note(id.UserID)
}

func pact(id pactwire.PactID) pactwire.Pact {
	return pactwire.Pact{ID: id, Status: pactwire.PactActive, HabitGoalID: "goal1", HabitName: "Run", CreatorUserID: "alice", StartDate: &at, CreatedAt: at,
		Members: []pactwire.Member{
			{UserID: "alice", UserName: "Alice", Role: pactwire.RoleCreator, Status: pactwire.MemberActive, JoinedAt: &at},
			{UserID: "bob", UserName: "Bob", Role: pactwire.RolePartner, Status: pactwire.MemberPending},
		}}
}

func (f *fake) CreatePact(_ context.Context, id pactwire.Identity, in pactwire.PactInput) (pactwire.Pact, error) {
	return pact("new"), f.note(id.UserID, in)
}

func (f *fake) Pacts(_ context.Context, id pactwire.Identity, status string) ([]pactwire.Pact, error) {
	var list []pactwire.Pact
	for i := range f.many {
		list = append(list, pact(pactwire.PactID("p"+pactwire.Seq(i).String())))
	}
	return list, f.note(id.UserID, status)
}

func (f *fake) Pact(_ context.Context, id pactwire.Identity, p pactwire.PactID) (pactwire.Pact, error) {
	return pact(p), f.note(id.UserID, p)
}

func (f *fake) Invite(_ context.Context, id pactwire.Identity, p pactwire.PactID, users []pactwire.UserID) (pactwire.Pact, error) {
	return pact(p), f.note(id.UserID, p, users)
}

func (f *fake) InviteCode(_ context.Context, id pactwire.Identity, p pactwire.PactID) (pactwire.Invitation, error) {
	return pactwire.Invitation{Code: "PACT-ABCD2345", ExpiresAt: at}, f.note(id.UserID, p)
}

func (f *fake) Claim(_ context.Context, id pactwire.Identity, code string) (pactwire.Pact, error) {
	return pact("claimed"), f.note(id.UserID, code)
}

func (f *fake) Act(_ context.Context, id pactwire.Identity, p pactwire.PactID, a pactwire.PactAction) (pactwire.Pact, error) {
	return pact(p), f.note(id.UserID, p, a)
}

func (f *fake) Remove(_ context.Context, id pactwire.Identity, p pactwire.PactID, u pactwire.UserID) (pactwire.Pact, error) {
	return pact(p), f.note(id.UserID, p, u)
}

func (f *fake) Streaks(_ context.Context, id pactwire.Identity) ([]pactwire.Streak, error) {
	date := pactwire.LocalDate("2026-11-22")
	return []pactwire.Streak{{HabitGoalID: "goal1", Current: 3, Longest: 7, GraceLeft: 1, LastDate: &date}}, f.note(id.UserID)
}

func (f *fake) DeleteCheckin(_ context.Context, id pactwire.Identity, checkin string) (pactwire.CheckinResult, error) {
	return pactwire.CheckinResult{PreviousStatus: pactwire.StatusCompleted, HabitName: "Run", Streak: &pactwire.StreakUpdate{Before: 3, After: 2, Longest: 3},
		Checkin: pactwire.Checkin{ID: checkin, HabitGoalID: "goal1", Status: pactwire.StatusDeleted, LocalDate: "2026-11-22"}}, f.note(id.UserID, checkin)
}

func (f *fake) Do(_ context.Context, cmds []pactwire.Command) ([]httpapi.Outcome, error) {
	return f.outcomes, f.note(cmds)
}

// parse is a small stand-in for the real parser: an object or an array of objects.
func (f *fake) parse(t topics.Topic, _ string, body []byte) ([]pactwire.Command, error) {
	if t.Kind != topics.CheckinsKind {
		var w struct{ ID string }
		err := json.Unmarshal(body, &w)
		return []pactwire.Command{{Kind: pactwire.CommandKind(t.String()), ID: w.ID, Pact: t.Pact, User: t.User}}, err
	}
	type wire struct{ ID, Status string }
	command := func(w wire) pactwire.Command {
		return pactwire.Command{Kind: pactwire.CommandCheckin, ID: w.ID, Checkin: &pactwire.CheckinCommand{Status: pactwire.CheckinStatus(w.Status)}}
	}
	if body[0] != '[' {
		var w wire
		if json.Unmarshal(body, &w) != nil || w.Status == "" {
			return nil, pactwire.FieldErrorf("status", "status is needed")
		}
		return []pactwire.Command{command(w)}, nil
	}
	var ws []wire
	if err := json.Unmarshal(body, &ws); err != nil {
		return nil, err
	}
	cmds := make([]pactwire.Command, len(ws))
	for i, w := range ws {
		cmds[i] = command(w)
		cmds[i].Index = &i
	}
	return cmds, nil
}

func (f *fake) History(_ context.Context, id pactwire.Identity, p pactwire.PactID, q pactwire.HistoryQuery) (pactwire.HistoryPage, error) {
	item := json.RawMessage(`{"id":"a1","pactId":"p1","seq":7,"type":"message_sent","userId":"bob","userName":"Bob","commandId":null,"data":{"messageId":"m1","message":"hi <3"},"createdAt":"2026-11-23T09:00:00.123Z"}`)
	return pactwire.HistoryPage{PactID: p, Items: []json.RawMessage{item}, HeadSeq: 7}, f.note(id.UserID, p, q)
}

func (f *fake) Inbox(_ context.Context, id pactwire.Identity, after pactwire.Seq, limit int) ([]json.RawMessage, bool, error) {
	item := json.RawMessage(`{"id":"e1","seq":3,"type":"SERVER:LEFT_PACT","commandId":null,"data":{"pactId":"p1","reason":"left"},"createdAt":"2026-11-23T09:00:00.123Z"}`)
	return []json.RawMessage{item}, true, f.note(id.UserID, after, limit)
}

func (f *fake) Notifications(_ context.Context, id pactwire.Identity, q pactwire.NotificationQuery) (pactwire.NotificationPage, error) {
	return pactwire.NotificationPage{HasMore: true, UnreadCount: 3, Items: []pactwire.Notification{
		{ID: "n2", Type: pactwire.NotifyMessage, IsUnread: true, FromUserID: "bob", FromUserName: "Bob", Count: 2,
			Data: json.RawMessage(`{"messageId":"m1","message":"hi"}`), CreatedAt: at, UpdatedAt: at},
		{ID: "n1", Type: pactwire.NotifyMilestone, PactID: "p1", Count: 1, Data: json.RawMessage(`{"streakDays":7}`), CreatedAt: at, UpdatedAt: at},
	}}, f.note(id.UserID, q)
}

func (f *fake) Connections(_ context.Context, id pactwire.Identity, status pactwire.ConnectionStatus, after pactwire.UserID, limit int) ([]pactwire.Connection, bool, error) {
	return []pactwire.Connection{{UserID: "bob", UserName: "Bob", Status: pactwire.ConnectionAccepted, UpdatedAt: at}}, false, f.note(id.UserID, status, after, limit)
}

func (f *fake) Receive(_ context.Context, h http.Header, body []byte) error {
	return f.note(h.Get("webhook-id"), string(body))
}

func (f *fake) Why(_ context.Context, u pactwire.UserID, p pactwire.PactID) (httpapi.Explanation, error) {
	e := f.explain
	e.UserID, e.PactID = u, p
	return e, f.note(u, p)
}

func battery(n int) *int { return &n }

func (f *fake) AddDevice(_ context.Context, id pactwire.Identity, in pactwire.DeviceInput) (pactwire.DeviceSecret, error) {
	return pactwire.DeviceSecret{ID: "AaIUZXg-dGqyPBP5dBd8DA", Username: "device:AaIUZXg-dGqyPBP5dBd8DA", Secret: "s3cret"}, f.note(id.UserID, in)
}

func (f *fake) Devices(_ context.Context, id pactwire.Identity) ([]pactwire.Device, error) {
	d := pactwire.Device{ID: "AaIUZXg-dGqyPBP5dBd8DA", Name: "kitchen", Kind: pactwire.KindButton, PactID: "p1", HabitGoalID: "goal1", CreatedAt: at,
		Owner: "alice", SecretHash: []byte("hash")}
	seen := d
	seen.ID, seen.LastSeen, seen.Battery = "AaIUZXg-dGqyPBP5dBd8DB", &at, battery(0)
	return []pactwire.Device{d, seen}, f.note(id.UserID)
}

func (f *fake) RemoveDevice(_ context.Context, id pactwire.Identity, d pactwire.DeviceID) error {
	return f.note(id.UserID, d)
}

func (f *fake) Revoke(_ context.Context, by pactwire.UserID, in pactwire.RevocationInput) (pactwire.Revocation, error) {
	return pactwire.Revocation{ID: "r1", UserID: in.UserID, TokenID: in.TokenID, DeviceID: in.DeviceID, Before: &at, By: by, At: at, Until: at}, f.note(by, in)
}

func (f *fake) Revocations(context.Context) ([]pactwire.Revocation, error) {
	return []pactwire.Revocation{{ID: "r1", TokenID: "jti-1", By: "op", At: at, Until: at}, {ID: "r2", UserID: "bob", Before: &at, By: "op", At: at, Until: at}}, f.note()
}

func pushToken() pactwire.PushToken {
	return pactwire.PushToken{ID: "t1", User: "alice", Kind: pactwire.TokenFCM, Token: "a secret of the app", CreatedAt: at}
}

func (f *fake) Register(_ context.Context, id pactwire.Identity, in pactwire.PushTokenInput) (pactwire.PushToken, error) {
	return pushToken(), f.note(id.UserID, in)
}

func (f *fake) Tokens(_ context.Context, id pactwire.Identity) ([]pactwire.PushToken, error) {
	return []pactwire.PushToken{pushToken()}, f.note(id.UserID)
}

func (f *fake) Unregister(_ context.Context, id pactwire.Identity, token string) error {
	return f.note(id.UserID, token)
}

func (f *fake) Pending(_ context.Context, dead bool, after string, limit int) ([]pactwire.Push, error) {
	p := pactwire.Push{ID: "m1", User: "bob", Channel: "webhook", Body: []byte(`{"secret":1}`), CreatedAt: at.Std(), Attempts: 2, NextAt: at.Std(), Error: "HTTP 503: not now"}
	q := p
	q.ID, q.Dead = "m2", true
	return []pactwire.Push{p, q}, f.note(dead, after, limit)
}

func (f *fake) Retry(_ context.Context, id string) error { return f.note(id) }

func (f *fake) Heads(_ context.Context, pacts []pactwire.PactID) ([]pactwire.Seq, error) {
	heads := make([]pactwire.Seq, len(pacts))
	for i := range heads {
		heads[i] = pactwire.Seq(40 + i)
	}
	return heads, nil
}

func (f *fake) ports() httpapi.Ports {
	return httpapi.Ports{
		Verifier: f, Profile: f, Goals: f, Pacts: f, Invitations: f, Membership: f, Streaks: f, Checkins: f, Commands: f, Parse: f.parse,
		History: f, Inbox: f, People: f, Events: f, Why: f, Heads: f, PushTokens: f, WebPushKey: "BKey", Pushes: f, Devices: f, Revocations: f, Ready: func() []httpapi.Cause { return f.causes }, Metrics: prometheus.NewRegistry(),
	}
}

func (f *fake) handler() http.Handler {
	return httpapi.New(httpapi.Config{}, f.ports(), slog.New(slog.DiscardHandler), nil).Handler()
}

// call makes one request as who, "" for nobody; headers are pairs.
func (f *fake) call(who, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.1:1234"
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, r)
	return w
}

func data(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func logged(t *testing.T, duplicate bool) httpapi.Outcome {
	t.Helper()
	id, seq := "a1", pactwire.Seq(8)
	return httpapi.Outcome{Answer: pactwire.Event{Type: pactwire.EventCheckinLogged, Data: data(t, pactwire.CheckinLogged{
		Checkin: pactwire.Checkin{ID: "c1", PactID: "p1", HabitGoalID: "goal1", UserID: "alice", Status: pactwire.StatusCompleted,
			LocalDate: "2026-11-23", Notes: "rain & mud", ProofMedia: []pactwire.Media{}, CreatedAt: at, UpdatedAt: at},
		StreakUpdate:         &pactwire.StreakUpdate{Before: 2, After: 3, Longest: 7},
		AchievementsUnlocked: []string{}, Duplicate: duplicate, ActivityID: &id, ActivitySeq: &seq,
	})}}
}

func refused(t *testing.T, e *pactwire.Error) httpapi.Outcome {
	t.Helper()
	return httpapi.Outcome{Answer: pactwire.Event{Type: pactwire.EventError, Data: data(t, e.Data("pacts/p1/checkins"))}}
}

func body(w *httptest.ResponseRecorder) string { return string(bytes.TrimSpace(w.Body.Bytes())) }
