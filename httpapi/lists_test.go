package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/httpapi"
)

// many is a port with lists of more than a page.
type many struct {
	*fake
	ids []string
}

func (m many) Revocations(context.Context) (out []pactwire.Revocation, err error) {
	for _, id := range m.ids {
		out = append(out, pactwire.Revocation{ID: id})
	}
	return out, nil
}

func (m many) Goals(context.Context, pactwire.Identity) (out []pactwire.Goal, err error) {
	for _, id := range m.ids {
		out = append(out, pactwire.Goal{ID: pactwire.GoalID(id)})
	}
	return out, nil
}

func (m many) Pacts(context.Context, pactwire.Identity, string) (out []pactwire.Pact, err error) {
	for _, id := range m.ids {
		out = append(out, pactwire.Pact{ID: pactwire.PactID(id)})
	}
	return out, nil
}

// page asks for a page of two and returns its ids.
func (m many) page(t *testing.T, path, after string) (ids []string, more bool, refusal string) {
	t.Helper()
	p := m.ports()
	p.Goals, p.Pacts, p.Revocations, p.Heads = m, m, m, nil
	r := httptest.NewRequest("GET", path+"?limit=2&after="+after, nil)
	r.Header.Set("Authorization", "Bearer op")
	w := httptest.NewRecorder()
	httpapi.New(httpapi.Config{}, p, slog.New(slog.DiscardHandler), nil).Handler().ServeHTTP(w, r)
	var got struct {
		Items   []struct{ ID string }
		HasMore bool
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, i := range got.Items {
		ids = append(ids, i.ID)
	}
	if w.Code != 200 {
		refusal = fmt.Sprint(w.Code, " ", body(w))
	}
	return ids, got.HasMore, refusal
}

// A list is read to its end page by page, also when what a page ended with is gone before the next is asked for.
func TestListsGoOnAfterAnItem(t *testing.T) {
	var ids []string
	for range 5 {
		ids = append(ids, uuid.Must(uuid.NewV7()).String())
	}
	gone := slices.Concat(ids[:1], ids[2:])
	for _, path := range []string{"/v1/goals", "/v1/pacts", "/v1/revocations"} {
		for _, c := range []struct {
			has   []string
			after string
			want  []string
			more  bool
		}{
			{ids, "", ids[:2], true},
			{ids, ids[1], ids[2:4], true},
			{ids, ids[3], ids[4:], false},
			{ids, ids[4], nil, false},
			{gone, ids[1], ids[2:4], true},
			{ids[:1], ids[1], nil, false},
		} {
			got, more, refusal := many{&fake{}, c.has}.page(t, path, c.after)
			if !slices.Equal(got, c.want) || more != c.more || refusal != "" {
				t.Errorf("%s after %q: %v %v %s, want %v %v", path, c.after, got, more, refusal, c.want, c.more)
			}
		}
		down := slices.Clone(gone)
		slices.Reverse(down)
		for name, c := range map[string]struct {
			has   []string
			after string
		}{
			"no id of ours": {ids, "p1"}, "ids that do not ascend": {down, ids[1]}, "another notation": {gone, strings.ToUpper(ids[1])},
		} {
			if _, _, refusal := (many{&fake{}, c.has}).page(t, path, c.after); !strings.HasPrefix(refusal, "400 ") || !strings.Contains(refusal, `"field":"after"`) {
				t.Errorf("%s %s: %q", path, name, refusal)
			}
		}
	}
}
