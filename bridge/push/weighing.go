package push

import (
	"encoding/json"
	"time"

	"github.com/pactwire/pactwire"
)

// weighing is one transaction that decides about due jobs. It may run more than once, so it starts empty and is counted
// after the commit.
type weighing struct {
	p        *Pusher
	tx       Tx
	now      time.Time
	people   int
	dropped  map[reason]int
	held     int
	channels []string // that got a push
}

func (w *weighing) run() error {
	w.dropped = map[reason]int{}
	due, err := w.tx.DuePushJobs(w.now, peopleAt)
	if err != nil {
		return err
	}
	for len(due) > 0 {
		n := 1
		for n < len(due) && due[n].User == due[0].User {
			n++
		}
		if err := w.person(due[0].User, due[:n]); err != nil {
			return err
		}
		due = due[n:]
		w.people++
	}
	return nil
}

// person decides about the jobs of one person.
func (w *weighing) person(id pactwire.UserID, jobs []pactwire.PushJob) error {
	u, _, err := w.tx.User(id)
	if err != nil {
		return err
	}
	u.ID = id
	day := localDay(w.now, u)
	sent, err := w.tx.PushCount(id, day)
	if err != nil {
		return err
	}
	v := decide(w.now, u, jobs, sent, w.p.cfg.DailyCap)
	for why, list := range v.drop {
		if err := w.drop(why, list); err != nil {
			return err
		}
	}
	for _, j := range v.hold {
		if err := w.tx.DelayPushJob(j.ID, v.until); err != nil {
			return err
		}
	}
	w.held += len(v.hold)
	if len(v.send) == 0 {
		return nil
	}
	n, err := w.send(u, v.send)
	if err != nil {
		return err
	}
	if n == 0 {
		return w.drop(nowhere, v.send)
	}
	return w.tx.CountPush(id, day)
}

func (w *weighing) drop(why reason, jobs []pactwire.PushJob) error {
	for _, j := range jobs {
		if err := w.tx.DropPushJob(j.ID); err != nil {
			return err
		}
	}
	w.dropped[why] += len(jobs)
	return nil
}

// send writes one message to each of the person's targets, and returns how many those are.
func (w *weighing) send(u pactwire.User, jobs []pactwire.PushJob) (int, error) {
	tokens, err := w.tx.PushTokensOf(u.ID)
	if err != nil {
		return 0, err
	}
	e := wrap(w.now, u, jobs)
	body, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	batch, n := w.p.cfg.NewID(), 0
	put := func(channel, target string) error {
		n++
		w.channels = append(w.channels, channel)
		return w.tx.PutPush(pactwire.Push{ID: w.p.cfg.NewID(), Batch: batch, User: u.ID, Pact: e.Data.PactID, Channel: channel,
			Target: target, Body: body, CreatedAt: w.now, NextAt: w.now})
	}
	for _, l := range w.p.channels {
		name := l.channel.Name()
		if !servesTokens(name) {
			if err := put(name, ""); err != nil {
				return 0, err
			}
			continue
		}
		for _, t := range tokens {
			if string(t.Kind) != name {
				continue
			}
			if err := put(name, t.ID); err != nil {
				return 0, err
			}
		}
	}
	if n == 0 {
		return 0, nil
	}
	for _, j := range jobs {
		if err := w.tx.BatchPushJob(j.ID, batch); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func servesTokens(channel string) bool {
	switch pactwire.TokenKind(channel) {
	case pactwire.TokenFCM, pactwire.TokenAPNs, pactwire.TokenWebPush:
		return true
	}
	return false
}

// count tells the metrics what a committed weighing did.
func (w *weighing) count() {
	for why, n := range w.dropped {
		w.p.metrics.unsent.WithLabelValues(string(why)).Add(float64(n))
	}
	w.p.metrics.held.Add(float64(w.held))
}
