package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/pactwire/pactwire"
)

// message is one publication.
type message struct {
	topic    string
	payload  []byte
	retained bool
}

// connection is one MQTT connection. It is never reused: whoever holds it dials again when it is lost.
type connection struct {
	client mqtt.Client
	// messages holds what was received and not yet shown; when it is full the connection is not read, and the server waits.
	messages chan message
	lost     chan error
	closed   chan struct{}
}

// Times of a connection.
const (
	dialTimeout = 10 * time.Second
	keepAlive   = 30 * time.Second
)

// dial connects as id. With a client id the server keeps the session.
func dial(ctx context.Context, broker, clientID string, id pactwire.Identity) (*connection, error) {
	c := &connection{messages: make(chan message, 256), lost: make(chan error, 1), closed: make(chan struct{})}
	clean := clientID == ""
	if clean {
		var random [8]byte
		rand.Read(random[:])
		clientID = "watch-" + hex.EncodeToString(random[:])
	}
	opts := mqtt.NewClientOptions().AddBroker(broker).SetClientID(clientID).SetUsername(string(id.UserID)).SetPassword(id.Token).
		SetProtocolVersion(4).SetCleanSession(clean).SetAutoReconnect(false).SetConnectTimeout(dialTimeout).SetKeepAlive(keepAlive).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.lost <- err }).
		SetDefaultPublishHandler(c.receive)
	c.client = mqtt.NewClient(opts)
	token := c.client.Connect()
	if err := wait(ctx, token); err != nil {
		c.close()
		return nil, refusalOfConnect(token.(*mqtt.ConnectToken).ReturnCode(), err)
	}
	return c, nil
}

// refusalOfConnect tells a no from a broker that is not there.
func refusalOfConnect(code byte, err error) error {
	switch code {
	case packets.ErrRefusedNotAuthorised, packets.ErrRefusedBadUsernameOrPassword:
		return pactwire.Errorf(pactwire.Denied, "the broker does not accept your token; it may have expired")
	case packets.ErrRefusedIDRejected:
		return pactwire.Errorf(pactwire.Invalid, "the broker does not accept this client id")
	}
	cause := errors.New(strings.TrimPrefix(err.Error(), "network Error : "))
	return &pactwire.Error{Code: pactwire.Unavailable, Message: "the broker cannot be reached", Cause: cause}
}

// receive hands a publication to whoever shows it. It is acknowledged when this returns.
func (c *connection) receive(_ mqtt.Client, m mqtt.Message) {
	select {
	case c.messages <- message{m.Topic(), m.Payload(), m.Retained()}:
	case <-c.closed:
	}
}

// subscribe asks for the filters at QoS 1 and returns those that were refused.
func (c *connection) subscribe(ctx context.Context, filters []string) (refused []string, err error) {
	want := map[string]byte{}
	for _, f := range filters {
		want[f] = 1
	}
	token := c.client.SubscribeMultiple(want, nil)
	if err := wait(ctx, token); err != nil {
		return nil, &pactwire.Error{Code: pactwire.Unavailable, Message: "the broker does not answer", Cause: err}
	}
	for f, code := range token.(*mqtt.SubscribeToken).Result() {
		if code >= 0x80 {
			refused = append(refused, f)
		}
	}
	return refused, nil
}

func wait(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(dialTimeout + time.Second):
		return errors.New("no answer")
	}
}

// close ends the connection, if it still stands, with a DISCONNECT.
func (c *connection) close() {
	close(c.closed)
	c.client.Disconnect(100) // milliseconds for the last packets
}
