package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/exactjson"
)

// codec is JSON or CBOR.
type codec uint8

const (
	jsonCodec codec = iota
	cborCodec
)

// codecOf chooses by the MQTT 5 content type. Whatever is not CBOR is read as JSON, since many clients set the content
// type to something of their own or leave it out.
func codecOf(contentType string) codec {
	if contentType == "" {
		return jsonCodec
	}
	media, _, _ := strings.Cut(contentType, ";")
	if strings.EqualFold(strings.TrimSpace(media), "application/cbor") {
		return cborCodec
	}
	return jsonCodec
}

// cborMode has limits that a command of ours never reaches: 64 KiB cannot be blown up by nesting or by long lists.
var cborMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:  8,
		MaxArrayElements: 1024,
		MaxMapPairs:      256,
		TagsMd:           cbor.TagsForbidden,
		UTF8:             cbor.UTF8RejectInvalid,
		TextUnmarshaler:  cbor.TextUnmarshalerNone,
		// As in JSON, see exactjson.
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic("cbor options: " + err.Error()) // constant options; found by the first test
	}
	return m
}()

// check refuses what no codec can make sense of.
func (c codec) check(payload []byte) error {
	if len(payload) == 0 {
		return pactwire.FieldErrorf("payload", "the payload is empty; send a JSON object")
	}
	if c == cborCodec {
		return nil // its text strings are checked by the decoder
	}
	if !utf8.Valid(payload) {
		return pactwire.FieldErrorf("payload", "the payload is not UTF-8 text; send JSON, or set the content type application/cbor")
	}
	if bytes.IndexByte(payload, 0) >= 0 {
		return pactwire.FieldErrorf("payload", "the payload contains the character NUL; send JSON text")
	}
	return nil
}

// decode reads an object into a struct. On a wrong type the fields that could be read are set all the same.
func (c codec) decode(payload []byte, into any) error {
	if c == cborCodec {
		if len(payload) == 0 || payload[0]>>5 != 5 { // major type 5: a map
			return pactwire.FieldErrorf("payload", "the payload is no CBOR map")
		}
		return cborError(cborMode.Unmarshal(payload, into))
	}
	return jsonError(exactjson.Unmarshal(payload, into))
}

// names reports whether an object has a field, be it null.
func (c codec) names(payload []byte, field string) bool {
	if c == cborCodec {
		var m map[string]cbor.RawMessage
		_ = cborMode.Unmarshal(payload, &m) // it was read before
		return m[field] != nil
	}
	var m map[string]json.RawMessage
	_ = json.Unmarshal(payload, &m)
	return m[field] != nil
}

// items splits an array.
func (c codec) items(payload []byte) ([][]byte, error) {
	if c == cborCodec {
		var raw []cbor.RawMessage
		if err := cborMode.Unmarshal(payload, &raw); err != nil {
			return nil, cborError(err)
		}
		out := make([][]byte, len(raw))
		for i, r := range raw {
			out[i] = r
		}
		return out, nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(payload, &raw); err != nil {
		return nil, jsonError(err)
	}
	out := make([][]byte, len(raw))
	for i, r := range raw {
		out[i] = r
	}
	return out, nil
}

// shape tells what a payload holds by its first byte.
type shape uint8

const (
	word shape = iota
	object
	array
)

func (c codec) shape(payload []byte) shape {
	if c == cborCodec {
		switch payload[0] >> 5 {
		case 4:
			return array
		case 5:
			return object
		}
		return word
	}
	switch payload[0] {
	case '{':
		return object
	case '[':
		return array
	}
	return word
}

// word reads a single word: bare, as a JSON or CBOR string, or the number 1. Another value is the word "".
func (c codec) word(payload []byte) (string, error) {
	if c == cborCodec {
		var v any
		if err := cborMode.Unmarshal(payload, &v); err != nil {
			return "", cborError(err)
		}
		switch v := v.(type) {
		case string:
			return v, nil
		case uint64:
			if v == 1 {
				return "1", nil
			}
		}
		return "", nil
	}
	if payload[0] == '"' {
		var s string
		err := json.Unmarshal(payload, &s)
		return s, jsonError(err)
	}
	return string(payload), nil
}

func jsonError(err error) error {
	if err == nil {
		return nil
	}
	var twice *exactjson.TwiceError
	if errors.As(err, &twice) {
		return givenTwice(twice.Field)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if field, _, _ := strings.Cut(wrong.Field, "."); field != "" {
			return pactwire.FieldErrorf(field, "%s has the wrong type: no JSON %s belongs there", field, wrong.Value)
		}
		return pactwire.FieldErrorf("payload", "the payload is a JSON %s; send an object", wrong.Value)
	}
	return pactwire.FieldErrorf("payload", "the payload is not valid JSON; check commas, quotes and braces")
}

func cborError(err error) error {
	if err == nil {
		return nil
	}
	var wrong *cbor.UnmarshalTypeError
	if errors.As(err, &wrong) {
		field := wrong.StructFieldName[strings.LastIndexByte(wrong.StructFieldName, '.')+1:]
		if field != "" {
			field = strings.ToLower(field[:1]) + field[1:]
			if field == "iD" {
				field = "id"
			}
			return pactwire.FieldErrorf(field, "%s has the wrong type: no CBOR %s belongs there", field, wrong.CBORType)
		}
		return pactwire.FieldErrorf("payload", "the payload is a CBOR %s; send a map", wrong.CBORType)
	}
	var twice *cbor.DupMapKeyError
	if errors.As(err, &twice) {
		key, _ := twice.Key.(string)
		if !pactwire.ValidID(key) { // as every name of ours is
			key = "payload"
		}
		return givenTwice(key)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return pactwire.FieldErrorf("payload", "the payload is CBOR that is cut short; send it whole")
	}
	return pactwire.FieldErrorf("payload", "the payload is not valid CBOR, or nested or long beyond reason")
}

func givenTwice(field string) error {
	return pactwire.FieldErrorf(field, "%s is given twice; say it once", field)
}
