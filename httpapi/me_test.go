package httpapi_test

import (
	"strings"
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

// Another spelling of a name is an unknown field, and nothing is said twice.
func TestFieldsAreTheirNames(t *testing.T) {
	f := &fake{}
	w := f.call("alice", "PATCH", "/v1/me", `{"LOCALE":"fr","locale":"de","Locale":"es","TimeZone":"UTC","QUIETHOURS":null,"quietHours":{"From":"01:00","from":"22:00","to":"07:00"}}`)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	de := "de"
	want := pactwire.UserPatch{Locale: &de, QuietHours: &pactwire.QuietHours{From: "22:00", To: "07:00"}}
	if diff := cmp.Diff(want, f.asked[1].(pactwire.UserPatch)); diff != "" {
		t.Error(diff)
	}
	for body, field := range map[string]string{`{"locale":"de","locale":"fr"}`: "locale", `{"quietHours":{"from":"1:00","from":"2:00"}}`: "from"} {
		if w := f.call("alice", "PATCH", "/v1/me", body); w.Code != 400 || !strings.Contains(w.Body.String(), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
