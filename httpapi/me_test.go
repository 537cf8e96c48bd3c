package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
)

// Quiet hours are ended by null, as an answer shows that there are none, and left alone by who does not speak of them.
func TestNullEndsQuietHours(t *testing.T) {
	for body, want := range map[string]*pactwire.QuietHours{
		`{"locale":"de"}`: nil, `{"quietHours":null}`: {}, `{"quietHours":{}}`: {}, `{"quietHours":{"from":"22:00","to":"07:00"}}`: {From: "22:00", To: "07:00"},
	} {
		f := &fake{}
		if w := f.call("alice", "PATCH", "/v1/me", body); w.Code != 200 {
			t.Errorf("%s: %d", body, w.Code)
			continue
		}
		if diff := cmp.Diff(want, f.asked[1].(pactwire.UserPatch).QuietHours); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}
