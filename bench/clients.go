package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pactwire/pactwire/internal/pace"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"golang.org/x/sync/errgroup"
)

// Target is where the load goes.
type Target struct {
	Addr      string // host:port, or several with commas between, of which each connection takes any
	Transport string // tcp or ws
	Parallel  int    // connections being opened at a time; 64 by default
	// TurnedAway counts the connections that the server closed before it answered, as its limits may have it; may be nil.
	TurnedAway *atomic.Int64
}

func (t Target) dial(ctx context.Context) (net.Conn, error) {
	all := strings.Split(t.Addr, ",")
	addr := all[rand.IntN(len(all))]
	if t.Transport == "ws" {
		return rawmqtt.DialWebSocket(ctx, addr)
	}
	return rawmqtt.Dial(ctx, addr)
}

// connectTimeout bounds opening one connection, CONNACK and SUBACK included.
const connectTimeout = 30 * time.Second

// client is one connection with its subscriptions.
type client struct {
	*rawmqtt.Conn
	running sync.WaitGroup
	err     error // of the reading goroutine; read it after running.Wait
	closed  chan struct{}
}

// errRefused is that a client may not hear what it asked for.
var errRefused = errors.New("the server refused")

// errTurnedAway is that the server closed a connection before it answered: it limits how many come.
var errTurnedAway = errors.New("the server closes connections before it answers; does it limit them (limits.connects_per_second)?")

// open connects, subscribes with QoS 1 and returns after SUBACK. Who is turned away comes again.
func (t Target) open(ctx context.Context, o rawmqtt.Options, h rawmqtt.Handler, filters ...string) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		c, err := t.once(ctx, o, h, filters...)
		if !errors.Is(err, errTurnedAway) {
			return c, err
		}
		if t.TurnedAway != nil {
			t.TurnedAway.Add(1)
		}
		if !pace.Pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond)) {
			return nil, err
		}
	}
}

// turnedAway marks the error of a connection that was opened and had no answer.
func turnedAway(err error) error {
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, closed) {
			return fmt.Errorf("%w: %w", errTurnedAway, err)
		}
	}
	return err
}

// once is open without a second try.
func (t Target) once(ctx context.Context, o rawmqtt.Options, h rawmqtt.Handler, filters ...string) (*client, error) {
	nc, err := t.dial(ctx)
	if err != nil {
		return nil, turnedAway(err)
	}
	granted := make(chan []byte, 1)
	h.Suback = func(_ uint16, codes []byte) {
		select {
		case granted <- bytes.Clone(codes):
		default:
		}
	}
	conn, _, err := rawmqtt.Connect(ctx, nc, o, h)
	if err != nil {
		return nil, fmt.Errorf("client %s: %w", o.ClientID, turnedAway(err))
	}
	c := &client{Conn: conn, closed: make(chan struct{})}
	c.running.Go(func() {
		defer close(c.closed)
		c.err = conn.Run()
	})
	if len(filters) == 0 {
		return c, nil
	}
	if err := conn.Subscribe(65535, 1, filters...); err != nil {
		c.end()
		return nil, err
	}
	select {
	case codes := <-granted:
		for i, code := range codes {
			if code > 2 {
				c.end()
				return nil, fmt.Errorf("client %s: %w %s with 0x%02X", o.ClientID, errRefused, filters[i], code)
			}
		}
		return c, nil
	case <-c.closed:
		return nil, fmt.Errorf("client %s: the server closed the connection", o.ClientID)
	case <-ctx.Done():
		c.end()
		return nil, fmt.Errorf("client %s: no SUBACK: %w", o.ClientID, ctx.Err())
	}
}

// end closes the connection and waits for its goroutine.
func (c *client) end() {
	c.Close()
	c.running.Wait()
}

// openAll opens n connections, some at a time; after an error none is left.
func (t Target) openAll(ctx context.Context, n int, f func(ctx context.Context, i int) (*client, error), progress func(done, of int)) ([]*client, error) {
	parallel := t.Parallel
	if parallel <= 0 {
		parallel = 64
	}
	clients := make([]*client, n)
	var mu sync.Mutex
	done := 0
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range n {
		g.Go(func() error {
			c, err := f(gctx, i)
			if err != nil {
				return err
			}
			clients[i] = c
			mu.Lock()
			defer mu.Unlock()
			if done++; progress != nil {
				progress(done, n)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		endAll(clients)
		return nil, err
	}
	return clients, nil
}

func endAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			c.Close()
		}
	}
	for _, c := range clients {
		if c != nil {
			c.running.Wait()
		}
	}
}
