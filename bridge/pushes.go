package bridge

import "github.com/pactwire/pactwire"

// about says what the entries that follow tell of, and who caused them.
func (c *commit) about(cause string, by pactwire.UserID) { c.cause, c.by = cause, by }

// caused is the cause of an entry with this id. Without another name, the first entry about something names it.
func (c *commit) caused(id string) string {
	if c.cause == "" {
		c.cause = id
	}
	return c.cause
}

func (c *commit) pushActivity(a *pactwire.Activity, e pactwire.Entry) error {
	if c.b.cfg.Pushes == nil {
		return nil
	}
	pact, err := c.pactNow(a.PactID)
	if err != nil || pact == nil { // nil: nobody is known to read it
		return err
	}
	members := make([]pactwire.UserID, 0, pactwire.MaxMembers)
	for _, m := range pact.Members {
		if m.Status == pactwire.MemberActive {
			members = append(members, m.UserID)
		}
	}
	return c.b.cfg.Pushes.Activity(c.tx, a, e, c.caused(a.ID), members)
}

func (c *commit) pushEvent(u pactwire.UserID, ev *pactwire.Event, e pactwire.Entry) error {
	if c.b.cfg.Pushes == nil {
		return nil
	}
	return c.b.cfg.Pushes.Event(c.tx, u, ev, e, c.caused(ev.ID), c.by)
}

func (c *commit) pushOver(u pactwire.UserID, p pactwire.PactID) error {
	if c.b.cfg.Pushes == nil {
		return nil
	}
	return c.b.cfg.Pushes.Over(c.tx, u, p)
}
