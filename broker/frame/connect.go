package frame

// connect checks a CONNECT and, when it passes, fixes the protocol level of the connection.
func (c *Checker) connect(b cursor) *Violation {
	version, v := b.protocol()
	if v == nil {
		var keepalive uint16
		if keepalive, v = b.connect(version, c.lim); v == nil {
			c.version, c.keepalive = version, keepalive
			return nil
		}
	}
	// A copy, since the common ones are shared.
	named := *v
	named.Version = version
	return &named
}

// protocol reads the protocol name and level. The level is returned with the violation too, so that the refusal can
// speak the client's language.
func (b *cursor) protocol() (version byte, v *Violation) {
	name, v := b.binary()
	if v != nil {
		return 0, v
	}
	mqtt, mqisdp := string(name) == "MQTT", string(name) == "MQIsdp"
	if !mqtt && !mqisdp {
		return 0, protocol("unknown protocol name")
	}
	version, v = b.u8()
	if v != nil {
		return 0, v
	}
	if mqtt && version != 4 && version != 5 || mqisdp && version != 3 {
		return version, violation(UnsupportedVersion, "unsupported protocol version")
	}
	return version, nil
}

// The bits of the connect flags.
const (
	flagReserved   = 1 << 0
	flagClean      = 1 << 1
	flagWill       = 1 << 2
	flagWillQoS    = 3 << 3
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUsername   = 1 << 7
)

// connect reads what follows the protocol level.
func (b *cursor) connect(version byte, lim *Limits) (keepalive uint16, v *Violation) {
	flags, v := b.u8()
	if v != nil {
		return 0, v
	}
	switch {
	case flags&flagReserved != 0:
		return 0, malformed("reserved connect flag")
	case flags&flagWill == 0 && flags&(flagWillQoS|flagWillRetain) != 0:
		return 0, malformed("will QoS or retain without a will")
	case flags&flagWillQoS == flagWillQoS:
		return 0, malformed("will QoS 3")
	case version < 5 && flags&flagPassword != 0 && flags&flagUsername == 0:
		return 0, malformed("password without a user name")
	}
	if keepalive, v = b.u16(); v != nil {
		return 0, v
	}
	if version == 5 {
		seen, method, v := b.properties(connectProps, lim)
		if v != nil {
			return 0, v
		}
		if seen.has(propAuthData) && !seen.has(propAuthMethod) {
			return 0, protocol("authentication data without a method")
		}
		if seen.has(propAuthMethod) && string(method) != lim.AuthMethod {
			return 0, violation(BadAuthMethod, "unknown authentication method")
		}
	}
	id, _, v := b.text()
	if v != nil {
		return 0, v
	}
	if len(id) > lim.ClientIDBytes || len(id) == 0 && version < 5 && (version == 3 || flags&flagClean == 0) {
		return 0, violation(ClientIDInvalid, "client identifier")
	}
	if flags&flagWill != 0 {
		if v := b.will(version, lim); v != nil {
			return 0, v
		}
	}
	if flags&flagUsername != 0 {
		if _, _, v := b.text(); v != nil {
			return 0, v
		}
	}
	if flags&flagPassword != 0 {
		if _, v := b.binary(); v != nil {
			return 0, v
		}
	}
	return keepalive, b.end()
}

func (b *cursor) will(version byte, lim *Limits) *Violation {
	if version == 5 {
		if _, _, v := b.properties(willProps, lim); v != nil {
			return v
		}
	}
	topic, wild, v := b.text()
	if v != nil {
		return v
	}
	if len(topic) == 0 || wild {
		return violation(TopicInvalid, "will topic")
	}
	_, v = b.binary() // a will without a payload is a will
	return v
}
