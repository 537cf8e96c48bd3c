package broker_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2"

	"github.com/pactwire/pactwire/broker"
)

// The library counts 1.5 × keepalive in 16 bits, so 43,691 s would be none at all.
func TestTrapLongKeepaliveIsNotCutAtOnce(t *testing.T) {
	s := start(t, broker.Config{})
	for _, seconds := range []uint16{43691, 50000, 65535, 0} {
		c := dial(t, s)
		c.send(hello(4, "a", seconds))
		c.want(0x20, 2, 0, 0)
		for range 3 {
			c.ping()
		}
	}
}

func TestKeepaliveCutsTheSilent(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s)
	c.send(hello(5, "a", 1))
	c.want(0x20)
	began := time.Now()
	c.want(0xE0, 2, 0x8D)
	c.wantEnd()
	if d := time.Since(began); d < 1200*time.Millisecond || d > 5*time.Second {
		t.Errorf("cut after %v", d)
	}
}

func TestKeepaliveCanBeLengthened(t *testing.T) {
	s := start(t, broker.Config{}, &open{connect: func(cl *mqtt.Client) { connOf(cl).SetKeepalive(time.Hour) }})
	c := dial(t, s)
	c.send(hello(4, "a", 1))
	c.want(0x20, 2, 0, 0)
	_ = c.SetReadDeadline(time.Now().Add(1800 * time.Millisecond))
	if _, err := c.r.ReadByte(); !isTimeout(err) {
		t.Errorf("cut although the server's patience is longer: %v", err)
	}
	c.ping()
}

// A subscriber that only ever acknowledges is alive, though the library sees none of it.
func TestAcknowledgementsAreSignsOfLife(t *testing.T) {
	s, p, _ := bound(t, broker.Config{})
	c := dial(t, s)
	c.send(hello(4, "a", 1))
	c.want(0x20)
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for range 8 {
		<-tick.C
		c.send(packet(0x40, u16(1)))
	}
	c.ping()
	if got := strings.Count(p.heard(), "puback 10"); got != 8 {
		t.Errorf("heard %s", p.heard())
	}
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
