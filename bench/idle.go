package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// Idle opens many connections with three subscriptions each and tells what each costs the server in memory.
type Idle struct {
	Target      Target
	Members     []Member
	Connections int
	PerUser     int           // connections of one person, 16 by default
	Settle      time.Duration // how long to wait before memory is read, 10 s by default
	PIDs        []int
	Progress    func(phase string, done, of int)
}

// IdleReport is what came out.
type IdleReport struct {
	Scenario         string  `json:"scenario"`
	Transport        string  `json:"transport"`
	Connections      int     `json:"connections"`
	ConnectSeconds   float64 `json:"connectSeconds"`
	BeforeMiB        float64 `json:"beforeMiB"`
	AfterMiB         float64 `json:"afterMiB"`
	KiBPerConnection float64 `json:"kibPerConnection"`
}

// Run opens, waits and closes.
func (b *Idle) Run(ctx context.Context) (IdleReport, error) {
	out := IdleReport{Scenario: "idle", Transport: b.Target.Transport, Connections: b.Connections}
	before, err := readUsage(b.PIDs)
	if err != nil {
		return out, err
	}
	start := time.Now()
	clients, err := openSessions(ctx, b.Target, b.Members, b.Connections, b.PerUser, true, phase(b.Progress, "connect"))
	if err != nil {
		return out, err
	}
	defer endAll(clients)
	out.ConnectSeconds = time.Since(start).Seconds()
	settle := b.Settle
	if settle <= 0 {
		settle = 10 * time.Second
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return out, ctx.Err()
	}
	after, err := readUsage(b.PIDs)
	if err != nil {
		return out, err
	}
	out.BeforeMiB, out.AfterMiB = float64(before.rss)/(1<<20), float64(after.rss)/(1<<20)
	out.KiBPerConnection = float64(after.rss-before.rss) / 1024 / float64(b.Connections)
	return out, nil
}

// openSessions opens n connections of the members in turn.
func openSessions(ctx context.Context, t Target, members []Member, n, perUser int, clean bool, progress func(done, of int)) ([]*client, error) {
	if perUser <= 0 {
		perUser = 16
	}
	if n > len(members)*perUser {
		return nil, fmt.Errorf("%d connections need %d people at %d each; the file has %d", n, (n+perUser-1)/perUser, perUser, len(members))
	}
	return t.openAll(ctx, n, func(ctx context.Context, i int) (*client, error) {
		m := members[i%len(members)]
		return t.open(ctx, rawmqtt.Options{
			ClientID: fmt.Sprintf("%s-%d", m.ClientID, i/len(members)), Username: m.Username, Password: m.Password,
			Clean: clean, ReadBuffer: 256,
		}, rawmqtt.Handler{}, "pacts/+/activity", "pacts/+/presence/+", "users/"+m.Username+"/inbox")
	}, progress)
}

func phase(f func(string, int, int), name string) func(done, of int) {
	return func(done, of int) {
		if f != nil {
			f(name, done, of)
		}
	}
}
