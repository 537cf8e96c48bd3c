package broker_test

import (
	"github.com/pactwire/pactwire/broker"
	"github.com/pactwire/pactwire/broker/delivery"
)

// What delivery and connections are to each other.
var (
	_ delivery.Transport = (*broker.Conn)(nil)
	_ broker.Peer        = (*delivery.Client)(nil)
)
