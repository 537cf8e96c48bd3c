package broker_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2"

	"github.com/pactwire/pactwire/broker"
)

// web is a client's end of a WebSocket as a stream of MQTT bytes.
type web struct {
	*websocket.Conn
	rest []byte
}

func (w *web) Write(p []byte) (int, error) { return len(p), w.WriteMessage(websocket.BinaryMessage, p) }

func (w *web) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		kind, b, err := w.ReadMessage()
		if err != nil {
			return 0, err
		}
		if kind != websocket.BinaryMessage {
			return 0, errors.New("text from the server")
		}
		w.rest = b
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *web) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }

func dialWeb(t testing.TB, url string, header http.Header) (*client, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ws, resp, err := d.Dial(url, header)
	if err != nil {
		return nil, resp, err
	}
	return talk(t, &web{Conn: ws}), resp, nil
}

// wantEcho wants a PUBLISH with the payload of another, whatever properties the library has added.
func (c *client) wantEcho(sent []byte) {
	c.t.Helper()
	if p := c.want(0x30); !bytes.HasSuffix(p, sent[len(sent)-40000:]) {
		c.t.Fatal("another payload")
	}
}

func mustDialWeb(t testing.TB, url string) *client {
	t.Helper()
	c, _, err := dialWeb(t, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWebSocket(t *testing.T) {
	conns := make(chan *broker.Conn, 1)
	s := start(t, broker.Config{WS: "127.0.0.1:0"}, &open{established: func(cl *mqtt.Client) { conns <- connOf(cl) }})
	c := mustDialWeb(t, "ws://"+s.addr("ws")+"/mqtt").connect(5, "a")
	if got := c.Conn.(*web).Subprotocol(); got != "mqtt" {
		t.Errorf("subprotocol %q", got)
	}
	conn := <-conns
	if conn.Listener() != "ws" || conn.RemoteAddrPort().String() != c.LocalAddr().String() {
		t.Errorf("%s %s", conn.Listener(), conn.RemoteAddrPort())
	}
	c.send(packet(0x82, u16(1), raw(0), str("x"), raw(0)))
	c.want(0x90)
	// One packet in three messages, and three packets in one.
	big := packet(0x30, str("x"), raw(0), make([]byte, 50000))
	c.send(big[:1], big[1:20000], big[20000:])
	c.wantEcho(big)
	c.send(bytes.Join([][]byte{packet(0xC0), packet(0xC0), packet(0xC0)}, nil))
	for range 3 {
		c.want(0xD0)
	}
	conn.Disconnect(0x98)
	c.want(0xE0, 2, 0x98)
	if _, err := c.next(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("ended by %v", err)
	}
}

func TestTrapWebSocketRefusals(t *testing.T) {
	s := start(t, broker.Config{WS: "127.0.0.1:0", Origins: []string{"https://app.example.org"}})
	open := start(t, broker.Config{WS: "127.0.0.1:0"})
	host, openHost := s.addr("ws"), open.addr("ws")
	for name, tc := range map[string]struct {
		url, origin, protocol string
		status                int
	}{
		"listed origin":              {"ws://" + host + "/mqtt", "https://app.example.org", "mqtt", 101},
		"no origin":                  {"ws://" + host + "/mqtt", "", "mqtt", 101},
		"same host, but a list":      {"ws://" + host + "/mqtt", "http://" + host, "mqtt", 403},
		"other origin":               {"ws://" + host + "/mqtt", "https://evil.example.org", "mqtt", 403},
		"origin with a listed start": {"ws://" + host + "/mqtt", "https://app.example.org.evil.com", "mqtt", 403},
		"null origin":                {"ws://" + host + "/mqtt", "null", "mqtt", 403},
		"same host":                  {"ws://" + openHost + "/mqtt", "http://" + openHost, "mqtt", 101},
		"other host, no list":        {"ws://" + openHost + "/mqtt", "http://localhost.evil.com", "mqtt", 403},
		"null, no list":              {"ws://" + openHost + "/mqtt", "null", "mqtt", 403},
		"prefix of the host":         {"ws://" + openHost + "/mqtt", "http://" + openHost + ".evil.com", "mqtt", 403},
		"no subprotocol":             {"ws://" + host + "/mqtt", "", "", 400},
		"other subprotocol":          {"ws://" + host + "/mqtt", "", "chat", 400},
		"one of several":             {"ws://" + host + "/mqtt", "", "chat, mqtt", 101},
		"other path":                 {"ws://" + host + "/", "", "mqtt", 404},
		"path below":                 {"ws://" + host + "/mqtt/x", "", "mqtt", 404},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			if tc.origin != "" {
				h.Set("Origin", tc.origin)
			}
			if tc.protocol != "" {
				h.Set("Sec-WebSocket-Protocol", tc.protocol)
			}
			ws, resp, err := websocket.DefaultDialer.Dial(tc.url, h)
			if resp == nil || resp.StatusCode != tc.status {
				t.Fatalf("%v %v, want %d", resp, err, tc.status)
			}
			says := map[int]string{403: "mqtt.origins", 400: "a WebSocket with the subprotocol mqtt", 404: "is at /mqtt"}[tc.status]
			if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), says) {
				t.Errorf("%d says %q, %v", tc.status, text, err)
			}
			if ws != nil {
				_ = ws.Close()
			}
		})
	}
}

func TestTrapWebSocketText(t *testing.T) {
	s := start(t, broker.Config{WS: "127.0.0.1:0"})
	c := mustDialWeb(t, "ws://"+s.addr("ws")+"/mqtt")
	ws := c.Conn.(*web)
	_ = ws.WriteMessage(websocket.TextMessage, hello(4, "a", 60))
	if _, err := c.next(); !websocket.IsCloseError(err, websocket.CloseUnsupportedData) {
		t.Errorf("ended by %v", err)
	}
}

// upgraded speaks WebSocket frames by hand.
func upgraded(t *testing.T, s *server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr("ws"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	handshake(t, c)
	return c
}

// handshake turns an HTTP connection into a WebSocket and reads no further.
func handshake(t testing.TB, c net.Conn) {
	t.Helper()
	_, _ = io.WriteString(c, "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
	var answer []byte
	for b := make([]byte, 1); !bytes.HasSuffix(answer, []byte("\r\n\r\n")); answer = append(answer, b...) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101")) {
		t.Fatalf("%s", answer)
	}
}

// ends wants the connection closed by the server.
func ends(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 1000); ; {
		if _, err := c.Read(b); isTimeout(err) {
			t.Fatal("still open")
		} else if err != nil {
			return
		}
	}
}

func TestTrapWebSocketNonsenseIsClosed(t *testing.T) {
	s := start(t, broker.Config{WS: "127.0.0.1:0", Limits: broker.Limits{ConnectTimeout: 300 * time.Millisecond}})
	t.Run("a frame of 1 TiB", func(t *testing.T) {
		c := upgraded(t, s)
		_, _ = c.Write(append(binary.BigEndian.AppendUint64([]byte{0x82, 0xFF}, 1<<40), 1, 2, 3, 4))
		ends(t, c)
	})
	t.Run("upgraded and silent", func(t *testing.T) { ends(t, upgraded(t, s)) })
	t.Run("fragments without an end", func(t *testing.T) {
		c := upgraded(t, s)
		go func() {
			_, _ = c.Write(append([]byte{0x02, 0x81, 0, 0, 0, 0}, 0x10))
			for {
				if _, err := c.Write([]byte{0x00, 0x80, 0, 0, 0, 0}); err != nil { // an empty continuation
					return
				}
			}
		}()
		ends(t, c)
	})
	t.Run("half an HTTP request", func(t *testing.T) {
		c, err := net.Dial("tcp", s.addr("ws"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte("GET /mqtt HTTP/1.1\r\nHost:"))
		ends(t, c)
	})
	t.Run("unmasked", func(t *testing.T) {
		c := upgraded(t, s)
		_, _ = c.Write([]byte{0x82, 1, 0x10})
		ends(t, c)
	})
	eventually(t, "no connection left", func() bool { return s.metric(t, "pactwire_mqtt_connections", "ws") == 0 })
}

func TestDrainEndsWebSockets(t *testing.T) {
	s := start(t, broker.Config{WS: "127.0.0.1:0", Limits: broker.Limits{ConnectTimeout: time.Minute}})
	five := mustDialWeb(t, "ws://"+s.addr("ws")+"/mqtt").connect(5, "a")
	silent := upgraded(t, s)
	half, err := net.Dial("tcp", s.addr("ws"))
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	_, _ = half.Write([]byte("GET /mqtt HT"))
	eventually(t, "three connections", func() bool { return s.metric(t, "pactwire_mqtt_connections", "ws") == 3 })
	s.Drain(t.Context())
	five.want(0xE0, 2, 0x8B)
	ends(t, silent)
	ends(t, half)
}

func TestTLSAndSecureWebSocket(t *testing.T) {
	cert, key := files(t)
	writeCertificate(t, cert, key, "one.example.org")
	conns := make(chan *broker.Conn, 2)
	s := start(t, broker.Config{TLS: "127.0.0.1:0", WSS: "127.0.0.1:0", CertFile: cert, KeyFile: key},
		&open{established: func(cl *mqtt.Client) { conns <- connOf(cl) }})

	tc, err := tls.Dial("tcp", s.addr("tls"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c := talk(t, tc).connect(5, "a")
	conn := <-conns
	if conn.Listener() != "tls" {
		t.Error(conn.Listener())
	}
	c.send(packet(0x82, u16(1), raw(0), str("x"), raw(0)))
	c.want(0x90)
	big := packet(0x30, str("x"), raw(0), make([]byte, 60000))
	c.send(big)
	c.wantEcho(big)
	conn.Disconnect(0x98)
	c.want(0xE0, 2, 0x98)
	c.wantEnd()

	w := mustDialWeb(t, "wss://"+s.addr("wss")+"/mqtt").connect(4, "b")
	if conn := <-conns; conn.Listener() != "wss" {
		t.Error(conn.Listener())
	}
	w.ping()
}

func TestTrapSilentTLSIsClosed(t *testing.T) {
	cert, key := files(t)
	writeCertificate(t, cert, key, "one.example.org")
	s := start(t, broker.Config{TLS: "127.0.0.1:0", WSS: "127.0.0.1:0", CertFile: cert, KeyFile: key,
		Limits: broker.Limits{ConnectTimeout: 200 * time.Millisecond}})
	for _, name := range []string{"tls", "wss"} {
		for _, said := range [][]byte{nil, {0x16, 3, 1, 2, 0, 1}, []byte("GET / HTTP/1.1\r\n\r\n"), hello(4, "a", 60)} {
			c, err := net.Dial("tcp", s.addr(name))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write(said)
			ends(t, c)
			_ = c.Close()
		}
	}
	done, err := tls.Dial("tcp", s.addr("tls"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer done.Close()
	ends(t, done) // a handshake and nothing else
}

// A slow TLS consumer holds up its senders no more than a plain one.
func TestSlowTLSConsumerDoesNotHoldUpItsSenders(t *testing.T) {
	cert, key := files(t)
	writeCertificate(t, cert, key, "one.example.org")
	s, p, conns := bound(t, broker.Config{TLS: "127.0.0.1:0", CertFile: cert, KeyFile: key})
	tc, err := tls.Dial("tcp", s.addr("tls"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	talk(t, tc).connect(4, "a")
	conn := <-conns
	message := packet(0x30, str("t"), make([]byte, 30000))
	for err == nil {
		began := time.Now()
		err = conn.Send(message)
		if d := time.Since(began); d > time.Second {
			t.Fatalf("a Send took %v", d)
		}
	}
	if cause := p.wait(t); cause == nil || !strings.Contains(cause.Error(), "outbound limit") {
		t.Errorf("ended by %v", cause)
	}
}
