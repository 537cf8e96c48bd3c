package push

import (
	"time"

	"github.com/pactwire/pactwire"
)

// zoneOf is the person's time zone; UTC when it is not set or not known here.
func zoneOf(u pactwire.User) *time.Location {
	if loc, err := time.LoadLocation(u.TimeZone); err == nil && u.TimeZone != "Local" {
		return loc
	}
	return time.UTC
}

// localDay is the person's calendar day.
func localDay(now time.Time, u pactwire.User) pactwire.LocalDate {
	return pactwire.LocalDate(now.In(zoneOf(u)).Format(time.DateOnly))
}

// quietUntil tells whether now lies in the person's quiet hours, and when these end. They are times on the person's clock,
// from included and to excluded, and may go over midnight; equal ones are none.
func quietUntil(now time.Time, u pactwire.User) (time.Time, bool) {
	if u.QuietHours == nil {
		return time.Time{}, false
	}
	from, ok1 := minutes(u.QuietHours.From)
	to, ok2 := minutes(u.QuietHours.To)
	t := now.In(zoneOf(u)).Truncate(time.Minute)
	if !ok1 || !ok2 || !within(clock(t), from, to) {
		return time.Time{}, false
	}
	for {
		end := t.Add(time.Duration((to-clock(t)+24*60)%(24*60)) * time.Minute)
		_, change := t.ZoneBounds()
		if change.IsZero() || end.Before(change) {
			return end.UTC(), true
		}
		// The clock is changed before that. It may jump out of quiet hours.
		if t = change; !within(clock(t), from, to) {
			return t.UTC(), true
		}
	}
}

func clock(t time.Time) int { return t.Hour()*60 + t.Minute() }

// within reports whether a time of day lies in from … to, which may go over midnight.
func within(at, from, to int) bool {
	if from <= to {
		return from <= at && at < to
	}
	return at >= from || at < to
}

// minutes reads HH:MM.
func minutes(s string) (int, bool) {
	t, err := time.Parse("15:04", s)
	return clock(t), err == nil
}
