package httpapi_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire/httpapi"
)

func TestOnlyOperatorsSeeAndRetryPushes(t *testing.T) {
	for _, c := range []struct {
		who, method, path string
		status            int
		asked             []any
	}{
		{"alice", "GET", "/v1/pushes", 403, nil},
		{"alice", "POST", "/v1/pushes/m1/retry", 403, nil},
		{"op", "GET", "/v1/pushes?dead=true&after=m0&limit=7", 200, []any{true, "m0", 8}},
		{"op", "GET", "/v1/pushes?dead=perhaps", 400, nil},
		{"op", "POST", "/v1/pushes/m1/retry", 204, []any{"m1"}},
	} {
		f := &fake{}
		w := f.call(c.who, c.method, c.path, "")
		if w.Code != c.status {
			t.Errorf("%s %s as %s: %d %s", c.method, c.path, c.who, w.Code, body(w))
		}
		if diff := cmp.Diff(c.asked, f.asked); diff != "" {
			t.Errorf("%s %s as %s:\n%s", c.method, c.path, c.who, diff)
		}
		if c.status == 200 {
			golden(t, "pushes", body(w)) // without what the pushes say
			checkDocumented(t, "GET", "/v1/pushes", 200, w.Body.Bytes())
		}
	}
}

// A server without a channel says so where apps and operators look for pushes.
func TestWithoutAChannelPushesSayWhy(t *testing.T) {
	f := &fake{}
	p := f.ports()
	p.PushTokens, p.Pushes = nil, nil
	h := httpapi.New(httpapi.Config{}, p, slog.New(slog.DiscardHandler), nil).Handler()
	for _, c := range [][2]string{{"GET", "/v1/push-tokens"}, {"POST", "/v1/push-tokens"}, {"DELETE", "/v1/push-tokens/{id}"},
		{"GET", "/v1/pushes"}, {"POST", "/v1/pushes/{id}/retry"}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c[0], strings.ReplaceAll(c[1], "{id}", "x1"), nil))
		if w.Code != 404 || !strings.Contains(body(w), "no channel of push.* is configured") {
			t.Errorf("%v: %d %s", c, w.Code, body(w))
		}
		checkDocumented(t, c[0], c[1], 404, w.Body.Bytes())
	}
}
