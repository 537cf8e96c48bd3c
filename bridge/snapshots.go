package bridge

import (
	"context"
	"encoding/json"

	"github.com/pactwire/pactwire"
)

// Streaks tells people's current streaks in a habit, as of each one's local today; who has none is left out.
type Streaks interface {
	CurrentStreaks(ctx context.Context, goal pactwire.GoalID, users []pactwire.UserID) (map[pactwire.UserID]int, error)
}

// People tells who is there. UserName may be empty.
type People interface {
	Get(ctx context.Context, users []pactwire.UserID) ([]pactwire.Presence, error)
}

// Snapshots makes the bodies of state, presence and pact lists.
type Snapshots struct {
	bridge  *Bridge
	streaks Streaks // nil: the streaks are not known, and shown as 0
	people  People
}

// NewSnapshots joins what the snapshots are made of.
func NewSnapshots(b *Bridge, streaks Streaks, people People) *Snapshots {
	return &Snapshots{bridge: b, streaks: streaks, people: people}
}

// pact is the pact as the view has it, or as the habits-service says.
func (s *Snapshots) pact(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error) {
	if p, ok := s.bridge.members.Pact(id); ok {
		return p, nil
	}
	return s.bridge.members.Look(ctx, id)
}

// States returns the JSON of each pact's State, nil where the pact is unknown.
func (s *Snapshots) States(ctx context.Context, pacts []pactwire.PactID) ([][]byte, error) {
	heads, err := s.bridge.Heads(ctx, pacts)
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, len(pacts))
	for i, id := range pacts {
		p, err := s.pact(ctx, id)
		if pactwire.CodeOf(err) == pactwire.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		p.HeadSeq = heads[i]
		if bodies[i], err = s.state(ctx, p); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

func (s *Snapshots) state(ctx context.Context, p pactwire.Pact) ([]byte, error) {
	st := pactwire.State{Pact: p, Habit: pactwire.Habit{ID: p.HabitGoalID, Name: p.HabitName, Emoji: p.HabitEmoji},
		Members: make([]pactwire.StateMember, 0, len(p.Members)), HeadSeq: p.HeadSeq}
	users := make([]pactwire.UserID, len(p.Members))
	for i, m := range p.Members {
		users[i] = m.UserID
	}
	var days map[pactwire.UserID]int
	if s.streaks != nil {
		var err error
		if days, err = s.streaks.CurrentStreaks(ctx, p.HabitGoalID, users); err != nil {
			return nil, err
		}
	}
	for _, m := range p.Members {
		st.Members = append(st.Members, pactwire.StateMember{UserID: m.UserID, UserName: m.UserName, Role: m.Role,
			Status: m.Status, Streak: days[m.UserID]})
	}
	return json.Marshal(st)
}

// Presences returns the presence of every active member of each pact. With an error, the pacts that could be read are there.
func (s *Snapshots) Presences(ctx context.Context, pacts []pactwire.PactID) (map[pactwire.PactID][]pactwire.Presence, error) {
	var users []pactwire.UserID
	var names []string
	ends := make([]int, len(pacts)) // of each pact's members
	var unread error
	for i, id := range pacts {
		p, err := s.pact(ctx, id)
		if err != nil && pactwire.CodeOf(err) != pactwire.NotFound {
			unread = err
		}
		for _, m := range p.Members {
			if m.Status == pactwire.MemberActive {
				users, names = append(users, m.UserID), append(names, m.UserName)
			}
		}
		ends[i] = len(users)
	}
	list, err := s.people.Get(ctx, users)
	if err != nil {
		return nil, err
	}
	out := make(map[pactwire.PactID][]pactwire.Presence, len(pacts))
	begin := 0
	for i, id := range pacts {
		of := list[begin:ends[i]]
		for k := range of {
			of[k].PactID = id
			if of[k].UserName == "" {
				of[k].UserName = names[begin+k]
			}
		}
		if len(of) > 0 {
			out[id] = of
		}
		begin = ends[i]
	}
	return out, unread
}

// ActiveConnections are the events that say to people who of their connections is there. Who is left out has none.
func (s *Snapshots) ActiveConnections(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Event, error) {
	if s.bridge.cfg.Companions == nil {
		return nil, nil
	}
	return s.bridge.cfg.Companions.Loaded(ctx, users)
}

// PactList returns the JSON of users/{u}/pacts: the pacts that the user may read.
func (s *Snapshots) PactList(ctx context.Context, u pactwire.UserID) ([]byte, error) {
	var list struct {
		Items   []pactwire.Pact `json:"items"`
		HasMore bool            `json:"hasMore"`
	}
	list.Items = []pactwire.Pact{}
	memberships := s.bridge.members.Pacts(u)
	ids := make([]pactwire.PactID, len(memberships))
	for i, m := range memberships {
		ids[i] = m.Pact
	}
	heads, err := s.bridge.Heads(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if p, ok := s.bridge.members.Pact(id); ok {
			p.HeadSeq = heads[i]
			list.Items = append(list.Items, p)
		}
	}
	return json.Marshal(list)
}
