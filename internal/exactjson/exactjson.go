// Package exactjson reads JSON as encoding/json does, with two differences that matter where strangers write: the name of a
// field is its name, letter by letter, and what is given twice is refused. encoding/json takes PACTID for pactId, and of two of one
// name the last, so that two readers of one text can come to different words.
//
//	var w struct{ Status string `json:"status"` }
//	err := exactjson.Unmarshal([]byte(`{"STATUS":"away"}`), &w) // nil, and w.Status is "": an unknown field is ignored
package exactjson

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// TwiceError is the error of a field that an object has more than once.
type TwiceError struct{ Field string }

func (e *TwiceError) Error() string { return fmt.Sprintf("%s is given twice", e.Field) }

// Unmarshal reads b into a pointer to a struct, or to a slice of them. Errors are those of encoding/json, or *TwiceError; as there,
// what could be read is set all the same.
func Unmarshal(b []byte, into any) error {
	if !json.Valid(b) {
		return json.Unmarshal(b, into) // which says why
	}
	r := reader{b: b}
	r.value(shapeOf(into))
	err := json.Unmarshal(r.b, into)
	if r.twice != "" {
		return &TwiceError{r.twice}
	}
	return err
}

// reader walks over valid JSON along the type that it is read into.
type reader struct {
	b      []byte
	at     int
	copied bool   // b is ours to write to
	twice  string // the first field that is given twice
}

// value walks over one value; s is nil for one in which nothing is to be looked at.
func (r *reader) value(s *shape) {
	switch r.space(); {
	case r.b[r.at] == '{' && s != nil && s.fields != nil:
		r.object(s)
	case r.b[r.at] == '[' && s != nil && s.elem != nil:
		for r.at++; !r.ends(']'); {
			r.value(s.elem)
		}
	default:
		r.skip()
	}
}

func (r *reader) object(s *shape) {
	var seen uint64
	for r.at++; !r.ends('}'); {
		start := r.at
		r.text()
		end := r.at
		name := r.name(start, end)
		r.space()
		r.at++ // the colon
		of, known := s.fields[string(name)]
		switch {
		case !known && s.foldsTo(string(name)):
			r.blank(start+1, end-1)
		case seen&of.bit != 0 && r.twice == "":
			r.twice = string(name)
		}
		seen |= of.bit
		r.value(of.shape)
	}
}

// ends steps over a comma, or over the end of a list or object, which it reports.
func (r *reader) ends(with byte) bool {
	if r.space(); r.b[r.at] == ',' {
		r.at++
		r.space()
	}
	if r.b[r.at] != with {
		return false
	}
	r.at++
	return true
}

func (r *reader) space() {
	for r.b[r.at] == ' ' || r.b[r.at] == '\n' || r.b[r.at] == '\t' || r.b[r.at] == '\r' {
		r.at++
	}
}

// text steps over a string.
func (r *reader) text() {
	for r.at++; r.b[r.at] != '"'; r.at++ {
		if r.b[r.at] == '\\' {
			r.at++
		}
	}
	r.at++
}

// skip steps over any value, however deep it is.
func (r *reader) skip() {
	for depth := 0; ; {
		switch r.b[r.at] {
		case '"':
			r.text()
			r.at--
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		r.at++
		if depth == 0 && r.over() {
			return
		}
	}
}

// over reports whether a value of no depth is over: what follows is none of its letters.
func (r *reader) over() bool {
	return r.at == len(r.b) || bytes.IndexByte([]byte(",]} \n\t\r"), r.b[r.at]) >= 0 || r.b[r.at-1] == '"'
}

// name is the key that stands from start to end, with its quotes.
func (r *reader) name(start, end int) []byte {
	key := r.b[start:end]
	if bytes.IndexByte(key, '\\') < 0 {
		return key[1 : len(key)-1]
	}
	var s string
	_ = json.Unmarshal(key, &s) // it is valid
	return []byte(s)
}

// blank makes a key one that no field has.
func (r *reader) blank(from, to int) {
	if !r.copied {
		r.b, r.copied = bytes.Clone(r.b), true
	}
	for i := from; i < to; i++ {
		r.b[i] = '-'
	}
}
