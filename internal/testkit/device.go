package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// Device is a client as a phone is one: it keeps what it has to say until that is acknowledged, and reconnects for as long
// as its context lasts. It says things by MQTT 3.1.1, and receives with a session that survives.
type Device struct {
	Addr     string
	User     pactwire.UserID
	ClientID string
	Window   int  // commands on their way at a time, 8 by default
	Clean    bool // no session
	// Patience is how long the server may be silent before the connection is given up; a third of it is the keepalive. 0 is
	// endless patience.
	Patience time.Duration
	// Retry is the pause before another connection is tried, retryEvery by default.
	Retry time.Duration

	Filters []string // subscribed at each connection with QoS 1
	// Message gets every message, on one goroutine.
	Message func(rawmqtt.Publish)

	mu       sync.Mutex
	commands []*command // in the order in which they were said
	acked    map[string]bool
	ready    int // connections that got their SUBACK
	lost     int // connections that found no session
	conn     *rawmqtt.Conn
	changed  chan struct{}
}

type command struct {
	id, topic string
	payload   []byte
	said      time.Time
	sent      int // on how many connections
	acked     bool
	ackedAt   time.Time
	took      time.Duration
}

// Said is the story of one command.
type Said struct {
	ID, Topic string
	At        time.Time // when it was said
	Acked     time.Time // zero while it is not
	Sent      int       // how often
}

// Said returns the story of each command so far, in the order in which they were said.
func (d *Device) Said() []Said {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Said, len(d.commands))
	for i, c := range d.commands {
		out[i] = Said{ID: c.id, Topic: c.topic, At: c.said, Acked: c.ackedAt, Sent: c.sent}
	}
	return out
}

// Checkin queues a check-in with an id and notes of its own.
func (d *Device) Checkin(pact pactwire.PactID, id, notes string) {
	payload, err := json.Marshal(map[string]string{"id": id, "status": "completed", "notes": notes})
	if err != nil {
		panic(err) // strings can always be encoded
	}
	d.Say(id, "pacts/"+string(pact)+"/checkins", payload)
}

// Say queues a command.
func (d *Device) Say(id, topic string, payload []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commands = append(d.commands, &command{id: id, topic: topic, payload: payload, said: time.Now()})
	d.signal()
}

// signal wakes who waits for a change. Called under the lock.
func (d *Device) signal() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

func (d *Device) change() <-chan struct{} {
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

// Acked returns the ids of the commands that were acknowledged.
func (d *Device) Acked() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.acked)
}

// Took returns how long each acknowledged command waited for its ack on the connection that got it.
func (d *Device) Took() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []time.Duration
	for _, c := range d.commands {
		if c.acked {
			out = append(out, c.took)
		}
	}
	return out
}

// Ready tells how many connections were made and subscribed.
func (d *Device) Ready() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready
}

// Settled reports whether everything that was said was acknowledged.
func (d *Device) Settled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.commands {
		if !c.acked {
			return false
		}
	}
	return true
}

// retryEvery is how soon a device tries again; a real one would wait longer each time.
const retryEvery = 50 * time.Millisecond

// Drop ends the present connection, if there is one, without a word.
func (d *Device) Drop() {
	d.mu.Lock()
	conn := d.conn
	d.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (d *Device) use(conn *rawmqtt.Conn, session bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
	if !session && d.ready > 0 {
		d.lost++
	}
}

// Lost tells how many connections found no session, although one before had subscribed.
func (d *Device) Lost() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// impatient is a connection on which a read takes no longer than its patience.
type impatient struct {
	net.Conn
	patience time.Duration
}

func (c impatient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Run connects, and again whenever the connection is lost, until ctx ends; then it says DISCONNECT.
func (d *Device) Run(ctx context.Context) {
	retry := d.Retry
	if retry <= 0 {
		retry = retryEvery
	}
	for ctx.Err() == nil {
		d.connection(ctx)
		select {
		case <-time.After(retry):
		case <-ctx.Done():
		}
	}
}

// connection is the life of one connection. Why it ended does not matter: whatever was not acknowledged is said again.
func (d *Device) connection(ctx context.Context) {
	dial, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	nc, err := rawmqtt.Dial(dial, d.Addr)
	if err != nil {
		return
	}
	var ping <-chan time.Time
	if d.Patience > 0 {
		nc = impatient{nc, d.Patience}
		tick := time.NewTicker(d.Patience / 3)
		defer tick.Stop()
		ping = tick.C
	}
	c := &deviceConn{d: d, flying: map[uint16]flight{}}
	conn, ack, err := rawmqtt.Connect(dial, nc, rawmqtt.Options{
		ClientID: d.ClientID, Username: string(d.User), Password: Token(d.User), Clean: d.Clean,
		KeepAlive: uint16(d.Patience / time.Second),
	}, rawmqtt.Handler{Publish: d.Message, Acked: c.acked, Suback: c.suback})
	if err != nil {
		return
	}
	d.use(conn, ack.SessionPresent)
	defer d.use(nil, true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn.Run() //nolint:errcheck // however it ended, it is over
	}()
	defer func() {
		conn.Close()
		<-ended
	}()
	if len(d.Filters) > 0 {
		if conn.Subscribe(65535, 1, d.Filters...) != nil {
			return
		}
	}
	for {
		next, how, wait := c.next()
		if next != nil {
			send := conn.Publish
			if how.again {
				send = conn.Resend
			}
			if send(how.packet, 1, next.topic, next.payload) != nil {
				return
			}
			continue
		}
		select {
		case <-wait:
		case <-ping:
			if conn.Ping() != nil {
				return
			}
		case <-ended:
			return
		case <-ctx.Done():
			conn.Disconnect() //nolint:errcheck // the connection may be gone
			return
		}
	}
}

// deviceConn is what a device knows of its present connection. Guarded by Device.mu.
type deviceConn struct {
	d      *Device
	place  int // in Device.commands
	packet uint16
	flying map[uint16]flight
}

type flight struct {
	c    *command
	sent time.Time
}

// sending is how a command goes out.
type sending struct {
	packet uint16
	again  bool // it was sent before, on an earlier connection
}

// next is the next command to send, or what to wait for.
func (c *deviceConn) next() (*command, sending, <-chan struct{}) {
	d := c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	window := d.Window
	if window <= 0 {
		window = 8
	}
	for c.place < len(d.commands) && len(c.flying) < window {
		next := d.commands[c.place]
		c.place++
		if next.acked {
			continue
		}
		if c.packet++; c.packet == 65535 {
			c.packet = 1
		}
		c.flying[c.packet] = flight{next, time.Now()}
		next.sent++
		return next, sending{c.packet, next.sent > 1}, nil
	}
	return nil, sending{}, d.change()
}

func (c *deviceConn) acked(id uint16, _ byte) {
	d := c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := c.flying[id]
	if !ok {
		return
	}
	delete(c.flying, id)
	f.c.acked, f.c.ackedAt, f.c.took = true, time.Now(), time.Since(f.sent)
	if d.acked == nil {
		d.acked = map[string]bool{}
	}
	d.acked[f.c.id] = true
	d.signal()
}

func (c *deviceConn) suback(uint16, []byte) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.ready++
	c.d.signal()
}

// Reader collects the activities that a device receives.
type Reader struct {
	Device
	mu  sync.Mutex
	got []pactwire.Activity
	err error
}

// NewReader is a device that reads a pact's activity.
func NewReader(addr string, user pactwire.UserID, clientID string, pact pactwire.PactID) *Reader {
	r := &Reader{}
	r.Device = Device{Addr: addr, User: user, ClientID: clientID, Filters: []string{"pacts/" + string(pact) + "/activity"}, Message: r.take}
	return r
}

func (r *Reader) take(p rawmqtt.Publish) {
	a, err := ParseActivity(p.Payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = fmt.Errorf("%s got %q: %w", r.ClientID, p.Payload, err)
		return
	}
	r.got = append(r.got, a)
}

// Got returns the activities so far, in order of arrival, repeats included.
func (r *Reader) Got() ([]pactwire.Activity, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]pactwire.Activity(nil), r.got...), r.err
}

// Last is the highest sequence number so far.
func (r *Reader) Last() pactwire.Seq {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last pactwire.Seq
	for i := range r.got {
		last = max(last, r.got[i].Seq)
	}
	return last
}
