package pactwire

import "time"

// How far from now a check-in may lie. Days are the sender's own.
const (
	backfillDays = 2               // a date that was chosen
	lateDays     = 7               // a time at which it happened
	ClockLead    = 5 * time.Minute // what a clock may be ahead
)

// Day finds the local day that the check-in is about, or says why it cannot be that day; local is the sender's day at a time. What
// happened a little later than it arrived, by a clock that is ahead, happened when it arrived.
func (r *CheckinRequest) Day(local func(time.Time) (LocalDate, error)) (LocalDate, error) {
	today, err := local(r.ReceivedAt)
	if err != nil {
		return "", err
	}
	day, back, field := today, backfillDays, "scheduledDate"
	if r.OccurredAt != nil {
		at := r.OccurredAt.Std()
		if at.After(r.ReceivedAt.Add(ClockLead)) {
			return "", FieldErrorf("occurredAt", "this lies in the future; the sender's clock is wrong")
		}
		if at.After(r.ReceivedAt) {
			now := Time(r.ReceivedAt)
			at, r.OccurredAt = r.ReceivedAt, &now
		}
		if day, err = local(at); err != nil {
			return "", err
		}
		back, field = lateDays, "occurredAt"
	}
	if r.ScheduledDate != "" {
		if apart := day.until(r.ScheduledDate); r.OccurredAt != nil && (apart > 1 || apart < -1) {
			return "", FieldErrorf("scheduledDate", "the date and the time at which it happened are more than a day apart")
		}
		day, field = r.ScheduledDate, "scheduledDate"
	}
	switch ago := day.until(today); {
	case ago < 0:
		return "", FieldErrorf(field, "this day has not begun; check in when it has")
	case ago > back:
		return "", FieldErrorf(field, "too long ago: at most %d days back", back)
	}
	return day, nil
}

// until counts the days to another date. Both were checked when they were parsed.
func (d LocalDate) until(to LocalDate) int {
	a, errA := time.Parse(time.DateOnly, string(d))
	b, errB := time.Parse(time.DateOnly, string(to))
	if errA != nil || errB != nil {
		return 0
	}
	return int(b.Sub(a) / (24 * time.Hour))
}
