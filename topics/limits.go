package topics

import (
	"strings"

	"github.com/pactwire/pactwire"
)

// Limits of the topics and filters that clients may name. Zero values mean the defaults of the configuration. The broker library's
// trie takes time in the square of the levels and under one lock, so what is over the limits must never reach it.
type Limits struct {
	Bytes  int // limits.topic_bytes; 256
	Levels int // limits.topic_levels; 8
}

// Unlimited is for topics and filters that were let in before.
var Unlimited = Limits{Bytes: 1 << 16, Levels: 1 << 16}

// Parse reads a topic name by the default limits.
func Parse(s string) (Topic, error) { return Limits{}.Parse(s) }

// ParseFilter reads a topic filter by the default limits.
func ParseFilter(s string) (Filter, error) { return Limits{}.ParseFilter(s) }

// Subscribe says what id may do with filter s, by the default limits.
func Subscribe(id pactwire.Identity, lab bool, s string) (Filter, Verdict) {
	return Limits{}.Subscribe(id, lab, s)
}

func (l Limits) check(s string) error {
	if l.Bytes <= 0 {
		l.Bytes = 256
	}
	if l.Levels <= 0 {
		l.Levels = 8
	}
	switch {
	case len(s) > l.Bytes:
		return pactwire.FieldErrorf("topic", "the topic is longer than %d bytes", l.Bytes)
	case strings.Count(s, "/") >= l.Levels:
		return pactwire.FieldErrorf("topic", "the topic has more than %d levels", l.Levels)
	}
	return nil
}
