package habits

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
)

// Executor runs fn in a transaction and, when it is committed, makes the changes known to those concerned. fn may run more
// than once. Its errors, and those of the database, come back from Do.
type Executor interface {
	Do(ctx context.Context, fn func(Tx) ([]pactwire.Change, error)) error
}

// ServiceOptions are for tests. The zero value is what a process uses.
type ServiceOptions struct {
	Now     func() time.Time // nil means time.Now
	NewID   func() string    // of goals and pacts; nil means UUIDv7
	NewCode func() string    // claim codes; nil means random ones
}

// Service is what people do besides checking in: goals, the life of pacts, profiles, streaks. Every change runs inside a
// transaction of the executor, one after the other; reads see what is committed.
type Service struct {
	exec    Executor
	store   Store
	engine  *Embedded
	now     func() time.Time
	newID   func() string
	newCode func() string
}

// NewService makes a service whose changes are seen by engine at once.
func NewService(exec Executor, store Store, engine *Embedded, o ServiceOptions) *Service {
	s := &Service{exec: exec, store: store, engine: engine, now: o.Now, newID: o.NewID, newCode: o.NewCode}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = newID
	}
	if s.newCode == nil {
		s.newCode = newCode
	}
	return s
}

// CreateGoal stores a habit that id's bearer wants to keep.
func (s *Service) CreateGoal(ctx context.Context, id pactwire.Identity, in pactwire.GoalInput) (pactwire.Goal, error) {
	g, err := newGoal(in)
	if err != nil {
		return pactwire.Goal{}, err
	}
	g.ID, g.CreatedByUserID, g.CreatedAt = pactwire.GoalID(s.newID()), id.UserID, pactwire.Time(s.now())
	err = s.exec.Do(ctx, func(tx Tx) ([]pactwire.Change, error) {
		if err := ensureUser(tx, id.UserID, id.UserName); err != nil {
			return nil, err
		}
		if err := tx.PutGoal(g); err != nil {
			return nil, fmt.Errorf("write goal %s: %w", g.ID, err)
		}
		return nil, nil
	})
	if err != nil {
		return pactwire.Goal{}, err
	}
	return g, nil
}

// newGoal checks a goal and fills in what was left out.
func newGoal(in pactwire.GoalInput) (pactwire.Goal, error) {
	g := pactwire.Goal{
		Name: strings.TrimSpace(in.Name), Emoji: in.Emoji, Description: in.Description,
		FrequencyType: in.FrequencyType, FrequencyCount: in.FrequencyCount,
	}
	switch {
	case g.Name == "" || !text(g.Name, maxName):
		return g, pactwire.FieldErrorf("name", "a habit needs a name of at most 255 characters")
	case !text(g.Emoji, maxEmoji):
		return g, pactwire.FieldErrorf("emoji", "emoji is at most 10 characters")
	case !text(g.Description, 2000):
		return g, pactwire.FieldErrorf("description", "a description has at most 2000 characters")
	}
	switch g.FrequencyType {
	case "":
		g.FrequencyType = frequencyDaily
	case frequencyDaily, frequencyWeekly, frequencyCustom:
	default:
		return g, pactwire.FieldErrorf("frequencyType", "frequencyType is daily, weekly or custom")
	}
	if g.FrequencyCount == 0 {
		g.FrequencyCount = 1
	}
	if g.FrequencyCount < 1 || g.FrequencyCount > 100 {
		return g, pactwire.FieldErrorf("frequencyCount", "frequencyCount is 1 to 100")
	}
	g.TargetDaysOfWeek = slices.Clone(in.TargetDaysOfWeek)
	slices.Sort(g.TargetDaysOfWeek)
	g.TargetDaysOfWeek = slices.Compact(g.TargetDaysOfWeek)
	for _, d := range g.TargetDaysOfWeek {
		if d < 0 || d > 6 {
			return g, pactwire.FieldErrorf("targetDaysOfWeek", "days of the week are 0 (Sunday) to 6")
		}
	}
	if g.FrequencyType == frequencyCustom && len(g.TargetDaysOfWeek) == 0 {
		return g, pactwire.FieldErrorf("targetDaysOfWeek", "a custom frequency names its days: 0 (Sunday) to 6")
	}
	return g, nil
}

// Goals lists a person's own habits and those of their pacts.
func (s *Service) Goals(ctx context.Context, id pactwire.Identity) ([]pactwire.Goal, error) {
	gs, err := s.store.ReadGoals(ctx, id.UserID)
	if err != nil {
		return nil, fmt.Errorf("read goals of %s: %w", id.UserID, err)
	}
	return gs, nil
}

// Streaks tells a person's streaks as of their local today.
func (s *Service) Streaks(ctx context.Context, id pactwire.Identity) ([]pactwire.Streak, error) {
	rows, err := s.store.ReadStreaks(ctx, id.UserID)
	if err != nil {
		return nil, fmt.Errorf("read streaks of %s: %w", id.UserID, err)
	}
	out := make([]pactwire.Streak, 0, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	u, _, err := s.store.ReadUser(ctx, id.UserID)
	if err != nil {
		return nil, fmt.Errorf("read user %s: %w", id.UserID, err)
	}
	ids := make([]pactwire.GoalID, len(rows))
	for i := range rows {
		ids[i] = rows[i].GoalID
	}
	goals, err := s.store.ReadGoalsByID(ctx, ids) // also of pacts that the person has left
	if err != nil {
		return nil, fmt.Errorf("read goals of %s: %w", id.UserID, err)
	}
	zone, err := zoneOf(u)
	if err != nil {
		return nil, err
	}
	today := zone.Day(s.now())
	for _, row := range rows {
		out = append(out, StreakOn(row, ScheduleOf(goals[row.GoalID]), today))
	}
	return out, nil
}

// MemberStreaks tells the streaks of several people in one habit, each as of their own local today. Who has none is missing.
func (s *Service) MemberStreaks(ctx context.Context, g pactwire.GoalID, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Streak, error) {
	rows, err := s.store.ReadStreaksOf(ctx, g, users)
	if err != nil {
		return nil, fmt.Errorf("read streaks in %s: %w", g, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	goals, err := s.store.ReadGoalsByID(ctx, []pactwire.GoalID{g})
	if err != nil {
		return nil, fmt.Errorf("read goal %s: %w", g, err)
	}
	schedule := ScheduleOf(goals[g])
	out := make(map[pactwire.UserID]pactwire.Streak, len(rows))
	now := s.now()
	for u, row := range rows {
		user, _, err := s.store.ReadUser(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("read user %s: %w", u, err)
		}
		zone, err := zoneOf(user)
		if err != nil {
			return nil, err
		}
		out[u] = StreakOn(row, schedule, zone.Day(now))
	}
	return out, nil
}

// Profile is what is known of id's bearer; everybody has one.
func (s *Service) Profile(ctx context.Context, id pactwire.Identity) (pactwire.User, error) {
	u, _, err := s.store.ReadUser(ctx, id.UserID)
	if err != nil {
		return u, fmt.Errorf("read user %s: %w", id.UserID, err)
	}
	return fillUser(u, id), nil
}

// fillUser gives a profile its defaults, and the name that the token says.
func fillUser(u pactwire.User, id pactwire.Identity) pactwire.User {
	u.ID = id.UserID
	if id.UserName != "" {
		u.UserName = id.UserName
	}
	if u.TimeZone == "" {
		u.TimeZone = DefaultZone
	}
	if u.DayStartsAt == "" {
		u.DayStartsAt = "00:00"
	}
	if u.LastSeenVisibility == "" {
		u.LastSeenVisibility = pactwire.LastSeenExact
	}
	return u
}

var localePattern = regexp.MustCompile(`^[A-Za-z0-9]{1,8}([-_][A-Za-z0-9]{1,8}){0,4}$`)

// UpdateProfile changes what the patch names. Dates of check-ins already written stay as they are.
func (s *Service) UpdateProfile(ctx context.Context, id pactwire.Identity, in pactwire.UserPatch) (pactwire.User, error) {
	if err := validPatch(in); err != nil {
		return pactwire.User{}, err
	}
	var kept []pactwire.StreakRow // whose ends move with the days
	if s.engine != nil && (in.TimeZone != nil || in.DayStartsAt != nil) {
		var err error
		if kept, err = s.store.ReadStreaks(ctx, id.UserID); err != nil {
			return pactwire.User{}, fmt.Errorf("read streaks of %s: %w", id.UserID, err)
		}
	}
	var out pactwire.User
	err := s.exec.Do(ctx, func(tx Tx) ([]pactwire.Change, error) {
		u, _, err := tx.User(id.UserID)
		if err != nil {
			return nil, fmt.Errorf("read user %s: %w", id.UserID, err)
		}
		out = patch(fillUser(u, id), in)
		if err := tx.PutUser(out); err != nil {
			return nil, fmt.Errorf("write user %s: %w", id.UserID, err)
		}
		if s.engine != nil { // profiles alone are kept beside a remote habits-service
			s.engine.ForgetUser(id.UserID)
		}
		for _, row := range kept {
			if err := s.engine.move(tx, seriesKey{id.UserID, row.GoalID}, s.now()); err != nil {
				return nil, err
			}
		}
		return nil, notify(tx, hookUserUpdated, map[string]any{"userId": id.UserID})
	})
	if err != nil {
		return pactwire.User{}, err
	}
	return out, nil
}

func validPatch(in pactwire.UserPatch) error {
	if in.TimeZone != nil {
		if *in.TimeZone == "" {
			return pactwire.FieldErrorf("timeZone", "name an IANA time zone such as Europe/Berlin")
		}
		if _, err := NewZone(*in.TimeZone, ""); err != nil {
			return err
		}
	}
	if in.DayStartsAt != nil {
		if *in.DayStartsAt == "" {
			return pactwire.FieldErrorf("dayStartsAt", "write dayStartsAt as HH:MM, at most 12:00")
		}
		if _, err := NewZone("", *in.DayStartsAt); err != nil {
			return err
		}
	}
	if q := in.QuietHours; q != nil && *q != (pactwire.QuietHours{}) {
		if _, ok := parseClock(q.From); !ok {
			return pactwire.FieldErrorf("quietHours.from", "write quietHours.from as HH:MM")
		}
		if _, ok := parseClock(q.To); !ok {
			return pactwire.FieldErrorf("quietHours.to", "write quietHours.to as HH:MM")
		}
	}
	if in.Locale != nil && *in.Locale != "" && !localePattern.MatchString(*in.Locale) {
		return pactwire.FieldErrorf("locale", "locale is a language tag such as en-US")
	}
	if v := in.LastSeenVisibility; v != nil {
		switch *v {
		case pactwire.LastSeenExact, pactwire.LastSeenRounded, pactwire.LastSeenHidden:
		default:
			return pactwire.FieldErrorf("lastSeenVisibility", "lastSeenVisibility is exact, rounded or hidden")
		}
	}
	return validPush(in.Push)
}

// maxMuted bounds the pacts that one person mutes.
const maxMuted = 200

func validPush(in *pactwire.PushPatch) error {
	if in == nil {
		return nil
	}
	if in.Off != nil {
		for _, k := range *in.Off {
			if !slices.Contains(pactwire.PushKinds(), k) {
				return pactwire.FieldErrorf("push.off", "name kinds of pushes: celebration, encouragement, checkin, milestone, message, invitation")
			}
		}
	}
	if in.MutedPacts != nil {
		if len(*in.MutedPacts) > maxMuted {
			return pactwire.FieldErrorf("push.mutedPacts", "at most %d pacts can be muted", maxMuted)
		}
		for _, p := range *in.MutedPacts {
			if !pactwire.ValidID(p) {
				return pactwire.FieldErrorf("push.mutedPacts", "name pacts by their ids")
			}
		}
	}
	return nil
}

// patch applies a valid patch. Quiet hours without from and to are none.
func patch(u pactwire.User, in pactwire.UserPatch) pactwire.User {
	if in.TimeZone != nil {
		u.TimeZone = *in.TimeZone
	}
	if in.DayStartsAt != nil {
		u.DayStartsAt = *in.DayStartsAt
	}
	if in.Locale != nil {
		u.Locale = *in.Locale
	}
	if in.QuietHours != nil {
		u.QuietHours = nil
		if *in.QuietHours != (pactwire.QuietHours{}) {
			q := *in.QuietHours
			u.QuietHours = &q
		}
	}
	if in.LastSeenVisibility != nil {
		u.LastSeenVisibility = *in.LastSeenVisibility
	}
	if p := in.Push; p != nil {
		if p.Off != nil {
			u.Push.Off = unique(*p.Off)
		}
		if p.MutedPacts != nil {
			u.Push.MutedPacts = unique(*p.MutedPacts)
		}
	}
	return u
}

// unique is a list without repetitions, sorted; nil when it is empty.
func unique[T ~string](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// DeleteCheckin takes a check-in of id's bearer back. On a [Host] the serving node is told by webhook. Where the bridge
// keeps the log in the same database it calls [Embedded.DeleteCheckin] itself, so that the correction is in the log.
func (s *Service) DeleteCheckin(ctx context.Context, id pactwire.Identity, checkin string) (pactwire.CheckinResult, error) {
	var out pactwire.CheckinResult
	err := s.exec.Do(ctx, func(tx Tx) ([]pactwire.Change, error) {
		res, err := s.engine.DeleteCheckin(ctx, tx, id.UserID, checkin, s.now())
		if err != nil {
			return nil, err
		}
		out = res
		return nil, notify(tx, hookCheckinDeleted, answerOf(res))
	})
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	return out, nil
}

// ensureUser makes the person a row when there is none, and refreshes the name when one is given.
func ensureUser(tx Tx, u pactwire.UserID, name string) error {
	have, ok, err := tx.User(u)
	if err != nil {
		return fmt.Errorf("read user %s: %w", u, err)
	}
	if ok && (name == "" || have.UserName == name) {
		return nil
	}
	have.ID = u
	if name != "" {
		have.UserName = name
	}
	if !ok {
		have.TimeZone, have.DayStartsAt = DefaultZone, "00:00"
	}
	if err := tx.PutUser(have); err != nil {
		return fmt.Errorf("write user %s: %w", u, err)
	}
	return nil
}

// codeAlphabet has no digits and letters that are taken for each other: 32 are left, so that a random byte gives each as often.
const codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

const codePrefix = "PACT-"

// newCode is a claim code with 8 random characters, 40 bits.
func newCode() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = codeAlphabet[int(b[i])%len(codeAlphabet)]
	}
	return codePrefix + string(b[:])
}
