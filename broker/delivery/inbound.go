package delivery

import (
	"slices"
	"time"

	"github.com/pactwire/pactwire/broker/wire"
)

// maxReceived bounds the QoS 2 publishes of one client that are not released. It is above the Receive Maximum that we
// announce, so who exceeds it breaks the protocol and is disconnected.
const maxReceived = 1024

// Puback takes the client's acknowledgement of a message, whatever its reason: it will not be sent again.
func (c *Client) Puback(id uint16, _ byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || !c.ring.ack(id) {
		return
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
	c.changed()
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
		c.changed()
	}
	return true
}

// Pubrel takes back the packet id of a QoS 2 publish.
func (c *Client) Pubrel(id uint16) {
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
// left out where it does not fit the client's Maximum Packet Size.
func (c *Client) Ack(id uint16, qos, code byte, reason string) {
	if qos == 0 {
		return
	}
	if qos == 2 && code < unspecified && !c.remember(id) {
		c.hub.inherit(c.key, id)
		return
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
