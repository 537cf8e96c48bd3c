package habits

import (
	"strings"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// Day is a calendar day as a number: days since 1970-01-01. Arithmetic on it knows no zones and no clock changes.
type Day int32

// ParseDay reads a date. Besides YYYY-MM-DD it takes a full time that begins with one, as node services write dates
// (2026-08-20T00:00:00.000Z); the time of day is ignored.
func ParseDay(s pactwire.LocalDate) (Day, error) {
	text := string(s)
	if len(text) > 10 && (text[10] == 'T' || text[10] == ' ') && len(text) <= 40 {
		text = text[:10]
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		return 0, pactwire.FieldErrorf("scheduledDate", "this is not a date: write it as YYYY-MM-DD")
	}
	return dayOf(t.Date()), nil
}

// dayOf numbers a calendar date.
func dayOf(y int, m time.Month, d int) Day {
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// LocalDate writes the day as YYYY-MM-DD.
func (d Day) LocalDate() pactwire.LocalDate {
	var b [10]byte
	return pactwire.LocalDate(d.midnight().AppendFormat(b[:0], time.DateOnly))
}

// Weekday is the day of the week.
func (d Day) Weekday() time.Weekday {
	return time.Weekday((int(d)%7 + 11) % 7) // 1970-01-01 was a Thursday
}

func (d Day) midnight() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// week numbers the weeks from Monday to Sunday.
func (d Day) week() int {
	n := int(d) + 3 // 1969-12-29 was a Monday
	if n < 0 {
		return (n - 6) / 7
	}
	return n / 7
}

// Zone is how a person's days lie in time: where they live, and when their day begins.
type Zone struct {
	loc    *time.Location
	starts time.Duration // after midnight, by the clock on the wall
}

// DefaultZone is the zone of who never chose one.
const DefaultZone = "UTC"

// latestStart is the latest hour at which a day may begin.
const latestStart = 12 * time.Hour

// NewZone reads an IANA zone name and HH:MM; "" stands for UTC and 00:00.
func NewZone(name, dayStartsAt string) (Zone, error) {
	loc, err := location(name)
	if err != nil {
		return Zone{}, err
	}
	var starts time.Duration
	if dayStartsAt != "" {
		var ok bool
		if starts, ok = parseClock(dayStartsAt); !ok || starts > latestStart {
			return Zone{}, pactwire.FieldErrorf("dayStartsAt", "write dayStartsAt as HH:MM, at most 12:00")
		}
	}
	return Zone{loc: loc, starts: starts}, nil
}

// Day is the person's local day at t. It never goes back while time goes on, also not in the hour that a clock repeats.
func (z Zone) Day(t time.Time) Day {
	t = t.In(z.loc)
	d := z.wallDay(t)
	if z.starts == 0 && t.Hour() > 0 && t.Hour() < 23 {
		return d // no clock change reaches a midnight from here
	}
	// When the clock was turned back a moment ago, a day that had begun before stays begun.
	if from, _ := t.ZoneBounds(); !from.IsZero() && t.Sub(from) < 3*time.Hour {
		d = max(d, z.wallDay(from.Add(-1).In(z.loc)))
	}
	return d
}

func (z Zone) wallDay(t time.Time) Day {
	d := dayOf(t.Date())
	h, m, s := t.Clock()
	if time.Duration(h)*time.Hour+time.Duration(m)*time.Minute+time.Duration(s)*time.Second < z.starts {
		d--
	}
	return d
}

// LocalDay is the local date at an instant for a person of that zone (IANA name) whose day begins at dayStartsAt (HH:MM).
func LocalDay(at time.Time, zone, dayStartsAt string) (pactwire.LocalDate, error) {
	z, err := NewZone(zone, dayStartsAt)
	if err != nil {
		return "", err
	}
	return z.Day(at).LocalDate(), nil
}

// parseClock reads HH:MM.
func parseClock(s string) (time.Duration, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	h, m := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, h < 24 && m < 60
}

// locations holds the zones that were asked for. There are about 600 names, and unknown ones are not kept.
var locations sync.Map // string → *time.Location

// location finds an IANA zone. Names that only mean something on the machine that reads them are refused.
func location(name string) (*time.Location, error) {
	if name == "" || name == DefaultZone {
		return time.UTC, nil
	}
	if l, ok := locations.Load(name); ok {
		return l.(*time.Location), nil
	}
	unknown := pactwire.FieldErrorf("timeZone", "this time zone is unknown: use an IANA name such as Europe/Berlin")
	if len(name) > 64 || !zoneName(name) {
		return nil, unknown
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, unknown
	}
	locations.Store(name, l)
	return l, nil
}

func zoneName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '+', c == '/':
		default:
			return false
		}
	}
	switch s {
	case "Local", "Factory", "localtime", "posixrules":
		return false
	}
	return s[0] >= 'A' && s[0] <= 'Z' && !strings.HasPrefix(s, "right/") && !strings.HasPrefix(s, "posix/")
}
