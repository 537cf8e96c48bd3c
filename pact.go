package pactwire

import (
	"slices"
	"time"
)

// PactStatus is where a pact is in its life.
type PactStatus string

// The statuses of a pact.
const (
	PactPending   PactStatus = "pending"
	PactActive    PactStatus = "active"
	PactCompleted PactStatus = "completed"
	PactAbandoned PactStatus = "abandoned"
	PactExpired   PactStatus = "expired"
)

// Ended reports whether the pact is over.
func (s PactStatus) Ended() bool {
	return s == PactCompleted || s == PactAbandoned || s == PactExpired
}

// MemberStatus is where a person stands in a pact.
type MemberStatus string

// The statuses of a member. Only MemberActive gives permission; a member of a completed pact stays active in it.
const (
	MemberPending  MemberStatus = "pending" // invited
	MemberActive   MemberStatus = "active"
	MemberDeclined MemberStatus = "declined"
	MemberLeft     MemberStatus = "left"
	MemberRemoved  MemberStatus = "removed"
)

// MemberRole is creator or partner.
type MemberRole string

// The roles in a pact.
const (
	RoleCreator MemberRole = "creator"
	RolePartner MemberRole = "partner"
)

// Size of a pact, and how long members of an ended one may still read it.
const (
	MinMembers         = 2
	MaxMembers         = 6
	ReadAfterEnd       = 30 * 24 * time.Hour
	MaxNotes           = 500  // code points of a check-in's notes
	MaxMessage         = 2000 // code points of a pact chat message
	MaxProofMedia      = 4
	MaxBatch           = 200
	MaxCommandIDLength = 64
)

// Member is one person in a pact.
type Member struct {
	UserID   UserID       `json:"userId"`
	UserName string       `json:"userName"`
	Role     MemberRole   `json:"role"`
	Status   MemberStatus `json:"status"`
	JoinedAt *Time        `json:"joinedAt,omitempty"`
	// JoinedSeq is where the member\'s own partner_joined stands in the activity; 0 when there is none or it is not known.
	JoinedSeq Seq `json:"-"`
}

// Pact is a promise between two to six people to keep one habit. Values are treated as immutable once shared.
type Pact struct {
	ID            PactID     `json:"id"`
	Status        PactStatus `json:"status"`
	PactType      string     `json:"pactType,omitempty"`
	HabitGoalID   GoalID     `json:"habitGoalId"`
	HabitName     string     `json:"habitName,omitempty"`
	HabitEmoji    string     `json:"habitEmoji,omitempty"`
	CreatorUserID UserID     `json:"creatorUserId"`
	HeadSeq       Seq        `json:"headSeq"`
	DurationDays  int        `json:"durationDays,omitempty"`
	StartDate     *Time      `json:"startDate"`
	EndDate       *Time      `json:"endDate"`
	EndedAt       *Time      `json:"endedAt,omitempty"`
	EndReason     string     `json:"endReason,omitempty"`
	CreatedAt     Time       `json:"createdAt"`
	Members       []Member   `json:"members"`
}

// Member returns the row of u, and whether there is one.
func (p *Pact) Member(u UserID) (Member, bool) {
	i := slices.IndexFunc(p.Members, func(m Member) bool { return m.UserID == u })
	if i < 0 {
		return Member{}, false
	}
	return p.Members[i], true
}

// CanRead reports whether u may read the pact at now: an active member, until 30 days after the end.
func (p *Pact) CanRead(u UserID, now time.Time) bool {
	m, ok := p.Member(u)
	if !ok || m.Status != MemberActive {
		return false
	}
	return !p.Status.Ended() || p.EndedAt == nil || now.Sub(p.EndedAt.Std()) < ReadAfterEnd
}

// Active counts the active members.
func (p *Pact) Active() int {
	n := 0
	for _, m := range p.Members {
		if m.Status == MemberActive {
			n++
		}
	}
	return n
}

// Goal is a habit that someone wants to keep.
type Goal struct {
	ID               GoalID `json:"id"`
	Name             string `json:"name"`
	Emoji            string `json:"emoji,omitempty"`
	Description      string `json:"description,omitempty"`
	FrequencyType    string `json:"frequencyType"`
	FrequencyCount   int    `json:"frequencyCount"`
	TargetDaysOfWeek []int  `json:"targetDaysOfWeek,omitempty"`
	CreatedByUserID  UserID `json:"createdByUserId"`
	CreatedAt        Time   `json:"createdAt"`
}

// GoalInput is the body of POST /v1/goals.
type GoalInput struct {
	Name             string `json:"name"`
	Emoji            string `json:"emoji,omitempty"`
	Description      string `json:"description,omitempty"`
	FrequencyType    string `json:"frequencyType,omitempty"`
	FrequencyCount   int    `json:"frequencyCount,omitempty"`
	TargetDaysOfWeek []int  `json:"targetDaysOfWeek,omitempty"`
}

// PactInput is the body of POST /v1/pacts.
type PactInput struct {
	HabitGoalID    GoalID   `json:"habitGoalId"`
	PartnerUserIDs []UserID `json:"partnerUserIds,omitempty"`
	DurationDays   int      `json:"durationDays,omitempty"`
	PactType       string   `json:"pactType,omitempty"`
}

// Invitation is a claim code that lets its bearer into a pact.
type Invitation struct {
	Code      string `json:"code"` // PACT-…
	ExpiresAt Time   `json:"expiresAt"`
}

// PactAction is a step in a pact's life that a member takes for themself: POST /v1/pacts/{id}/{action}.
type PactAction string

// The actions.
const (
	ActAccept   PactAction = "accept"
	ActDecline  PactAction = "decline"
	ActLeave    PactAction = "leave"
	ActAbandon  PactAction = "abandon"
	ActComplete PactAction = "complete"
)

// User is what is known of a person. It exists from the first valid token, or as a stub when invited.
type User struct {
	ID          UserID       `json:"id"`
	UserName    string       `json:"userName"`
	TimeZone    string       `json:"timeZone"`    // IANA name
	DayStartsAt string       `json:"dayStartsAt"` // HH:MM, at most 12:00: until then it is still yesterday
	QuietHours  *QuietHours  `json:"quietHours"`
	Locale      string       `json:"locale"`
	Push        PushSettings `json:"push"`

	LastSeenVisibility LastSeenVisibility `json:"lastSeenVisibility"`
}

// QuietHours are local times, HH:MM, between which no push is sent.
type QuietHours struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// UserPatch is the body of PATCH /v1/me; nil leaves a field as it is.
type UserPatch struct {
	TimeZone    *string     `json:"timeZone,omitempty"`
	DayStartsAt *string     `json:"dayStartsAt,omitempty"`
	QuietHours  *QuietHours `json:"quietHours,omitempty"`
	Locale      *string     `json:"locale,omitempty"`
	Push        *PushPatch  `json:"push,omitempty"`

	LastSeenVisibility *LastSeenVisibility `json:"lastSeenVisibility,omitempty"`
}

// Change is something that happened in a pact's life, as the habits-service reports it. The bridge writes it to the log
// as the activity of the same meaning and tells those concerned.
type Change struct {
	Kind       ChangeKind
	Pact       Pact   // after the change
	User       UserID // who caused it
	UserName   string
	Member     UserID // whom it is about; for ChangeJoined, ChangeLeft, ChangeInvited
	MemberName string
	Reason     string // for ChangeLeft and the ends

	// Of ChangeStreakBroken, which is about a habit: the active pacts that share it, and what broke. Pact is empty.
	Pacts  []PactID
	Broken *BrokenData
}

// ChangeKind names a Change.
type ChangeKind string

// The kinds of changes. ChangeCreated and ChangeInvited write no activity.
const (
	ChangeCreated   ChangeKind = "created"
	ChangeInvited   ChangeKind = "invited"
	ChangeDeclined  ChangeKind = "declined"
	ChangeJoined    ChangeKind = "joined"
	ChangeStarted   ChangeKind = "started"
	ChangeLeft      ChangeKind = "left"
	ChangeCompleted ChangeKind = "completed"
	ChangeAbandoned ChangeKind = "abandoned"
	ChangeExpired   ChangeKind = "expired"

	ChangeStreakBroken ChangeKind = "streak_broken"
)

// SeenPact is what a store knew of a pact of a remote habits-service, and which revision of it it knows now. Revisions ascend
// with each state that differs from the one before; 0 = the pact was never seen.
type SeenPact struct {
	Before   Pact
	Was, Now uint64
}
