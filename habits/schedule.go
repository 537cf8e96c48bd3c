package habits

import "github.com/pactwire/pactwire"

// Schedule says on which days a habit can be missed. The zero value is daily.
type Schedule struct {
	days   uint8 // bit n set: weekday n (0 = Sunday) is a target; 0 = all
	weekly bool  // only whole weeks count
}

// The frequency types of a goal.
const (
	frequencyDaily  = "daily"
	frequencyWeekly = "weekly"
	frequencyCustom = "custom"
)

// ScheduleOf reads the frequency of a goal. What it does not know is daily.
func ScheduleOf(g pactwire.Goal) Schedule {
	if g.FrequencyType != frequencyWeekly && g.FrequencyType != frequencyCustom {
		return Schedule{}
	}
	var days uint8
	for _, d := range g.TargetDaysOfWeek {
		if d >= 0 && d <= 6 {
			days |= 1 << d
		}
	}
	switch {
	case days == 1<<7-1:
		return Schedule{}
	case days != 0:
		return Schedule{days: days}
	}
	return Schedule{weekly: g.FrequencyType == frequencyWeekly}
}

// Missed counts what was missed strictly between two days, and so is over on the second: days, target days, or weeks.
func (s Schedule) Missed(last, next Day) int {
	gap := int(next) - int(last) - 1
	switch {
	case gap <= 0:
		return 0
	case s.weekly:
		return max(next.week()-last.week()-1, 0)
	case s.days == 0:
		return gap
	}
	full, missed := gap/7, 0
	for d := range 7 {
		if s.days&(1<<d) != 0 {
			missed += full
		}
	}
	for d := next - Day(gap%7); d < next; d++ {
		if s.days&(1<<d.Weekday()) != 0 {
			missed++
		}
	}
	return missed
}
