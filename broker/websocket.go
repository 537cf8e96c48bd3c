package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var errText = errors.New("websocket: text message")

// webStream is MQTT within the binary messages of a WebSocket. Messages and packets need not fall together.
type webStream struct {
	ws   *websocket.Conn
	conn net.Conn // below ws
	msg  io.Reader
}

func (s *webStream) Read(p []byte) (int, error) {
	for {
		if s.msg == nil {
			kind, r, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				s.close(websocket.CloseUnsupportedData)
				return 0, errText
			}
			s.msg = r
		}
		n, err := s.msg.Read(p)
		if errors.Is(err, io.EOF) {
			s.msg, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

var frameBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// Write sends p as one message. The frame is made here and written in one piece: the library's way would keep a buffer a
// connection, or write twice. A control frame of the library's can only come between two of ours.
func (s *webStream) Write(p []byte) (int, error) {
	buf := frameBuffers.Get().(*[]byte)
	b := append((*buf)[:0], 0x80|websocket.BinaryMessage)
	switch n := len(p); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, p...)
	_, err := s.conn.Write(b)
	if cap(b) <= 64<<10 {
		*buf = b
		frameBuffers.Put(buf)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *webStream) goodbye() { s.close(websocket.CloseNormalClosure) }

func (s *webStream) close(code int) {
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(farewell))
}

// web is the HTTP side of a WebSocket listener.
type web struct {
	srv      *Server
	upgrader websocket.Upgrader
}

// The library needs a write buffer for nothing but what it is never asked here, so all connections share a pool of none.
var noWriteBuffers sync.Pool

func newWeb(s *Server) *web {
	w := &web{srv: s}
	w.upgrader = websocket.Upgrader{
		ReadBufferSize: ownBuffer, WriteBufferSize: ownBuffer, WriteBufferPool: &noWriteBuffers,
		Subprotocols: []string{"mqtt"},
		CheckOrigin:  func(r *http.Request) bool { return originAllowed(s.cfg.Origins, r) },
		Error: func(rw http.ResponseWriter, _ *http.Request, status int, reason error) {
			text := reason.Error()
			if status == http.StatusForbidden { // the library has no other reason for it
				text = "pages of this origin may not connect; mqtt.origins lists those that may"
			}
			rw.Header().Set("Sec-Websocket-Version", "13")
			http.Error(rw, text, status)
		},
	}
	return w
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	sk, ok := r.Context().Value(sockKey{}).(*sock)
	if !ok || r.URL.Path != w.srv.cfg.Path {
		w.refuse(rw, http.StatusNotFound, "MQTT over WebSocket is at "+w.srv.cfg.Path)
		return
	}
	if !slices.Contains(websocket.Subprotocols(r), "mqtt") {
		w.refuse(rw, http.StatusBadRequest, "ask for a WebSocket with the subprotocol mqtt")
		return
	}
	if sk.proxy != nil && !w.srv.mayConnect(sk.remote().Addr()) {
		w.srv.metrics.refused.WithLabelValues(refusedRate).Inc()
		http.Error(rw, "too many connections from this address; try again later", http.StatusTooManyRequests)
		return
	}
	ws, err := w.upgrader.Upgrade(rw, r, nil)
	if err != nil {
		w.srv.metrics.refused.WithLabelValues(refusedHTTP).Inc()
		return // the upgrader has answered
	}
	// A message is read as it comes and never held, so this bounds nothing but the nonsense of announcing more.
	ws.SetReadLimit(4 * int64(w.srv.cfg.Limits.PacketSize))
	st := &webStream{ws: ws, conn: ws.NetConn()}
	// On a fresh goroutine: this one's stack has grown with HTTP, and stays so for as long as it lives.
	w.srv.ledger.run(func() { w.srv.serve(w.srv.newConn(sk, st)) })
}

func (w *web) refuse(rw http.ResponseWriter, status int, text string) {
	w.srv.metrics.refused.WithLabelValues(refusedHTTP).Inc()
	http.Error(rw, text, status)
}

// originAllowed judges the Origin header. Programs send none; a page of another host could speak with the credentials
// that its visitor's browser keeps, so it must be listed.
func originAllowed(list []string, r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	for _, o := range list {
		if o == "*" || strings.EqualFold(o, origins[0]) {
			return true
		}
	}
	if len(list) > 0 {
		return false
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
