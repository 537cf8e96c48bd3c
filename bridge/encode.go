package bridge

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// Activities and events are written by hand, since they are written on the committing goroutine; a test holds them to what
// encoding/json makes of the same values.

func appendActivity(b []byte, a *pactwire.Activity) []byte {
	b = appendString(append(b, `{"id":`...), a.ID)
	b = appendString(append(b, `,"pactId":`...), string(a.PactID))
	b = strconv.AppendUint(append(b, `,"seq":`...), uint64(a.Seq), 10)
	b = appendString(append(b, `,"type":`...), string(a.Type))
	b = appendString(append(b, `,"userId":`...), string(a.UserID))
	b = appendString(append(b, `,"userName":`...), a.UserName)
	b = appendCommandID(b, a.CommandID)
	b = append(append(b, `,"data":`...), a.Data...)
	return appendCreated(b, a.CreatedAt.Std())
}

func appendEvent(b []byte, e *pactwire.Event) []byte {
	b = appendString(append(b, `{"id":`...), e.ID)
	if e.Seq > 0 {
		b = strconv.AppendUint(append(b, `,"seq":`...), uint64(e.Seq), 10)
	}
	b = appendString(append(b, `,"type":`...), string(e.Type))
	b = appendCommandID(b, e.CommandID)
	if e.Index != nil {
		b = strconv.AppendInt(append(b, `,"index":`...), int64(*e.Index), 10)
	}
	b = append(append(b, `,"data":`...), e.Data...)
	return appendCreated(b, e.CreatedAt.Std())
}

func appendCommandID(b []byte, id *string) []byte {
	b = append(b, `,"commandId":`...)
	if id == nil {
		return append(b, "null"...)
	}
	return appendString(b, *id)
}

func appendCreated(b []byte, t time.Time) []byte {
	return append(pactwire.AppendTime(append(b, `,"createdAt":"`...), t), `"}`...)
}

// appendString writes a JSON string. Plain ASCII, which ids and types are, goes straight through.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string always encodes
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
