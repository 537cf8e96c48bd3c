package delivery

import (
	"context"
	"math"
	"slices"

	"github.com/pactwire/pactwire"
)

// Where several nodes share the log, a node reads what a stream lacks there once somebody who wants it is connected, and publishes it.
// What was there before a subscription of QoS 0, or before its person joined, is not for it: it takes what is live.

// past is up to where nothing is taken of streams; at most one a pact, and the inbox.
type past map[pactwire.Stream]pactwire.Seq

// unplaced stands for a place in the log that is still to be read: nothing is taken from the stream meanwhile.
const unplaced = pactwire.Seq(math.MaxUint64)

// passBy notes the streams that filters of QoS 0 alone take in, other than the former ones did, and returns those. Under c.mu.
func (c *Client) passBy(former []subscription) (list []pactwire.Stream) {
	if c.hub.shared == nil || c.operator {
		return nil
	}
	for _, w := range c.streamsBy(func(qos byte) bool { return qos == 0 }) {
		had := func(s subscription) bool { return s.filter.Covers(topicOf(w.stream)) }
		if c.cursor(w.stream) == nil && !slices.ContainsFunc(former, had) {
			c.pass(w.stream, unplaced)
			list = append(list, w.stream)
		}
	}
	return list
}

// pass has the client take nothing of a stream up to a place, unless a cursor does. Under c.mu.
func (c *Client) pass(s pactwire.Stream, upTo pactwire.Seq) {
	if c.passed == nil {
		c.passed = make(past)
	}
	c.passed[s] = upTo
}

// isPast reports whether an entry was there before the client wanted its stream. Under c.mu.
func (c *Client) isPast(e *entry) bool {
	upTo, ok := c.passed[e.Stream]
	if ok && e.Seq > upTo {
		delete(c.passed, e.Stream) // those that come after it do as well
		return false
	}
	return ok
}

// placePassed reads the places for the filters of a session that goes on. When they cannot be read the client takes what comes.
func (c *Client) placePassed(ctx context.Context, list []pactwire.Stream) {
	if len(list) == 0 {
		return
	}
	bounds, err := c.hub.places.bounds(ctx, list)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range list {
		if err != nil {
			delete(c.passed, s)
		} else {
			c.pass(s, bounds[i].Head)
		}
	}
}
