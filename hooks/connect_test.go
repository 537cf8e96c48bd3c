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
)

// believing takes every token for that of the user it names.
type believing struct{}

func (believing) Verify(_ context.Context, user, token string) (pactwire.Identity, error) {
	return pactwire.Identity{UserID: pactwire.UserID(strings.Clone(user)), Token: token}, nil
}

// nothingKept opens sessions that are none.
type nothingKept struct{ Session }

func (nothingKept) Open(context.Context, pactwire.Connecting, Conn) (Session, bool, error) {
	return nothingKept{}, false, nil
}

// TestAConnectionKeepsNothingOfItsConnect: a CONNECT may be as large as a packet may be, and is over when it is answered.
func TestAConnectionKeepsNothingOfItsConnect(t *testing.T) {
	server := mqtt.New(nil)
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	cl := server.NewClient(near, "tcp", "", false)
	body := []byte("\x00\x04MQTT\x05\xc2\x00\x3c" + // user name, password, clean start, 60 s
		"\x1d\x15\x00\x03jwt\x16\x00\x04data\x26\x00\x06device\x00\x05watch" +
		"\x00\x05phone" + "\x00\x05alice" + "\x00\x05token")
	whole := weak.Make(&body[0])
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	if err := pk.ConnectDecode(body); err != nil {
		t.Fatal(err)
	}
	cl.ParseConnect("tcp", pk)
	a := NewAuth(AuthConfig{KeepaliveMin: time.Second, KeepaliveMax: time.Hour, SessionExpiry: time.Hour}, believing{}, nothingKept{}, nil)
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
	runtime.KeepAlive(cl)
	runtime.KeepAlive(p)
}
