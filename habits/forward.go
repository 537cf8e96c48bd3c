package habits

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/pactwire/pactwire"
)

// Forwarder does what [Service] does by passing it on to a habits-service as it came: to the same /v1 path, with the
// person's own token, once. What the service does not offer has [pactwire.ErrNotImplemented] as its cause.
type Forwarder struct{ c *Client }

// Forwarder is the client's side for people.
func (c *Client) Forwarder() *Forwarder { return &Forwarder{c} }

// CreateGoal passes POST /v1/goals on.
func (f *Forwarder) CreateGoal(ctx context.Context, id pactwire.Identity, in pactwire.GoalInput) (pactwire.Goal, error) {
	return forward[pactwire.Goal](ctx, f.c, id, http.MethodPost, "/v1/goals", in)
}

// Goals passes GET /v1/goals on.
func (f *Forwarder) Goals(ctx context.Context, id pactwire.Identity) ([]pactwire.Goal, error) {
	return forwardPages(ctx, f.c, id, "/v1/goals", url.Values{}, func(g pactwire.Goal) string { return string(g.ID) })
}

// CreatePact passes POST /v1/pacts on.
func (f *Forwarder) CreatePact(ctx context.Context, id pactwire.Identity, in pactwire.PactInput) (pactwire.Pact, error) {
	return f.forwardPact(ctx, id, http.MethodPost, "/v1/pacts", in)
}

// Pacts passes GET /v1/pacts on.
func (f *Forwarder) Pacts(ctx context.Context, id pactwire.Identity, status string) ([]pactwire.Pact, error) {
	query := url.Values{}
	if status != "" {
		query.Set("status", status)
	}
	replies, err := forwardPages(ctx, f.c, id, "/v1/pacts", query, func(p pactReply) string { return string(p.ID) })
	if err != nil {
		return nil, err
	}
	return pactsIn(replies), nil
}

// Pact passes GET /v1/pacts/{id} on.
func (f *Forwarder) Pact(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Pact, error) {
	return f.forwardPact(ctx, id, http.MethodGet, pactPath(pact, ""), nil)
}

// Invite passes POST /v1/pacts/{id}/invite on.
func (f *Forwarder) Invite(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, users []pactwire.UserID) (pactwire.Pact, error) {
	in := struct {
		UserIDs []pactwire.UserID `json:"userIds"`
	}{users}
	return f.forwardPact(ctx, id, http.MethodPost, pactPath(pact, "/invite"), in)
}

// InviteCode passes POST /v1/pacts/{id}/invite without users on.
func (f *Forwarder) InviteCode(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Invitation, error) {
	in, err := forward[pactwire.Invitation](ctx, f.c, id, http.MethodPost, pactPath(pact, "/invite"), struct{}{})
	if err == nil && in.Code == "" {
		return in, garbled(http.StatusOK, errors.New("no code"))
	}
	return in, err
}

// Claim passes POST /v1/pacts/claim on.
func (f *Forwarder) Claim(ctx context.Context, id pactwire.Identity, code string) (pactwire.Pact, error) {
	return f.forwardPact(ctx, id, http.MethodPost, "/v1/pacts/claim", map[string]string{"code": code})
}

// Act passes POST /v1/pacts/{id}/{action} on.
func (f *Forwarder) Act(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, a pactwire.PactAction) (pactwire.Pact, error) {
	if _, ok := actions[a]; !ok {
		return pactwire.Pact{}, unknownAction()
	}
	return f.forwardPact(ctx, id, http.MethodPost, pactPath(pact, "/"+string(a)), nil)
}

// Remove passes POST /v1/pacts/{id}/remove on.
func (f *Forwarder) Remove(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, user pactwire.UserID) (pactwire.Pact, error) {
	return f.forwardPact(ctx, id, http.MethodPost, pactPath(pact, "/remove"), map[string]pactwire.UserID{"userId": user})
}

// Streaks passes GET /v1/streaks on.
func (f *Forwarder) Streaks(ctx context.Context, id pactwire.Identity) ([]pactwire.Streak, error) {
	return forwardList[pactwire.Streak](ctx, f.c, id, "/v1/streaks?limit=200")
}

// Profile passes GET /v1/me on.
func (f *Forwarder) Profile(ctx context.Context, id pactwire.Identity) (pactwire.User, error) {
	return forward[pactwire.User](ctx, f.c, id, http.MethodGet, "/v1/me", nil)
}

// UpdateProfile passes PATCH /v1/me on.
func (f *Forwarder) UpdateProfile(ctx context.Context, id pactwire.Identity, in pactwire.UserPatch) (pactwire.User, error) {
	return forward[pactwire.User](ctx, f.c, id, http.MethodPatch, "/v1/me", in)
}

// DeleteCheckin passes DELETE /v1/checkins/{id} on. It asks for what came of it (RFC 7240); a service that does not say
// leaves the habit's name and the streak empty.
func (f *Forwarder) DeleteCheckin(ctx context.Context, id pactwire.Identity, checkin string) (pactwire.CheckinResult, error) {
	r := call{method: http.MethodDelete, path: "/v1/checkins/" + url.PathEscape(checkin), header: http.Header{"Prefer": {"return=representation"}}}
	reply, err := forwardCall[checkinReply](ctx, f.c, id, r)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	res := pactwire.CheckinResult{Streak: reply.StreakUpdate.v, HabitName: clip(reply.HabitGoal.v.Name, maxName)}
	res.Checkin.ID, res.Checkin.Status, res.Checkin.UpdatedAt = checkin, pactwire.StatusDeleted, pactwire.Time(reply.UpdatedAt)
	return res, nil
}

func pactPath(p pactwire.PactID, rest string) string {
	return "/v1/pacts/" + url.PathEscape(string(p)) + rest
}

func (f *Forwarder) forwardPact(ctx context.Context, id pactwire.Identity, method, path string, in any) (pactwire.Pact, error) {
	reply, err := forward[pactReply](ctx, f.c, id, method, path, in)
	if err != nil {
		return pactwire.Pact{}, err
	}
	p, ok := reply.pact()
	if !ok {
		return pactwire.Pact{}, garbled(http.StatusOK, errors.New("a pact without an id"))
	}
	return p, nil
}

// maxPages bounds what is read of one list: 20,000 items.
const maxPages = 100

// forwardPages reads all pages of a list. A service that does not page is asked once.
func forwardPages[T any](ctx context.Context, c *Client, id pactwire.Identity, path string, query url.Values, idOf func(T) string) ([]T, error) {
	whole := []T{}
	query.Set("limit", "200")
	for range maxPages {
		page, err := forward[pageReply[T]](ctx, c, id, http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		whole = append(whole, page.items...)
		if !page.more || len(page.items) == 0 {
			return whole, nil
		}
		last := idOf(page.items[len(page.items)-1])
		if last == "" || last == query.Get("after") {
			return nil, garbled(http.StatusOK, errors.New("a list that says there is more and does not go on"))
		}
		query.Set("after", last)
	}
	return nil, garbled(http.StatusOK, errors.New("a list without end"))
}

func forwardList[T any](ctx context.Context, c *Client, id pactwire.Identity, path string) ([]T, error) {
	list, err := forward[listReply[T]](ctx, c, id, http.MethodGet, path, nil)
	if list == nil && err == nil {
		list = listReply[T]{}
	}
	return list, err
}

func forward[T any](ctx context.Context, c *Client, id pactwire.Identity, method, path string, in any) (T, error) {
	return forwardCall[T](ctx, c, id, call{method: method, path: path, in: in})
}

func forwardCall[T any](ctx context.Context, c *Client, id pactwire.Identity, r call) (T, error) {
	var out, none T
	if id.Token == "" {
		return none, pactwire.Errorf(pactwire.Denied, "this needs the token of a person")
	}
	r.bearer, r.limit, r.refuse = id.Token, maxListAnswer, forwardRefusal
	if err := c.call(ctx, r, &out); err != nil {
		return none, err
	}
	return out, nil
}

// forwardRefusal maps the answer to a call that was passed on. A path that the service does not have is not implemented; the
// same status with our own word not_found means that the route is there and the thing is not.
func forwardRefusal(status int, header http.Header, body []byte, now time.Time) *RemoteError {
	var reply errorReply
	_ = json.Unmarshal(body, &reply) // not JSON: no code
	switch {
	case status == http.StatusNotFound && pactwire.Code(reply.Code) == pactwire.NotFound:
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented:
		return &RemoteError{Status: status, Err: &pactwire.Error{
			Code: pactwire.Internal, Message: "the habits-service in use does not offer this", Cause: pactwire.ErrNotImplemented,
		}}
	case status == http.StatusTooManyRequests && pactwire.Code(reply.Code) == pactwire.TooMany:
		e := &RemoteError{Status: status, Err: &pactwire.Error{Cause: errors.New("HTTP status 429")}}
		e.say(pactwire.TooMany, reply, "too many requests; slow down")
		e.after = retryAfter(header.Get("Retry-After"), now)
		return e
	}
	return refusal(status, header, body, now)
}
