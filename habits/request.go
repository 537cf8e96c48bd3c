package habits

import (
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// How far from now a check-in may lie. Days are the sender's own.
const (
	backfillDays = 2               // a date that was chosen
	lateDays     = 7               // a time at which it happened
	clockLead    = 5 * time.Minute // what a clock may be ahead
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

// checkinDay finds the local day that a check-in is about, or says why it cannot be that day.
func checkinDay(req pactwire.CheckinRequest, z Zone) (Day, error) {
	today := z.Day(req.ReceivedAt)
	day, back, field := today, backfillDays, "scheduledDate"
	if req.OccurredAt != nil {
		at := req.OccurredAt.Std()
		if at.After(req.ReceivedAt.Add(clockLead)) {
			return 0, pactwire.FieldErrorf("occurredAt", "this lies in the future; the sender's clock is wrong")
		}
		if at.After(req.ReceivedAt) {
			at = req.ReceivedAt
		}
		day, back, field = z.Day(at), lateDays, "occurredAt"
	}
	if req.ScheduledDate != "" {
		chosen, err := ParseDay(req.ScheduledDate)
		if err != nil {
			return 0, err
		}
		if req.OccurredAt != nil && (chosen > day+1 || chosen < day-1) {
			return 0, pactwire.FieldErrorf("scheduledDate", "the date and the time at which it happened are more than a day apart")
		}
		day, field = chosen, "scheduledDate"
	}
	switch {
	case day > today:
		return 0, pactwire.FieldErrorf(field, "this day has not begun; check in when it has")
	case day < today-Day(back):
		return 0, pactwire.FieldErrorf(field, "too long ago: at most %d days back", back)
	}
	return day, nil
}
