package broker

import (
	"net/netip"
	"testing"

	"github.com/pactwire/pactwire/internal/ratelimit"
)

func TestConnectRateTakesAnIPv6NetworkAsOne(t *testing.T) {
	s := &Server{cfg: Config{Connects: ratelimit.New[netip.Addr](0.001, 1, 0)}}
	for _, c := range []struct {
		addr string
		want bool
	}{
		{"2001:db8::1", true},
		{"2001:db8::2", false},
		{"2001:db8::3%eth0", false},
		{"2001:db8:0:1::1", true},
		{"127.0.0.1", true},
		{"127.0.0.1", false},
		{"::ffff:127.0.0.2", true},
		{"::ffff:127.0.0.3", true},
	} {
		if got := s.mayConnect(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s: %v", c.addr, got)
		}
	}
	none := &Server{}
	for range 2 {
		if !none.mayConnect(netip.Addr{}) {
			t.Error("no limit refuses")
		}
	}
}
