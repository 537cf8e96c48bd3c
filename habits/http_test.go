package habits_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// answering is a client of a service that answers everything in one way.
func answering(t *testing.T, h http.HandlerFunc) *habits.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := habits.NewClient(habits.ClientConfig{URL: srv.URL, Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestErrorMapping(t *testing.T) {
	for _, tc := range []struct {
		status     int
		header     string
		code       pactwire.Code
		final      bool
		misconf    bool
		retryAfter time.Duration
	}{
		{status: 400, code: pactwire.Invalid, final: true}, {status: 422, code: pactwire.Invalid, final: true},
		{status: 403, code: pactwire.Denied, final: true}, {status: 404, code: pactwire.NotFound, final: true},
		{status: 410, code: pactwire.NotFound, final: true}, {status: 402, code: pactwire.Conflict, final: true},
		{status: 409, code: pactwire.Conflict, final: true}, {status: 418, code: pactwire.Internal, final: true},
		{status: 401, code: pactwire.Unavailable, misconf: true}, {status: 302, code: pactwire.Unavailable, misconf: true},
		{status: 408, code: pactwire.Unavailable}, {status: 500, code: pactwire.Unavailable}, {status: 502, code: pactwire.Unavailable},
		{status: 429, header: "7", code: pactwire.Unavailable, retryAfter: 7 * time.Second},
		{status: 503, header: "86400", code: pactwire.Unavailable, retryAfter: 5 * time.Minute},
		{status: 503, header: "soon", code: pactwire.Unavailable}, {status: 503, header: "-1", code: pactwire.Unavailable},
	} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", tc.header)
			w.WriteHeader(tc.status)
			io.WriteString(w, `{"code":"whatever","message":"five habits are enough","field":"habitGoalId"}`)
		})
		_, err := c.Checkin(t.Context(), on(pactwire.Pact{ID: "p"}, noon))
		e := pactwire.AsError(err)
		after, _ := habits.RetryAfter(err)
		if e.Code != tc.code || habits.Final(err) != tc.final || habits.Misconfigured(err) != tc.misconf || after != tc.retryAfter {
			t.Errorf("%d: %v final %v misconfigured %v after %v", tc.status, err, habits.Final(err), habits.Misconfigured(err), after)
		}
		if tc.final && (e.Message != "five habits are enough" || e.Field != "habitGoalId") {
			t.Errorf("%d: message and field are not passed on: %+v", tc.status, e)
		}
	}
}

// TestNothingIsNoAnswer: something between us and the service says that all is well, and nothing more. Nobody is told for that that they
// have no pacts, or that their invitation has no code.
func TestNothingIsNoAnswer(t *testing.T) {
	for _, body := range []string{"", " \n"} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		f, id := c.Forwarder(), pactwire.Identity{UserID: "alice", Token: "t"}
		_, list := f.Pacts(t.Context(), id, "")
		_, streaks := f.Streaks(t.Context(), id)
		_, one := f.InviteCode(t.Context(), id, "p")
		_, of := c.PactsOf(t.Context(), []pactwire.UserID{"alice"})
		for what, err := range map[string]error{"pacts": list, "streaks": streaks, "a code": one, "somebody's pacts": of} {
			if pactwire.CodeOf(err) != pactwire.Unavailable {
				t.Errorf("%q as %s: %v", body, what, err)
			}
		}
	}
}

func TestNoAnswerIsUnavailable(t *testing.T) {
	release := make(chan struct{})
	c := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Checkin(ctx, on(pactwire.Pact{ID: "p"}, noon))
	if pactwire.CodeOf(err) != pactwire.Unavailable || habits.Final(err) {
		t.Error(err)
	}
	if text := err.Error(); strings.Count(text, "did not answer") != 1 || strings.Contains(text, "try again") || !strings.Contains(text, "/checkins") {
		t.Errorf("a log would say %q", text)
	}
	for _, body := range []string{"<html>", "{", strings.Repeat(" ", 2<<20) + "{}"} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		if _, err := c.Checkin(t.Context(), on(pactwire.Pact{ID: "p"}, noon)); pactwire.CodeOf(err) != pactwire.Unavailable || habits.Final(err) {
			t.Errorf("%.10q: %v", body, err)
		}
	}
}

// impatient is a store whose callers stop waiting as soon as their transaction has begun.
type impatient struct {
	hostStore
	leave func()
}

func (s impatient) Submit(ctx context.Context, fn func(habits.HostTx) error, done func(error)) error {
	return s.hostStore.Submit(ctx, func(tx habits.HostTx) error {
		s.leave()
		return fn(tx)
	}, done)
}

// TestWhoStopsWaitingSharesNothingWithTheTransaction is for the race detector.
func TestWhoStopsWaitingSharesNothingWithTheTransaction(t *testing.T) {
	db := openStore(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		h, err := habits.NewHost(impatient{hostStore{db}, cancel}, habits.HostConfig{Secret: testSecret}, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Checkin(ctx, on(pactwire.Pact{ID: "p"}, noon), false); err == nil {
			t.Fatal("there is no such pact")
		}
		cancel()
	}
}

// TestSeedAnswers reads answers of a service that is not ours.
func TestSeedAnswers(t *testing.T) {
	req := on(pactwire.Pact{ID: "p"}, noon)
	req.HabitGoalID, req.Notes, req.IdempotencyKey = "g", "mine", "key-1"
	for _, tc := range []struct {
		name, body string
		want       func(*pactwire.CheckinResult)
	}{
		{"nothing", `{}`, func(*pactwire.CheckinResult) {}},
		{"a row of the therr API", `{"id":"c1","habitGoalId":"g","scheduledDate":"2026-06-14T00:00:00.000Z","status":"completed","notes":null,"createdAt":"2026-06-14T10:00:00.000Z","updatedAt":"whenever"}`,
			func(r *pactwire.CheckinResult) {
				r.Checkin.ID, r.Checkin.LocalDate = "c1", "2026-06-14"
				r.Checkin.CreatedAt = pactwire.Time(time.Date(2026, 6, 14, 10, 0, 0, 0, time.UTC))
			}},
		{"the seed's", `{"id":42,"habitGoal":{"name":"Read"},"streakUpdate":{"before":6,"after":7,"longest":7,"isNewRecord":false},"achievementsUnlocked":["a",{"name":"b"},null]}`,
			func(r *pactwire.CheckinResult) {
				r.Checkin.ID, r.HabitName, r.Achievements = "42", "Read", []string{"a", "b"}
				r.Streak = &pactwire.StreakUpdate{Before: 6, After: 7, Longest: 7}
				r.Milestones = []pactwire.Milestone{{StreakDays: 7}}
			}},
		{"a new record", `{"id":"c","streakUpdate":{"before":8,"after":9,"longest":9,"isNewRecord":true}}`,
			func(r *pactwire.CheckinResult) {
				r.Checkin.ID = "c"
				r.Streak = &pactwire.StreakUpdate{Before: 8, After: 9, Longest: 9, IsNewRecord: true}
				r.Milestones = []pactwire.Milestone{{StreakDays: 9, IsNewRecord: true}}
			}},
		{"nonsense in every place", `{"id":{},"habitGoal":7,"streakUpdate":"x","achievementsUnlocked":{},"proofMedia":"x","createdAt":[],"duplicate":"yes","status":"done"}`,
			func(*pactwire.CheckinResult) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got struct {
				key, auth string
				body      map[string]any
			}
			c := answering(t, func(w http.ResponseWriter, r *http.Request) {
				got.key, got.auth = r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization")
				json.NewDecoder(r.Body).Decode(&got.body)
				w.WriteHeader(http.StatusCreated)
				io.WriteString(w, tc.body)
			})
			want := pactwire.CheckinResult{Checkin: pactwire.Checkin{
				ID: "key-1", PactID: "p", HabitGoalID: "g", UserID: "alice", Status: pactwire.StatusCompleted, LocalDate: "2026-06-15",
				Notes: "mine", ProofMedia: []pactwire.Media{}, CreatedAt: pactwire.Time(noon), UpdatedAt: pactwire.Time(noon),
			}}
			tc.want(&want)
			res, err := c.Checkin(t.Context(), req)
			if diff := cmp.Diff(want, res, cmp.Comparer(func(a, b pactwire.Time) bool { return a.Std().Equal(b.Std()) })); err != nil || diff != "" {
				t.Error(err, diff)
			}
			if got.key != "key-1" || got.auth != "Bearer "+testSecret || got.body["scheduledDate"] != "2026-06-15" || got.body["userId"] != "alice" {
				t.Errorf("asked %+v", got)
			}
		})
	}
}

func TestPactWithoutMembers(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/pacts") {
			io.WriteString(w, `[{"id":"p","status":"pending","creatorUserId":"a","partnerUserId":"b"},{"id":"not/an/id"}]`)
			return
		}
		io.WriteString(w, `{"id":"p","status":"active","habitGoalId":"g","habitGoal":{"name":"Read"},"creatorUserId":"a","partnerUserId":"b","startDate":"2026-06-01"}`)
	})
	p, err := c.Pact(t.Context(), "p")
	if err != nil || !p.CanRead("a", noon) || !p.CanRead("b", noon) || p.HabitName != "Read" || p.Members[0].Role != pactwire.RoleCreator {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := c.Pact(t.Context(), "q"); pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Errorf("another pact was taken for the one asked: %v", err)
	}
	of, err := c.PactsOf(t.Context(), []pactwire.UserID{"a", "b"})
	if err != nil || len(of["a"]) != 1 || statusOf(of["b"][0], "b") != pactwire.MemberPending {
		t.Fatalf("%+v %v", of, err)
	}
}

func TestUnknownPersonIsNotAWrongAddress(t *testing.T) {
	body := `{"message":"no such user"}`
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, body)
	})
	if of, err := c.PactsOf(t.Context(), []pactwire.UserID{"a"}); err != nil || len(of["a"]) != 0 {
		t.Errorf("%v %v", of, err)
	}
	body = "404 page not found"
	if _, err := c.PactsOf(t.Context(), []pactwire.UserID{"a"}); habits.Final(err) || !habits.Misconfigured(err) {
		t.Errorf("a wrong address ended memberships: %v", err)
	}
}

func TestForwarding(t *testing.T) {
	id := pactwire.Identity{UserID: "alice", Token: "jwt"}
	status, body := http.StatusOK, `{"id":"p","status":"active","creatorUserId":"alice"}`
	var path, auth string
	f := answering(t, func(w http.ResponseWriter, r *http.Request) {
		path, auth = r.Method+" "+r.URL.Path, r.Header.Get("Authorization")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}).Forwarder()
	if p, err := f.Act(t.Context(), id, "p", pactwire.ActAccept); err != nil || p.ID != "p" || path != "POST /v1/pacts/p/accept" || auth != "Bearer jwt" {
		t.Fatalf("%+v %v %s %s", p, err, path, auth)
	}
	for _, tc := range []struct {
		status int
		body   string
		code   pactwire.Code
		absent bool
	}{
		{404, `404 page not found`, pactwire.Internal, true}, {405, ``, pactwire.Internal, true}, {501, `{}`, pactwire.Internal, true},
		{404, `{"code":"not_found","message":"no such pact"}`, pactwire.NotFound, false},
		{409, `{"code":"conflict","message":"over"}`, pactwire.Conflict, false}, {503, ``, pactwire.Unavailable, false},
		{429, `{"code":"too_many"}`, pactwire.TooMany, false},
	} {
		status, body = tc.status, tc.body
		_, err := f.Pact(t.Context(), id, "p")
		if pactwire.CodeOf(err) != tc.code || errors.Is(err, pactwire.ErrNotImplemented) != tc.absent {
			t.Errorf("%d %s: %v", tc.status, tc.body, err)
		}
	}
	status, body = http.StatusNoContent, ""
	if res, err := f.DeleteCheckin(t.Context(), id, "c"); err != nil || path != "DELETE /v1/checkins/c" || res.Streak != nil {
		t.Error(res, err, path)
	}
	status, body = http.StatusOK, `{"id":"c","status":"deleted","habitGoal":{"name":"Run"},"streakUpdate":{"before":3,"after":2,"longest":3}}`
	if res, err := f.DeleteCheckin(t.Context(), id, "c"); err != nil || res.HabitName != "Run" || res.Streak == nil || res.Streak.After != 2 {
		t.Error(res, err)
	}
	_, err := f.Goals(t.Context(), pactwire.Identity{UserID: "alice", Device: "d"})
	wantCode(t, err, pactwire.Denied, "")
}

// TestForwardedListsAreWhole: a list of the habits-service that has pages is read to its end.
func TestForwardedListsAreWhole(t *testing.T) {
	id := pactwire.Identity{UserID: "alice", Token: "jwt"}
	const all = 450
	stuck := false
	f := answering(t, func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("after"), "x"))
		if stuck {
			from = 0
		}
		var items []map[string]string
		for i := from + 1; i <= min(from+limit, all); i++ {
			items = append(items, map[string]string{"id": fmt.Sprint("x", i), "status": "active", "creatorUserId": "alice", "name": r.URL.Query().Get("status")})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "hasMore": from+limit < all})
	}).Forwarder()
	goals, err := f.Goals(t.Context(), id)
	if err != nil || len(goals) != all || goals[all-1].ID != "x450" {
		t.Errorf("%d goals, %v", len(goals), err)
	}
	pacts, err := f.Pacts(t.Context(), id, "active")
	if err != nil || len(pacts) != all || pacts[all-1].ID != "x450" {
		t.Errorf("%d pacts, %v", len(pacts), err)
	}
	stuck = true
	_, err = f.Goals(t.Context(), id)
	wantCode(t, err, pactwire.Unavailable, "")
}

// TestNobodysPactsAreAnEmptyList: not null, which many a client does not take for a list.
func TestNobodysPactsAreAnEmptyList(t *testing.T) {
	h, _, _ := host(t, "")
	r := httptest.NewRequest(http.MethodGet, "/users/nobody/pacts", nil)
	r.Header.Set("Authorization", "Bearer "+testSecret)
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"items":[]`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// host is a habits-service over HTTP, as any caller finds it.
func host(t *testing.T, eventsURL string) (*habits.Host, string, *clock) {
	t.Helper()
	c := newClock()
	h, err := habits.NewHost(hostStore{openStore(t)}, habits.HostConfig{
		Secret: testSecret, EventsURL: eventsURL, Service: habits.ServiceOptions{Now: c.now},
	}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(srv.Close)
	return h, srv.URL, c
}

func post(t *testing.T, url, secret, body string, header ...string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/checkins", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, out
}

func TestServerRefusals(t *testing.T) {
	h, url, _ := host(t, "")
	p := service{Service: h.Service()}.pair(t)
	good := `{"userId":"alice","pactId":"` + string(p.ID) + `","status":"completed"}`
	for _, tc := range []struct {
		name, secret, body string
		status             int
		field              string
	}{
		{"no secret", "", good, 401, ""}, {"wrong secret", testSecret + "x", good, 401, ""},
		{"no JSON", testSecret, `done`, 400, ""}, {"wrong type", testSecret, `{"userId":7}`, 400, "userId"},
		{"no user", testSecret, `{}`, 400, "userId"}, {"no pact", testSecret, `{"userId":"alice"}`, 400, "pactId"},
		{"no status", testSecret, strings.Replace(good, "completed", "", 1), 400, "status"},
		{"too big", testSecret, `{"notes":"` + strings.Repeat("x", 70<<10) + `"}`, 400, ""},
		{"not UTF-8", testSecret, "{\"notes\":\"\xff\"}", 400, ""},
		{"a stranger", testSecret, strings.Replace(good, "alice", "mallory", 1), 403, ""},
	} {
		status, body := post(t, url, tc.secret, tc.body)
		if field, _ := body["field"].(string); status != tc.status || field != tc.field || body["code"] == nil || body["message"] == nil || body["retryable"] != false {
			t.Errorf("%s: %d %v", tc.name, status, body)
		}
	}
}

func TestIdempotencyKeyGetsTheFirstResult(t *testing.T) {
	h, url, c := host(t, "")
	p := service{Service: h.Service()}.pair(t)
	body := `{"userId":"alice","userName":"Alice","pactId":"` + string(p.ID) + `","status":"completed","scheduledDate":"2026-06-15T00:00:00.000Z"}`
	status, first := post(t, url, testSecret, body, "Idempotency-Key", "k")
	if status != 201 || first["id"] == nil || first["scheduledDate"] != "2026-06-15" || first["streakUpdate"] == nil || first["habitGoal"].(map[string]any)["name"] != "Read" {
		t.Fatalf("%d %v", status, first)
	}
	c.add(time.Hour)
	status, again := post(t, url, testSecret, strings.Replace(body, "completed", "skipped", 1), "Idempotency-Key", "k")
	if diff := cmp.Diff(first, again); status != 200 || diff != "" {
		t.Errorf("%d %s", status, diff)
	}
	if status, other := post(t, url, testSecret, body, "Idempotency-Key", "k2"); status != 200 || other["duplicate"] != true || other["id"] != first["id"] {
		t.Errorf("%d %v", status, other)
	}
	// An attempt that comes two days late is measured from when the command arrived.
	c.add(48 * time.Hour)
	late := strings.Replace(body, "2026-06-15", "2026-06-13", 1)
	if status, got := post(t, url, testSecret, late, "Pactwire-Received-At", "2026-06-15T12:00:00.000Z"); status != 201 {
		t.Errorf("%d %v", status, got)
	}
	if status, got := post(t, url, testSecret, late); status != 400 || got["field"] != "scheduledDate" {
		t.Errorf("%d %v", status, got)
	}
}

// inbox takes signed webhooks and notes them.
type inbox struct {
	t     *testing.T
	mu    sync.Mutex
	fail  int // so many answers are 503
	ids   []string
	types []string
	got   chan struct{}
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	verify, err := webhooks.NewWebhook(testSecret)
	if err == nil {
		err = verify.Verify(body, r.Header)
	}
	if err != nil {
		in.t.Errorf("webhook %s: %v", r.Header.Get("webhook-id"), err)
	}
	var event struct{ Type string }
	if err := json.Unmarshal(body, &event); err != nil {
		in.t.Error(err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fail > 0 {
		in.fail--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	in.ids, in.types = append(in.ids, r.Header.Get("webhook-id")), append(in.types, event.Type)
	w.WriteHeader(http.StatusAccepted)
	in.got <- struct{}{}
}

func TestWebhooksArriveInSpiteOfFailures(t *testing.T) {
	in := &inbox{t: t, fail: 3, got: make(chan struct{}, 100)}
	events := httptest.NewServer(in)
	t.Cleanup(events.Close)
	h, err := habits.NewHost(hostStore{openStore(t)}, habits.HostConfig{Secret: testSecret, EventsURL: events.URL}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(srv.Close)
	p := service{Service: h.Service()}.pair(t) // created and accepted before anybody sends
	body := `{"userId":"alice","pactId":"` + string(p.ID) + `","status":"completed"}`
	_, first := post(t, srv.URL, testSecret, body)
	post(t, srv.URL, testSecret, body, "Pactwire-Received-At", "2026-01-01T00:00:00Z", "Idempotency-Key", "the bridge records this itself")
	if _, err := h.Service().DeleteCheckin(t.Context(), alice, first["id"].(string)); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	for range 4 {
		select {
		case <-in.got:
		case <-deadline:
			t.Fatal("a webhook did not arrive")
		}
	}
	for range 2 {
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[string]int{}
	for _, ty := range in.types {
		counts[ty]++
	}
	want := map[string]int{"pact.updated": 2, "checkin.upserted": 1, "checkin.deleted": 1}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

// TestOneWebhookThatIsNotAnsweredDoesNotStopTheOthers: the receiver takes the first webhook's bytes and says nothing.
func TestOneWebhookThatIsNotAnsweredDoesNotStopTheOthers(t *testing.T) {
	in := &inbox{t: t, got: make(chan struct{}, 100)}
	first := ""
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.mu.Lock()
		if first == "" {
			first = r.Header.Get("webhook-id")
		}
		silent := first == r.Header.Get("webhook-id")
		in.mu.Unlock()
		if silent {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return
		}
		in.ServeHTTP(w, r)
	}))
	t.Cleanup(events.Close)
	h, err := habits.NewHost(hostStore{openStore(t)}, habits.HostConfig{Secret: testSecret, EventsURL: events.URL,
		Outbox: habits.OutboxConfig{Timeout: 200 * time.Millisecond}}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := service{Service: h.Service()}.pair(t)
	if _, err := h.Service().Act(t.Context(), bob, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	for range 2 {
		select {
		case <-in.got:
		case <-deadline:
			t.Fatal("the others wait behind the first")
		}
	}
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestHostRefusesBadConfiguration(t *testing.T) {
	for _, cfg := range []habits.HostConfig{
		{EventsURL: "http://127.0.0.1/v1/events"}, {EventsURL: "http://127.0.0.1/v1/events", Secret: "whsec_!!"},
		{EventsURL: "127.0.0.1:80", Secret: testSecret},
	} {
		if _, err := habits.NewHost(hostStore{openStore(t)}, cfg, slog.New(slog.DiscardHandler), nil); err == nil || !strings.HasPrefix(err.Error(), "habits.") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	for _, url := range []string{"", "localhost:8090", "ftp://x", "http://"} {
		if _, err := habits.NewClient(habits.ClientConfig{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}
