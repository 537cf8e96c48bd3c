package broker_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2"
	"github.com/pires/go-proxyproto"

	"github.com/pactwire/pactwire/broker"
	"github.com/pactwire/pactwire/internal/ratelimit"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func header(t *testing.T, version byte) []byte {
	t.Helper()
	h := &proxyproto.Header{Version: version, Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv4,
		SourceAddr:      &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711},
		DestinationAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1883}}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTrustedProxyTellsTheAddress(t *testing.T) {
	conns := make(chan *broker.Conn, 1)
	s := start(t, broker.Config{TCP: "127.0.0.1:0", WS: "127.0.0.1:0", TrustedProxies: loopback},
		&open{established: func(cl *mqtt.Client) { conns <- connOf(cl) }})
	for _, version := range []byte{1, 2} {
		c := dial(t, s)
		c.send(header(t, version))
		c.connect(4, "a")
		if got := (<-conns).RemoteAddrPort().String(); got != "203.0.113.7:4711" {
			t.Errorf("version %d: %s", version, got)
		}
		c.ping()
	}

	d := websocket.Dialer{Subprotocols: []string{"mqtt"}, NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			_, err = c.Write(header(t, 2))
		}
		return c, err
	}}
	ws, _, err := d.Dial("ws://"+s.addr("ws")+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	talk(t, &web{Conn: ws}).connect(4, "b")
	if got := (<-conns).RemoteAddrPort().String(); got != "203.0.113.7:4711" {
		t.Errorf("WebSocket: %s", got)
	}
}

func TestTrapProxyHeaderIsForTrustedProxiesOnly(t *testing.T) {
	stranger := start(t, broker.Config{})
	c := dial(t, stranger)
	c.send(header(t, 1), hello(4, "a", 60))
	c.wantEnd()
	c = dial(t, stranger)
	c.send(header(t, 2), hello(4, "a", 60))
	c.wantEnd()

	behind := start(t, broker.Config{TrustedProxies: loopback, Limits: broker.Limits{ConnectTimeout: 200 * time.Millisecond}})
	c = dial(t, behind)
	c.send(hello(4, "a", 60)) // round the proxy
	c.wantEnd()
	c = dial(t, behind)
	c.send([]byte("PROXY TCP4 203.0"))
	c.wantEnd()
	dial(t, behind).wantEnd()
	if n := behind.metric(t, "pactwire_mqtt_connects_refused_total", "proxy_header"); n != 3 {
		t.Errorf("%v refused", n)
	}
}

func TestConnectRateIsOfTheClientBehindTheProxy(t *testing.T) {
	s := start(t, broker.Config{TrustedProxies: loopback, Connects: ratelimit.New[netip.Addr](0.001, 1, 0)})
	c := dial(t, s)
	c.send(header(t, 1))
	c.connect(4, "a")
	c = dial(t, s)
	c.send(header(t, 1))
	c.wantEnd()
	c = dial(t, s)
	c.send([]byte("PROXY TCP4 203.0.113.8 192.0.2.1 1 1883\r\n"))
	c.connect(4, "b")
}
