package broker

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/pactwire/pactwire/broker/frame"
	"github.com/pactwire/pactwire/internal/ratelimit"
)

// Config says where to listen and within which bounds. An empty address means no such listener.
type Config struct {
	TCP, TLS, WS, WSS string // addresses

	CertFile, KeyFile string         // of the TLS listeners; read again when they change
	Path              string         // of WebSocket; "/mqtt"
	Origins           []string       // allowed for WebSocket, as scheme://host[:port], or "*"; none = same host only
	TrustedProxies    []netip.Prefix // connections from there must begin with a PROXY header; from elsewhere none is read

	Limits Limits
	// Connects bounds how often one address (IPv6: /64) may connect; nil means no limit.
	Connects *ratelimit.Limiter[netip.Addr]

	// Listen binds an address; nil means the operating system's TCP.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Limits bound what one connection may cost. A zero value means the default.
type Limits struct {
	PacketSize     int           // bytes; 64 KiB
	ConnectTimeout time.Duration // from accept to the end of CONNECT, whatever comes between; 5 s
	FrameTimeout   time.Duration // from the first to the last byte of a packet; 30 s
	StallTimeout   time.Duration // without the peer taking a byte of what waits for it; 10 s
	KeepaliveMax   time.Duration // the keepalive of who names none; 1200 s
	SessionExpiry  time.Duration // longest; 7 days
	OutboundBytes  int           // waiting for the kernel; 256 KiB
	ReceiveMaximum int           // QoS > 0 publishes that a client may have under way; 256
}

func (l Limits) withDefaults() Limits {
	number := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	span := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	number(&l.PacketSize, 64<<10)
	number(&l.OutboundBytes, 256<<10)
	number(&l.ReceiveMaximum, 256)
	l.ReceiveMaximum = min(l.ReceiveMaximum, 65535)
	span(&l.ConnectTimeout, 5*time.Second)
	span(&l.FrameTimeout, 30*time.Second)
	span(&l.StallTimeout, 10*time.Second)
	span(&l.KeepaliveMax, 1200*time.Second)
	span(&l.SessionExpiry, 7*24*time.Hour)
	return l
}

func (l Limits) frame() frame.Limits {
	return frame.Limits{PacketSize: l.PacketSize}.WithDefaults()
}

func (c Config) withDefaults() Config {
	if c.Path == "" {
		c.Path = "/mqtt"
	}
	if c.Listen == nil {
		// Probes only find peers that vanished; MQTT's own keepalive finds them sooner, and a radio likes to sleep.
		lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Minute, Interval: 30 * time.Second, Count: 4,
		}}
		c.Listen = lc.Listen
	}
	c.Limits = c.Limits.withDefaults()
	return c
}
