package broker

import (
	"net/netip"
	"testing"
	"time"
)

func TestConnectRate(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	r := newConnectRate(10, 3)
	for i := range 3 {
		if !r.allow(a, now) {
			t.Fatalf("connect %d refused", i)
		}
	}
	if r.allow(a, now) {
		t.Error("a fourth at once")
	}
	if !r.allow(b, now) {
		t.Error("another address pays for the first")
	}
	now = now.Add(100 * time.Millisecond)
	if !r.allow(a, now) || r.allow(a, now) {
		t.Error("a tenth of a second earns one")
	}
	now = now.Add(time.Hour)
	for i := range 3 {
		if !r.allow(a, now) {
			t.Fatalf("connect %d refused after an hour", i)
		}
	}
	if r.allow(a, now) {
		t.Error("an hour earns more than the burst")
	}
}

func TestConnectRateTakesAnIPv6NetworkAsOne(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newConnectRate(1, 1)
	if !r.allow(netip.MustParseAddr("2001:db8::1"), now) || r.allow(netip.MustParseAddr("2001:db8::2"), now) {
		t.Error("two addresses of one /64")
	}
	if !r.allow(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("another /64")
	}
}

func TestConnectRateOfNothingIsNoLimit(t *testing.T) {
	r := newConnectRate(0, 0)
	for range 1000 {
		if !r.allow(netip.Addr{}, time.Time{}) {
			t.Fatal("refused")
		}
	}
}

// The table forgets who has earned all back, and is bounded when nobody has.
func TestConnectRateIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newConnectRate(1, 1)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 5000 {
		r.allow(addr(i), now)
	}
	if !r.allow(addr(5000), now.Add(time.Hour)) {
		t.Error("refused")
	}
	now = now.Add(2 * time.Hour)
	for i := range 9000 {
		r.allow(addr(i), now)
	}
	if n := len(r.until); n > 9001 {
		t.Errorf("%d addresses kept", n)
	}
	for i := range 2 * maxAddresses {
		r.allow(addr(i), now)
	}
	if n := len(r.until); n > maxAddresses {
		t.Errorf("%d addresses kept", n)
	}
}
