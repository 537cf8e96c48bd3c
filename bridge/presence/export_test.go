package presence

// People counts who is in memory.
func (t *Tracker) People() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.people)
}
