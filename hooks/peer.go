package hooks

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Conn is what the hooks need of the connection under a client; the broker's connections implement it.
type Conn interface {
	RemoteAddrPort() netip.AddrPort
	// Attach keeps a value with the connection; Attachment returns it, nil before.
	Attach(v any)
	Attachment() any
	// Disconnect sends DISCONNECT with the reason (MQTT 5 only) and closes.
	Disconnect(reason byte)
	// Pause holds up the goroutine that reads the connection. It returns false, at once, when the server ends the connection.
	Pause(d time.Duration) bool
	// SetKeepalive says how long the client may be silent, times one and a half.
	SetKeepalive(d time.Duration)
	// SetWindow lets at most most messages of QoS 1 and 2 that the library sends be under way.
	SetWindow(most uint16)
	// OnGone registers what to do once the library has let go of the connection; f runs at once if it has already.
	OnGone(f func())
	// ID is unique among the connections of this process.
	ID() uint64
}

// Session is the live session of a member or operator. Subscribe and Inbound may wait for the store; the others do not block.
type Session interface {
	// Start lets the session speak: replay, snapshots, live events. Called once CONNACK is written.
	Start()
	// Subscribe returns one MQTT 5 reason code a filter. Nothing is sent for the new filters until AfterSuback.
	Subscribe(ctx context.Context, subs []pactwire.Subscription) []byte
	AfterSuback()
	// Unsubscribe returns one MQTT 5 reason code a filter.
	Unsubscribe(filters []string) []byte
	// Received reports whether an inbound QoS 2 publish with this packet id was taken in already, so that it is to be
	// acknowledged once more and not done again. It notes nothing: Ack does, when it says PUBREC without an error, and the
	// client's PUBREL ends it.
	Received(id uint16) bool
	// Inbound is what a QoS 2 publish is committed with; nil when the session is not kept. It may wait for the store.
	Inbound(ctx context.Context, id uint16) (*pactwire.Inbound, error)
	// Forget ends what Received knows of a packet id, for a publish that is refused: a PUBREC with an error ends the exchange,
	// and so does a connection that is cut; the client may use the id for another publish.
	Forget(id uint16)
	// Ack writes PUBACK (qos 1) or PUBREC (qos 2); code and reason are for MQTT 5 alone. Nothing for qos 0.
	Ack(id uint16, qos, code byte, reason string)
	// Tell sends an unlogged event to the connection alone, if it has subscribed to the inbox.
	Tell(e pactwire.Event)
	// SetExpiry changes how long the session outlives the connection.
	SetExpiry(d time.Duration)
	// Detach ends the connection's hold on the session. Safe to call again.
	Detach()
}

// peer is what is known of the other side of one connection. It is made by Auth and read by the other hooks; fields
// without a word about it do not change after CONNECT.
type peer struct {
	identity  pactwire.Identity
	kind      pactwire.DeviceKind
	version   byte
	conn      Conn
	session   Session // nil for lab
	present   bool    // Session Present
	joins     bool    // auto-join: it is subscribed without asking
	lab       bool
	aliases   *aliases // nil but for lab clients that take some
	maxPacket int      // of the client; 0 = no limit
	topics    *topics.Limits
	clientID  string        // as the client knows it
	method    string        // MQTT 5 authentication method of CONNECT, "" = none
	expiry    time.Duration // session expiry as granted

	bearer atomic.Pointer[pactwire.Identity] // of the token that counts: a refreshed one replaces that of CONNECT

	codes   []byte        // of the SUBACK or UNSUBACK about to be encoded; reader goroutine only
	reason  string        // of the same, "" = none; reader goroutine only
	slots   chan struct{} // one a command that is not yet acknowledged
	arrived atomic.Bool   // has subscribed, so counts for presence
	spoke   atomic.Bool   // has said something of presence
	alarm   alarm         // when the token ends
}

// maxUnanswered bounds the commands of one connection that wait for their commit. The reader pauses at the bound.
const maxUnanswered = 32

// peerOf returns the peer of a client, or nil before CONNECT was accepted and for the library's inline client.
func peerOf(cl *mqtt.Client) *peer {
	conn, ok := cl.Net.Conn.(Conn)
	if !ok {
		return nil
	}
	p, _ := conn.Attachment().(*peer)
	return p
}

func (p *peer) v5() bool { return p.version >= 5 }

// code is a code of a SUBACK in the client's version.
func (p *peer) code(c byte) byte {
	if c >= 0x80 && !p.v5() {
		return 0x80
	}
	return c
}

// isDevice reports whether a thing is on the other side, with a secret of its own.
func (p *peer) isDevice() bool { return p.identity.Device != "" }
