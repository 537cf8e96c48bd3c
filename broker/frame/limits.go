package frame

// Limits are the bounds on one packet. The zero value of a bound means its default.
type Limits struct {
	PacketSize     int    // bytes of a whole packet, fixed header included; 64 KiB
	UserProperties int    // in one property list; 64
	Filters        int    // in one SUBSCRIBE or UNSUBSCRIBE; 1024
	ClientIDBytes  int    // 256
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
	if l.AuthMethod == "" {
		l.AuthMethod = "jwt"
	}
	return l
}
