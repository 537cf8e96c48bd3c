package frame

import "slices"

// publish checks a PUBLISH. The payload is whatever is left.
func (c *Checker) publish(f *Frame, b cursor) *Violation {
	topic, wild, v := b.text()
	if v != nil {
		return v
	}
	if wild {
		return violation(TopicInvalid, "wildcard in a topic name")
	}
	if f.QoS() > 0 {
		if f.ID, v = b.packetID(); v != nil {
			return v
		}
	}
	if c.version == 5 {
		seen, _, v := b.properties(publishProps, c.lim)
		if v != nil {
			return v
		}
		if seen.has(propSubscriptionID) {
			return protocol("subscription identifier in a PUBLISH")
		}
	}
	if len(topic) == 0 { // after the properties, so that an alias is blamed first
		return protocol("empty topic name")
	}
	f.Topic = topic
	return nil
}

var (
	pubackReasons     = []byte{0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
	pubrelReasons     = []byte{0x00, 0x92}
	disconnectReasons = []byte{0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99}
	authReasons       = []byte{0x18, 0x19}
)

func (c *Checker) ack(f *Frame, b cursor) (v *Violation) {
	if f.ID, v = b.packetID(); v != nil {
		return v
	}
	if c.version < 5 || len(b.b) == 0 {
		return b.end()
	}
	allowed := pubackReasons
	if f.Type == Pubrel || f.Type == Pubcomp {
		allowed = pubrelReasons
	}
	return c.reason(f, b, allowed, ackProps)
}

// reason reads a reason code and, if the packet goes on, a property list that ends it.
func (c *Checker) reason(f *Frame, b cursor, allowed []byte, props propertySet) (v *Violation) {
	if f.Reason, v = b.u8(); v != nil {
		return v
	}
	if !slices.Contains(allowed, f.Reason) {
		return protocol("reason code not allowed in this packet")
	}
	if len(b.b) == 0 {
		return nil
	}
	if _, _, v := b.properties(props, c.lim); v != nil {
		return v
	}
	return b.end()
}

func (c *Checker) subscribe(f *Frame, b cursor) (v *Violation) {
	if f.ID, v = b.packetID(); v != nil {
		return v
	}
	options := f.Type == Subscribe
	if c.version == 5 {
		allowed := unsubscribeProps
		if options {
			allowed = subscribeProps
		}
		if _, _, v := b.properties(allowed, c.lim); v != nil {
			return v
		}
	}
	if len(b.b) == 0 {
		return protocol("no topic filter")
	}
	for n := 1; len(b.b) > 0; n++ {
		if n > c.lim.Filters {
			return violation(QuotaExceeded, "too many topic filters")
		}
		shared, v := b.filter()
		if v != nil {
			return v
		}
		if !options {
			continue
		}
		o, v := b.u8()
		if v != nil {
			return v
		}
		if v := c.options(o, shared); v != nil {
			return v
		}
	}
	return nil
}

// options judges the subscription options of one filter.
func (c *Checker) options(o byte, shared bool) *Violation {
	reserved := byte(0xFC)
	if c.version == 5 {
		reserved = 0xC0
	}
	switch {
	case o&reserved != 0:
		return malformed("reserved subscription options")
	case o&3 == 3:
		return malformed("subscription QoS 3")
	case o>>4&3 == 3:
		return protocol("retain handling 3")
	case shared && o&4 != 0:
		return protocol("no local on a shared subscription")
	}
	return nil
}

func (c *Checker) disconnect(f *Frame, b cursor) *Violation {
	if c.version < 5 || len(b.b) == 0 {
		return b.end()
	}
	return c.reason(f, b, disconnectReasons, disconnectProps)
}

// auth checks an AUTH. A client's one always goes on or begins again, so it always names its method.
func (c *Checker) auth(f *Frame, b cursor) (v *Violation) {
	if len(b.b) == 0 {
		return protocol("AUTH without a method")
	}
	if f.Reason, v = b.u8(); v != nil {
		return v
	}
	if !slices.Contains(authReasons, f.Reason) {
		return protocol("reason code not allowed in this packet")
	}
	if len(b.b) == 0 {
		return protocol("AUTH without a method")
	}
	seen, _, v := b.properties(authProps, c.lim)
	if v != nil {
		return v
	}
	if !seen.has(propAuthMethod) {
		return protocol("AUTH without a method")
	}
	return b.end()
}
