package hooks

import (
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// SessionsHook ends what a connection held, and cleans up what the library would leave behind.
type SessionsHook struct {
	mqtt.HookBase
	longest time.Duration // limits.session_expiry
	server  *mqtt.Server  // set by Use
}

// NewSessions makes the hook. Use names the library's server, which is made after its hooks, before it starts.
func NewSessions(longest time.Duration) *SessionsHook { return &SessionsHook{longest: longest} }

// Use names the server that the hook tidies up in.
func (h *SessionsHook) Use(server *mqtt.Server) { h.server = server }

// ID implements mqtt.Hook.
func (*SessionsHook) ID() string { return "sessions" }

// Provides implements mqtt.Hook.
func (*SessionsHook) Provides(b byte) bool {
	return b == mqtt.OnSessionEstablish || b == mqtt.OnDisconnect || b == mqtt.OnClientExpired || b == mqtt.OnWill
}

// OnSessionEstablish implements mqtt.Hook. A connection that ends before its CONNACK is written, such as one that is taken
// over in that moment, gets no OnDisconnect: the library would keep its client for ever.
func (h *SessionsHook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	p := peerOf(cl)
	if p == nil || p.session == nil {
		return
	}
	id := cl.ID // of this connection alone
	p.conn.OnGone(func() {
		p.alarm.end()
		h.server.Clients.Delete(id)
	})
}

// OnDisconnect implements mqtt.Hook. An MQTT 5 DISCONNECT may have changed how long the session is kept.
func (h *SessionsHook) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	p := peerOf(cl)
	if p == nil || p.session == nil {
		return
	}
	if p.v5() {
		asked := time.Duration(cl.Properties.Props.SessionExpiryInterval) * time.Second
		if granted := min(asked, h.longest); granted != p.expiry {
			p.session.SetExpiry(granted)
		}
	}
	p.session.Detach()
	// The library would keep an MQTT 5 client as a session of its own.
	h.server.UnsubscribeClient(cl)
	h.server.Clients.Delete(cl.ID)
}

// OnClientExpired implements mqtt.Hook: the library forgets the client but not its subscriptions, which the next owner
// of the client id would inherit.
func (h *SessionsHook) OnClientExpired(cl *mqtt.Client) {
	cl.ClearInflights()
	h.server.UnsubscribeClient(cl)
}

// OnWill implements mqtt.Hook. Members have no will by then; should one ever get here, it goes where nobody can read.
func (h *SessionsHook) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	if p := peerOf(cl); p == nil || !p.lab {
		return mqtt.Will{TopicName: nobody}, nil
	}
	return will, nil
}
