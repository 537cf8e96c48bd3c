package habits

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// zones have whole and half hours, clocks that change at midnight, a day that was left out, and neither.
var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia",
	"Pacific/Auckland", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Australia/Lord_Howe", "Asia/Beirut", "America/St_Johns"}

// TestStartOfADay: a day begins at the first second that belongs to it or, where a zone left it out, to a later one.
func TestStartOfADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		starts := rapid.SampledFrom([]string{"00:00", "00:30", "02:30", "04:00", "12:00"}).Draw(t, "starts")
		z, err := NewZone(rapid.SampledFrom(zones).Draw(t, "zone"), starts)
		if err != nil {
			t.Fatal(err)
		}
		d := Day(rapid.IntRange(10000, 25000).Draw(t, "day")) // 1997 to 2038
		at := z.Start(d)
		if z.Day(at) < d || z.Day(at.Add(-time.Second)) >= d {
			t.Fatalf("%s does not begin at %s", d.LocalDate(), at)
		}
	})
	z, err := NewZone("Pacific/Apia", "")
	if err != nil {
		t.Fatal(err)
	}
	skipped, err := ParseDay("2011-12-30")
	if err != nil {
		t.Fatal(err)
	}
	if !z.Start(skipped).Equal(z.Start(skipped + 1)) {
		t.Error("the day that Samoa left out took time")
	}
}

// TestBreaksOnAgreesWithStreakOn: the day on which a run is over is the first on which readers see a streak of none.
func TestBreaksOnAgreesWithStreakOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ScheduleOf(drawGoal(t))
		days := rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(100, 140), func(n int) Day { return Day(n) }), 1, 40, rapid.ID).Draw(t, "days")
		slices.Sort(days)
		st := Summarize(s, days)
		r, _ := st.Latest()
		over := s.breaksOn(r)
		for d := r.To; d < r.To+60; d++ {
			if alive := StreakOn(st.Row("g"), s, d).Current > 0; alive != (d < over) {
				t.Fatalf("%+v %+v: alive on %d: %v, over on %d", s, r, d, alive, over)
			}
		}
	})
}

func drawGoal(t *rapid.T) pactwire.Goal {
	return pactwire.Goal{
		FrequencyType:    rapid.SampledFrom([]string{"daily", "weekly", "custom"}).Draw(t, "type"),
		TargetDaysOfWeek: rapid.SliceOfNDistinct(rapid.IntRange(0, 6), 0, 7, rapid.ID).Draw(t, "weekdays"),
	}
}
