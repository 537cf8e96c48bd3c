package broker

import (
	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// mend is a hook of the library that repairs what the library gets wrong with packets that are right. It runs before all
// other hooks, and decides nothing.
type mend struct {
	mqtt.HookBase
	srv *Server
}

func (*mend) ID() string { return "mend" }

func (*mend) Provides(b byte) bool {
	return b == mqtt.OnPacketRead || b == mqtt.OnConnect || b == mqtt.OnSessionEstablished || b == mqtt.OnPacketEncode
}

// emptyWill stands for an empty will payload, which MQTT allows and the library refuses, until OnConnect.
var emptyWill = []byte{0}

// OnPacketRead sees a packet before the library judges it.
func (m *mend) OnPacketRead(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Connect:
		if pk.Connect.WillFlag && len(pk.Connect.WillPayload) == 0 {
			pk.Connect.WillPayload = emptyWill
		}
		if pk.Connect.PasswordFlag && len(pk.Connect.Password) == 0 {
			pk.Connect.PasswordFlag = false // an empty password is a wrong one, not a broken packet
		}
	case packets.Publish:
		// To these the library never answers, and a client that waits for an ack would hang. With one more $ in front they
		// reach the hooks, which refuse them as any other topic that is not to be used.
		if len(pk.TopicName) > 0 && pk.TopicName[0] == '$' && !mqtt.IsValidFilter(pk.TopicName, true) {
			pk.TopicName = "$" + pk.TopicName
		}
	case packets.Disconnect:
		// The library would let DISCONNECT raise the expiry above the cap.
		longest := m.srv.mqtt.Options.Capabilities.MaximumSessionExpiryInterval
		pk.Properties.SessionExpiryInterval = min(pk.Properties.SessionExpiryInterval, longest)
	}
	return pk, nil
}

// OnConnect puts the empty will payload back. Later hooks must look at the client's will, not at the packet's.
func (m *mend) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	if p := pk.Connect.WillPayload; pk.Connect.WillFlag && len(p) == 1 && &p[0] == &emptyWill[0] {
		cl.Properties.Will.Payload = []byte{}
	}
	return nil
}

// OnSessionEstablished lets the connection take the client's will back; see Conn.Read.
func (m *mend) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if c, ok := cl.Net.Conn.(*Conn); ok {
		c.client = cl
	}
}

// OnPacketEncode announces the packet limit, which the library keeps to itself.
func (m *mend) OnPacketEncode(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack && pk.ReasonCode == 0 {
		pk.Properties.MaximumPacketSize = uint32(m.srv.cfg.Limits.PacketSize)
	}
	return pk
}
