package rawmqtt

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// DialWebSocket opens an MQTT connection over WebSocket. The address is host:port; the path is /mqtt.
func DialWebSocket(ctx context.Context, addr string) (net.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}, ReadBufferSize: 1024, WriteBufferSize: 512}
	ws, resp, err := d.DialContext(ctx, "ws://"+addr+"/mqtt", http.Header{})
	if err != nil {
		if resp != nil {
			resp.Body.Close()
			return nil, errors.New("websocket: the server answered " + resp.Status)
		}
		return nil, err
	}
	return &wsConn{ws: ws}, nil
}

// wsConn is a WebSocket as a stream of bytes: one binary message for each Write.
type wsConn struct {
	ws *websocket.Conn
	r  io.Reader // the message being read, nil between messages
}

func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.r == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				var closed *websocket.CloseError
				if errors.As(err, &closed) {
					err = io.EOF
				}
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("websocket: a message that is not binary")
			}
			c.r = r
		}
		n, err := c.r.Read(p)
		if errors.Is(err, io.EOF) {
			c.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wsConn) Close() error                       { return c.ws.Close() }
func (c *wsConn) LocalAddr() net.Addr                { return c.ws.LocalAddr() }
func (c *wsConn) RemoteAddr() net.Addr               { return c.ws.RemoteAddr() }
func (c *wsConn) SetReadDeadline(t time.Time) error  { return c.ws.SetReadDeadline(t) }
func (c *wsConn) SetWriteDeadline(t time.Time) error { return c.ws.SetWriteDeadline(t) }
func (c *wsConn) SetDeadline(t time.Time) error {
	return errors.Join(c.ws.SetReadDeadline(t), c.ws.SetWriteDeadline(t))
}
