package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pactwire/pactwire"
)

// Token signs a token for a user, named like the id with a capital, with any roles.
func Token(user pactwire.UserID, roles ...string) string {
	return TokenFor(user, time.Hour, roles...)
}

// TokenFor is Token with its life.
func TokenFor(user pactwire.UserID, ttl time.Duration, roles ...string) string {
	now := time.Now()
	claims := jwt.MapClaims{
		"id": string(user), "userName": strings.ToUpper(string(user[:1])) + string(user[1:]),
		"iat": now.Add(-5 * time.Minute).Unix(), // people sign in now and then; a server whose clock is behind knows the token all the same
		"exp": now.Add(ttl).Unix(),
	}
	if len(roles) > 0 {
		claims["roles"] = roles
	}
	return Sign(claims)
}

// Sign signs any claims with Secret.
func Sign(claims jwt.MapClaims) string {
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(Secret))
	if err != nil {
		panic(err) // a key of bytes and a map can always be signed
	}
	return s
}

// Call makes a request as a user ("" = nobody) and returns the status and body.
func (s *Server) Call(user pactwire.UserID, method, path string, in any) (int, []byte, error) {
	return call(context.Background(), s.client, s.HTTP, tokenOf(user), method, path, in)
}

// CallWith makes a request with a bearer token ("" = none).
func (s *Server) CallWith(token, method, path string, in any) (int, []byte, error) {
	return call(context.Background(), s.client, s.HTTP, token, method, path, in)
}

func tokenOf(user pactwire.UserID) string {
	if user == "" {
		return ""
	}
	return Token(user)
}

func call(ctx context.Context, client *http.Client, addr, token, method, path string, in any) (int, []byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, body)
	if err != nil {
		return 0, nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, out, err
}

// Must makes a request that must succeed, and reads the answer into out, unless that is nil.
func (s *Server) Must(user pactwire.UserID, method, path string, in, out any) {
	s.t.Helper()
	if err := s.try(user, method, path, in, out); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) try(user pactwire.UserID, method, path string, in, out any) error {
	code, body, err := s.Call(user, method, path, in)
	if err != nil {
		return err
	}
	if code/100 != 2 {
		return fmt.Errorf("%s %s as %q: %d %s", method, path, user, code, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// NewGoal makes a daily habit.
func (s *Server) NewGoal(user pactwire.UserID) pactwire.GoalID {
	s.t.Helper()
	var g pactwire.Goal
	s.Must(user, http.MethodPost, "/v1/goals", pactwire.GoalInput{Name: "Run", Emoji: "🏃", FrequencyType: "daily"}, &g)
	return g.ID
}

// NewPact makes an active pact of which all users are members; the first creates it.
func (s *Server) NewPact(users ...pactwire.UserID) pactwire.Pact {
	s.t.Helper()
	var p pactwire.Pact
	in := pactwire.PactInput{HabitGoalID: s.NewGoal(users[0]), PartnerUserIDs: users[1:]}
	s.Must(users[0], http.MethodPost, "/v1/pacts", in, &p)
	for _, u := range users[1:] {
		s.Must(u, http.MethodPost, "/v1/pacts/"+string(p.ID)+"/accept", nil, nil)
	}
	return s.Pact(users[0], p.ID)
}

// NewDevice makes a button for a pact of its owner.
func (s *Server) NewDevice(owner pactwire.UserID, pact pactwire.PactID) pactwire.DeviceSecret {
	s.t.Helper()
	var d pactwire.DeviceSecret
	s.Must(owner, http.MethodPost, "/v1/devices", pactwire.DeviceInput{Name: "kitchen button", Kind: pactwire.KindButton, PactID: pact}, &d)
	return d
}

// Pact reads a pact.
func (s *Server) Pact(user pactwire.UserID, id pactwire.PactID) pactwire.Pact {
	s.t.Helper()
	var p pactwire.Pact
	s.Must(user, http.MethodGet, "/v1/pacts/"+string(id), nil, &p)
	return p
}

// Activities reads a pact's whole log over HTTP.
func (s *Server) Activities(user pactwire.UserID, id pactwire.PactID) []pactwire.Activity {
	s.t.Helper()
	var out []pactwire.Activity
	for {
		var page struct {
			Items   []pactwire.Activity `json:"items"`
			HasMore bool                `json:"hasMore"`
		}
		var after pactwire.Seq
		if len(out) > 0 {
			after = out[len(out)-1].Seq
		}
		s.Must(user, http.MethodGet, fmt.Sprintf("/v1/pacts/%s/activities?afterSeq=%d&limit=200", id, after), nil, &page)
		out = append(out, page.Items...)
		if !page.HasMore || len(page.Items) == 0 {
			return out
		}
	}
}

// Inbox reads a person's whole inbox over HTTP.
func (s *Server) Inbox(user pactwire.UserID) []pactwire.Event {
	s.t.Helper()
	var out []pactwire.Event
	for {
		var page struct {
			Items   []pactwire.Event `json:"items"`
			HasMore bool             `json:"hasMore"`
		}
		var after pactwire.Seq
		if len(out) > 0 {
			after = out[len(out)-1].Seq
		}
		s.Must(user, http.MethodGet, fmt.Sprintf("/v1/inbox?afterSeq=%d&limit=200", after), nil, &page)
		out = append(out, page.Items...)
		if !page.HasMore || len(page.Items) == 0 {
			return out
		}
	}
}

// Metric reads one figure of /metrics, given with its labels if it has any; what is not there is 0.
func (s *Server) Metric(name string) float64 {
	s.t.Helper()
	code, body, err := s.Call("", http.MethodGet, "/metrics", nil)
	if err != nil || code != http.StatusOK {
		s.t.Fatalf("GET /metrics: %d %v", code, err)
	}
	for l := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(l, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				s.t.Fatalf("%s: %v", name, err)
			}
			return v
		}
	}
	return 0
}
