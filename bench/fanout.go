package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// Fanout has one publisher and many QoS 1 subscribers on a lab topic, and tells how many deliveries a second come out.
// The server must run with lab.enabled.
type Fanout struct {
	Target      Target
	Subscribers int
	PerUser     int // connections of one person, 16 by default
	Duration    time.Duration
	Window      int                                   // events on their way at a time, 4 by default
	Size        int                                   // bytes of an event, 256 by default
	Sign        func(pactwire.UserID) (string, error) // makes a token with the role lab
	PIDs        []int
	Progress    func(phase string, done, of int)
}

// FanoutReport is what came out.
type FanoutReport struct {
	Scenario      string  `json:"scenario"`
	Transport     string  `json:"transport"`
	Subscribers   int     `json:"subscribers"`
	Events        int     `json:"events"`
	Deliveries    uint64  `json:"deliveries"`
	Lost          uint64  `json:"lost"`
	Seconds       float64 `json:"seconds"`
	DeliveriesSec float64 `json:"deliveriesPerSecond"`
	CPUPer1000    float64 `json:"cpuSecondsPer1000,omitempty"` // deliveries
	Delivery      Latency `json:"delivery"`
}

// Run connects all, publishes for the duration, and waits for the last deliveries.
func (b *Fanout) Run(ctx context.Context) (FanoutReport, error) {
	out := FanoutReport{Scenario: "fanout", Transport: b.Target.Transport, Subscribers: b.Subscribers}
	window, size, perUser := b.Window, max(b.Size, 8), b.PerUser
	if window <= 0 {
		window = 4
	}
	if b.Size <= 0 {
		size = 256
	}
	if perUser <= 0 {
		perUser = 16
	}
	const topic = "bench/fanout"
	var got atomic.Uint64
	var delivery histogram
	base := time.Now()
	arrived := make(chan struct{}, 1)
	open := func(ctx context.Context, i int, filters ...string) (*client, error) {
		user := pactwire.UserID(fmt.Sprintf("bench-lab-%d", i/perUser))
		token, err := b.Sign(user)
		if err != nil {
			return nil, err
		}
		return b.Target.open(ctx, rawmqtt.Options{
			ClientID: fmt.Sprintf("bench-lab-%d", i), Username: string(user), Password: token, Clean: true,
		}, rawmqtt.Handler{Publish: func(p rawmqtt.Publish) {
			if len(p.Payload) >= 8 {
				delivery.add(time.Since(base) - time.Duration(binary.BigEndian.Uint64(p.Payload)))
			}
			if got.Add(1)%uint64(b.Subscribers) == 0 {
				select {
				case arrived <- struct{}{}:
				default:
				}
			}
		}}, filters...)
	}
	clients, err := b.Target.openAll(ctx, b.Subscribers, func(ctx context.Context, i int) (*client, error) {
		return open(ctx, i, topic)
	}, phase(b.Progress, "connect"))
	if errors.Is(err, errRefused) {
		return out, fmt.Errorf("%w: start it with --set lab.enabled=true", err)
	}
	if err != nil {
		return out, err
	}
	defer endAll(clients)
	publisher, err := open(ctx, b.Subscribers)
	if err != nil {
		return out, err
	}
	defer publisher.end()
	before, err := readUsage(b.PIDs)
	if err != nil {
		return out, err
	}
	progress := phase(b.Progress, "events")
	payload := make([]byte, size)
	start := time.Now()
	for time.Since(start) < b.Duration {
		if uint64(out.Events) < got.Load()/uint64(b.Subscribers)+uint64(window) {
			binary.BigEndian.PutUint64(payload, uint64(time.Since(base)))
			out.Events++
			if err := publisher.Publish(uint16(out.Events%65000+1), 1, topic, payload); err != nil {
				return out, err
			}
			progress(int(time.Since(start)/time.Millisecond), int(b.Duration/time.Millisecond))
			continue
		}
		if err := waitFor(ctx, arrived, 5*time.Second); err != nil {
			break // reported as lost
		}
	}
	want := uint64(out.Events) * uint64(b.Subscribers)
	for got.Load() < want && waitFor(ctx, arrived, 5*time.Second) == nil {
	}
	out.Seconds = time.Since(start).Seconds()
	after, err := readUsage(b.PIDs)
	if err != nil {
		return out, err
	}
	out.Deliveries = min(got.Load(), want)
	out.Lost = want - out.Deliveries
	out.DeliveriesSec = float64(out.Deliveries) / out.Seconds
	out.Delivery = delivery.summary()
	if out.Deliveries > 0 {
		out.CPUPer1000 = (after.cpu - before.cpu) / float64(out.Deliveries) * 1000
	}
	return out, ctx.Err()
}

var errNothingCame = errors.New("nothing came")

func waitFor(ctx context.Context, c <-chan struct{}, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c:
		return nil
	case <-t.C:
		return errNothingCame
	case <-ctx.Done():
		return ctx.Err()
	}
}
