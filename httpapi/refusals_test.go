package httpapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachCodeHasItsStatus(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		body   string
		after  string
	}{
		{pactwire.FieldErrorf("name", "too long"), 400, `{"code":"invalid","message":"too long","field":"name","retryable":false}`, ""},
		{pactwire.Errorf(pactwire.Denied, "only the creator"), 403, `{"code":"denied","message":"only the creator","retryable":false}`, ""},
		{&pactwire.Error{Code: pactwire.NotFound, Message: "no such goal", Field: "habitGoalId"}, 404, `{"code":"not_found","message":"no such goal","field":"habitGoalId","retryable":false}`, ""},
		{pactwire.Errorf(pactwire.Conflict, "over"), 409, `{"code":"conflict","message":"over","retryable":false}`, ""},
		{pactwire.Errorf(pactwire.TooMany, "enough"), 429, `{"code":"too_many","message":"enough","retryable":false}`, ""},
		{&pactwire.Error{Code: pactwire.TooMany, Message: "too fast", RetryAfter: 1500 * time.Millisecond}, 429,
			`{"code":"too_many","message":"too fast","retryable":true}`, "2"},
		{pactwire.Errorf(pactwire.Unavailable, "later"), 503, `{"code":"unavailable","message":"later","retryable":true}`, "1"},
		{errors.New("disk /var/lib on fire"), 500, `{"code":"internal","message":"something went wrong on our side; try again","retryable":true}`, ""},
		{&pactwire.Error{Code: pactwire.Internal, Message: "not offered", Cause: pactwire.ErrNotImplemented}, 501, `{"code":"internal","message":"not offered","retryable":true}`, ""},
	} {
		f := &fake{err: c.err}
		w := f.call("alice", "POST", "/v1/pacts", `{"habitGoalId":"g"}`)
		if w.Code != c.status || body(w) != c.body {
			t.Errorf("%v: %d %s", c.err, w.Code, body(w))
		}
		if after := w.Header().Get("Retry-After"); after != c.after {
			t.Errorf("%v: Retry-After %q", c.err, after)
		}
	}
}

func TestWithoutAGoodTokenNothingIsAsked(t *testing.T) {
	for _, c := range []struct {
		who    string
		status int
	}{{"", 401}, {"mallory", 401}, {"issuer-down", 503}} {
		f := &fake{}
		w := f.call(c.who, "GET", "/v1/pacts/p1", "")
		if w.Code != c.status || len(f.asked) > 0 {
			t.Errorf("%q: %d %s, asked %v", c.who, w.Code, body(w), f.asked)
		}
		if c.status == 401 && w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Error("no WWW-Authenticate")
		}
	}
	if w := (&fake{}).call("", "GET", "/v1/me", "", "Authorization", "Basic YWxpY2U6YQ=="); w.Code != 401 {
		t.Errorf("Basic: %d", w.Code)
	}
}

// Whoever sends more commands than one person may is told so, whatever they are about.
func TestEveryCommandMayBeOneTooMany(t *testing.T) {
	tooMany := pactwire.Errorf(pactwire.TooMany, "enough")
	d := readDocument(t)
	for _, c := range []struct{ method, pattern, body string }{
		{"POST", "/v1/pacts/{id}/checkins", `{"status":"completed"}`},
		{"POST", "/v1/pacts/{id}/celebrations", `{"celebrationId":"c"}`},
		{"POST", "/v1/pacts/{id}/encouragements", `{"toUserId":"x","message":"m"}`},
		{"POST", "/v1/pacts/{id}/reactions", `{"activityId":"a","emoji":"👍"}`},
		{"POST", "/v1/pacts/{id}/messages", `{"message":"m"}`},
		{"POST", "/v1/users/{id}/messages", `{"message":"m"}`},
		{"POST", "/v1/users/{id}/connections", `{"action":"request"}`},
		{"PATCH", "/v1/notifications", `{"ids":["n"],"isRead":true}`},
	} {
		f := &fake{err: tooMany}
		if w := f.call("alice", c.method, strings.ReplaceAll(c.pattern, "{id}", "x1"), c.body); w.Code != 429 {
			t.Errorf("%s %s: %d %s", c.method, c.pattern, w.Code, body(w))
		}
		if _, ok := d.Paths[c.pattern][strings.ToLower(c.method)].Responses["429"]; !ok {
			t.Errorf("%s %s: 429 is not documented", c.method, c.pattern)
		}
	}
}

// A token without an id can be revoked only with all others of its bearer.
func TestATokenWithoutIDLogsOutEverywhere(t *testing.T) {
	f := &fake{}
	if w := f.call("nameless", "POST", "/v1/logout", ""); w.Code != 400 || len(f.asked) > 0 || !strings.Contains(body(w), `{\"everywhere\":true}`) {
		t.Errorf("%d %s %v", w.Code, body(w), f.asked)
	}
	if w := f.call("nameless", "POST", "/v1/logout", `{"everywhere":true}`); w.Code != 204 {
		t.Errorf("%d %s", w.Code, body(w))
	}
}

// Promise 5: over HTTP too, a pact that is not yours looks like one that does not exist.
func TestPromise5APactOfOthersLooksLikeNone(t *testing.T) {
	want := `{"code":"not_found","message":"there is no such pact, or you are not in it","retryable":false}`
	notMember := pactwire.Errorf(pactwire.Denied, "you are not a member of pact p1") // as the bridge says it
	unknown := pactwire.Errorf(pactwire.NotFound, "no pact p1")                      // as the service says it
	for _, c := range []struct {
		method, path, body string
		errs               []error
		outcomes           []httpapi.Outcome
	}{
		{"GET", "/v1/pacts/p1", "", []error{unknown}, nil},
		{"POST", "/v1/pacts/p1/accept", "", []error{unknown}, nil},
		{"POST", "/v1/pacts/p1/invite", "{}", []error{unknown}, nil},
		{"POST", "/v1/pacts/p1/invite", `{"userIds":["x"]}`, []error{unknown}, nil},
		{"POST", "/v1/pacts/p1/remove", `{"userId":"x"}`, []error{unknown}, nil},
		{"GET", "/v1/pacts/p1/activities", "", []error{unknown, notMember}, nil},
		{"POST", "/v1/pacts/p1/checkins", `{"status":"completed"}`, []error{notMember}, nil},
		{"POST", "/v1/pacts/p1/checkins", `{"status":"completed"}`, []error{nil}, []httpapi.Outcome{refused(t, notMember)}},
		{"GET", "/v1/why?pact=p1", "", []error{nil, unknown}, nil},
		{"GET", "/v1/pacts/%2B", "", []error{nil}, nil},
		{"GET", "/v1/pacts/" + strings.Repeat("a", 65), "", []error{nil}, nil},
	} {
		for _, err := range c.errs {
			f := &fake{err: err, outcomes: c.outcomes, explain: httpapi.Explanation{Because: "the pact is bob's"}}
			if w := f.call("alice", c.method, c.path, c.body); w.Code != 404 || body(w) != want {
				t.Errorf("%s %s with %v: %d %s", c.method, c.path, err, w.Code, body(w))
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{"POST", "/v1/goals", "", 400, "body"},
		{"POST", "/v1/goals", "[1]", 400, "body"},
		{"POST", "/v1/goals", `{"name":`, 400, "body"},
		{"POST", "/v1/goals", `{} trailing`, 400, "body"},
		{"POST", "/v1/goals", `{"name":7}`, 400, "name"},
		{"POST", "/v1/goals", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "body"},
		{"POST", "/v1/goals", "{\"name\":\"\xff\"}", 400, "body"},
		{"PATCH", "/v1/me", `{"timeZone":7}`, 400, "timeZone"},
		{"PATCH", "/v1/me", `{"locale":"de","quietHours":7}`, 400, "quietHours"},
		{"POST", "/v1/pacts", `{}`, 400, "habitGoalId"},
		{"POST", "/v1/pacts/claim", `{}`, 400, "code"},
		{"POST", "/v1/devices", ``, 400, "body"},
		{"POST", "/v1/devices", `{"pactId":7}`, 400, "pactId"},
		{"GET", "/v1/devices?limit=x", ``, 400, "limit"},
		{"POST", "/v1/logout", `{"everywhere":"yes"}`, 400, "everywhere"},
		{"POST", "/v1/pacts/p1/remove", `{"userId":"a b"}`, 400, "userId"},
		{"POST", "/v1/pacts/p1/checkins", `{}`, 400, "status"},
		{"GET", "/v1/pacts?status=mine", "", 400, "status"},
		{"GET", "/v1/pacts?limit=0", "", 400, "limit"},
		{"GET", "/v1/inbox?limit=-1", "", 400, "limit"},
		{"GET", "/v1/inbox?afterSeq=x", "", 400, "afterSeq"},
		{"GET", "/v1/pacts/p1/activities?afterSeq=1&beforeSeq=9", "", 400, "beforeSeq"},
		{"GET", "/v1/pacts/p1/activities?afterSeq=-1", "", 400, "afterSeq"},
		{"GET", "/v1/why", "", 400, "pact"},
		{"GET", "/v1/why?pact=p1&user=bob", "", 403, ""},
		{"DELETE", "/v1/checkins/a.b", "", 404, ""},
		{"GET", "/v2/me", "", 404, ""},
		{"DELETE", "/v1/me", "", 405, ""},
		{"GET", "/v1/pacts/claim", "", 405, ""},
		{"TRACE", "/v1/me", "", 405, ""},
		{"PROPFIND", "/v1/pacts/claim", "", 405, ""},
		{"PROPFIND", "/v2/me", "", 404, ""},
	} {
		f := &fake{}
		w := f.call("alice", c.method, c.path, c.body)
		var e pactwire.ErrorData
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != c.status || e.Field != c.field || e.Message == "" {
			t.Errorf("%s %s %.40s: %d %s", c.method, c.path, c.body, w.Code, body(w))
		}
		if len(f.asked) > 0 {
			t.Errorf("%s %s: asked %v", c.method, c.path, f.asked)
		}
	}
}

// A time that cannot be read is the fault of its field, and the refusal says how to write one.
func TestATimeThatCannotBeReadIsNamed(t *testing.T) {
	for _, c := range []struct{ body, field string }{
		{`{"userId":"bob","before":"yesterday"}`, "before"}, {`{"before":"2026-11-26T08:00:00","userId":"bob"}`, "before"},
		{`{"tokenId":"x","expiresAt":1790000000}`, "expiresAt"},
	} {
		f := &fake{}
		w := f.call("op", "POST", "/v1/revocations", c.body)
		want := `{"code":"invalid","message":"` + c.field + ` is no time; write RFC 3339, as 2026-11-26T08:00:00Z","field":"` + c.field + `","retryable":false}`
		if w.Code != 400 || body(w) != want || len(f.asked) > 0 {
			t.Errorf("%s: %d %s", c.body, w.Code, body(w))
		}
	}
}

func TestIdempotencyKeyIsTheCommandsID(t *testing.T) {
	ids := func(f *fake) (out []string) {
		for _, c := range f.asked[0].([]pactwire.Command) {
			if c.Sender.UserID != "alice" || !c.Answer.Silent || c.Pact != "p1" || c.ReceivedAt.IsZero() {
				t.Errorf("%+v", c)
			}
			out = append(out, c.ID)
		}
		return out
	}
	const one, two = `{"status":"completed"}`, `[{"status":"completed"},{"id":"own","status":"skipped"}]`
	for _, c := range []struct {
		key, body string
		want      []string
	}{
		{"key", one, []string{"key"}},
		{"", `{"id":"own","status":"completed"}`, []string{"own"}},
		{"own", `{"id":"own","status":"completed"}`, []string{"own"}},
		{"key", two, []string{"key:0", "own"}},
	} {
		f := &fake{outcomes: []httpapi.Outcome{logged(t, false), logged(t, false)}[:len(c.want)]}
		f.call("alice", "POST", "/v1/pacts/p1/checkins", c.body, "Idempotency-Key", c.key)
		if diff := cmp.Diff(c.want, ids(f)); diff != "" {
			t.Errorf("%s %s: %s", c.key, c.body, diff)
		}
	}
	f := &fake{outcomes: []httpapi.Outcome{{Pending: true}}}
	w := f.call("alice", "POST", "/v1/pacts/p1/checkins", one)
	if made := ids(f)[0]; !pactwire.ValidID(made) || !strings.Contains(body(w), made) {
		t.Errorf("a late answer cannot be told: %q, %s", made, body(w))
	}
	for _, key := range []string{strings.Repeat("k", 65), "\xff"} {
		if w := new(fake).call("alice", "POST", "/v1/pacts/p1/checkins", one, "Idempotency-Key", key); w.Code != 400 {
			t.Errorf("%q: %d", key, w.Code)
		}
	}
	if w := new(fake).call("alice", "POST", "/v1/pacts/p1/checkins", `{"id":"own","status":"completed"}`, "Idempotency-Key", "other"); w.Code != 400 {
		t.Errorf("two ids: %d", w.Code)
	}
	// The id of a batch's item is the key and its number: together they are no longer than any other id.
	for n, status := range map[int]int{62: 200, 63: 400} {
		f := &fake{outcomes: []httpapi.Outcome{logged(t, false), logged(t, false)}}
		w := f.call("alice", "POST", "/v1/pacts/p1/checkins", `[{"status":"completed"},{"status":"completed"}]`, "Idempotency-Key", strings.Repeat("é", n))
		if w.Code != status || status == 400 && !strings.Contains(body(w), "too long for a batch of 2") {
			t.Errorf("a key of %d: %d %s", n, w.Code, body(w))
		}
	}
}

func TestWebhookWithAWrongSignatureIs401(t *testing.T) {
	f := &fake{err: pactwire.Errorf(pactwire.Denied, "the signature is wrong")}
	if w := f.call("", "POST", "/v1/events", "{}"); w.Code != 401 {
		t.Errorf("%d %s", w.Code, body(w))
	}
}

func TestOperatorsMayAskAboutOthers(t *testing.T) {
	f := &fake{explain: httpapi.Explanation{Because: "never invited"}}
	w := f.call("op", "GET", "/v1/why?pact=p1&user=bob", "")
	want := `{"userId":"bob","pactId":"p1","canRead":false,"canCommand":false,"because":"never invited"}`
	if w.Code != 200 || body(w) != want {
		t.Errorf("%d %s", w.Code, body(w))
	}
}

func TestReadyTellsCauses(t *testing.T) {
	redis := httpapi.Cause{Name: "redis", Error: "connection refused", Degraded: true}
	store := httpapi.Cause{Name: "store", Error: "disk full"}
	for _, c := range []struct {
		causes []httpapi.Cause
		status int
		body   string
	}{
		{nil, 200, `{"status":"ok","causes":[]}`},
		{[]httpapi.Cause{redis}, 200, `{"status":"degraded","causes":[{"name":"redis","error":"connection refused"}]}`},
		{[]httpapi.Cause{redis, store}, 503, `{"status":"unavailable","causes":[{"name":"redis","error":"connection refused"},{"name":"store","error":"disk full"}]}`},
	} {
		if w := (&fake{causes: c.causes}).call("", "GET", "/readyz", ""); w.Code != c.status || body(w) != c.body {
			t.Errorf("%d %s", w.Code, body(w))
		}
	}
}

func TestMetricsAreForThisMachineOnly(t *testing.T) {
	h := (&fake{}).handler()
	for _, c := range []struct {
		remote, header string
		status         int
	}{
		{"127.0.0.1:5", "", 200}, {"[::1]:5", "", 200}, {"[::ffff:127.0.0.1]:5", "", 200},
		{"192.0.2.1:5", "", 403}, {"127.0.0.1:5", "X-Forwarded-For", 403}, {"192.0.2.1:5", "X-Forwarded-For", 403}, {"", "", 403},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		if r.RemoteAddr = c.remote; c.header != "" {
			r.Header.Set(c.header, "127.0.0.1")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%q %s: %d", c.remote, c.header, w.Code)
		}
	}
}

func TestPortsThatAreNotThereHaveNoRoutes(t *testing.T) {
	f := &fake{}
	p := f.ports()
	p.Commands, p.Inbox = nil, nil
	h := httpapi.New(httpapi.Config{}, p, slog.New(slog.DiscardHandler), nil).Handler()
	for _, path := range []string{"/v1/inbox", "/v1/pacts/p1/checkins"} {
		r := httptest.NewRequest("POST", path, nil)
		r.Header.Set("Authorization", "Bearer alice")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestServerListensAndStops(t *testing.T) {
	f := &fake{}
	reg := prometheus.NewRegistry()
	p := f.ports()
	p.Metrics = reg
	s := httpapi.New(httpapi.Config{Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"}, p, slog.New(slog.DiscardHandler), reg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	get := func(key, path, token string) (int, string) {
		t.Helper()
		req, _ := http.NewRequest("GET", "http://"+s.Addr(key).String()+path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, c := range []struct {
		key, path, token string
		status           int
	}{
		{"http.addr", "/livez", "", 200}, {"http.admin_addr", "/livez", "", 200}, {"http.addr", "/v1/me", "alice", 200},
		{"http.admin_addr", "/v1/me", "alice", 404}, {"http.addr", "/metrics", "", 404}, {"http.admin_addr", "/metrics", "", 200},
		{"http.addr", "/debug/pprof/", "op", 404}, {"http.admin_addr", "/debug/pprof/", "alice", 403}, {"http.admin_addr", "/debug/pprof/", "op", 200},
		{"http.admin_addr", "/v1/why?pact=p1&user=bob", "op", 200},
		{"http.addr", "/v1/revocations", "op", 404}, {"http.admin_addr", "/v1/revocations", "alice", 403}, {"http.admin_addr", "/v1/revocations", "op", 200},
		{"http.admin_addr", "/openapi.json", "", 200},
	} {
		if status, text := get(c.key, c.path, c.token); status != c.status {
			t.Errorf("%s%s as %q: %d %s", c.key, c.path, c.token, status, text)
		}
	}
	for _, c := range []struct{ key, path, says string }{
		{"http.addr", "/v1/revocations", "on http.admin_addr"}, {"http.addr", "/v1/pushes/m1/retry", "on http.admin_addr"}, {"http.addr", "/metrics", "on http.admin_addr"},
		{"http.admin_addr", "/v1/me", "is on http.addr"}, {"http.addr", "/v2/me", "see /openapi.json"},
	} {
		if _, text := get(c.key, c.path, "op"); !strings.Contains(text, c.says) {
			t.Errorf("%s%s: %s", c.key, c.path, text)
		}
	}
	for _, path := range []string{"/v1/revocations", "/v1/pushes", "/metrics"} {
		status, text := get("http.addr", path, "op")
		checkDocumented(t, "GET", path, status, []byte(text))
	}
	if _, text := get("http.admin_addr", "/metrics", ""); !strings.Contains(text, `pactwire_http_requests_total{method="GET",route="/v1/me",status="200"} 1`) {
		t.Error(text)
	}

	other := httpapi.New(httpapi.Config{Addr: s.Addr("http.addr").String()}, f.ports(), slog.New(slog.DiscardHandler), nil)
	want := "http.addr: " + s.Addr("http.addr").String() + " is already in use; stop the program that has it or set another address"
	if err := other.Start(t.Context()); err == nil || err.Error() != want {
		t.Errorf("a taken port: %v", err)
	}
	client.CloseIdleConnections()
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What a request says never reaches the log: not its path, query, token or body.
func TestLogsHoldNothingOfTheRequest(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := &fake{err: errors.New("boom")}
	h := httpapi.New(httpapi.Config{}, f.ports(), logger, nil).Handler()
	r := httptest.NewRequest("POST", "/v1/pacts/path-secret/checkins?q=query-secret", strings.NewReader(`{"status":"body-secret"}`))
	r.Header.Set("Authorization", "Bearer alice")
	h.ServeHTTP(httptest.NewRecorder(), r)
	r = httptest.NewRequest("GET", "/v1/me", nil)
	r.Header.Set("Authorization", "Bearer token-secret")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), `"route":"/v1/pacts/{id}/checkins","status":500`) {
		t.Error(log.String())
	}
	if lines := regexp.MustCompile(`,"took_ms":[0-9.]+}\n`).FindAllString(log.String(), -1); len(lines) != 2 { // a duration alone is a number without a unit
		t.Error(log.String())
	}
}

type panics struct{ *fake }

func (panics) ServeHTTP(http.ResponseWriter, *http.Request) { panic("a bug") }

func TestAPanicIsA500AndDoesNotEndTheProcess(t *testing.T) {
	f := &fake{}
	p := f.ports()
	p.Fallback = panics{f}
	w := httptest.NewRecorder()
	httpapi.New(httpapi.Config{}, p, slog.New(slog.DiscardHandler), nil).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"internal"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
