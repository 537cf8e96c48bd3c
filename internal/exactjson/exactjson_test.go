package exactjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/pactwire/pactwire/internal/exactjson"
)

type media struct {
	Path string `json:"path"`
}

type letter struct {
	PactID *string         `json:"pactId"`
	Status string          `json:"status"`
	Media  []media         `json:"media"`
	Quiet  *media          `json:"quiet"`
	Any    json.RawMessage `json:"any"`
	Self   itself          `json:"self"`
	N      float64         `json:"n"`
}

// itself reads itself.
type itself string

func (s *itself) UnmarshalJSON(b []byte) error { *s = itself(b); return nil }

func TestAFieldIsItsNameLetterByLetter(t *testing.T) {
	for in, want := range map[string]letter{
		`{"status":"a"}`:                              {Status: "a"},
		`{"STATUS":"x"}`:                              {},
		`{"status":"a","Status":"x"}`:                 {Status: "a"},
		`{"STATUS":"x" , "status" : "a"}`:             {Status: "a"},
		"{\"\u017ftatus\":\"x\"}":                     {}, // a long s, which folds to s
		`{"st\u0061tus":"a"}`:                         {Status: "a"},
		`{"\u0053tatus":"x"}`:                         {},
		`{"n":-1.5e3,"N":[{"status":"x"}],"":{}}`:     {N: -1500},
		`{"quiet":{"PATH":"x","path":"a"}}`:           {Quiet: &media{"a"}},
		`{"media":[{"Path":"x"},{"path":"b"},null]}`:  {Media: []media{{}, {"b"}, {}}},
		`{"any":{"STATUS":1,"Path":[]},"Quiet":{}}`:   {Any: json.RawMessage(`{"STATUS":1,"Path":[]}`)},
		`{"self":{"Status":1,"status":2,"status":3}}`: {Self: `{"Status":1,"status":2,"status":3}`},
		`{"other":{"status":1,"status":2},"other":[[["}",{"]":"\\\""}]]],"status":"a"}`: {Status: "a"},
		" { } ": {}, `{"status":null}`: {}, `{"media":[ ]}`: {Media: []media{}},
	} {
		var got letter
		was := strings.Clone(in)
		b := []byte(in)
		if err := exactjson.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
		if string(b) != was {
			t.Errorf("%s: changed to %s", in, b)
		}
	}
}

func TestWhatIsGivenTwiceIsRefused(t *testing.T) {
	for in, field := range map[string]string{
		`{"status":"a","status":"a"}`:                   "status",
		`{"status":"a","n":1,"st\u0061tus":"b"}`:        "status",
		`{"media":[{"path":"a","path":"b"}]}`:           "path",
		`{"quiet":{"path":"a"},"quiet":null}`:           "quiet",
		`{"pactId":1,"pactId":2}`:                       "pactId", // and of the wrong type
		`{"media":[{"path":"a"},{"path":"b"}]}`:         "",
		`{"quiet":{"path":"a"},"media":[{"path":"a"}]}`: "",
	} {
		var got letter
		var twice *exactjson.TwiceError
		if err := exactjson.Unmarshal([]byte(in), &got); errors.As(err, &twice) != (field != "") || field != "" && twice.Field != field || field == "" && err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestErrorsAreThoseOfTheLibrary(t *testing.T) {
	for _, in := range []string{"", "{", `{"status":3}`, `{"status":"a"}}`, `["a"]`, "null", `"x`, "tru", `{"a" 1}`, `{"media":{}}`, `{"media":[1]}`, "7", `"word"`} {
		var got, want letter
		err, exp := exactjson.Unmarshal([]byte(in), &got), json.Unmarshal([]byte(in), &want)
		if (err == nil) != (exp == nil) || err != nil && err.Error() != exp.Error() || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v %+v, want %v %+v", in, err, got, exp, want)
		}
	}
}

// FuzzUnmarshal: nothing panics, nothing is changed, and who writes names as they are and once is read as by the library.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"status":"a","STATUS":"b"}`, `{"media":[{"path":"x","path":1}],"n":-0.1e+7}`, `[[],{"a":[{}]}]`, `"\\\""`, ` null `, `{"":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		was := string(b)
		var got, all letter
		err := exactjson.Unmarshal(b, &got)
		if string(b) != was {
			t.Fatalf("changed to %q", b)
		}
		var names map[string]json.RawMessage
		if json.Unmarshal(b, &names) != nil {
			return
		}
		for name := range names {
			for _, known := range []string{"pactId", "status", "media", "quiet", "any", "self", "n"} {
				if name != known && strings.EqualFold(name, known) {
					return
				}
			}
		}
		exp := json.Unmarshal(b, &all)
		var twice *exactjson.TwiceError
		if errors.As(err, &twice) || strings.Contains(strings.ToLower(was), `path`) || strings.Contains(was, `\u`) {
			return
		}
		if (err == nil) != (exp == nil) || !reflect.DeepEqual(got, all) {
			t.Fatalf("%+v %v, the library %+v %v", got, err, all, exp)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	in := []byte(`{"pactId":"0193a1b2-0000-7000-8000-000000000001","status":"completed","n":12}`)
	b.ReportAllocs()
	for b.Loop() {
		var w letter
		if err := exactjson.Unmarshal(in, &w); err != nil {
			b.Fatal(err)
		}
	}
}
