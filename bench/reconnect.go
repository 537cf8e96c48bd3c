package bench

import (
	"context"
	"time"
)

// Reconnect drops many sessions at once and tells how long it takes until all are back with SUBACK.
type Reconnect struct {
	Target      Target
	Members     []Member
	Connections int
	PerUser     int // connections of one person, 16 by default
	Rounds      int // 3 by default
	PIDs        []int
	Progress    func(phase string, done, of int)
}

// ReconnectReport is what came out.
type ReconnectReport struct {
	Scenario    string    `json:"scenario"`
	Transport   string    `json:"transport"`
	Connections int       `json:"connections"`
	Seconds     []float64 `json:"seconds"` // of each round
	RSSMiB      []float64 `json:"rssMiB,omitempty"`
}

// Run opens, and drops and opens again as often as asked.
func (b *Reconnect) Run(ctx context.Context) (ReconnectReport, error) {
	out := ReconnectReport{Scenario: "reconnect", Transport: b.Target.Transport, Connections: b.Connections}
	open := func(name string) ([]*client, error) {
		return openSessions(ctx, b.Target, b.Members, b.Connections, b.PerUser, false, phase(b.Progress, name))
	}
	clients, err := open("connect")
	if err != nil {
		return out, err
	}
	rounds := b.Rounds
	if rounds <= 0 {
		rounds = 3
	}
	for range rounds {
		endAll(clients)
		start := time.Now()
		if clients, err = open("reconnect"); err != nil {
			return out, err
		}
		out.Seconds = append(out.Seconds, time.Since(start).Seconds())
		u, err := readUsage(b.PIDs)
		if err != nil {
			endAll(clients)
			return out, err
		}
		if len(b.PIDs) > 0 {
			out.RSSMiB = append(out.RSSMiB, float64(u.rss)/(1<<20))
		}
	}
	endAll(clients)
	return out, nil
}
