package pactwire

import "time"

// AnnouncedMilestone is a milestone that was said for a run of days.
type AnnouncedMilestone struct {
	From LocalDate // first date of the run
	To   LocalDate // its last date when it was said
	Days int
}

// StreakRow is the summary of one person's latest run in one habit, enough to tell the streak of any later day.
type StreakRow struct {
	GoalID    GoalID
	Length    int // of the run that ends at LastDate
	Longest   int
	GraceLeft int // after the run's own gaps
	LastDate  LocalDate
}

// BrokenData is the data of streak_broken.
type BrokenData struct {
	HabitGoalID GoalID `json:"habitGoalId"`
	HabitName   string `json:"habitName"`
	StreakDays  int    `json:"streakDays"`
}

// Due is something that happens by itself when its time has come. The key says what, in the habits-service's own words.
type Due struct {
	Key string
	At  time.Time
}
