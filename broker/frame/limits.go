package frame

import "strings"

// Limits are the bounds on one packet. The zero value of a bound means its default.
type Limits struct {
	PacketSize     int    // bytes of a whole packet, fixed header included; 64 KiB
	UserProperties int    // in one property list; 64
	Filters        int    // in one SUBSCRIBE or UNSUBSCRIBE; 1024
	ClientIDBytes  int    // 256
	TopicBytes     int    // for TopicFits; 256
	TopicLevels    int    // for TopicFits; 8
	AuthMethod     string // the one MQTT 5 authentication method that CONNECT may name; "jwt"
}

// WithDefaults returns l with every bound set.
func (l Limits) WithDefaults() Limits {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&l.PacketSize, 64<<10)
	set(&l.UserProperties, 64)
	set(&l.Filters, 1024)
	set(&l.ClientIDBytes, 256)
	set(&l.TopicBytes, 256)
	set(&l.TopicLevels, 8)
	if l.AuthMethod == "" {
		l.AuthMethod = "jwt"
	}
	return l
}

// TopicFits reports whether a topic or filter is short and shallow enough to be looked up. The broker library's trie takes
// time in the square of the levels and under one lock, so what does not fit must never reach it.
func (l Limits) TopicFits(topic string) bool {
	return len(topic) <= l.TopicBytes && strings.Count(topic, "/") < l.TopicLevels
}
