package pactwire

import "time"

// CheckinStatus is what became of the habit on one day.
type CheckinStatus string

// The statuses. Only StatusCompleted extends a streak. StatusDeleted is never sent by a client.
const (
	StatusCompleted CheckinStatus = "completed"
	StatusPartial   CheckinStatus = "partial"
	StatusSkipped   CheckinStatus = "skipped"
	StatusDeleted   CheckinStatus = "deleted"
)

// Media is a picture or film that proves a check-in. Only the reference is kept.
type Media struct {
	Path string `json:"path"`
	Type string `json:"type"` // image or video
}

// LocalDate is a day in a person's own calendar, written YYYY-MM-DD; "" is none. It sorts as text.
type LocalDate string

// Checkin is one row for (user, habit goal, local date): the last word about that day.
type Checkin struct {
	ID          string        `json:"id"`
	PactID      PactID        `json:"pactId"` // the pact that the command was sent to
	HabitGoalID GoalID        `json:"habitGoalId"`
	UserID      UserID        `json:"userId"`
	Status      CheckinStatus `json:"status"`
	LocalDate   LocalDate     `json:"localDate"`
	Notes       string        `json:"notes"`
	ProofMedia  []Media       `json:"proofMedia"` // never null in JSON
	CreatedAt   Time          `json:"createdAt"`
	UpdatedAt   Time          `json:"updatedAt"`
}

// StreakUpdate tells what a check-in did to the run of days. See docs/guarantees.md for the rules.
type StreakUpdate struct {
	Before      int  `json:"before"`
	After       int  `json:"after"`
	Longest     int  `json:"longest"`
	IsNewRecord bool `json:"isNewRecord"`
	GraceUsed   int  `json:"graceUsed"`
}

// Streak is a person's streak in one habit, as of their local today.
type Streak struct {
	HabitGoalID GoalID     `json:"habitGoalId"`
	Current     int        `json:"current"`
	Longest     int        `json:"longest"`
	GraceLeft   int        `json:"graceLeft"`
	LastDate    *LocalDate `json:"lastDate"`
}

// CheckinRequest is a validated check-in on its way to the habits-service. Its JSON is the body of POST /checkins in
// the seed's dialect, where ScheduledDate is always present.
type CheckinRequest struct {
	UserID        UserID        `json:"userId"`
	UserName      string        `json:"userName"`
	PactID        PactID        `json:"pactId"`
	HabitGoalID   GoalID        `json:"habitGoalId"` // "" = the pact's habit, before it is resolved
	Status        CheckinStatus `json:"status"`
	Notes         string        `json:"notes"`
	ProofMedia    []Media       `json:"proofMedia"`
	ScheduledDate LocalDate     `json:"scheduledDate"`
	TimeZone      string        `json:"timeZone"`
	OccurredAt    *Time         `json:"occurredAt"` // when it happened, if the sender said (ageMs or occurredAt)

	IdempotencyKey string    `json:"-"`
	ReceivedAt     time.Time `json:"-"` // when the command arrived; "today" and "the future" are measured from it
}

// CheckinResult is what the habits-service made of a check-in.
type CheckinResult struct {
	Checkin        Checkin
	HabitName      string
	PreviousStatus CheckinStatus // "" when this is the first word about the day
	Duplicate      bool          // nothing changed: same status and notes as already stood
	Streak         *StreakUpdate // nil when the service does not say
	Achievements   []string
	Milestones     []Milestone // to be announced now, ascending
	Broken         []Change    // the end of the run before, when a new one began before it was said; told before the check-in
}

// Milestone is a streak length worth a word.
type Milestone struct {
	StreakDays  int
	IsNewRecord bool
}

// CheckinLogged is the data of SERVER:CHECKIN_LOGGED and the body of a check-in's HTTP answer. All keys always.
type CheckinLogged struct {
	Checkin              Checkin       `json:"checkin"`
	StreakUpdate         *StreakUpdate `json:"streakUpdate"`
	AchievementsUnlocked []string      `json:"achievementsUnlocked"` // never null
	Duplicate            bool          `json:"duplicate"`
	ActivityID           *string       `json:"activityId"` // null when nothing changed and none is known
	ActivitySeq          *Seq          `json:"activitySeq"`
}
