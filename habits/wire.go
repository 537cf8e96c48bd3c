package habits

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// The seed's dialect: what stands in bodies between us and a habits-service over HTTP. We write it strictly and read it
// tolerantly, since services of several makes speak it.

// receivedHeader tells our own habits-service when the command arrived: "today" is measured from it, also when the call is
// a late attempt. Who sends it records the outcome itself, so no webhook follows.
const receivedHeader = "Pactwire-Received-At"

// checkinAnswer is the body of an answered POST /checkins, and the data of checkin.upserted and checkin.deleted.
type checkinAnswer struct {
	ID                   string                 `json:"id"`
	UserID               pactwire.UserID        `json:"userId"`
	PactID               pactwire.PactID        `json:"pactId"`
	HabitGoalID          pactwire.GoalID        `json:"habitGoalId"`
	Status               pactwire.CheckinStatus `json:"status"`
	PreviousStatus       pactwire.CheckinStatus `json:"previousStatus,omitempty"`
	Duplicate            bool                   `json:"duplicate"`
	ScheduledDate        pactwire.LocalDate     `json:"scheduledDate"`
	Notes                string                 `json:"notes"`
	ProofMedia           []pactwire.Media       `json:"proofMedia"`
	CreatedAt            pactwire.Time          `json:"createdAt"`
	UpdatedAt            pactwire.Time          `json:"updatedAt"`
	HabitGoal            habitGoal              `json:"habitGoal"`
	StreakUpdate         *pactwire.StreakUpdate `json:"streakUpdate"`
	AchievementsUnlocked []string               `json:"achievementsUnlocked"`
}

type habitGoal struct {
	ID   pactwire.GoalID `json:"id"`
	Name string          `json:"name"`
}

// answerOf is a result as the dialect writes it.
func answerOf(r pactwire.CheckinResult) checkinAnswer {
	c := r.Checkin
	a := checkinAnswer{
		ID: c.ID, UserID: c.UserID, PactID: c.PactID, HabitGoalID: c.HabitGoalID, Status: c.Status,
		PreviousStatus: r.PreviousStatus, Duplicate: r.Duplicate, ScheduledDate: c.LocalDate, Notes: c.Notes,
		ProofMedia: c.ProofMedia, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		HabitGoal: habitGoal{c.HabitGoalID, r.HabitName}, StreakUpdate: r.Streak, AchievementsUnlocked: r.Achievements,
	}
	if a.ProofMedia == nil {
		a.ProofMedia = []pactwire.Media{}
	}
	if a.AchievementsUnlocked == nil {
		a.AchievementsUnlocked = []string{}
	}
	return a
}

// checkinReply is the same as we read it: every part may be missing, or of a shape of its own.
type checkinReply struct {
	ID                   looseText                     `json:"id"`
	HabitGoalID          looseText                     `json:"habitGoalId"`
	Status               looseText                     `json:"status"`
	PreviousStatus       looseText                     `json:"previousStatus"`
	Duplicate            loose[bool]                   `json:"duplicate"`
	ScheduledDate        looseText                     `json:"scheduledDate"`
	Notes                looseText                     `json:"notes"`
	ProofMedia           loose[[]pactwire.Media]       `json:"proofMedia"`
	CreatedAt            looseTime                     `json:"createdAt"`
	UpdatedAt            looseTime                     `json:"updatedAt"`
	HabitGoal            loose[goalReply]              `json:"habitGoal"`
	StreakUpdate         loose[*pactwire.StreakUpdate] `json:"streakUpdate"`
	AchievementsUnlocked loose[[]json.RawMessage]      `json:"achievementsUnlocked"`
}

// goalReply is a habit as we read it.
type goalReply struct {
	ID    looseText `json:"id"`
	Name  looseText `json:"name"`
	Emoji looseText `json:"emoji"`
}

// result reads the reply to req. What the reply does not say is as it was asked for.
func (r checkinReply) result(req pactwire.CheckinRequest) pactwire.CheckinResult {
	c := pactwire.Checkin{
		ID: string(r.ID), PactID: req.PactID, UserID: req.UserID, HabitGoalID: pactwire.GoalID(r.HabitGoalID), Status: pactwire.CheckinStatus(r.Status),
		LocalDate: req.ScheduledDate, Notes: req.Notes, ProofMedia: r.ProofMedia.v,
		CreatedAt: r.CreatedAt.or(req.ReceivedAt), UpdatedAt: r.UpdatedAt.or(req.ReceivedAt),
	}
	if c.ID == "" {
		c.ID = req.IdempotencyKey
	}
	if !pactwire.ValidID(c.HabitGoalID) {
		c.HabitGoalID = req.HabitGoalID
	}
	switch c.Status {
	case pactwire.StatusCompleted, pactwire.StatusPartial, pactwire.StatusSkipped:
	default:
		c.Status = req.Status
	}
	if d, err := ParseDay(pactwire.LocalDate(r.ScheduledDate)); err == nil {
		c.LocalDate = d.LocalDate()
	}
	if r.Notes != "" && text(string(r.Notes), pactwire.MaxNotes) {
		c.Notes = string(r.Notes)
	}
	if c.ProofMedia == nil {
		c.ProofMedia = req.ProofMedia
	}
	if c.ProofMedia == nil {
		c.ProofMedia = []pactwire.Media{}
	}
	res := pactwire.CheckinResult{
		Checkin: c, PreviousStatus: pactwire.CheckinStatus(r.PreviousStatus), Duplicate: r.Duplicate.v, Streak: r.StreakUpdate.v,
		Achievements: achievements(r.AchievementsUnlocked.v), Milestones: remoteMilestones(r.StreakUpdate.v),
		HabitName: clip(r.HabitGoal.v.Name, maxName),
	}
	return res
}

// remoteMilestones are what a streak update of a service, which announces none itself, makes worth saying: a new record, or
// a step onto a milestone. That it is said once is for the caller to see to.
func remoteMilestones(u *pactwire.StreakUpdate) []pactwire.Milestone {
	if u == nil || u.After < 1 || !u.IsNewRecord && (u.After <= u.Before || !IsMilestone(u.After)) {
		return nil
	}
	return []pactwire.Milestone{{StreakDays: u.After, IsNewRecord: u.IsNewRecord}}
}

// achievements reads a list of names, or of objects that have one.
func achievements(raw []json.RawMessage) []string {
	var out []string
	for _, b := range raw {
		var name looseText
		if _ = name.UnmarshalJSON(b); name == "" { // what is no text leaves it empty
			var obj struct {
				Name, Type, ID looseText
			}
			if json.Unmarshal(b, &obj) == nil {
				name = cmp.Or(obj.Name, obj.Type, obj.ID)
			}
		}
		if name != "" {
			out = append(out, string(name))
		}
	}
	return out
}

// pactReply is a pact as we read it.
type pactReply struct {
	ID             looseText        `json:"id"`
	Status         looseText        `json:"status"`
	PactType       looseText        `json:"pactType"`
	HabitGoalID    looseText        `json:"habitGoalId"`
	HabitName      looseText        `json:"habitName"`
	HabitGoalName  looseText        `json:"habitGoalName"`
	HabitEmoji     looseText        `json:"habitEmoji"`
	HabitGoalEmoji looseText        `json:"habitGoalEmoji"`
	CreatorUserID  looseText        `json:"creatorUserId"`
	PartnerUserID  looseText        `json:"partnerUserId"`
	PartnerUserIDs looseTexts       `json:"partnerUserIds"`
	DurationDays   loose[int]       `json:"durationDays"`
	StartDate      looseTime        `json:"startDate"`
	EndDate        looseTime        `json:"endDate"`
	EndedAt        looseTime        `json:"endedAt"`
	EndReason      looseText        `json:"endReason"`
	CreatedAt      looseTime        `json:"createdAt"`
	HabitGoal      loose[goalReply] `json:"habitGoal"`
	Members        []memberReply    `json:"members"`
}

type memberReply struct {
	UserID   looseText `json:"userId"`
	UserName looseText `json:"userName"`
	Role     looseText `json:"role"`
	Status   looseText `json:"status"`
	JoinedAt looseTime `json:"joinedAt"`
}

// pact reads the reply; ok is false when it has no id that could stand in a topic.
func (r pactReply) pact() (p pactwire.Pact, ok bool) {
	g := r.HabitGoal.v
	p = pactwire.Pact{
		ID: pactwire.PactID(r.ID), Status: pactwire.PactStatus(r.Status), PactType: string(r.PactType),
		HabitGoalID: pactwire.GoalID(cmp.Or(r.HabitGoalID, g.ID)), CreatorUserID: pactwire.UserID(r.CreatorUserID),
		HabitName:    clip(cmp.Or(r.HabitName, r.HabitGoalName, g.Name), maxName),
		HabitEmoji:   clip(cmp.Or(r.HabitEmoji, r.HabitGoalEmoji, g.Emoji), maxEmoji),
		DurationDays: r.DurationDays.v, StartDate: r.StartDate.ptr(), EndDate: r.EndDate.ptr(), EndedAt: r.EndedAt.ptr(),
		EndReason: string(r.EndReason), CreatedAt: pactwire.Time(r.CreatedAt),
	}
	if p.Status == "" {
		p.Status = pactwire.PactActive
	}
	if p.Status.Ended() && p.EndedAt == nil {
		p.EndedAt = p.EndDate
	}
	p.Members = r.members(p)
	return p, pactwire.ValidID(p.ID)
}

// members are the rows of the reply or, when it has none, the creator and the partners. In a pact that is still pending the
// latter are only invited. Rows whose user could not stand in a topic are left out: nobody can be that user.
func (r pactReply) members(p pactwire.Pact) []pactwire.Member {
	rows := r.Members
	if len(rows) == 0 {
		invited := looseText(pactwire.MemberActive)
		if p.Status == pactwire.PactPending {
			invited = looseText(pactwire.MemberPending)
		}
		rows = append(rows, memberReply{UserID: r.CreatorUserID})
		for _, u := range append(looseTexts{r.PartnerUserID}, r.PartnerUserIDs...) {
			rows = append(rows, memberReply{UserID: u, Status: invited})
		}
	}
	out := make([]pactwire.Member, 0, len(rows))
	for _, row := range rows {
		m := pactwire.Member{
			UserID: pactwire.UserID(row.UserID), UserName: clip(row.UserName, maxName), Role: pactwire.MemberRole(row.Role),
			Status: pactwire.MemberStatus(row.Status), JoinedAt: row.JoinedAt.ptr(),
		}
		known := func(o pactwire.Member) bool { return o.UserID == m.UserID }
		if !pactwire.ValidID(m.UserID) || slices.ContainsFunc(out, known) {
			continue
		}
		if m.Role == "" {
			m.Role = pactwire.RolePartner
			if m.UserID == p.CreatorUserID {
				m.Role = pactwire.RoleCreator
			}
		}
		// completed is the therr API's word for a member who stayed to the end.
		if m.Status == "" || m.Status == "completed" {
			m.Status = pactwire.MemberActive
		}
		out = append(out, m)
	}
	return out
}

// What of other services' texts is carried on, in code points.
const (
	maxName  = 255
	maxEmoji = 10
)

func clip(s looseText, most int) string {
	n := 0
	for i := range string(s) {
		if n++; n > most {
			return string(s[:i])
		}
	}
	return string(s)
}

// listReply is an array, or an object with one in items.
type listReply[T any] []T

func (l *listReply[T]) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var obj struct {
		Items []T `json:"items"`
	}
	err := json.Unmarshal(b, &obj)
	*l = obj.Items
	return err
}

// pageReply is a listReply that may say that there is more.
type pageReply[T any] struct {
	items listReply[T]
	more  bool
}

func (p *pageReply[T]) UnmarshalJSON(b []byte) error {
	var obj struct {
		HasMore loose[bool] `json:"hasMore"`
	}
	p.more = json.Unmarshal(b, &obj) == nil && obj.HasMore.v
	return p.items.UnmarshalJSON(b)
}

// loose reads a T, and anything else as the zero T.
type loose[T any] struct{ v T }

func (l *loose[T]) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &l.v) != nil {
		var zero T
		l.v = zero
	}
	return nil
}

// looseText reads a string, or a number as its digits. Anything else is "".
type looseText string

func (s *looseText) UnmarshalJSON(b []byte) error {
	*s = ""
	switch b = bytes.TrimSpace(b); {
	case len(b) == 0:
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(s))
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		*s = looseText(b)
	}
	return nil
}

// looseTexts reads a list of them; anything else is none.
type looseTexts []looseText

func (s *looseTexts) UnmarshalJSON(b []byte) error {
	*s = nil
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]looseText)(s))
	}
	return nil
}

// looseTime reads the ways in which services write times; what it cannot read is the zero time.
type looseTime time.Time

func (t *looseTime) UnmarshalJSON(b []byte) error {
	*t = looseTime{}
	var s looseText
	if err := s.UnmarshalJSON(b); err != nil || s == "" {
		return nil //nolint:nilerr // an unreadable time is none
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04:05Z07:00"} {
		if at, err := time.Parse(layout, string(s)); err == nil {
			*t = looseTime(at.UTC())
			return nil
		}
	}
	return nil
}

func (t looseTime) ptr() *pactwire.Time {
	if time.Time(t).IsZero() {
		return nil
	}
	at := pactwire.Time(t)
	return &at
}

func (t looseTime) or(at time.Time) pactwire.Time {
	if time.Time(t).IsZero() {
		return pactwire.Time(at)
	}
	return pactwire.Time(t)
}
