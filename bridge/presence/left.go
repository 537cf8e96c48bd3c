package presence

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// Bury speaks for nodes that can do so no more: whom they held is not there any longer, unless another node says otherwise.
// All nodes may do it at the same time; of each change one is told. It is called again and again until a node is forgotten.
// Who has just come up waits for the grace time, since all may have been restarted together.
func (s *Shared) Bury(ctx context.Context, nodes []pactwire.NodeBeat) {
	if time.Since(s.began) < s.cfg.Grace {
		return
	}
	for _, node := range nodes {
		if err := s.speakFor(ctx, node); err != nil {
			if ctx.Err() == nil {
				s.log.Warn("presence: nobody could speak for a node that is gone yet", "node", node.Addr, "error", err)
			}
			return
		}
	}
}

func (s *Shared) speakFor(ctx context.Context, node pactwire.NodeBeat) error {
	last := time.Now().Add(-node.Age)
	for {
		if more, err := s.speakForSome(ctx, node.Addr, last); err != nil || !more {
			return err
		}
	}
}

func (s *Shared) speakForSome(ctx context.Context, node string, last time.Time) (more bool, err error) {
	call, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	users, err := s.board.People(call, node, batch)
	if err != nil {
		return false, err
	}
	if len(users) == 0 {
		return false, s.board.Remove(call, node)
	}
	words := make([]pactwire.Word, len(users))
	for i, u := range users {
		words[i] = pactwire.Word{User: u, Status: pactwire.PresenceOffline, LastSeen: last}
	}
	said, err := s.board.SayFor(call, node, words)
	if err != nil {
		return false, err
	}
	return s.found(ctx, users, said), ctx.Err()
}

// found announces and saves what was found out of people. It reports false at the end of the process.
func (s *Shared) found(ctx context.Context, users []pactwire.UserID, said []pactwire.Said) bool {
	var changes []pactwire.Presence
	s.mu.Lock()
	for i, u := range users {
		s.keep(u, said[i])
		if !said[i].Changed {
			continue
		}
		name := ""
		if x := s.people[u]; x != nil {
			name, x.told, x.version = x.name, said[i].Status, max(x.version, said[i].Version)
		}
		changes = append(changes, view(rowOf(u, said[i]), name, said[i].Status))
	}
	s.mu.Unlock()
	if len(changes) == 0 {
		return true
	}
	select {
	case s.changes <- changes:
		return true
	case <-ctx.Done():
		return false
	}
}

// sweepLater has it looked for people who are written down as online though nobody says so any more: nodes died and the board
// forgot. It happens when every node has had time to say who is there.
func (s *Shared) sweepLater() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweepSoon()
}

func (s *Shared) sweepSoon() {
	s.sweepAt = time.Now().Add(s.cfg.Lease)
	wake(s.wakeSweep)
}

// sweeps is the one goroutine that sweeps.
func (s *Shared) sweeps(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wakeSweep:
		}
		for {
			s.mu.Lock()
			wait := time.Until(s.sweepAt)
			s.mu.Unlock()
			if wait <= 0 {
				break
			}
			if !pace.Pause(ctx, wait) {
				return
			}
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("presence: people who may be gone were not looked for; tried again later", "error", err)
			s.sweepLater()
		}
	}
}

func (s *Shared) sweep(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if s.cfg.Unheard != nil {
		unheard, err := s.cfg.Unheard(call)
		if err != nil {
			return err
		}
		if unheard { // they are with a node that cannot say so
			s.sweepLater()
			return nil
		}
	}
	users, err := s.store.WereOnline(call)
	if err != nil {
		return err
	}
	for len(users) > 0 {
		n := min(len(users), batch)
		if err := s.sweepSome(ctx, users[:n]); err != nil {
			return err
		}
		users = users[n:]
	}
	return nil
}

func (s *Shared) sweepSome(ctx context.Context, users []pactwire.UserID) error {
	call, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	said, err := s.board.Presence(call, users)
	if err != nil {
		return err
	}
	kept, err := readSeen(call, s.store, users)
	if err != nil {
		return err
	}
	var gone []pactwire.UserID
	var words []pactwire.Word
	s.mu.Lock()
	for i, u := range users {
		if said[i].Known {
			if said[i].Status == pactwire.PresenceOffline {
				s.keep(u, said[i])
			}
			continue
		}
		if s.people[u] != nil {
			continue // this node will say
		}
		words = append(words, pactwire.Word{User: u, Status: pactwire.PresenceOffline, LastSeen: kept[u].LastSeen,
			Floor: kept[u].Version, WasThere: true})
		gone = append(gone, u)
	}
	s.mu.Unlock()
	if len(words) == 0 {
		return nil
	}
	answers, err := s.board.Say(call, words)
	if err != nil {
		return err
	}
	if !s.found(ctx, gone, answers) {
		return ctx.Err()
	}
	return nil
}
