package push

import (
	"time"

	"github.com/pactwire/pactwire"
)

// staleAfter is the age at which a job is not worth a push any more, as after a long outage. Quiet hours end before it.
const staleAfter = 36 * time.Hour

// reason says why a job is dropped.
type reason string

const (
	unwanted reason = "unwanted" // by the person's settings
	stale    reason = "stale"
	capped   reason = "cap"
	nowhere  reason = "no_target"
)

// verdict is what becomes of the due jobs of one person. At most one of hold and send has jobs.
type verdict struct {
	drop  map[reason][]pactwire.PushJob
	hold  []pactwire.PushJob
	until time.Time // of hold
	send  []pactwire.PushJob
}

// decide weighs the due jobs of one person, who got sent pushes on their present day.
func decide(now time.Time, u pactwire.User, jobs []pactwire.PushJob, sent, dailyCap int) verdict {
	v := verdict{drop: map[reason][]pactwire.PushJob{}}
	var wanted []pactwire.PushJob
	for _, j := range jobs {
		switch {
		case !u.Push.Wants(j.Kind, j.Pact):
			v.drop[unwanted] = append(v.drop[unwanted], j)
		case now.Sub(j.CreatedAt) > staleAfter:
			v.drop[stale] = append(v.drop[stale], j)
		default:
			wanted = append(wanted, j)
		}
	}
	until, quiet := quietUntil(now, u)
	switch {
	case len(wanted) == 0:
	case quiet:
		v.hold, v.until = wanted, until
	case sent >= dailyCap:
		v.drop[capped] = wanted
	default:
		v.send = wanted
	}
	return v
}
