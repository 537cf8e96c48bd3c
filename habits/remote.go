package habits

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// maxRetryAfter bounds what a service may ask us to wait.
const maxRetryAfter = 5 * time.Minute

// RemoteError is a call to a habits-service over HTTP that had no result. As a [pactwire.Error] it is what the person is
// told; its methods tell the caller whether, and when, to try again.
type RemoteError struct {
	Err     *pactwire.Error
	Status  int // of the HTTP answer; 0 = none came
	retry   bool
	misconf bool
	after   time.Duration
}

func (e *RemoteError) Error() string {
	if e.Status == 0 && e.Err.Cause != nil { // what a person is told says no more
		return fmt.Sprintf("habits-service did not answer: %v", e.Err.Cause)
	}
	return fmt.Sprintf("habits-service answered %d: %v", e.Status, e.Err)
}

// Unwrap is the refusal as a person reads it.
func (e *RemoteError) Unwrap() error { return e.Err }

// Retryable reports whether the same call may work later. What is not retryable is final.
func (e *RemoteError) Retryable() bool { return e.retry }

// RetryAfter is how long the service asked to wait, at most 5 minutes; 0 when it did not.
func (e *RemoteError) RetryAfter() time.Duration { return e.after }

// Misconfigured reports that the service does not accept our own credentials, or is not a habits-service: someone has to
// look, and until then calls are retried.
func (e *RemoteError) Misconfigured() bool { return e.misconf }

// RetryAfter tells how long err asks to wait, when it does.
func RetryAfter(err error) (time.Duration, bool) {
	var e *RemoteError
	if errors.As(err, &e) && e.after > 0 {
		return e.after, true
	}
	return 0, false
}

// Misconfigured reports whether err says that the service does not accept our credentials.
func Misconfigured(err error) bool {
	var e *RemoteError
	return errors.As(err, &e) && e.misconf
}

// Final reports whether err is the last word: no later attempt of the same call can work.
func Final(err error) bool {
	if err == nil {
		return false
	}
	var e *RemoteError
	if errors.As(err, &e) {
		return !e.retry
	}
	return !pactwire.AsError(err).Retryable()
}

// noAnswer is a call that nobody answered in time.
func noAnswer(err error) *RemoteError {
	return &RemoteError{
		Err:   &pactwire.Error{Code: pactwire.Unavailable, Message: "the habits-service does not answer; try again later", Cause: err},
		retry: true,
	}
}

// errorReply is an error body as services write it.
type errorReply struct {
	Code    looseText       `json:"code"`
	Message looseText       `json:"message"`
	Error   json.RawMessage `json:"error"`
	Field   looseText       `json:"field"`
}

// refusal maps an answer that is no success.
func refusal(status int, header http.Header, body []byte, now time.Time) *RemoteError {
	var reply errorReply
	_ = json.Unmarshal(body, &reply) // not JSON: no message
	e := &RemoteError{Status: status, Err: &pactwire.Error{Cause: fmt.Errorf("HTTP status %d", status)}}
	switch {
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		e.say(pactwire.Invalid, reply, "the habits-service does not take this check-in")
	case status == http.StatusForbidden:
		e.say(pactwire.Denied, reply, "you may not do this")
	case status == http.StatusNotFound || status == http.StatusGone:
		e.say(pactwire.NotFound, reply, "this does not exist, or no longer")
	case status == http.StatusPaymentRequired || status == http.StatusConflict:
		e.say(pactwire.Conflict, reply, "this cannot be done now")
	case status == http.StatusUnauthorized:
		e.again("the habits-service does not accept our credentials; try again later")
		e.misconf = true
	case status == http.StatusLoopDetected:
		e.again("the habits-service is not where we look for it; try again later")
		e.misconf = true
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500:
		e.again("the habits-service is busy or broken; try again later")
		e.after = retryAfter(header.Get("Retry-After"), now)
	case status >= 400:
		e.say(pactwire.Internal, reply, "the habits-service does not understand us")
	default: // a redirect, or nothing that we asked for
		e.again("the habits-service answers in an unexpected way; try again later")
		e.misconf = true
	}
	return e
}

func (e *RemoteError) again(message string) {
	e.Err.Code, e.Err.Message, e.retry = pactwire.Unavailable, message, true
}

// say passes on the service's own words, where they are fit to be read.
func (e *RemoteError) say(code pactwire.Code, r errorReply, fallback string) {
	e.Err.Code, e.Err.Message = code, fallback
	message := r.Message
	if message == "" && len(r.Error) > 0 && r.Error[0] == '"' {
		_ = message.UnmarshalJSON(r.Error)
	}
	if message != "" && text(string(message), 500) {
		e.Err.Message = string(message)
	}
	if text(string(r.Field), 64) {
		e.Err.Field = string(r.Field)
	}
}

// retryAfter reads seconds or an HTTP date.
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" || !utf8.ValidString(s) {
		return 0
	}
	d := time.Duration(0)
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
