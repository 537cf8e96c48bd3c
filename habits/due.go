package habits

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
)

// What happens by itself when its time has come stands in the store as an appointment, one for each thing: the end of a
// person's streak in a habit, the last day of a pact, the end of its invitations. Whoever changes the thing moves its
// appointment in the same transaction, and whoever keeps it takes it away in the transaction of what it does: so each happens
// once, however often processes end and however many there are.

// kinds of appointments; a key is the kind and the ids of what it is about.
const (
	dueStreak  = "streak"
	duePact    = "pact"
	dueInvites = "invites"
)

func dueKey(kind string, ids ...string) string { return kind + " " + strings.Join(ids, " ") }

func streakDue(k seriesKey) string { return dueKey(dueStreak, string(k.user), string(k.goal)) }

// invitesLast is how long nobody's answer is waited for.
const invitesLast = codeLife

// reasonExpired is why a pact, or an invitation, is over whose time has passed.
const reasonExpired = "expired"

// brokenMark is the length under which it is noted that a run's end was said: no milestone has it.
const brokenMark = 0

// breaksOn is the first day on which a run is over if nothing more is completed.
func (s Schedule) breaksOn(r Run) Day {
	d := r.To + 1
	for s.Missed(r.To, d) <= r.Left() {
		d++
	}
	return d
}

// Start is the moment at which a local day begins.
func (z Zone) Start(d Day) time.Time {
	// The day is found by halving: clocks that change, days that begin late and a day that a zone left out need no case.
	before, after := d.midnight().Add(-36*time.Hour).Unix(), d.midnight().Add(60*time.Hour).Unix()
	for after-before > 1 {
		mid := before + (after-before)/2
		if z.Day(time.Unix(mid, 0)) >= d {
			after = mid
		} else {
			before = mid
		}
	}
	return time.Unix(after, 0).UTC()
}

// noDay is a day that nobody completes.
const noDay Day = math.MinInt32

// appoint moves the end of a streak after a change that was made at now, perhaps the completion of the day fresh. The end is
// said of a run that was alive at the end of some day after it was written: one that would be over tonight must have been
// written before today.
func (e *Embedded) appoint(tx Tx, k seriesKey, s Streak, z Zone, now time.Time, fresh Day) error {
	var at time.Time
	if r, ok := s.Latest(); ok {
		today, over := z.Day(now), s.schedule.breaksOn(r)
		alive := over > today+1
		if over == today+1 && r.To != fresh {
			row, known, err := tx.Checkin(k.user, k.goal, r.To.LocalDate())
			if err != nil {
				return fmt.Errorf("read check-in of %s in %s on %s: %w", k.user, k.goal, r.To.LocalDate(), err)
			}
			alive = known && z.Day(row.CreatedAt.Std()) < today
		}
		if alive {
			at = z.Start(over)
		}
	}
	if err := tx.PutDue(streakDue(k), at); err != nil {
		return fmt.Errorf("write the end of the streak of %s in %s: %w", k.user, k.goal, err)
	}
	return nil
}

// move moves the end of a streak to where the person's days end now. One that is over already stays due when it was.
func (e *Embedded) move(tx Tx, k seriesKey, now time.Time) error {
	s, err := e.seriesFor(tx, k)
	if err != nil {
		return err
	}
	z, err := e.zoneFor(tx, pactwire.CheckinRequest{UserID: k.user})
	if err != nil {
		return err
	}
	if r, ok := s.streak.Latest(); !ok || s.streak.schedule.breaksOn(r) <= z.Day(now) {
		return nil
	}
	return e.appoint(tx, k, s.streak, z, now, noDay)
}

// endStreak says that a streak is broken, if it is, in every active pact about it.
func (e *Embedded) endStreak(tx Tx, k seriesKey, now time.Time, quietly bool) ([]pactwire.Change, error) {
	s, err := e.seriesFor(tx, k)
	if err != nil {
		return nil, err
	}
	z, err := e.zoneFor(tx, pactwire.CheckinRequest{UserID: k.user})
	if err != nil {
		return nil, err
	}
	r, ok := s.streak.Latest()
	switch {
	case !ok:
		return nil, nil
	case s.streak.schedule.breaksOn(r) > z.Day(now): // the person has moved since, to where it is earlier
		return nil, e.appoint(tx, k, s.streak, z, now, noDay)
	case quietly:
		return nil, nil
	}
	return e.sayBroken(tx, k, r)
}

// reappoint moves the end of a streak after a check-in has made after of before. A run whose time had come without its end being
// said, because a backlog of check-ins was quicker than the scheduler, is said to be broken before a new run takes its place.
func (e *Embedded) reappoint(tx Tx, k seriesKey, before, after Streak, z Zone, now time.Time, fresh Day) (broken []pactwire.Change, err error) {
	was, some := before.Latest()
	is, _ := after.Latest()
	today := z.Day(now)
	switch {
	case !some || before.schedule.breaksOn(was) > today: // nothing can have been missed
	case is.To == was.To && after.schedule.breaksOn(is) <= today:
		return nil, nil // it is over as it was: the scheduler will come to it, or has been there
	case is.From > was.To:
		at, due, err := tx.DueAt(streakDue(k))
		if err != nil {
			return nil, fmt.Errorf("read the end of the streak of %s in %s: %w", k.user, k.goal, err)
		}
		if due && !at.Before(settleBefore) {
			if broken, err = e.sayBroken(tx, k, was); err != nil {
				return nil, err
			}
		}
	}
	return broken, e.appoint(tx, k, after, z, now, fresh)
}

// sayBroken says that a run is over, unless that was said and the run got no further since.
func (e *Embedded) sayBroken(tx Tx, k seriesKey, r Run) ([]pactwire.Change, error) {
	said, err := tx.Announced(k.user, k.goal)
	if err != nil {
		return nil, fmt.Errorf("read what was announced of %s in %s: %w", k.user, k.goal, err)
	}
	from, to := r.From.LocalDate(), r.To.LocalDate()
	for _, a := range said {
		if a.Days == brokenMark && a.From <= to && a.To >= to {
			return nil, nil
		}
	}
	if err := tx.PutAnnounced(k.user, k.goal, pactwire.AnnouncedMilestone{From: from, To: to, Days: brokenMark}); err != nil {
		return nil, fmt.Errorf("write that the streak of %s in %s is broken: %w", k.user, k.goal, err)
	}
	return e.broken(tx, k, r)
}

func (e *Embedded) broken(tx Tx, k seriesKey, r Run) ([]pactwire.Change, error) {
	pacts, err := tx.ActivePacts(k.user, k.goal)
	if err != nil || len(pacts) == 0 {
		return nil, err
	}
	goal, _, err := tx.Goal(k.goal)
	if err != nil {
		return nil, fmt.Errorf("read goal %s: %w", k.goal, err)
	}
	u, _, err := tx.User(k.user)
	if err != nil {
		return nil, fmt.Errorf("read user %s: %w", k.user, err)
	}
	name := u.UserName
	if name == "" {
		name = string(k.user)
	}
	return []pactwire.Change{{Kind: pactwire.ChangeStreakBroken, User: k.user, UserName: name, Pacts: pacts,
		Broken: &pactwire.BrokenData{HabitGoalID: k.goal, HabitName: goal.Name, StreakDays: r.Length}}}, nil
}

// appointPact moves what will happen to a pact by itself.
func appointPact(tx Tx, p pactwire.Pact, steps []step, now time.Time) error {
	var last, invites time.Time
	if p.Status == pactwire.PactActive && p.EndDate != nil {
		last = p.EndDate.Std()
	}
	asked := p.Status.Ended() // then there is none any more
	for _, st := range steps {
		if st.kind == pactwire.ChangeCreated || st.kind == pactwire.ChangeInvited {
			asked, invites = true, now.Add(invitesLast)
		}
	}
	if err := tx.PutDue(dueKey(duePact, string(p.ID)), last); err != nil {
		return fmt.Errorf("write the last day of pact %s: %w", p.ID, err)
	}
	if !asked {
		return nil
	}
	if p.Status.Ended() {
		invites = time.Time{}
	}
	if err := tx.PutDue(dueKey(dueInvites, string(p.ID)), invites); err != nil {
		return fmt.Errorf("write the end of the invitations to pact %s: %w", p.ID, err)
	}
	return nil
}

// lastDay ends a pact whose time has passed. It is completed when anybody kept the habit in its time, and expired otherwise.
func lastDay(tx Tx, p *pactwire.Pact, now time.Time) ([]step, error) {
	if p.Status != pactwire.PactActive || p.EndDate == nil || p.EndDate.Std().After(now) {
		return nil, nil
	}
	for _, m := range p.Members {
		kept, err := keptHabit(tx, p, m)
		if err != nil {
			return nil, err
		}
		if kept {
			return []step{end(p, pactwire.PactCompleted, pactwire.ChangeCompleted, reasonCompleted, now)}, nil
		}
	}
	return []step{end(p, pactwire.PactExpired, pactwire.ChangeExpired, reasonExpired, now)}, nil
}

// keptHabit reports whether a member completed the habit of a pact on any day in its time.
func keptHabit(tx Tx, p *pactwire.Pact, m pactwire.Member) (bool, error) {
	if m.Status != pactwire.MemberActive || p.StartDate == nil {
		return false, nil
	}
	u, _, err := tx.User(m.UserID)
	if err != nil {
		return false, fmt.Errorf("read user %s: %w", m.UserID, err)
	}
	z, err := zoneOf(u)
	if err != nil {
		return false, err
	}
	dates, err := tx.CompletedDates(m.UserID, p.HabitGoalID)
	if err != nil {
		return false, fmt.Errorf("read completed dates of %s in %s: %w", m.UserID, p.HabitGoalID, err)
	}
	from, to := z.Day(p.StartDate.Std()).LocalDate(), z.Day(p.EndDate.Std()).LocalDate()
	i, _ := slices.BinarySearch(dates, from)
	return i < len(dates) && dates[i] <= to, nil
}

// endInvites ends the invitations that nobody answered, and a pact that never began with them.
func endInvites(_ Tx, p *pactwire.Pact, now time.Time) ([]step, error) {
	if p.Status.Ended() {
		return nil, nil
	}
	var steps []step
	for _, m := range p.Members {
		if m.Status == pactwire.MemberPending {
			steps = append(steps, step{kind: pactwire.ChangeDeclined, member: m.UserID, reason: reasonExpired})
		}
	}
	for _, st := range steps {
		setMember(p, pactwire.Member{UserID: st.member, Status: pactwire.MemberDeclined})
	}
	if p.Status == pactwire.PactPending {
		steps = append(steps, end(p, pactwire.PactExpired, pactwire.ChangeExpired, reasonExpired, now))
	}
	return steps, nil
}
