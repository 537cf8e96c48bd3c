package push

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

// Channel carries messages to the outside.
type Channel interface {
	// Name is the channel's name in rows, metrics and logs. A channel that serves tokens has the name of their kind.
	Name() string
	// Send makes one attempt. nil means that the other side has the message. A *Refusal says what else is known; any other
	// error is tried again.
	Send(ctx context.Context, m Message) error
	// Close lets go of idle connections. Nothing is sent after it.
	Close()
}

// Message is what a channel carries. All of it is the same on every attempt.
type Message struct {
	ID        string // of the push, so that a receiver can tell a repetition
	Type      string // push.checkin, …
	User      pactwire.UserID
	Pact      pactwire.PactID // "" = none, or several
	Title     string
	Text      string
	Body      []byte             // the envelope with everything, as the webhook gets it
	Token     pactwire.PushToken // of channels that serve tokens
	ExpiresAt time.Time          // when it is not worth delivering any more
}

// Refusal is an answer of the other side that says more than "not now".
type Refusal struct {
	Final      bool          // the same message will not be taken later either
	Gone       bool          // the token is dead
	RetryAfter time.Duration // what it asked for; 0 = nothing
	Cause      error
}

func (r *Refusal) Error() string { return r.Cause.Error() }

func (r *Refusal) Unwrap() error { return r.Cause }

// Refused reads an HTTP status: 408, 429 and 5xx may work later, other 4xx never will. Redirects count as never.
func Refused(status int, retryAfter time.Duration, format string, args ...any) *Refusal {
	again := status == 408 || status == 429 || status >= 500
	return &Refusal{Final: !again, RetryAfter: retryAfter, Cause: fmt.Errorf("HTTP %d: %s", status, fmt.Sprintf(format, args...))}
}

// envelope is the body of a push.
type envelope struct {
	Type      string        `json:"type"`
	Timestamp pactwire.Time `json:"timestamp"`
	Data      envelopeData  `json:"data"`
}

type envelopeData struct {
	UserID pactwire.UserID   `json:"userId"`
	Title  string            `json:"title"`
	Body   string            `json:"body"`
	PactID pactwire.PactID   `json:"pactId,omitempty"`
	Event  json.RawMessage   `json:"event,omitempty"`
	Count  int               `json:"count,omitempty"`  // of a summary: how many things it stands for
	Events []json.RawMessage `json:"events,omitempty"` // of a summary: the latest of them
}

const typePrefix = "push."

// summaryEvents bounds the events that a summary carries.
const summaryEvents = 20

// wrap puts jobs of one person into one envelope: a single one by its kind, several as a summary.
func wrap(now time.Time, u pactwire.User, jobs []pactwire.PushJob) envelope {
	e := envelope{Timestamp: pactwire.Time(now), Data: envelopeData{UserID: u.ID, PactID: jobs[0].Pact}}
	if len(jobs) == 1 {
		e.Type = typePrefix + string(jobs[0].Kind)
		e.Data.Title, e.Data.Body = words(u.Locale, jobs[0])
		e.Data.Event = jobs[0].Event
	} else {
		e.Type = typePrefix + string(pactwire.PushSummary)
		e.Data.Title, e.Data.Body = summarize(u.Locale, jobs)
		e.Data.Count = len(jobs)
		for _, j := range jobs[max(0, len(jobs)-summaryEvents):] {
			e.Data.Events = append(e.Data.Events, j.Event)
		}
		for _, j := range jobs {
			if j.Pact != e.Data.PactID {
				e.Data.PactID = ""
			}
		}
	}
	return e
}
