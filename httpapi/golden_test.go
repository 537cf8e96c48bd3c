package httpapi_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/httpapi"
)

var update = flag.Bool("update", false, "write the golden files")

// TestAnswers holds every operation's answer against a golden file and against the OpenAPI document.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		operation                string // path in the document
		outcomes                 []httpapi.Outcome
		asked                    []any // nil = not looked at
	}{
		{"me", "GET", "/v1/me", "", 200, "/v1/me", nil, []any{pactwire.UserID("alice")}},
		{"me_patch", "PATCH", "/v1/me", `{"locale":"de","future":1}`, 200, "/v1/me", nil, nil},
		{"goals", "GET", "/v1/goals", "", 200, "/v1/goals", nil, nil},
		{"goal_create", "POST", "/v1/goals", `{"name":"Run <fast>"}`, 201, "/v1/goals", nil, []any{pactwire.UserID("alice"), pactwire.GoalInput{Name: "Run <fast>"}}},
		{"pacts", "GET", "/v1/pacts?status=pending&limit=2", "", 200, "/v1/pacts", nil, []any{pactwire.UserID("alice"), "pending"}},
		{"pacts_next", "GET", "/v1/pacts?after=p1", "", 200, "/v1/pacts", nil, nil},
		{"pact_create", "POST", "/v1/pacts", `{"habitGoalId":"goal1","partnerUserIds":["bob"]}`, 201, "/v1/pacts", nil,
			[]any{pactwire.UserID("alice"), pactwire.PactInput{HabitGoalID: "goal1", PartnerUserIDs: []pactwire.UserID{"bob"}}}},
		{"pact", "GET", "/v1/pacts/p1", "", 200, "/v1/pacts/{id}", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1")}},
		{"invite", "POST", "/v1/pacts/p1/invite", `{"userIds":["bob"]}`, 200, "/v1/pacts/{id}/invite", nil,
			[]any{pactwire.UserID("alice"), pactwire.PactID("p1"), []pactwire.UserID{"bob"}}},
		{"invite_code", "POST", "/v1/pacts/p1/invite", `{}`, 200, "/v1/pacts/{id}/invite", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1")}},
		{"claim", "POST", "/v1/pacts/claim", `{"code":"PACT-ABCD2345"}`, 200, "/v1/pacts/claim", nil, []any{pactwire.UserID("alice"), "PACT-ABCD2345"}},
		{"accept", "POST", "/v1/pacts/p1/accept", "", 200, "/v1/pacts/{id}/accept", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.ActAccept}},
		{"decline", "POST", "/v1/pacts/p1/decline", "", 200, "/v1/pacts/{id}/decline", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.ActDecline}},
		{"leave", "POST", "/v1/pacts/p1/leave", "{}", 200, "/v1/pacts/{id}/leave", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.ActLeave}},
		{"abandon", "POST", "/v1/pacts/p1/abandon", "", 200, "/v1/pacts/{id}/abandon", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.ActAbandon}},
		{"complete", "POST", "/v1/pacts/p1/complete", "", 200, "/v1/pacts/{id}/complete", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.ActComplete}},
		{"remove", "POST", "/v1/pacts/p1/remove", `{"userId":"bob"}`, 200, "/v1/pacts/{id}/remove", nil,
			[]any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.UserID("bob")}},
		{"activities", "GET", "/v1/pacts/p1/activities?beforeSeq=9&limit=999", "", 200, "/v1/pacts/{id}/activities", nil,
			[]any{pactwire.UserID("alice"), pactwire.PactID("p1"), pactwire.HistoryQuery{Before: seq(9), Limit: 200}}},
		{"checkin", "POST", "/v1/pacts/p1/checkins", `{"status":"completed"}`, 201, "/v1/pacts/{id}/checkins", []httpapi.Outcome{logged(t, false)}, nil},
		{"checkin_again", "POST", "/v1/pacts/p1/checkins", `{"id":"x","status":"completed"}`, 200, "/v1/pacts/{id}/checkins", []httpapi.Outcome{logged(t, true)}, nil},
		{"checkin_pending", "POST", "/v1/pacts/p1/checkins", `{"id":"x","status":"completed"}`, 202, "/v1/pacts/{id}/checkins", []httpapi.Outcome{{Pending: true}}, nil},
		{"checkin_refused", "POST", "/v1/pacts/p1/checkins", `{"id":"x","status":"completed"}`, 409, "/v1/pacts/{id}/checkins",
			[]httpapi.Outcome{refused(t, pactwire.Errorf(pactwire.Conflict, "this pact is over"))}, nil},
		{"checkin_batch", "POST", "/v1/pacts/p1/checkins", `[{"id":"x","status":"completed"},{"id":"y","status":"?"},{"id":"z","status":"skipped"}]`, 200,
			"/v1/pacts/{id}/checkins", []httpapi.Outcome{logged(t, false), refused(t, pactwire.FieldErrorf("status", "what?")), {Pending: true}}, nil},
		{"checkin_batch_refused", "POST", "/v1/pacts/p1/checkins", `[{"id":"y","status":"?"},{"id":"z","status":"?"}]`, 400, "/v1/pacts/{id}/checkins",
			[]httpapi.Outcome{refused(t, pactwire.FieldErrorf("status", "what?")), refused(t, pactwire.Errorf(pactwire.Conflict, "over"))}, nil},
		{"checkin_delete", "DELETE", "/v1/checkins/c1", "", 204, "/v1/checkins/{id}", nil, []any{pactwire.UserID("alice"), "c1"}},
		{"streaks", "GET", "/v1/streaks", "", 200, "/v1/streaks", nil, nil},
		{"inbox", "GET", "/v1/inbox?afterSeq=2", "", 200, "/v1/inbox", nil, []any{pactwire.UserID("alice"), pactwire.Seq(2), 50}},
		{"celebrate", "POST", "/v1/pacts/p1/celebrations", `{"checkinId":"c1"}`, 201, "/v1/pacts/{id}/celebrations", []httpapi.Outcome{commandDone(t, "p1", false)}, nil},
		{"celebrate_again", "POST", "/v1/pacts/p1/celebrations", `{"id":"k"}`, 200, "/v1/pacts/{id}/celebrations", []httpapi.Outcome{commandDone(t, "p1", true)}, nil},
		{"encourage", "POST", "/v1/pacts/p1/encouragements", `{"targetUserId":"bob"}`, 201, "/v1/pacts/{id}/encouragements", []httpapi.Outcome{commandDone(t, "p1", false)}, nil},
		{"react", "POST", "/v1/pacts/p1/reactions", `{"activityId":"a1"}`, 201, "/v1/pacts/{id}/reactions", []httpapi.Outcome{commandDone(t, "p1", false)}, nil},
		{"message", "POST", "/v1/pacts/p1/messages", `{"message":"hi"}`, 201, "/v1/pacts/{id}/messages", []httpapi.Outcome{commandDone(t, "p1", false)}, nil},
		{"direct_message", "POST", "/v1/users/bob/messages", `{"message":"hi"}`, 201, "/v1/users/{id}/messages", []httpapi.Outcome{commandDone(t, "", false)}, nil},
		{"connect", "POST", "/v1/users/bob/connections", `{"action":"request"}`, 201, "/v1/users/{id}/connections", []httpapi.Outcome{commandDone(t, "", false)}, nil},
		{"mark_read", "PATCH", "/v1/notifications", `{"isUnread":false}`, 201, "/v1/notifications", []httpapi.Outcome{commandDone(t, "", false)}, nil},
		{"notifications", "GET", "/v1/notifications?unread=true&before=n3&limit=2", "", 200, "/v1/notifications", nil,
			[]any{pactwire.UserID("alice"), pactwire.NotificationQuery{Unread: true, Before: "n3", Limit: 2}}},
		{"connections", "GET", "/v1/connections?status=accepted&after=aaron", "", 200, "/v1/connections", nil,
			[]any{pactwire.UserID("alice"), pactwire.ConnectionAccepted, pactwire.UserID("aaron"), 50}},
		{"events", "POST", "/v1/events", `{"type":"x"}`, 202, "/v1/events", nil, []any{"msg_1", `{"type":"x"}`}},
		{"push_tokens", "GET", "/v1/push-tokens", "", 200, "/v1/push-tokens", nil, []any{pactwire.UserID("alice")}},
		{"push_token", "POST", "/v1/push-tokens", `{"kind":"fcm","token":"x"}`, 201, "/v1/push-tokens", nil,
			[]any{pactwire.UserID("alice"), pactwire.PushTokenInput{Kind: "fcm", Token: "x"}}},
		{"push_token_delete", "DELETE", "/v1/push-tokens/t1", "", 204, "/v1/push-tokens/{id}", nil, []any{pactwire.UserID("alice"), "t1"}},
		{"why", "GET", "/v1/why?pact=p1", "", 200, "/v1/why", nil, []any{pactwire.UserID("alice"), pactwire.PactID("p1")}},
		{"devices", "GET", "/v1/devices", "", 200, "/v1/devices", nil, []any{pactwire.UserID("alice")}},
		{"device_add", "POST", "/v1/devices", `{"name":"kitchen","kind":"button","pactId":"p1"}`, 201, "/v1/devices", nil,
			[]any{pactwire.UserID("alice"), pactwire.DeviceInput{Name: "kitchen", Kind: pactwire.KindButton, PactID: "p1"}}},
		{"device_remove", "DELETE", "/v1/devices/d1", "", 204, "/v1/devices/{id}", nil, []any{pactwire.UserID("alice"), pactwire.DeviceID("d1")}},
		{"logout", "POST", "/v1/logout", "", 204, "/v1/logout", nil,
			[]any{pactwire.UserID("alice"), pactwire.RevocationInput{TokenID: "jti-alice", ExpiresAt: timeOf(at)}}},
		{"logout_everywhere", "POST", "/v1/logout", `{"everywhere":true}`, 204, "/v1/logout", nil,
			[]any{pactwire.UserID("alice"), pactwire.RevocationInput{UserID: "alice"}}},
		{"livez", "GET", "/livez", "", 200, "/livez", nil, nil},
		{"readyz", "GET", "/readyz", "", 200, "/readyz", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{outcomes: c.outcomes, many: 4, explain: httpapi.Explanation{CanRead: true, CanCommand: true, Because: "an active member of an active pact", Involved: true}}
			w := f.call("alice", c.method, c.path, c.body, "webhook-id", "msg_1")
			if w.Code != c.status {
				t.Fatalf("status %d, want %d: %s", w.Code, c.status, body(w))
			}
			if diff := cmp.Diff(c.asked, f.asked); c.asked != nil && diff != "" {
				t.Error(diff)
			}
			if w.Body.Len() == 0 {
				return
			}
			golden(t, c.name, body(w))
			checkDocumented(t, c.method, c.operation, c.status, w.Body.Bytes())
		})
	}
}

// commandDone is the answer to a command that is no check-in. Without a pact it made no activity.
func commandDone(t *testing.T, p pactwire.PactID, duplicate bool) httpapi.Outcome {
	t.Helper()
	d := pactwire.CommandDone{Duplicate: duplicate}
	if id := "a1"; p != "" {
		d.PactID, d.ActivityID, d.ActivitySeq = &p, &id, seq(9)
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return httpapi.Outcome{Answer: pactwire.Event{Type: pactwire.EventCommandDone, Data: data}}
}

func timeOf(at pactwire.Time) *time.Time {
	t := at.Std()
	return &t
}

// TestOperatorsAnswers holds what only operators may ask.
func TestOperatorsAnswers(t *testing.T) {
	for _, c := range []struct {
		name, method, body string
		status             int
	}{
		{"revocations", "GET", "", 200},
		{"revoke", "POST", `{"userId":"bob"}`, 201},
	} {
		f := &fake{}
		w := f.call("op", c.method, "/v1/revocations", c.body)
		if w.Code != c.status {
			t.Fatalf("status %d, want %d: %s", w.Code, c.status, body(w))
		}
		golden(t, c.name, body(w))
		checkDocumented(t, c.method, "/v1/revocations", c.status, w.Body.Bytes())
		if w := (&fake{}).call("alice", c.method, "/v1/revocations", c.body); w.Code != 403 {
			t.Errorf("%s as alice: %d %s", c.name, w.Code, body(w))
		}
	}
}

func seq(n pactwire.Seq) *pactwire.Seq { return &n }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), got); diff != "" {
		t.Error(diff)
	}
}

// The document, as far as the tests look into it.
type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Responses map[string]response
		Schemas   map[string]schema
	}
}

type operation struct {
	Responses map[string]response
	Security  *[]any
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema schema }
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]schema
	Required   []string
	Items      *schema
	OneOf      []schema
	Const      any
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	w := (&fake{}).call("", "GET", "/openapi.json", "")
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRouteIsDocumentedAndEveryDocumentedOneIsThere(t *testing.T) {
	d := readDocument(t)
	var documented []string
	for path, ops := range d.Paths {
		for method, op := range ops {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			// What needs no token says so, and the rest does not.
			open := op.Security != nil && len(*op.Security) == 0
			if w := (&fake{}).call("", strings.ToUpper(method), path, "{}"); (w.Code != 401) != open {
				t.Errorf("%s %s without a token: %d, documented as open: %v", method, path, w.Code, open)
			}
		}
	}
	routes := append(httpapi.RoutesOf((&fake{}).ports()), "GET /metrics")
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(documented, routes); diff != "" {
		t.Errorf("documented (-) and served (+) differ:\n%s", diff)
	}
}

func checkDocumented(t *testing.T, method, path string, status int, answer []byte) {
	t.Helper()
	d := readDocument(t)
	r, ok := d.Paths[path][strings.ToLower(method)].Responses[fmt.Sprint(status)]
	if !ok {
		t.Errorf("status %d is not documented", status)
		return
	}
	if name, isRef := strings.CutPrefix(r.Ref, "#/components/responses/"); isRef {
		r = d.Components.Responses[name]
	}
	var v any
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatal(err)
	}
	if why := d.mismatch(r.Content["application/json"].Schema, v, "$"); why != "" {
		t.Errorf("the answer is not as documented: %s", why)
	}
}

// mismatch says how a value differs from its schema in keys and types, "" when it does not.
func (d document) mismatch(s schema, v any, at string) string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		resolved, known := d.Components.Schemas[name]
		if !known {
			return at + ": no schema " + name
		}
		return d.mismatch(resolved, v, at)
	}
	if len(s.OneOf) > 0 {
		var whys []string
		for _, one := range s.OneOf {
			why := d.mismatch(one, v, at)
			if why == "" {
				return ""
			}
			whys = append(whys, why)
		}
		return strings.Join(whys, "; or ")
	}
	if s.Const != nil && s.Const != v {
		return fmt.Sprintf("%s: %v is not %v", at, v, s.Const)
	}
	kinds := map[string]bool{"object": false, "array": false, "string": false, "number": false, "boolean": false, "null": false}
	switch v := v.(type) {
	case map[string]any:
		kinds["object"] = true
		if s.Properties == nil {
			break
		}
		for _, k := range s.Required {
			if _, ok := v[k]; !ok {
				return at + "." + k + " is missing"
			}
		}
		for k, item := range v {
			p, ok := s.Properties[k]
			if !ok {
				return at + "." + k + " is not documented"
			}
			if why := d.mismatch(p, item, at+"."+k); why != "" {
				return why
			}
		}
	case []any:
		kinds["array"] = true
		for i, item := range v {
			if why := d.mismatch(*s.Items, item, fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
	case string:
		kinds["string"] = true
	case float64:
		kinds["number"], kinds["integer"] = true, true
	case bool:
		kinds["boolean"] = true
	case nil:
		kinds["null"] = true
	}
	switch want := s.Type.(type) {
	case string:
		if !kinds[want] {
			return fmt.Sprintf("%s: %v is no %s", at, v, want)
		}
	case []any:
		if !slices.ContainsFunc(want, func(k any) bool { return kinds[k.(string)] }) {
			return fmt.Sprintf("%s: %v is none of %v", at, v, want)
		}
	}
	return ""
}
