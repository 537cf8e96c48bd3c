package habits

import (
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// validCheckin refuses what could not be stored or would not be understood later. Edges check more, and earlier.
func validCheckin(req pactwire.CheckinRequest) error {
	switch req.Status {
	case pactwire.StatusCompleted, pactwire.StatusPartial, pactwire.StatusSkipped:
	default:
		return pactwire.FieldErrorf("status", "status must be completed, partial or skipped")
	}
	if !text(req.Notes, pactwire.MaxNotes) {
		return pactwire.FieldErrorf("notes", "notes must be text of at most %d characters", pactwire.MaxNotes)
	}
	if len(req.ProofMedia) > pactwire.MaxProofMedia {
		return pactwire.FieldErrorf("proofMedia", "at most %d pictures or films", pactwire.MaxProofMedia)
	}
	return nil
}

// text reports whether s is valid UTF-8 without NUL and has at most that many code points.
func text(s string, most int) bool {
	if len(s) > most*utf8.UTFMax || !utf8.ValidString(s) || (len(s) > most && utf8.RuneCountInString(s) > most) {
		return false
	}
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return true
}

// checkinDay is the day that a check-in is about, in a zone.
func checkinDay(req pactwire.CheckinRequest, z Zone) (Day, error) {
	if req.ScheduledDate != "" {
		chosen, err := ParseDay(req.ScheduledDate)
		if err != nil {
			return 0, err
		}
		req.ScheduledDate = chosen.LocalDate()
	}
	date, err := req.Day(func(at time.Time) (pactwire.LocalDate, error) { return z.Day(at).LocalDate(), nil })
	if err != nil {
		return 0, err
	}
	return ParseDay(date)
}
