package habits

import (
	"slices"

	"github.com/pactwire/pactwire"
)

// Grace days of a run: one at first, one more at each milestone of seven days and above, never more than three.
const (
	graceAtFirst  = 1
	graceAtMost   = 3
	graceFromDays = 7
)

// recordFromDays is the shortest former best that is worth beating aloud.
const recordFromDays = 7

// IsMilestone reports whether a run of that many days is worth a word: 3, 7, 14, 30, 60, 90, 180, 365 and each further year.
func IsMilestone(days int) bool {
	switch days {
	case 3, 7, 14, 30, 60, 90, 180:
		return true
	}
	return days > 0 && days%365 == 0
}

// MilestonesBetween are the milestones above before and up to after, ascending.
func MilestonesBetween(before, after int) []int {
	var ms []int
	for _, m := range []int{3, 7, 14, 30, 60, 90, 180} {
		if m > before && m <= after {
			ms = append(ms, m)
		}
	}
	for m := max(before, 0)/365*365 + 365; m <= after; m += 365 {
		ms = append(ms, m)
	}
	return ms
}

// Run is an unbroken run of days: completed dates with no more missed between them than grace covered.
type Run struct {
	From, To Day
	Length   int // completed dates; grace days are not counted
	Capacity int // grace days earned in this run
	Spent    int // of them, inside the run
}

// Left is how many grace days the run still has after its last date.
func (r Run) Left() int { return r.Capacity - r.Spent }

func (r Run) contains(d Day) bool { return r.From <= d && d <= r.To }

// Streak is everything that follows from the set of completed dates of one person and habit. Nothing else has a say:
// neither the order in which the dates arrived, nor when.
type Streak struct {
	schedule Schedule
	dates    []Day // ascending, each once; shared, never changed
	runs     []Run // ascending
	longest  int
}

// Summarize makes runs of completed dates. The dates must ascend, each once; they are kept, not copied.
func Summarize(s Schedule, dates []Day) Streak {
	st := Streak{schedule: s, dates: dates}
	for i, d := range dates {
		last := len(st.runs) - 1
		if missed := 0; i > 0 {
			missed = s.Missed(dates[i-1], d)
			if r := &st.runs[last]; missed <= r.Left() {
				r.Spent += missed
				r.To = d
				r.Length++
				if r.Length >= graceFromDays && r.Capacity < graceAtMost && IsMilestone(r.Length) {
					r.Capacity++
				}
				st.longest = max(st.longest, r.Length)
				continue
			}
		}
		st.runs = append(st.runs, Run{From: d, To: d, Length: 1, Capacity: graceAtFirst})
		st.longest = max(st.longest, 1)
	}
	return st
}

// Latest is the run that ends at the latest completed date; ok is false when nothing was ever completed.
func (s Streak) Latest() (r Run, ok bool) {
	if len(s.runs) == 0 {
		return Run{}, false
	}
	return s.runs[len(s.runs)-1], true
}

// Longest is the length of the longest run.
func (s Streak) Longest() int { return s.longest }

// Completed reports whether d is one of the completed dates.
func (s Streak) Completed(d Day) bool {
	_, ok := slices.BinarySearch(s.dates, d)
	return ok
}

// With is the streak after d was completed.
func (s Streak) With(d Day) Streak {
	i, ok := slices.BinarySearch(s.dates, d)
	if ok {
		return s
	}
	dates := make([]Day, 0, len(s.dates)+1)
	dates = append(append(append(dates, s.dates[:i]...), d), s.dates[i:]...)
	return Summarize(s.schedule, dates)
}

// Without is the streak after d was taken back.
func (s Streak) Without(d Day) Streak {
	i, ok := slices.BinarySearch(s.dates, d)
	if !ok {
		return s
	}
	dates := make([]Day, 0, len(s.dates)-1)
	dates = append(append(dates, s.dates[:i]...), s.dates[i+1:]...)
	return Summarize(s.schedule, dates)
}

// GraceUsed is how many grace days the gap right before the completed date d spent: 0 where d begins a run or is not completed.
func (s Streak) GraceUsed(d Day) int {
	i, ok := slices.BinarySearch(s.dates, d)
	if !ok || i == 0 {
		return 0
	}
	for k := len(s.runs) - 1; k >= 0; k-- { // newest first: that is what is asked for
		if s.runs[k].contains(d) {
			if s.runs[k].From == d {
				return 0
			}
			return s.schedule.Missed(s.dates[i-1], d)
		}
	}
	return 0
}

// Row is the summary that is stored for readers outside the engine.
func (s Streak) Row(g pactwire.GoalID) pactwire.StreakRow {
	row := pactwire.StreakRow{GoalID: g, Longest: s.longest, GraceLeft: graceAtFirst}
	if r, ok := s.Latest(); ok {
		row.Length, row.GraceLeft, row.LastDate = r.Length, r.Left(), r.To.LocalDate()
	}
	return row
}

// Update tells what the step from before to after did, for a command about the date d.
func Update(before, after Streak, d Day) pactwire.StreakUpdate {
	u := pactwire.StreakUpdate{Longest: after.longest, GraceUsed: after.GraceUsed(d)}
	was, _ := before.Latest()
	is, _ := after.Latest()
	u.Before, u.After = was.Length, is.Length
	best := formerBest(before)
	u.IsNewRecord = best >= recordFromDays && u.Before <= best && u.After > best
	return u
}

// formerBest is the longest run besides the latest one.
func formerBest(s Streak) int {
	best := 0
	for i := range len(s.runs) - 1 {
		best = max(best, s.runs[i].Length)
	}
	return best
}

// Announcements are the milestones that a step makes worth saying: those between before and after that were not said for a
// run which overlaps the present one.
func Announcements(before, after Streak, u pactwire.StreakUpdate, said []pactwire.AnnouncedMilestone) []pactwire.Milestone {
	r, ok := after.Latest()
	if !ok || u.After <= u.Before {
		return nil
	}
	from, to := r.From.LocalDate(), r.To.LocalDate()
	var ms []pactwire.Milestone
	for _, days := range MilestonesBetween(u.Before, u.After) {
		known := slices.ContainsFunc(said, func(a pactwire.AnnouncedMilestone) bool {
			return a.Days == days && a.From <= to && a.To >= from
		})
		if !known {
			ms = append(ms, pactwire.Milestone{StreakDays: days, IsNewRecord: u.IsNewRecord && days > formerBest(before)})
		}
	}
	return ms
}

// StreakOn is the streak of a stored summary as of a local today: 0 when grace does not cover what was missed since.
func StreakOn(row pactwire.StreakRow, s Schedule, today Day) pactwire.Streak {
	st := pactwire.Streak{HabitGoalID: row.GoalID, Longest: row.Longest, GraceLeft: graceAtFirst}
	last, err := ParseDay(row.LastDate)
	if row.LastDate == "" || err != nil {
		return st
	}
	date := row.LastDate
	st.LastDate = &date
	if missed := s.Missed(last, today); missed <= row.GraceLeft {
		st.Current, st.GraceLeft = row.Length, row.GraceLeft-missed
	}
	return st
}
