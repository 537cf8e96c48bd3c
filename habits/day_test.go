package habits

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/pactwire/pactwire"
	"pgregory.net/rapid"
)

func TestLocalDay(t *testing.T) {
	for _, tc := range []struct{ name, at, zone, starts, want string }{
		{"utc by default", "2026-03-01T23:59:59Z", "", "", "2026-03-01"},
		{"evening in the west is not tomorrow", "2026-03-02T03:30:00Z", "America/Los_Angeles", "00:00", "2026-03-01"},
		{"morning in the east is already tomorrow", "2026-03-01T15:30:00Z", "Asia/Tokyo", "", "2026-03-02"},
		{"half past midnight is still yesterday", "2026-03-02T00:30:00Z", "UTC", "04:00", "2026-03-01"},
		{"the day begins on the minute", "2026-03-02T04:00:00Z", "UTC", "04:00", "2026-03-02"},
		{"noon at the latest", "2026-03-02T11:59:59Z", "UTC", "12:00", "2026-03-01"},
		{"before the clock springs forward", "2026-03-29T00:59:59Z", "Europe/Berlin", "02:30", "2026-03-28"},
		{"a day that begins in the missing hour", "2026-03-29T01:00:00Z", "Europe/Berlin", "02:30", "2026-03-29"},
		{"the repeated hour, first time", "2026-10-25T00:40:00Z", "Europe/Berlin", "02:30", "2026-10-25"},
		{"the repeated hour, again: the day has begun", "2026-10-25T01:10:00Z", "Europe/Berlin", "02:30", "2026-10-25"},
		{"midnight repeated", "2026-11-01T05:10:00Z", "America/Havana", "00:00", "2026-11-01"},
		{"a zone of three quarters", "2026-03-01T18:20:00Z", "Asia/Kathmandu", "", "2026-03-02"},
		{"a day that was left out", "2011-12-30T10:30:00Z", "Pacific/Apia", "", "2011-12-31"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, tc.at)
			if err != nil {
				t.Fatal(err)
			}
			got, err := LocalDay(at, tc.zone, tc.starts)
			if err != nil || string(got) != tc.want {
				t.Fatalf("%s %v, want %s", got, err, tc.want)
			}
		})
	}
}

// TestLocalDayNeverGoesBack walks through time in zones that turn their clocks, with days that begin at any minute.
func TestLocalDayNeverGoesBack(t *testing.T) {
	zones := []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut",
		"America/Asuncion", "Pacific/Chatham", "Atlantic/Azores", "Africa/Casablanca", "America/Sao_Paulo",
	}
	rapid.Check(t, func(t *rapid.T) {
		minutes := rapid.IntRange(0, 720).Draw(t, "starts")
		starts := time.Time{}.Add(time.Duration(minutes) * time.Minute).Format("15:04")
		z, err := NewZone(rapid.SampledFrom(zones).Draw(t, "zone"), starts)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(rapid.IntRange(1_000_000_000, 1_900_000_000).Draw(t, "from")), 0)
		day := z.Day(at)
		for range 400 {
			at = at.Add(13 * time.Minute)
			next := z.Day(at)
			if next < day || next > day+1 {
				t.Fatalf("%s: from %s to %s", at.In(z.loc), day.LocalDate(), next.LocalDate())
			}
			day = next
		}
	})
}

func TestWrongZones(t *testing.T) {
	for _, tc := range []struct{ zone, starts, field string }{
		{"Mars/Olympus", "", "timeZone"}, {"Local", "", "timeZone"}, {"../etc/passwd", "", "timeZone"}, {"localtime", "", "timeZone"},
		{"right/UTC", "", "timeZone"}, {"/UTC", "", "timeZone"}, {strings.Repeat("A", 65), "", "timeZone"}, {"Europe/Berlin\x00", "", "timeZone"},
		{"", "12:01", "dayStartsAt"}, {"", "4:00", "dayStartsAt"}, {"", "24:00", "dayStartsAt"}, {"", "03:60", "dayStartsAt"}, {"", "+3:00", "dayStartsAt"},
	} {
		_, err := NewZone(tc.zone, tc.starts)
		if e := pactwire.AsError(err); err == nil || e.Code != pactwire.Invalid || e.Field != tc.field {
			t.Errorf("%q %q: %v", tc.zone, tc.starts, err)
		}
	}
}

func FuzzParseDay(f *testing.F) {
	for _, s := range []string{"2026-08-20", "2026-08-20T00:00:00.000Z", "0001-01-01", "9999-12-31", "2024-02-30", "", "2026-8-2", "20260820"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDay(pactwire.LocalDate(s))
		if err != nil {
			return
		}
		if got := string(d.LocalDate()); got != s[:10] {
			t.Fatalf("%q became %q", s, got)
		}
		if want := d.midnight().Weekday(); d.Weekday() != want {
			t.Fatalf("%s: %v, want %v", s, d.Weekday(), want)
		}
		if again, err := ParseDay(d.LocalDate()); err != nil || again != d {
			t.Fatalf("%q: %v %v", s, again, err)
		}
	})
}
