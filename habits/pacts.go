package habits

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
)

const (
	defaultDuration = 30
	maxInvited      = pactwire.MaxMembers - 1
	codeLife        = 14 * 24 * time.Hour
	codeAttempts    = 5
)

// Why a member is gone, or a pact over.
const (
	reasonLeft             = "left"
	reasonRemoved          = "removed"
	reasonCompleted        = "completed"
	reasonAbandonedCreator = "abandoned_creator"
	reasonAbandonedPartner = "abandoned_partner"
)

// CreatePact makes a pact of which the creator is an active member and the partners are invited.
func (s *Service) CreatePact(ctx context.Context, id pactwire.Identity, in pactwire.PactInput) (pactwire.Pact, error) {
	if in.DurationDays == 0 {
		in.DurationDays = defaultDuration
	}
	if in.PactType == "" {
		in.PactType = "accountability"
	}
	switch {
	case !pactwire.ValidID(in.HabitGoalID):
		return pactwire.Pact{}, pactwire.FieldErrorf("habitGoalId", "name the habit: habitGoalId is the id of a goal")
	case !slices.Contains([]int{7, 14, 30, 60, 90}, in.DurationDays):
		return pactwire.Pact{}, pactwire.FieldErrorf("durationDays", "a pact lasts 7, 14, 30, 60 or 90 days")
	case !slices.Contains([]string{"accountability", "challenge", "support"}, in.PactType):
		return pactwire.Pact{}, pactwire.FieldErrorf("pactType", "pactType is accountability, challenge or support")
	}
	invited, err := invitees(id, "partnerUserIds", in.PartnerUserIDs)
	if err != nil {
		return pactwire.Pact{}, err
	}
	now := pactwire.Time(s.now())
	p := pactwire.Pact{
		ID: pactwire.PactID(s.newID()), Status: pactwire.PactPending, PactType: in.PactType, HabitGoalID: in.HabitGoalID,
		CreatorUserID: id.UserID, DurationDays: in.DurationDays, CreatedAt: now,
		Members: []pactwire.Member{{UserID: id.UserID, Role: pactwire.RoleCreator, Status: pactwire.MemberActive, JoinedAt: &now}},
	}
	for _, u := range invited {
		p.Members = append(p.Members, pactwire.Member{UserID: u, Role: pactwire.RolePartner, Status: pactwire.MemberPending})
	}
	return s.write(ctx, id, func(tx Tx) (pactwire.Pact, []step, error) {
		if err := mayUse(tx, id.UserID, in.HabitGoalID); err != nil {
			return p, nil, err
		}
		steps := []step{{kind: pactwire.ChangeCreated}}
		for _, u := range invited {
			if err := ensureUser(tx, u, ""); err != nil {
				return p, nil, err
			}
			steps = append(steps, step{kind: pactwire.ChangeInvited, member: u})
		}
		return p, steps, nil
	})
}

// mayUse refuses a goal that is not there, or somebody else's with whom the person has no pact about it.
func mayUse(tx Tx, u pactwire.UserID, g pactwire.GoalID) error {
	goal, ok, err := tx.Goal(g)
	if err != nil {
		return fmt.Errorf("read goal %s: %w", g, err)
	}
	if ok && goal.CreatedByUserID != u {
		shared, err := tx.ActivePacts(u, g)
		if err != nil {
			return fmt.Errorf("read active pacts of %s in %s: %w", u, g, err)
		}
		ok = len(shared) > 0
	}
	if !ok {
		return &pactwire.Error{Code: pactwire.NotFound, Field: "habitGoalId", Message: "no such habit"}
	}
	return nil
}

// invitees are the people to invite, each once.
func invitees(id pactwire.Identity, field string, users []pactwire.UserID) ([]pactwire.UserID, error) {
	var out []pactwire.UserID
	for _, u := range users {
		if !pactwire.ValidID(u) {
			return nil, pactwire.FieldErrorf(field, "this is not a user id: 1 to 64 letters, digits, - and _")
		}
		if u == id.UserID {
			return nil, pactwire.FieldErrorf(field, "one cannot invite oneself")
		}
		if !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	if len(out) > maxInvited {
		return nil, pactwire.FieldErrorf(field, "a pact has at most %d members: invite at most %d", pactwire.MaxMembers, maxInvited)
	}
	return out, nil
}

// Pacts lists the pacts that a person takes part in or is invited to. Ended ones stay for 30 days. With status pending
// invitations to pacts that others already began are listed too; "" lists all.
func (s *Service) Pacts(ctx context.Context, id pactwire.Identity, status string) ([]pactwire.Pact, error) {
	want := pactwire.PactStatus(status)
	if want != "" && want != pactwire.PactPending && want != pactwire.PactActive && !want.Ended() {
		return nil, pactwire.FieldErrorf("status", "status is pending, active, completed, abandoned or expired")
	}
	of, err := s.store.ReadPactsOf(ctx, []pactwire.UserID{id.UserID})
	if err != nil {
		return nil, fmt.Errorf("read pacts of %s: %w", id.UserID, err)
	}
	out := []pactwire.Pact{}
	now := s.now()
	for _, p := range of[id.UserID] {
		m, _ := p.Member(id.UserID)
		invited := m.Status == pactwire.MemberPending
		listed := want == "" || p.Status == want || (want == pactwire.PactPending && invited && !p.Status.Ended())
		if listed && visible(&p, id.UserID, now) && (!invited || !p.Status.Ended()) {
			out = append(out, p)
		}
	}
	return out, nil
}

// Pact reads one pact, for its members, the invited and operators.
func (s *Service) Pact(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Pact, error) {
	p, ok, err := s.store.ReadPact(ctx, pact)
	if err != nil {
		return p, fmt.Errorf("read pact %s: %w", pact, err)
	}
	if !ok || !id.Is(pactwire.RoleOperator) && !visible(&p, id.UserID, s.now()) {
		return pactwire.Pact{}, noSuchPact()
	}
	return p, nil
}

// visible reports whether a person may know of the pact: who may read it, and who is invited.
func visible(p *pactwire.Pact, u pactwire.UserID, now time.Time) bool {
	m, _ := p.Member(u)
	return m.Status == pactwire.MemberPending || p.CanRead(u, now)
}

// Invite asks people into a pact. Who is a member or invited already is left as they are; who declined, left or was removed
// is asked again.
func (s *Service) Invite(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, users []pactwire.UserID) (pactwire.Pact, error) {
	invited, err := invitees(id, "userIds", users)
	if err != nil {
		return pactwire.Pact{}, err
	}
	if len(invited) == 0 {
		return pactwire.Pact{}, pactwire.FieldErrorf("userIds", "name the people to invite")
	}
	return s.change(ctx, id, pact, func(tx Tx, p *pactwire.Pact, me pactwire.Member) ([]step, error) {
		if err := openTo(p, me); err != nil {
			return nil, err
		}
		var steps []step
		for _, u := range invited {
			m, _ := p.Member(u)
			if m.Status == pactwire.MemberActive || m.Status == pactwire.MemberPending {
				continue
			}
			if seats(p) >= pactwire.MaxMembers {
				return nil, &pactwire.Error{Code: pactwire.Conflict, Field: "userIds",
					Message: fmt.Sprintf("a pact has at most %d members, the invited counted", pactwire.MaxMembers)}
			}
			setMember(p, pactwire.Member{UserID: u, Role: pactwire.RolePartner, Status: pactwire.MemberPending})
			steps = append(steps, step{kind: pactwire.ChangeInvited, member: u})
		}
		for _, st := range steps { // once nothing is refused any more
			if err := ensureUser(tx, st.member, ""); err != nil {
				return nil, err
			}
		}
		return steps, nil
	})
}

// openTo refuses invitations by who is no active member, and to a pact that is over.
func openTo(p *pactwire.Pact, me pactwire.Member) error {
	if me.Status != pactwire.MemberActive {
		return noSuchPact()
	}
	if p.Status.Ended() {
		return over(p)
	}
	return nil
}

func over(p *pactwire.Pact) error {
	return pactwire.Errorf(pactwire.Conflict, "this pact is over (%s)", p.Status)
}

// InviteCode makes a code that lets whoever has it into the pact, for 14 days and as long as there is room.
func (s *Service) InviteCode(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Invitation, error) {
	var inv pactwire.Invitation
	err := s.exec.Do(ctx, func(tx Tx) ([]pactwire.Change, error) {
		p, me, err := pactOf(tx, id.UserID, pact)
		if err != nil {
			return nil, err
		}
		if err := openTo(&p, me); err != nil {
			return nil, err
		}
		if seats(&p) >= pactwire.MaxMembers {
			return nil, full()
		}
		expires := s.now().Add(codeLife).UTC().Truncate(time.Millisecond)
		for range codeAttempts {
			inv = pactwire.Invitation{Code: s.newCode(), ExpiresAt: pactwire.Time(expires)}
			if err = tx.PutCode(inv.Code, pact, expires); err == nil || pactwire.CodeOf(err) != pactwire.Conflict {
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("write claim code for pact %s: %w", pact, err)
		}
		if err := tx.PutDue(dueKey(dueInvites, string(pact)), expires); err != nil {
			return nil, fmt.Errorf("write the end of the invitations to pact %s: %w", pact, err)
		}
		return nil, nil
	})
	if err != nil {
		return pactwire.Invitation{}, err
	}
	return inv, nil
}

func full() error {
	return pactwire.Errorf(pactwire.Conflict, "this pact is full: at most %d members, the invited counted", pactwire.MaxMembers)
}

// Claim lets the bearer of a code into its pact. Claiming again is fine.
func (s *Service) Claim(ctx context.Context, id pactwire.Identity, code string) (pactwire.Pact, error) {
	code = strings.ToUpper(strings.TrimSpace(code))
	if code == "" || len(code) > 32 {
		return pactwire.Pact{}, pactwire.FieldErrorf("code", "a code looks like PACT-2A3B4C5D")
	}
	if !strings.HasPrefix(code, codePrefix) {
		code = codePrefix + code
	}
	return s.write(ctx, id, func(tx Tx) (pactwire.Pact, []step, error) {
		pact, expires, ok, err := tx.Code(code)
		if err != nil {
			return pactwire.Pact{}, nil, fmt.Errorf("read claim code: %w", err)
		}
		now := s.now()
		var p pactwire.Pact
		if ok = ok && expires.After(now); ok {
			if p, ok, err = tx.Pact(pact); err != nil {
				return p, nil, fmt.Errorf("read pact %s: %w", pact, err)
			}
		}
		if !ok {
			return p, nil, &pactwire.Error{Code: pactwire.NotFound, Field: "code", Message: "this code is unknown or has expired; ask for a new one"}
		}
		p.Members = slices.Clone(p.Members)
		me, _ := p.Member(id.UserID)
		switch {
		case me.Status == pactwire.MemberActive:
			return p, nil, nil
		case p.Status.Ended():
			return p, nil, over(&p)
		case me.Status == pactwire.MemberRemoved:
			return p, nil, pactwire.Errorf(pactwire.Denied, "you were removed from this pact; its creator can invite you again")
		case me.Status != pactwire.MemberPending && seats(&p) >= pactwire.MaxMembers:
			return p, nil, full()
		}
		return p, join(&p, id.UserID, now), nil
	})
}

// join makes a person an active member; the first to come starts the pact.
func join(p *pactwire.Pact, u pactwire.UserID, now time.Time) []step {
	at := pactwire.Time(now)
	setMember(p, pactwire.Member{UserID: u, Role: pactwire.RolePartner, Status: pactwire.MemberActive, JoinedAt: &at})
	steps := []step{{kind: pactwire.ChangeJoined, member: u}}
	if p.Status == pactwire.PactPending {
		end := pactwire.Time(now.Add(time.Duration(p.DurationDays) * 24 * time.Hour))
		p.Status, p.StartDate, p.EndDate = pactwire.PactActive, &at, &end
		steps = append(steps, step{kind: pactwire.ChangeStarted})
	}
	return steps
}

// setMember puts or replaces a member's row. The creator stays the creator.
func setMember(p *pactwire.Pact, m pactwire.Member) {
	i := slices.IndexFunc(p.Members, func(o pactwire.Member) bool { return o.UserID == m.UserID })
	if i < 0 {
		p.Members = append(p.Members, m)
		return
	}
	if m.JoinedAt == nil {
		m.JoinedAt = p.Members[i].JoinedAt
	}
	m.UserName, m.Role = p.Members[i].UserName, p.Members[i].Role
	p.Members[i] = m
}

// seats counts the members and the invited.
func seats(p *pactwire.Pact) int {
	n := 0
	for _, m := range p.Members {
		if m.Status == pactwire.MemberActive || m.Status == pactwire.MemberPending {
			n++
		}
	}
	return n
}
