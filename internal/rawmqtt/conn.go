package rawmqtt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Options are what a client says of itself.
type Options struct {
	ClientID, Username, Password string
	Version                      byte // 4 (3.1.1, the default) or 5
	Clean                        bool
	KeepAlive                    uint16 // seconds; nothing is pinged by itself
	WillTopic                    string
	WillPayload                  []byte
	SessionExpiry                uint32      // MQTT 5
	ReceiveMaximum               uint16      // MQTT 5; 0 = not said
	UserProperties               [][2]string // MQTT 5
	AuthMethod                   string      // MQTT 5; "" = not said
	HoldAcks                     bool        // do not acknowledge; the handler calls Puback
	ReadBuffer                   int         // bytes at first, 2048 by default; it grows with the packets
}

func (o *Options) version() byte {
	if o.Version == 5 {
		return 5
	}
	return 4
}

// Handler gets what comes. Its methods run on the reading goroutine; a nil function ignores. Bytes
// that they are given are valid until they return.
type Handler struct {
	Publish func(Publish)
	// Acked tells that a publish is done: PUBACK, or PUBCOMP for QoS 2, with the MQTT 5 reason.
	Acked func(id uint16, reason byte)
	// Received tells that a QoS 2 publish was taken in: PUBREC. PUBREL follows by itself.
	Received   func(id uint16)
	Suback     func(id uint16, codes []byte)
	Unsuback   func(id uint16)
	Disconnect func(reason byte)
	Auth       func(reason byte) // MQTT 5
}

// Conn is one connection. Its writing methods may be called from any goroutine.
type Conn struct {
	nc      net.Conn
	opts    Options
	handler Handler
	buf     []byte // what was read and not yet handled
	start   int    // where it begins

	mu  sync.Mutex
	out []byte // reused for each write
}

// Dial opens a TCP connection. The address is host:port.
func Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, "tcp", addr)
}

// Connect says CONNECT on nc and reads CONNACK. On an error nc is closed. The deadline of ctx applies.
func Connect(ctx context.Context, nc net.Conn, opts Options, h Handler) (*Conn, Connack, error) {
	size := opts.ReadBuffer
	if size <= 0 {
		size = 2048
	}
	c := &Conn{nc: nc, opts: opts, handler: h, buf: make([]byte, 0, size)}
	stop := context.AfterFunc(ctx, func() {
		if nc.SetDeadline(time.Unix(1, 0)) != nil {
			nc.Close()
		}
	})
	ack, err := c.connect()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("connect: %w", ctx.Err())
		}
		return nil, ack, err
	}
	return c, ack, nil
}

func (c *Conn) connect() (Connack, error) {
	if _, err := c.nc.Write(appendConnect(nil, &c.opts)); err != nil {
		return Connack{}, err
	}
	first, body, err := c.read()
	if err != nil {
		return Connack{}, err
	}
	if first>>4 != typeConnack || len(body) < 2 {
		return Connack{}, errMalformed
	}
	ack := Connack{SessionPresent: body[0]&1 == 1, Code: body[1]}
	if ack.Code != 0 {
		return ack, &Refused{ack.Code}
	}
	return ack, nil
}

// read returns the next packet; body is valid until the next call.
func (c *Conn) read() (first byte, body []byte, err error) {
	for {
		first, body, size, need, err := next(c.buf[c.start:])
		if err != nil {
			return 0, nil, err
		}
		if need == 0 {
			c.start += size
			return first, body, nil
		}
		if err := c.fill(need); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads once, into a buffer that has room for need bytes from start.
func (c *Conn) fill(need int) error {
	if c.start > 0 {
		c.buf = c.buf[:copy(c.buf, c.buf[c.start:])]
		c.start = 0
	}
	if cap(c.buf) < need {
		c.buf = append(make([]byte, 0, need+cap(c.buf)), c.buf...)
	}
	n, err := c.nc.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// Run reads and handles packets until the connection ends. It returns nil when the server or Close closed it.
func (c *Conn) Run() error {
	var acks []byte
	for {
		if _, _, _, need, _ := next(c.buf[c.start:]); need > 0 && len(acks) > 0 {
			if err := c.write(acks); err != nil {
				return ended(err)
			}
			acks = acks[:0]
		}
		first, body, err := c.read()
		if err != nil {
			return ended(err)
		}
		if acks, err = c.handle(first, body, acks); err != nil {
			return err
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *Conn) handle(first byte, body, acks []byte) ([]byte, error) {
	kind := first >> 4
	if kind == typePublish {
		p, err := readPublish(c.opts.version(), first, body)
		if err != nil {
			return acks, err
		}
		if c.handler.Publish != nil {
			c.handler.Publish(p)
		}
		switch {
		case c.opts.HoldAcks:
		case p.QoS == 1:
			acks = appendAck(acks, typePuback, p.ID)
		case p.QoS == 2:
			acks = appendAck(acks, typePubrec, p.ID)
		}
		return acks, nil
	}
	if kind == typePingresp {
		return acks, nil
	}
	if kind == typeDisconnect {
		if c.handler.Disconnect != nil {
			var reason byte
			if len(body) > 0 {
				reason = body[0]
			}
			c.handler.Disconnect(reason)
		}
		return acks, nil
	}
	if kind == typeAuth {
		if c.handler.Auth != nil {
			var reason byte
			if len(body) > 0 {
				reason = body[0]
			}
			c.handler.Auth(reason)
		}
		return acks, nil
	}
	if len(body) < 2 {
		return acks, errMalformed
	}
	id := binary.BigEndian.Uint16(body)
	switch kind {
	case typePuback, typePubcomp, typePubrec:
		var reason byte
		if len(body) > 2 {
			reason = body[2]
		}
		if kind == typePubrec && reason < 0x80 {
			if c.handler.Received != nil {
				c.handler.Received(id)
			}
			return appendAck(acks, typePubrel, id), nil
		}
		if c.handler.Acked != nil {
			c.handler.Acked(id, reason)
		}
	case typePubrel:
		return appendAck(acks, typePubcomp, id), nil
	case typeSuback:
		codes := body[2:]
		if c.opts.version() == 5 {
			var err error
			if codes, err = skipProperties(codes); err != nil {
				return acks, err
			}
		}
		if c.handler.Suback != nil {
			c.handler.Suback(id, codes)
		}
	case typeUnsuback:
		if c.handler.Unsuback != nil {
			c.handler.Unsuback(id)
		}
	default:
		return acks, fmt.Errorf("unexpected packet of type %d", kind)
	}
	return acks, nil
}

func (c *Conn) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.nc.Write(b)
	return err
}

// Publish sends a message. The caller chooses the packet id; it is ignored for QoS 0.
func (c *Conn) Publish(id uint16, qos byte, topic string, payload []byte) error {
	return c.send(func(b []byte) []byte { return appendPublish(b, c.opts.version(), id, qos, false, topic, payload) })
}

// Resend sends a message with the DUP flag.
func (c *Conn) Resend(id uint16, qos byte, topic string, payload []byte) error {
	return c.send(func(b []byte) []byte { return appendPublish(b, c.opts.version(), id, qos, true, topic, payload) })
}

// Subscribe asks for filters, all with one QoS.
func (c *Conn) Subscribe(id uint16, qos byte, filters ...string) error {
	return c.SubscribeWith(id, qos, nil, filters...)
}

// SubscribeWith is Subscribe with MQTT 5 user properties.
func (c *Conn) SubscribeWith(id uint16, qos byte, userProperties [][2]string, filters ...string) error {
	return c.send(func(b []byte) []byte {
		return appendSubscribe(b, c.opts.version(), id, qos, userProperties, filters)
	})
}

// Pubrel gives back the packet id of a QoS 2 publish; Run does so by itself when PUBREC comes.
func (c *Conn) Pubrel(id uint16) error {
	return c.send(func(b []byte) []byte { return appendAck(b, typePubrel, id) })
}

// Auth authenticates again (MQTT 5): AUTH with reason 0x19, the method of CONNECT, and data.
func (c *Conn) Auth(data string) error {
	return c.send(func(b []byte) []byte { return appendAuth(b, c.opts.AuthMethod, data) })
}

// Ping sends PINGREQ.
func (c *Conn) Ping() error {
	return c.send(func(b []byte) []byte { return append(b, typePingreq<<4, 0) })
}

// Disconnect says DISCONNECT and closes the connection.
func (c *Conn) Disconnect() error {
	err := c.send(func(b []byte) []byte { return append(b, typeDisconnect<<4, 0) })
	return errors.Join(err, c.Close())
}

// Close closes the connection without a word.
func (c *Conn) Close() error { return c.nc.Close() }

func (c *Conn) send(f func([]byte) []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = f(c.out[:0])
	_, err := c.nc.Write(c.out)
	return err
}
