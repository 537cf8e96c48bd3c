package hooks

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// believing takes every token for that of the user it names.
type believing struct{ roles pactwire.Role }

func (b believing) Verify(_ context.Context, user, token string) (pactwire.Identity, error) {
	return pactwire.Identity{UserID: pactwire.UserID(strings.Clone(user)), Roles: b.roles, Token: token}, nil
}

// nothingKept opens sessions that are none.
type nothingKept struct{ Session }

func (nothingKept) Open(context.Context, pactwire.Connecting, Conn) (Session, bool, error) {
	return nothingKept{}, false, nil
}

// taking takes every filter.
type taking struct {
	Session
	subs []pactwire.Subscription
}

func (s *taking) Subscribe(_ context.Context, subs []pactwire.Subscription) []byte {
	s.subs = append(s.subs, subs...)
	return make([]byte, len(subs))
}

// attached is a connection to which a peer is attached.
type attached struct {
	net.Conn
	*link
	peer *peer
}

func (a attached) Attachment() any { return a.peer }

// TestASubscriptionKeepsNothingOfItsPacket but the filter: a SUBSCRIBE may be as large as a packet may be.
func TestASubscriptionKeepsNothingOfItsPacket(t *testing.T) {
	for _, lab := range []bool{false, true} {
		s := &taking{}
		p := &peer{version: 5, lab: lab, session: s, topics: &topics.Limits{Bytes: 256, Levels: 8}, identity: pactwire.Identity{UserID: "alice"}}
		filter := "users/alice/inbox"
		if lab {
			p.session, p.identity.Roles, filter = nil, pactwire.RoleLab, "room/abcdefghij/0"
		}
		cl := &mqtt.Client{Net: mqtt.ClientConnection{Conn: attached{link: &link{}, peer: p}}}
		cl.State.Subscriptions = mqtt.NewSubscriptions()
		body := []byte("\x00\x01" + "\x0a\x26\x00\x03why\x00\x02so" + "\x00\x11" + filter + "\x01")
		whole := weak.Make(&body[0])
		pk := packets.Packet{ProtocolVersion: 5, FixedHeader: packets.FixedHeader{Type: packets.Subscribe}}
		if err := pk.SubscribeDecode(body); err != nil {
			t.Fatal(err)
		}
		kept := NewACL(true, time.Second, 64).OnSubscribe(cl, pk).Filters
		if lab && kept[0].Filter != filter || !lab && s.subs[0].Filter != filter {
			t.Errorf("lab %v: %+v %+v", lab, kept, s.subs)
		}
		pk, body = packets.Packet{}, nil
		runtime.GC()
		if whole.Value() != nil {
			t.Errorf("lab %v: the SUBSCRIBE packet is still in memory", lab)
		}
		runtime.KeepAlive(kept)
		runtime.KeepAlive(s)
	}
}

// TestAConnectionKeepsNothingOfItsConnect: a CONNECT may be as large as a packet may be, and is over when it is answered.
func TestAConnectionKeepsNothingOfItsConnect(t *testing.T) {
	const props = "\x1d\x15\x00\x03jwt\x16\x00\x04data\x26\x00\x06device\x00\x05watch"
	t.Run("member", func(t *testing.T) {
		keepsNothing(t, 0, "\x00\x04MQTT\x05\xc2\x00\x3c"+ // user name, password, clean start, 60 s
			props+"\x00\x05phone"+"\x00\x05alice"+"\x00\x05token")
	})
	t.Run("lab, with a will", func(t *testing.T) {
		cl := keepsNothing(t, pactwire.RoleLab, "\x00\x04MQTT\x05\xc6\x00\x3c"+ // and a will
			props+"\x00\x05phone"+"\x0d\x26\x00\x03why\x00\x05tired"+"\x00\x04room"+"\x00\x04gone"+"\x00\x05alice"+"\x00\x05token")
		if w := cl.Properties.Will; w.TopicName != "room" || string(w.Payload) != "gone" || len(w.User) != 1 || w.User[0].Val != "tired" {
			t.Errorf("the will is %+v", w)
		}
	})
}

func keepsNothing(t *testing.T, roles pactwire.Role, connect string) *mqtt.Client {
	t.Helper()
	server := mqtt.New(nil)
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	cl := server.NewClient(near, "tcp", "", false)
	body := []byte(connect)
	whole := weak.Make(&body[0])
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	if err := pk.ConnectDecode(body); err != nil {
		t.Fatal(err)
	}
	cl.ParseConnect("tcp", pk)
	a := NewAuth(AuthConfig{KeepaliveMin: time.Second, KeepaliveMax: time.Hour, SessionExpiry: time.Hour, Lab: true}, believing{roles}, nothingKept{}, nil)
	p, no := a.admit(context.Background(), cl, &link{}, pk)
	if no != nil {
		t.Fatal(no)
	}
	if p.clientID != "phone" || p.method != "jwt" || p.kind != pactwire.KindWatch || p.identity.UserID != "alice" {
		t.Errorf("admitted as %+v", p)
	}
	pk, body = packets.Packet{}, nil
	runtime.GC()
	if whole.Value() != nil {
		t.Error("the CONNECT packet is still in memory")
	}
	runtime.KeepAlive(p)
	return cl
}
