package pactwire

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of refusal an Error is. Edges map it: MQTT reason code, HTTP status, CLI exit code.
type Code string

// The codes, and no others.
const (
	Invalid     Code = "invalid"     // the input is wrong; the same input will never work
	Denied      Code = "denied"      // not allowed, or not there for you: the two look the same
	NotFound    Code = "not_found"   // something named inside a permitted command does not exist
	Conflict    Code = "conflict"    // the state of things forbids it
	TooMany     Code = "too_many"    // a rule of the house, such as five encouragements a day
	Unavailable Code = "unavailable" // try again later; nothing was done
	Internal    Code = "internal"    // a fault of ours
)

// Error is a refusal that a person can read. Message says what was wrong and what to do; Field names the part of the
// input, when one is to blame. Cause is for logs and never reaches a client.
type Error struct {
	Code    Code
	Message string
	Field   string
	Cause   error
	// RetryAfter is how long to wait before the same input may work. Unavailable and Internal need none to be tried again.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Retryable reports whether the same input may work later.
func (e *Error) Retryable() bool {
	return e.Code == Unavailable || e.Code == Internal || e.RetryAfter > 0
}

// Errorf makes an Error without a field.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// FieldErrorf makes an Invalid error about one field of the input.
func FieldErrorf(field, format string, args ...any) *Error {
	return &Error{Code: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// AsError reads err as an Error. What is none becomes Internal with a message that tells nothing of the cause.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Internal, Message: "something went wrong on our side; try again", Cause: err}
}

// CodeOf is the code of AsError(err), or "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// ErrNotImplemented is the cause of an Error about something that the habits-service in use does not offer: HTTP 501.
var ErrNotImplemented = errors.New("not implemented")
