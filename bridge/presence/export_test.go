package presence

// People counts who is in memory.
func (t *Tracker) People() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.people)
}

// People counts who is in memory.
func (s *Shared) People() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.people) + s.local.People()
}

// Online counts the people who are online here.
func (s *Shared) Online() int { return s.local.Online() }
