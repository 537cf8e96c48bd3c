package relay

import "time"

// leases says whether a lease that is over proves that its node is gone. While Redis is away nobody can prolong theirs, and whoever
// is back first finds all the others' over: it waits until they have had time to come back as well.
type leases struct {
	last  time.Time // of this node's beats that were taken
	proof time.Time // from when on a lease counts
}

// beat notes one that was taken. After a pause of a third of a lease other leases may be over, or may be before their nodes are back. The
// pause is told by both clocks: while a machine sleeps one of them stands still.
func (l *leases) beat(now time.Time, lease time.Duration) {
	pause := max(now.Sub(l.last), now.Round(0).Sub(l.last.Round(0)))
	if l.last.IsZero() || pause > lease/3 {
		l.proof = now.Add(repeatTime)
	}
	l.last = now
}

// tell reports whether what leases say is so.
func (l *leases) tell(now time.Time) bool { return !now.Before(l.proof) }
