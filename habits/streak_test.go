package habits

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
	"pgregory.net/rapid"
)

// model tells the streak of a set of days by walking through the calendar, day by day.
type model struct {
	from, to             Day
	length, longest      int
	capacity, spent, gap int
	graceOf              map[Day]int
}

func walk(completed map[Day]bool) model {
	m := model{graceOf: map[Day]int{}}
	if len(completed) == 0 {
		return m
	}
	first, last := Day(1<<30), Day(-1<<30)
	for d := range completed {
		first, last = min(first, d), max(last, d)
	}
	for d := first; d <= last; d++ {
		if !completed[d] {
			m.gap++
			continue
		}
		if m.length == 0 || m.gap > m.capacity-m.spent {
			m.from, m.length, m.capacity, m.spent = d, 0, 1, 0
		} else {
			m.spent += m.gap
			m.graceOf[d] = m.gap
		}
		m.gap = 0
		m.length++
		m.to = d
		m.longest = max(m.longest, m.length)
		for _, ms := range []int{7, 14, 30, 60, 90, 180, 365, 730, 1095} {
			if m.length == ms {
				m.capacity = min(m.capacity+1, 3)
			}
		}
	}
	return m
}

func daysOf(set map[Day]bool) []Day {
	var ds []Day
	for d := range set {
		ds = append(ds, d)
	}
	slices.Sort(ds)
	return ds
}

// TestStreakIsTheModel compares the rules with the slow walk, for any order in which days are completed and taken back.
func TestStreakIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := rapid.SampledFrom([]int{4, 12, 40, 400}).Draw(t, "span")
		dense := rapid.IntRange(1, 10).Draw(t, "dense")
		set := map[Day]bool{}
		st := Summarize(Schedule{}, nil)
		if rapid.Bool().Draw(t, "start full") {
			for d := range span {
				set[Day(d)] = true
			}
			st = Summarize(Schedule{}, daysOf(set))
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			d := Day(rapid.IntRange(0, span).Draw(t, "day"))
			before, was := st, walk(set)
			if rapid.IntRange(0, 10).Draw(t, "add") <= dense {
				set[d] = true
				st = st.With(d)
			} else {
				delete(set, d)
				st = st.Without(d)
			}
			is := walk(set)
			run, _ := st.Latest()
			if run.Length != is.length || st.Longest() != is.longest || (is.length > 0 && (run.Left() != is.capacity-is.spent || run.From != is.from || run.To != is.to)) {
				t.Fatalf("days %v: run %+v longest %d, the model says %+v", daysOf(set), run, st.Longest(), is)
			}
			for day := range set {
				if got, want := st.GraceUsed(day), is.graceOf[day]; got != want {
					t.Fatalf("days %v: grace used before %d = %d, want %d", daysOf(set), day, got, want)
				}
			}
			up := Update(before, st, d)
			if up.Before != was.length || up.After != is.length || up.Longest != is.longest {
				t.Fatalf("update %+v, want before %d after %d longest %d", up, was.length, is.length, is.longest)
			}
			fresh := Summarize(Schedule{}, daysOf(set))
			if diff := cmp.Diff(fresh.Row("g"), st.Row("g")); diff != "" {
				t.Fatalf("order of arrival matters: %s", diff)
			}
			today := is.to + Day(rapid.IntRange(0, 6).Draw(t, "later"))
			now := StreakOn(st.Row("g"), Schedule{}, today)
			wantCurrent, wantLeft := is.length, is.capacity-is.spent-max(int(today-is.to)-1, 0)
			if is.length == 0 || wantLeft < 0 {
				wantCurrent, wantLeft = 0, 1
			}
			if now.Current != wantCurrent || now.GraceLeft != wantLeft {
				t.Fatalf("days %v on %d: %+v, want current %d left %d", daysOf(set), today, now, wantCurrent, wantLeft)
			}
		}
	})
}

// TestMilestoneIsAnnouncedOnce completes and takes back days at random: no milestone is said twice for overlapping runs.
func TestMilestoneIsAnnouncedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := Summarize(Schedule{}, nil)
		var said []pactwire.AnnouncedMilestone
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			d := Day(rapid.IntRange(0, 30).Draw(t, "day"))
			if rapid.IntRange(0, 3).Draw(t, "back") == 0 {
				st = st.Without(d)
				continue
			}
			before := st
			st = st.With(d)
			run, _ := st.Latest()
			ms := Announcements(before, st, Update(before, st, d), said)
			for i, m := range ms {
				if i > 0 && m.StreakDays <= ms[i-1].StreakDays {
					t.Fatalf("not ascending: %v", ms)
				}
				for _, a := range said {
					if a.Days == m.StreakDays && a.From <= run.To.LocalDate() && a.To >= run.From.LocalDate() {
						t.Fatalf("%d days said again for %+v, before for %+v", m.StreakDays, run, a)
					}
				}
				said = append(said, pactwire.AnnouncedMilestone{From: run.From.LocalDate(), To: run.To.LocalDate(), Days: m.StreakDays})
			}
		}
	})
}

func TestDocumentedStreaks(t *testing.T) {
	span := func(from, to Day) (ds []Day) {
		for d := from; d <= to; d++ {
			ds = append(ds, d)
		}
		return ds
	}
	for _, tc := range []struct {
		name       string
		days       []Day
		today      Day
		add        Day
		want       pactwire.StreakUpdate
		milestones []pactwire.Milestone
		left       int
	}{
		{name: "first day", add: 10, want: pactwire.StreakUpdate{After: 1, Longest: 1}, left: 1},
		{name: "third day", days: span(8, 9), add: 10, want: pactwire.StreakUpdate{Before: 2, After: 3, Longest: 3},
			milestones: []pactwire.Milestone{{StreakDays: 3}}, left: 1},
		{name: "one missed day is covered", days: span(8, 9), add: 11,
			want: pactwire.StreakUpdate{Before: 2, After: 3, Longest: 3, GraceUsed: 1}, milestones: []pactwire.Milestone{{StreakDays: 3}}},
		{name: "two missed days are not", days: span(8, 9), add: 12, want: pactwire.StreakUpdate{Before: 2, After: 1, Longest: 2}, left: 1},
		{name: "seven days earn a second grace day", days: span(1, 6), add: 7, want: pactwire.StreakUpdate{Before: 6, After: 7, Longest: 7},
			milestones: []pactwire.Milestone{{StreakDays: 7}}, left: 2},
		{name: "both are spent", days: span(1, 7), add: 10, want: pactwire.StreakUpdate{Before: 7, After: 8, Longest: 8, GraceUsed: 2}},
		{name: "never more than three", days: span(1, 89), add: 90, want: pactwire.StreakUpdate{Before: 89, After: 90, Longest: 90},
			milestones: []pactwire.Milestone{{StreakDays: 90}}, left: 3},
		{name: "the same day again", days: span(1, 5), add: 5, want: pactwire.StreakUpdate{Before: 5, After: 5, Longest: 5}, left: 1},
		{name: "a filled gap joins two runs", days: append(span(1, 4), span(7, 10)...), add: 5,
			want:       pactwire.StreakUpdate{Before: 4, After: 9, Longest: 9},
			milestones: []pactwire.Milestone{{StreakDays: 7}}, left: 1},
		{name: "the day beyond a former best of seven", days: append(span(1, 7), span(20, 26)...), add: 27,
			want: pactwire.StreakUpdate{Before: 7, After: 8, Longest: 8, IsNewRecord: true}, left: 2},
		{name: "a former best of six is none", days: append(span(1, 6), span(20, 25)...), add: 26,
			want: pactwire.StreakUpdate{Before: 6, After: 7, Longest: 7}, milestones: []pactwire.Milestone{{StreakDays: 7}}, left: 2},
		{name: "the second day beyond it", days: append(span(1, 7), span(20, 27)...), add: 28,
			want: pactwire.StreakUpdate{Before: 8, After: 9, Longest: 9}, left: 2},
		{name: "a first run breaks no record", days: span(1, 10), add: 11, want: pactwire.StreakUpdate{Before: 10, After: 11, Longest: 11}, left: 2},
		{name: "a year and another", days: span(1, 729), add: 730, want: pactwire.StreakUpdate{Before: 729, After: 730, Longest: 730},
			milestones: []pactwire.Milestone{{StreakDays: 730}}, left: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := Summarize(Schedule{}, tc.days)
			after := before.With(tc.add)
			up := Update(before, after, tc.add)
			if diff := cmp.Diff(tc.want, up); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.milestones, Announcements(before, after, up, nil)); diff != "" {
				t.Error(diff)
			}
			if r, _ := after.Latest(); r.Left() != tc.left {
				t.Errorf("%d grace days left, want %d", r.Left(), tc.left)
			}
		})
	}
}

func TestMilestonesBetween(t *testing.T) {
	for _, tc := range []struct {
		before, after int
		want          []int
	}{
		{0, 1, nil}, {2, 3, []int{3}}, {0, 30, []int{3, 7, 14, 30}}, {364, 365, []int{365}}, {365, 365, nil}, {365, 366, nil},
		{179, 1100, []int{180, 365, 730, 1095}}, {9, 3, nil},
	} {
		if diff := cmp.Diff(tc.want, MilestonesBetween(tc.before, tc.after)); diff != "" {
			t.Errorf("between %d and %d: %s", tc.before, tc.after, diff)
		}
		for _, m := range tc.want {
			if !IsMilestone(m) {
				t.Errorf("%d is a milestone", m)
			}
		}
	}
}

// TestMissedIsACount compares every schedule with counting day by day.
func TestMissedIsACount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		goal := pactwire.Goal{FrequencyType: rapid.SampledFrom([]string{"", "daily", "weekly", "custom"}).Draw(t, "type")}
		goal.TargetDaysOfWeek = rapid.SliceOfN(rapid.IntRange(-1, 7), 0, 7).Draw(t, "days")
		s := ScheduleOf(goal)
		last := Day(rapid.IntRange(-1000, 40000).Draw(t, "last"))
		next := last + Day(rapid.IntRange(-3, 60).Draw(t, "gap"))
		want := 0
		full := map[int]bool{}
		for d := last + 1; d < next; d++ {
			switch {
			case s.weekly:
				if w := d.week(); w != last.week() && w != next.week() {
					full[w] = true
				}
			case s.days == 0 || s.days&(1<<d.Weekday()) != 0:
				want++
			}
		}
		if want += len(full); s.Missed(last, next) != want {
			t.Fatalf("%+v between %d and %d: %d, want %d", s, last, next, s.Missed(last, next), want)
		}
	})
}
