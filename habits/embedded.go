package habits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/pactwire/pactwire"
)

// EngineOptions are the few things about the engine that someone may want otherwise. The zero value is good.
type EngineOptions struct {
	// NoCache makes the engine read everything from the transaction. It is for databases that several processes write.
	NoCache bool
	// CacheDates bounds the cached completed dates over all people and habits; 0 means 4 million (16 MB).
	CacheDates int
	NewID      func() string // of check-ins; nil means UUIDv7
}

// Bounds of the other caches, in entries.
const (
	cachedZones = 1 << 16
	cachedPacts = 1 << 14
	cachedDates = 4 << 20
)

// Embedded is the engine: it applies check-ins inside a transaction that someone else commits. What it read and wrote it
// remembers, so that a correction of the same day reads nothing. Because that memory includes what is not committed yet,
// it belongs to the one goroutine that runs the transactions, and [Embedded.Forget] must be called when any of them was undone.
type Embedded struct {
	store  Store
	newID  func() string
	zones  *cache[pactwire.UserID, Zone]
	pacts  *cache[pactwire.PactID, pactwire.Pact]
	series *cache[seriesKey, *series]
}

type seriesKey struct {
	user pactwire.UserID
	goal pactwire.GoalID
}

// series is one person's check-ins in one habit: what follows from the completed dates, and the row written last.
type series struct {
	streak Streak
	last   pactwire.Checkin // LocalDate "" when none was seen yet
}

// NewEmbedded makes an engine whose reads outside of transactions go to store.
func NewEmbedded(store Store, o EngineOptions) *Embedded {
	e := &Embedded{store: store, newID: o.NewID}
	if e.newID == nil {
		e.newID = newID
	}
	if !o.NoCache {
		if o.CacheDates == 0 {
			o.CacheDates = cachedDates
		}
		e.zones = newCache[pactwire.UserID](cachedZones, func(Zone) int { return 1 })
		e.pacts = newCache[pactwire.PactID](cachedPacts, func(pactwire.Pact) int { return 1 })
		// The row and the bookkeeping of an entry weigh as much as some hundred dates.
		e.series = newCache[seriesKey](o.CacheDates, func(s *series) int { return 128 + len(s.streak.dates) })
	}
	return e
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// Forget drops everything that was remembered. Stores call it when something that was written is undone.
func (e *Embedded) Forget() {
	e.zones.clear()
	e.pacts.clear()
	e.series.clear()
}

// ForgetUser drops what is remembered of a person's profile.
func (e *Embedded) ForgetUser(u pactwire.UserID) { e.zones.drop(u) }

// ForgetPact drops what is remembered of a pact.
func (e *Embedded) ForgetPact(p pactwire.PactID) { e.pacts.drop(p) }

// Pact reads a pact: NotFound when there is none.
func (e *Embedded) Pact(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error) {
	p, ok, err := e.store.ReadPact(ctx, id)
	if err != nil {
		return pactwire.Pact{}, fmt.Errorf("read pact %s: %w", id, err)
	}
	if !ok {
		return pactwire.Pact{}, noSuchPact()
	}
	return p, nil
}

// PactsOf reads the pacts of people, in every status.
func (e *Embedded) PactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	pacts, err := e.store.ReadPactsOf(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read pacts of %d users: %w", len(users), err)
	}
	return pacts, nil
}

// Checkin makes req the last word about its day. It never writes more than the check-in's row, the summary of the streak
// when that changed, and the milestones that are announced.
func (e *Embedded) Checkin(_ context.Context, tx Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	if err := validCheckin(req); err != nil {
		return pactwire.CheckinResult{}, err
	}
	if req.ReceivedAt.IsZero() {
		req.ReceivedAt = time.Now()
	}
	pact, err := e.pactFor(tx, req)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	zone, err := e.zoneFor(tx, req)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	day, err := checkinDay(req, zone)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	key := seriesKey{req.UserID, pact.HabitGoalID}
	s, err := e.seriesFor(tx, key)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	date := day.LocalDate()
	row, known := s.last, s.last.LocalDate == date
	if !known {
		if row, known, err = tx.Checkin(key.user, key.goal, date); err != nil {
			return pactwire.CheckinResult{}, fmt.Errorf("read check-in of %s in %s on %s: %w", key.user, key.goal, date, err)
		}
	}
	res := pactwire.CheckinResult{HabitName: pact.HabitName}
	if known {
		res.PreviousStatus = row.Status
		res.Duplicate = row.Status == req.Status && row.Notes == req.Notes
	}
	sameMedia := len(req.ProofMedia) == 0 || slices.Equal(req.ProofMedia, row.ProofMedia)
	if !res.Duplicate || !sameMedia {
		row = e.rowOf(req, row, known, key.goal, date)
		if err := tx.PutCheckin(row); err != nil {
			return pactwire.CheckinResult{}, fmt.Errorf("write check-in %s: %w", row.ID, err)
		}
	}
	after := s.streak
	if req.Status == pactwire.StatusCompleted {
		after = after.With(day)
	} else {
		after = after.Without(day)
	}
	up, err := e.settle(tx, key, s.streak, after, day, &res)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	if len(after.dates) != len(s.streak.dates) {
		if res.Broken, err = e.reappoint(tx, key, s.streak, after, zone, req.ReceivedAt, day); err != nil {
			return pactwire.CheckinResult{}, err
		}
	}
	res.Streak = &up
	e.series.put(key, &series{streak: after, last: row})
	res.Checkin = row
	res.Checkin.PactID = req.PactID // the answer names the pact that it was sent to
	return res, nil
}

// DeleteCheckin takes a person's own check-in back. The result's check-in has the status deleted.
func (e *Embedded) DeleteCheckin(_ context.Context, tx Tx, u pactwire.UserID, id string, at time.Time) (pactwire.CheckinResult, error) {
	row, ok, err := tx.CheckinByID(id)
	if err != nil {
		return pactwire.CheckinResult{}, fmt.Errorf("read check-in %s: %w", id, err)
	}
	if !ok || row.UserID != u {
		return pactwire.CheckinResult{}, pactwire.Errorf(pactwire.NotFound, "no such check-in")
	}
	day, err := ParseDay(row.LocalDate)
	if err != nil {
		return pactwire.CheckinResult{}, fmt.Errorf("check-in %s: %w", id, err)
	}
	goal, _, err := tx.Goal(row.HabitGoalID)
	if err != nil {
		return pactwire.CheckinResult{}, fmt.Errorf("read goal %s: %w", row.HabitGoalID, err)
	}
	key := seriesKey{u, row.HabitGoalID}
	s, err := e.seriesFor(tx, key)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	if err := tx.DeleteCheckin(id); err != nil {
		return pactwire.CheckinResult{}, fmt.Errorf("delete check-in %s: %w", id, err)
	}
	res := pactwire.CheckinResult{HabitName: goal.Name, PreviousStatus: row.Status}
	after := s.streak.Without(day)
	up, err := e.settle(tx, key, s.streak, after, day, &res)
	if err != nil {
		return pactwire.CheckinResult{}, err
	}
	if len(after.dates) != len(s.streak.dates) {
		zone, err := e.zoneFor(tx, pactwire.CheckinRequest{UserID: u})
		if err != nil {
			return pactwire.CheckinResult{}, err
		}
		if res.Broken, err = e.reappoint(tx, key, s.streak, after, zone, at, noDay); err != nil {
			return pactwire.CheckinResult{}, err
		}
	}
	res.Streak = &up
	e.series.put(key, &series{streak: after})
	row.Status, row.UpdatedAt = pactwire.StatusDeleted, later(at, row.UpdatedAt)
	res.Checkin = row
	return res, nil
}

// settle writes what the step from before to after changed, and finds the milestones to announce: only a day that was
// completed by this very command announces any.
func (e *Embedded) settle(tx Tx, k seriesKey, before, after Streak, d Day, res *pactwire.CheckinResult) (pactwire.StreakUpdate, error) {
	up := Update(before, after, d)
	if len(before.dates) == len(after.dates) { // one date more or less, or the same
		return up, nil
	}
	if row := after.Row(k.goal); row != before.Row(k.goal) {
		if err := tx.PutStreak(k.user, row); err != nil {
			return up, fmt.Errorf("write streak of %s in %s: %w", k.user, k.goal, err)
		}
	}
	if len(after.dates) < len(before.dates) || len(MilestonesBetween(up.Before, up.After)) == 0 {
		return up, nil
	}
	said, err := tx.Announced(k.user, k.goal)
	if err != nil {
		return up, fmt.Errorf("read announced milestones of %s in %s: %w", k.user, k.goal, err)
	}
	res.Milestones = Announcements(before, after, up, said)
	run, _ := after.Latest()
	for _, m := range res.Milestones {
		a := pactwire.AnnouncedMilestone{From: run.From.LocalDate(), To: run.To.LocalDate(), Days: m.StreakDays}
		if err := tx.PutAnnounced(k.user, k.goal, a); err != nil {
			return up, fmt.Errorf("write announced milestone of %s in %s: %w", k.user, k.goal, err)
		}
	}
	return up, nil
}

// rowOf is the row that a request makes of the one that stood, if one did.
func (e *Embedded) rowOf(req pactwire.CheckinRequest, row pactwire.Checkin, known bool, g pactwire.GoalID, date pactwire.LocalDate) pactwire.Checkin {
	at := pactwire.Time(req.ReceivedAt)
	if known {
		at = later(req.ReceivedAt, row.UpdatedAt)
	} else {
		row = pactwire.Checkin{ID: e.newID(), UserID: req.UserID, HabitGoalID: g, LocalDate: date, CreatedAt: at}
	}
	row.PactID, row.Status, row.Notes, row.UpdatedAt = req.PactID, req.Status, req.Notes, at
	row.ProofMedia = slices.Clone(req.ProofMedia)
	if row.ProofMedia == nil {
		row.ProofMedia = []pactwire.Media{}
	}
	return row
}

// later is at, or where that does not come after what a row was written at before, the least time that does: a command may
// be done long after it was received, and by updatedAt others tell which word was the last.
func later(at time.Time, before pactwire.Time) pactwire.Time {
	if least := before.Std().Add(time.Millisecond); at.Before(least) {
		at = least
	}
	return pactwire.Time(at)
}

// pactFor is the pact of a request, when its sender may check in to it.
func (e *Embedded) pactFor(tx Tx, req pactwire.CheckinRequest) (pactwire.Pact, error) {
	p, ok := e.pacts.get(req.PactID)
	if !ok {
		var err error
		if p, ok, err = tx.Pact(req.PactID); err != nil {
			return p, fmt.Errorf("read pact %s: %w", req.PactID, err)
		}
		if !ok {
			return p, notYours()
		}
		e.pacts.put(req.PactID, p)
	}
	if m, ok := p.Member(req.UserID); !ok || m.Status != pactwire.MemberActive {
		return p, notYours()
	}
	if p.Status.Ended() {
		return p, pactwire.Errorf(pactwire.Conflict, "this pact is over (%s)", p.Status)
	}
	if req.HabitGoalID != "" && req.HabitGoalID != p.HabitGoalID {
		return p, pactwire.FieldErrorf("habitGoalId", "this pact is about another habit: leave habitGoalId out or send the pact's")
	}
	return p, nil
}

// zoneFor is the zone of a request: the one that it names, else that of the person's profile.
func (e *Embedded) zoneFor(tx Tx, req pactwire.CheckinRequest) (Zone, error) {
	z, ok := e.zones.get(req.UserID)
	if !ok {
		u, _, err := tx.User(req.UserID)
		if err != nil {
			return z, fmt.Errorf("read user %s: %w", req.UserID, err)
		}
		if z, err = zoneOf(u); err != nil {
			return z, err
		}
		e.zones.put(req.UserID, z)
	}
	if req.TimeZone == "" {
		return z, nil
	}
	loc, err := location(req.TimeZone)
	if err != nil {
		return z, err
	}
	z.loc = loc
	return z, nil
}

// zoneOf is the zone of a profile. A name that this build does not know any more counts as UTC: a stored profile must not
// keep its owner from checking in.
func zoneOf(u pactwire.User) (Zone, error) {
	z, err := NewZone(u.TimeZone, u.DayStartsAt)
	if err != nil {
		return NewZone("", "")
	}
	return z, nil
}

func (e *Embedded) seriesFor(tx Tx, k seriesKey) (*series, error) {
	if s, ok := e.series.get(k); ok {
		return s, nil
	}
	goal, _, err := tx.Goal(k.goal)
	if err != nil {
		return nil, fmt.Errorf("read goal %s: %w", k.goal, err)
	}
	dates, err := tx.CompletedDates(k.user, k.goal)
	if err != nil {
		return nil, fmt.Errorf("read completed dates of %s in %s: %w", k.user, k.goal, err)
	}
	days := make([]Day, 0, len(dates))
	for _, d := range dates {
		day, err := ParseDay(d)
		if err != nil {
			return nil, fmt.Errorf("completed date %q of %s in %s: %w", d, k.user, k.goal, err)
		}
		days = append(days, day)
	}
	return &series{streak: Summarize(ScheduleOf(goal), days)}, nil
}

func notYours() error {
	return pactwire.Errorf(pactwire.Denied, "you are not a member of this pact")
}

func noSuchPact() error {
	return pactwire.Errorf(pactwire.NotFound, "no such pact")
}
