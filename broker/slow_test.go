package broker_test

import (
	"bytes"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2"

	"github.com/pactwire/pactwire/broker"
)

// stuck is a connection whose client does not read, and has little room for what it does not.
func stuck(t *testing.T, s *server, conns <-chan *broker.Conn) (*client, *broker.Conn) {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
	}}
	nc, err := d.Dial("tcp", s.addr("tcp"))
	if err != nil {
		t.Fatal(err)
	}
	c := talk(t, nc).connect(5, "stuck")
	return c, <-conns
}

func TestTrapSlowConsumerDoesNotHoldUpItsSenders(t *testing.T) {
	s, p, conns := bound(t, broker.Config{})
	_, conn := stuck(t, s, conns)
	message := packet(0x30, str("t"), raw(0), make([]byte, 8000))
	var worst time.Duration
	var err error
	for err == nil {
		began := time.Now()
		err = conn.Send(message)
		worst = max(worst, time.Since(began))
		if conn.Pending() > 256<<10 {
			t.Fatalf("%d bytes wait", conn.Pending())
		}
	}
	if worst > time.Second {
		t.Errorf("a Send took %v", worst)
	}
	if cause := p.wait(t); cause == nil || !strings.Contains(cause.Error(), "outbound limit") {
		t.Errorf("ended by %v", cause)
	}
	if n := s.metric(t, "pactwire_mqtt_overflows_total", ""); n != 1 {
		t.Errorf("%v overflows", n)
	}
}

func TestTrapStalledConsumerIsClosed(t *testing.T) {
	s, p, conns := bound(t, broker.Config{Limits: broker.Limits{StallTimeout: 150 * time.Millisecond, OutboundBytes: 1 << 20}})
	_, conn := stuck(t, s, conns)
	message := packet(0x30, str("t"), raw(0), make([]byte, 8000))
	for conn.Pending() == 0 {
		if err := conn.Send(message); err != nil {
			t.Fatal(err)
		}
	}
	if cause := p.wait(t); cause == nil || !strings.Contains(cause.Error(), "takes nothing") {
		t.Errorf("ended by %v", cause)
	}
}

// What waited arrives whole and in order once the client reads again, and the owner is told when nothing waits.
func TestSlowConsumerGetsAllInOrder(t *testing.T) {
	s, _, conns := bound(t, broker.Config{Limits: broker.Limits{OutboundBytes: 8 << 20}})
	c, conn := stuck(t, s, conns)
	drained := make(chan struct{}, 100)
	conn.OnDrained(func() { drained <- struct{}{} })
	sent := 0
	for ; conn.Pending() < 100<<10; sent++ {
		if err := conn.Send(packet(0x30, str("t"), raw(0), u16(uint16(sent)), make([]byte, 3000))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sent {
		p := c.want(0x30)
		if got := p[len(p)-3002 : len(p)-3000]; !bytes.Equal(got, u16(uint16(i))) {
			t.Fatalf("message %d is % x", i, got)
		}
	}
	select {
	case <-drained:
	case <-time.After(patience):
		t.Fatal("not told that nothing waits")
	}
	if conn.Pending() != 0 {
		t.Errorf("%d bytes wait", conn.Pending())
	}
}

// The library's own slow consumers lose QoS 0 messages, as MQTT allows, and keep their connection.
func TestSlowLabConsumerLosesQoS0AndStays(t *testing.T) {
	conns := make(chan *broker.Conn, 1)
	s := start(t, broker.Config{Limits: broker.Limits{OutboundBytes: 64 << 10}},
		&open{established: func(cl *mqtt.Client) { conns <- connOf(cl) }})
	_, conn := stuck(t, s, conns)
	message := packet(0x30, str("t"), raw(0), make([]byte, 8000))
	for s.metric(t, "pactwire_mqtt_messages_dropped_total", "") < 10 {
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
	}
	if conn.Pending() > 64<<10 {
		t.Errorf("%d bytes wait", conn.Pending())
	}
}

// What waits for company goes in order with what does not, and is bounded like it.
func TestWritesThatWaitKeepTheirOrderAndTheirBound(t *testing.T) {
	s, p, conns := bound(t, broker.Config{})
	c := dial(t, s).connect(5, "c")
	conn := <-conns
	const sent = 2000
	for i := range sent {
		write := conn.Write
		if i%3 > 0 {
			write = conn.WriteLater
		}
		if _, err := write(packet(0x30, str("t"), raw(0), u16(uint16(i)))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sent {
		if got := c.want(0x30); !bytes.Equal(got[len(got)-2:], u16(uint16(i))) {
			t.Fatalf("message %d is % x", i, got)
		}
	}
	if _, err := conn.WriteLater(packet(0x30, str("t"), raw(0), []byte("last"))); err != nil {
		t.Fatal(err)
	}
	conn.Disconnect(0)
	if got := c.want(0x30); !bytes.HasSuffix(got, []byte("last")) {
		t.Errorf("got % x before the end", got)
	}
	p.wait(t)

	_, conn = stuck(t, s, conns)
	var err error
	for message := packet(0x32, str("t"), u16(1), raw(0), make([]byte, 8000)); err == nil; {
		_, err = conn.WriteLater(message)
		if conn.Pending() > 256<<10 {
			t.Fatalf("%d bytes wait", conn.Pending())
		}
	}
	if cause := p.wait(t); cause == nil || !strings.Contains(cause.Error(), "outbound limit") {
		t.Errorf("ended by %v", cause)
	}
}
