package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/exactjson"
)

// maxBody bounds every request body: an offline batch of 200 check-ins with full notes fits.
const maxBody = 1 << 20

// statuses map the codes of refusals.
var statuses = map[pactwire.Code]int{
	pactwire.Invalid:     http.StatusBadRequest,
	pactwire.Denied:      http.StatusForbidden,
	pactwire.NotFound:    http.StatusNotFound,
	pactwire.Conflict:    http.StatusConflict,
	pactwire.TooMany:     http.StatusTooManyRequests,
	pactwire.Unavailable: http.StatusServiceUnavailable,
	pactwire.Internal:    http.StatusInternalServerError,
}

// statusError is a refusal whose status is not that of its code.
type statusError struct {
	status int
	cause  *pactwire.Error
}

func (e *statusError) Error() string { return e.cause.Error() }
func (e *statusError) Unwrap() error { return e.cause }

// unauthorized makes a token that is missing or not believed a 401. An issuer that does not answer stays what it is.
func unauthorized(err error) error {
	if e := pactwire.AsError(err); e.Code == pactwire.Denied {
		return &statusError{http.StatusUnauthorized, e}
	}
	return err
}

// noPact is the answer about a pact that does not exist, and about one that is not the caller's.
func noPact() *pactwire.Error {
	return pactwire.Errorf(pactwire.NotFound, "there is no such pact, or you are not in it")
}

// refuse answers with an error. Faults of ours are logged with their cause, which clients never see.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := pactwire.AsError(err)
	status := statuses[e.Code]
	var with *statusError
	switch {
	case errors.As(err, &with):
		status = with.status
	case errors.Is(err, pactwire.ErrNotImplemented):
		status = http.StatusNotImplemented
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if wait := e.RetryAfter; wait > 0 || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	}
	if e.Code == pactwire.Internal && r.Context().Err() == nil {
		a.log.Error("http request failed", "route", r.Pattern, "error", err)
	}
	writeError(w, status, e)
}

func writeError(w http.ResponseWriter, status int, e *pactwire.Error) {
	writeJSON(w, status, e.Data(""))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		status = http.StatusInternalServerError
		b.Reset()
		fmt.Fprintln(&b, `{"code":"internal","message":"something went wrong on our side; try again","retryable":true}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client is gone, if this fails
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, pactwire.FieldErrorf("body", "the body is longer than %d bytes", maxBody)
	case err != nil:
		return nil, &pactwire.Error{Code: pactwire.Invalid, Field: "body", Message: "the body could not be read whole", Cause: err}
	}
	return b, nil
}

// decode reads a JSON object. Unknown fields are ignored, other spellings of a name among them; an empty body is an empty object where that may be.
func decode(w http.ResponseWriter, r *http.Request, into any, mayBeEmpty bool) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	if b = bytes.TrimSpace(b); len(b) == 0 && mayBeEmpty {
		return nil
	}
	return parse(b, into)
}

func parse(b []byte, into any) error {
	switch b = bytes.TrimSpace(b); {
	case !utf8.Valid(b):
		return pactwire.FieldErrorf("body", "the body is no valid UTF-8")
	case len(b) == 0 || b[0] != '{':
		return pactwire.FieldErrorf("body", "the body must be a JSON object")
	case !json.Valid(b):
		return pactwire.FieldErrorf("body", "the body is no valid JSON: %s", json.Unmarshal(b, new(any)))
	}
	if err := exactjson.Unmarshal(b, into); err != nil {
		return unread(b, into, err)
	}
	return nil
}

// unread is the refusal of a valid object that has something else in a field than is read there.
func unread(b []byte, into any, err error) error {
	var twice *exactjson.TwiceError
	if errors.As(err, &twice) {
		return pactwire.FieldErrorf(twice.Field, "%s is given twice; say it once", twice.Field)
	}
	var wrongType *json.UnmarshalTypeError
	var noTime *time.ParseError
	isType := errors.As(err, &wrongType)
	field := ""
	if isType {
		field = wrongType.Field
	}
	if field == "" {
		field = culprit(b, into)
	}
	switch {
	case isType:
		return pactwire.FieldErrorf(field, "%s must not be a %s", field, wrongType.Value)
	case errors.As(err, &noTime) || strings.HasPrefix(err.Error(), "Time.UnmarshalJSON: "):
		return pactwire.FieldErrorf(field, "%s is no time; write RFC 3339, as 2026-11-26T08:00:00Z", field)
	default:
		return pactwire.FieldErrorf(field, "%s cannot be read: %s", field, err)
	}
}

// culprit is the field of an object that cannot be read on its own either. What types of their own refuse does not name it.
func culprit(b []byte, into any) string {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(b, &fields) // it is a valid object
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		alone, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if err != nil || json.Unmarshal(alone, reflect.New(reflect.TypeOf(into).Elem()).Interface()) != nil {
			return name
		}
	}
	return "body"
}

func levelOf(status int) slog.Level {
	switch {
	case status >= 500:
		return slog.LevelWarn
	default:
		return slog.LevelDebug // what clients do wrong is theirs
	}
}

func attrs(method, pattern string, status, bytes int, took time.Duration) []slog.Attr {
	return []slog.Attr{slog.String("method", method), slog.String("route", pattern), slog.Int("status", status),
		slog.Int("bytes", bytes), slog.Float64("took_ms", float64(took.Microseconds())/1000)}
}
