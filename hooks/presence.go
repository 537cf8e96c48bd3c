package hooks

import (
	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
)

// Presence is told of connections that come, speak and go, by the name that their token gives, if it gives one. None of its
// methods blocks.
type Presence interface {
	Arrive(conn uint64, clientID string, u pactwire.UserID, name string, kind pactwire.DeviceKind)
	Say(conn uint64, clientID string, u pactwire.UserID, name string, kind pactwire.DeviceKind, status pactwire.PresenceStatus)
	Leave(conn uint64, clientID string, u pactwire.UserID)
}

// PresenceHook follows connections for presence. A connection counts from its first SUBSCRIBE, so that a one-shot
// publisher flips nobody online. However it ends (DISCONNECT, a drop, with a will or without), the person has the grace
// time to come back.
type PresenceHook struct {
	mqtt.HookBase
	tracker Presence
}

// NewPresence makes the hook.
func NewPresence(t Presence) *PresenceHook { return &PresenceHook{tracker: t} }

// ID implements mqtt.Hook.
func (*PresenceHook) ID() string { return "presence" }

// Provides implements mqtt.Hook.
func (*PresenceHook) Provides(b byte) bool {
	return b == mqtt.OnSubscribed || b == mqtt.OnSessionEstablished || b == mqtt.OnDisconnect
}

// OnSubscribed implements mqtt.Hook. It is called with refused filters as well; asking is enough to count.
func (h *PresenceHook) OnSubscribed(cl *mqtt.Client, _ packets.Packet, _ []byte) {
	h.arrive(peerOf(cl))
}

// OnSessionEstablished implements mqtt.Hook: a session that brings its subscriptions along has subscribed already, and auto-join
// subscribes now. It runs before Auth's, which lets the session speak, so that nobody is told first that they are away.
func (h *PresenceHook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if p := peerOf(cl); p != nil && (p.present || p.joins) {
		h.arrive(p)
	}
}

func (h *PresenceHook) arrive(p *peer) {
	if p == nil || p.session == nil || p.identity.Is(pactwire.RoleOperator) || p.isDevice() || p.arrived.Swap(true) {
		return
	}
	h.tracker.Arrive(p.conn.ID(), p.clientID, p.identity.UserID, p.identity.UserName, p.kind)
}

// OnDisconnect implements mqtt.Hook.
func (h *PresenceHook) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	if p := peerOf(cl); p != nil && (p.arrived.Load() || p.spoke.Load()) {
		h.tracker.Leave(p.conn.ID(), p.clientID, p.identity.UserID)
	}
}
