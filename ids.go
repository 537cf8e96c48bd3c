package pactwire

import "strconv"

// UserID names a person. It comes from a token, never from a payload.
type UserID string

// PactID names a pact.
type PactID string

// GoalID names a habit goal: the habit that a pact is about.
type GoalID string

// DeviceID names a thing without a screen that checks in for its owner: a button, a scale.
type DeviceID string

// MaxIDLength is the longest id in bytes.
const MaxIDLength = 64

// ValidID reports whether s matches [A-Za-z0-9_-]{1,64}, the shape of every id that may stand in a topic.
func ValidID[S ~string](s S) bool {
	if len(s) == 0 || len(s) > MaxIDLength {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Seq is a place in a stream, counted from 1. The first entry has 1, the next 2, with no gap; 0 is before the first.
type Seq uint64

// String writes the number in decimal.
func (s Seq) String() string { return strconv.FormatUint(uint64(s), 10) }
