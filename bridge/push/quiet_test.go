package push

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// zones have changes of the clock by an hour, by half of one, at midnight, and a day that never was.
var zones = []string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia", "Asia/Kolkata", "Africa/Casablanca"}

// TestQuietHoursEndWhenTheClockSays compares with the plain words: minute for minute, the first at which the person's clock
// is not within their quiet hours.
func TestQuietHoursEndWhenTheClockSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := pactwire.User{TimeZone: rapid.SampledFrom(zones).Draw(t, "zone")}
		loc, err := time.LoadLocation(u.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		from, to := rapid.IntRange(0, 24*60-1).Draw(t, "from"), rapid.IntRange(0, 24*60-1).Draw(t, "to")
		u.QuietHours = &pactwire.QuietHours{From: fmt.Sprintf("%02d:%02d", from/60, from%60), To: fmt.Sprintf("%02d:%02d", to/60, to%60)}
		now := time.Date(2011, 12, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 500*24*60).Draw(t, "minute")) * time.Minute)
		if rapid.Bool().Draw(t, "near a change") {
			if _, change := now.In(loc).ZoneBounds(); !change.IsZero() {
				now = change.Add(time.Duration(rapid.IntRange(-600, 600).Draw(t, "minutes from it")) * time.Minute).UTC()
			}
		}
		quiet := func(at time.Time) bool { return from != to && within(clock(at.In(loc)), from, to) }

		until, is := quietUntil(now, u)
		if is != quiet(now) {
			t.Fatalf("%s %v at %v: quiet %v", u.TimeZone, *u.QuietHours, now.In(loc), is)
		}
		if !is {
			return
		}
		want := now
		for quiet(want) {
			want = want.Add(time.Minute)
		}
		if want = want.Truncate(time.Minute); !until.Equal(want) {
			t.Fatalf("%s %v at %v: until %v, want %v", u.TimeZone, *u.QuietHours, now.In(loc), until.In(loc), want.In(loc))
		}
	})
}

func TestNobodyWithoutThemHasQuietHours(t *testing.T) {
	for _, q := range []*pactwire.QuietHours{nil, {}, {From: "22:00", To: "22:00"}, {From: "x", To: "07:00"}} {
		if until, quiet := quietUntil(time.Now(), pactwire.User{TimeZone: "UTC", QuietHours: q}); quiet {
			t.Errorf("%v: quiet until %v", q, until)
		}
	}
}

func TestUnknownZonesAreUTC(t *testing.T) {
	now := time.Date(2026, 5, 1, 23, 30, 0, 0, time.UTC)
	for _, zone := range []string{"", "Local", "Mars/Olympus", "UTC"} {
		if day := localDay(now, pactwire.User{TimeZone: zone}); day != "2026-05-01" {
			t.Errorf("%q: %s", zone, day)
		}
	}
	if day := localDay(now, pactwire.User{TimeZone: "Asia/Tokyo"}); day != "2026-05-02" {
		t.Errorf("in Tokyo it is %s", day)
	}
}
