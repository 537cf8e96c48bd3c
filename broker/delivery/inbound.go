package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
)

// maxReceived bounds the QoS 2 publishes of one client that are not released. It is above the Receive Maximum that we
// announce, so who exceeds it breaks the protocol and is disconnected.
const maxReceived = 1024

// Puback takes the client's acknowledgement of a message, whatever its reason: it will not be sent again.
func (c *Client) Puback(id uint16, reason byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return
	}
	was, ok := c.ring.ack(id)
	if !ok {
		return
	}
	if was.matters && c.human && reason < unspecified {
		c.hub.cfg.Witness.Saw(c.key.User, was.cur.stream, was.seq)
	}
	c.changed()
	c.stalled = time.Time{}
	c.sendWaits()
	if c.ring.len <= c.window/2 && c.waiting() {
		c.enqueue()
	}
}

// Received reports whether an inbound QoS 2 publish with this packet id was taken in before, so that it is only to be
// acknowledged again. It is remembered from the acknowledgement on, which follows the commit: one that was lost on the
// way there is taken in when it comes again.
func (c *Client) Received(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.received, id)
}

// Inbound is what a QoS 2 publish is committed with, so that it is known after a crash as well; nil when the session is not
// kept. The first one of a session waits until the session is stored.
func (c *Client) Inbound(ctx context.Context, id uint16) (*pactwire.Inbound, error) {
	keeps, stored := c.keeping()
	if !keeps {
		return nil, nil
	}
	if !stored {
		if err := c.hub.saver.save(ctx, c); err != nil {
			return nil, err
		}
	}
	return &pactwire.Inbound{Session: c.key, PacketID: id}, nil
}

func (c *Client) keeping() (keeps, stored bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expiry > 0, c.stored
}

// Forget takes back what Received knows of a packet id.
func (c *Client) Forget(id uint16) { c.forget(id) }

func (c *Client) forget(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.received, id)
	if i < 0 {
		return false
	}
	c.received = slices.Delete(c.received, i, i+1)
	return true
}

// remember notes that a QoS 2 publish was taken in. It reports false when the session has gone on to another connection.
func (c *Client) remember(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.detached:
		return false
	case slices.Contains(c.received, id):
	case len(c.received) >= maxReceived:
		c.hub.metrics.ended.WithLabelValues("receive_maximum").Inc()
		c.tr.Disconnect(receiveMaximum)
	default:
		c.received = append(c.received, id)
	}
	return true
}

// Pubrel takes back the packet id of a QoS 2 publish. Of a session that is kept it is given free only once that is durable:
// the client may use it for another publish then, which must not be taken for the former one after a crash.
func (c *Client) Pubrel(id uint16) {
	if keeps, _ := c.keeping(); !keeps || !c.Received(id) { // nothing that was taken in is unknown here
		c.pubcomp(id)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	refused := func(error) { c.tr.Disconnect(serverBusy) } // it says PUBREL again when it is back
	err := c.hub.sessions.ReleaseReceived(ctx, pactwire.Inbound{Session: c.key, PacketID: id}, func(err error) {
		if err != nil {
			refused(err)
			return
		}
		c.pubcomp(id)
	})
	if err != nil {
		refused(err)
	}
}

func (c *Client) pubcomp(id uint16) {
	var code byte
	if !c.forget(id) {
		code = idNotFound
	}
	buf := c.hub.buffer()
	*buf = wire.AppendPubcomp((*buf)[:0], c.version, id, code)
	_ = c.tr.Send(*buf)
	c.hub.release(buf)
}

// Ack writes PUBACK (qos 1) or PUBREC (qos 2), and nothing for qos 0. Code and reason are for MQTT 5 alone; the reason is
// left out where it does not fit the client's Maximum Packet Size, and for who asked for none (MQTT-3.1.2-29).
func (c *Client) Ack(id uint16, qos, code byte, reason string) {
	if qos == 0 {
		return
	}
	if qos == 2 && code < unspecified && !c.remember(id) {
		c.hub.inherit(c.key, id)
		return
	}
	if c.terse {
		reason = ""
	}
	buf := c.hub.buffer()
	*buf = wire.AppendAck((*buf)[:0], c.version, qos, id, code, reason)
	if c.maxPacket > 0 && len(*buf) > c.maxPacket {
		*buf = wire.AppendAck((*buf)[:0], c.version, qos, id, code, "")
	}
	_ = c.tr.Send(*buf)
	c.hub.release(buf)
}

// Closed implements the broker's peer: the connection is over.
func (c *Client) Closed(error) { c.Detach() }

// SetExpiry changes how long the session outlives the connection.
func (c *Client) SetExpiry(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.operator {
		c.expiry = d
		c.changed()
	}
}
