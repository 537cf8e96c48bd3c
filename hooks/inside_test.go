package hooks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
)

// link is a connection without a network.
type link struct {
	id        uint64
	keepalive time.Duration
	cut       atomic.Uint32 // reason of Disconnect
	onCut     func()
}

func (l *link) RemoteAddrPort() netip.AddrPort { return netip.AddrPort{} }
func (l *link) Attach(any)                     {}
func (l *link) Attachment() any                { return nil }
func (l *link) SetKeepalive(d time.Duration)   { l.keepalive = d }

// Pause is not made.
func (*link) Pause(time.Duration) bool { return true }

// SetWindow is not looked at.
func (*link) SetWindow(uint16) {}
func (l *link) OnGone(func())  {}
func (l *link) ID() uint64     { return l.id }
func (l *link) Disconnect(reason byte) {
	if l.cut.Swap(uint32(reason)) == 0 && l.onCut != nil {
		l.onCut()
	}
}

func TestTurnstileLetsOneInAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurnstile()
		var inside, most, entered atomic.Int32
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				c := &link{id: uint64(i)}
				gone := make(chan struct{})
				c.onCut = func() { close(gone) }
				if err := ts.enter(t.Context(), "id", c); err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), inside.Add(1)))
				entered.Add(1)
				select {
				case <-gone:
				case <-time.After(time.Hour): // the last one stays, and then goes by itself
				}
				inside.Add(-1)
				ts.leave("id", c)
				ts.leave("id", c) // harmless
			})
		}
		all.Wait()
		if entered.Load() != 100 || most.Load() != 1 {
			t.Errorf("%d entered, %d at once", entered.Load(), most.Load())
		}
		if len(ts.gate) != 0 {
			t.Errorf("%d gates are left", len(ts.gate))
		}
	})
}

func TestTurnstileGivesUpOnOneWhoStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurnstile()
		stays := &link{}
		if err := ts.enter(t.Context(), "id", stays); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ts.enter(ctx, "id", &link{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if stays.cut.Load() != uint32(packets.ErrSessionTakenOver.Code) {
			t.Errorf("told %#x", stays.cut.Load())
		}
	})
}

func TestReasons(t *testing.T) {
	for code, want := range map[pactwire.Code]byte{pactwire.Invalid: 0x99, pactwire.Denied: 0x87, pactwire.NotFound: 0x80,
		pactwire.Conflict: 0x80, pactwire.TooMany: 0x97} {
		if got := ReasonOf(code); got != want {
			t.Errorf("%s: %#x, want %#x", code, got, want)
		}
	}
}

// Whatever keepalive is asked for, the time that the library waits stays within its arithmetic.
func TestTrapKeepaliveOverflow(t *testing.T) {
	a := NewAuth(AuthConfig{KeepaliveMin: 15 * time.Second, KeepaliveMax: 20 * time.Minute}, nil, nil,
		slog.New(slog.NewTextHandler(io.Discard, nil)))
	for _, version := range []byte{4, 5} {
		for _, lab := range []bool{false, true} {
			least, most := 15, 1200
			if lab {
				least, most = 1, labKeepalive
			}
			for asked := 0; asked <= math.MaxUint16; asked++ {
				l := &link{}
				cl := &mqtt.Client{}
				cl.State.Keepalive = uint16(asked)
				a.setKeepalive(&peer{version: version, lab: lab, conn: l}, cl)
				got := int(cl.State.Keepalive)
				if got == 0 || got+got/2 > math.MaxUint16 || l.keepalive != time.Duration(got)*time.Second {
					t.Fatalf("version %d, asked %d: %d, %v", version, asked, got, l.keepalive)
				}
				if version == 4 && cl.State.ServerKeepalive {
					t.Fatalf("3.1.1 cannot be told")
				}
				if version == 5 && (got < least || got > most || cl.State.ServerKeepalive != (got != asked)) {
					t.Fatalf("asked %d: %d, told %v", asked, got, cl.State.ServerKeepalive)
				}
				if version == 4 && asked > 0 && got < min(asked, 43690) {
					t.Fatalf("3.1.1 asked %d was shortened to %d", asked, got)
				}
			}
		}
	}
}

func TestAfterProperty(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "17": 17, "9223372036854775807": math.MaxInt64, "9223372036854775808": -1, "-1": -1, "x": -1, "": -1} {
		got, err := afterOf([]packets.UserProperty{{Key: "other", Val: "3"}, {Key: "after", Val: in}})
		if want < 0 && (got != nil || err == nil) || want >= 0 && (err != nil || got == nil || int64(*got) != want) { //nolint:gosec // 63 bits
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	if got, err := afterOf([]packets.UserProperty{{Key: "other", Val: "x"}}); got != nil || err != nil {
		t.Errorf("without one: %v, %v", got, err)
	}
}

func TestSpeltTakesTheExtraDollarBack(t *testing.T) {
	for in, want := range map[string]string{"$$SYS/x": "$SYS/x", "$SYS/x": "$SYS/x", "a": "a", "": ""} {
		if got := spelt(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestAlarmOfAnOlderTokenIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alarm
		var rang []int
		first := a.renew()
		a.set(first, time.Now().Add(time.Second), func() {
			rang = append(rang, 1)
			second := a.renew() // a new token, in the moment in which the old one's warning runs
			a.set(first, time.Now().Add(time.Second), func() { rang = append(rang, 2) })
			a.set(second, time.Now().Add(2*time.Second), func() { rang = append(rang, 3) })
		})
		<-time.After(10 * time.Second)
		synctest.Wait()
		if len(rang) != 2 || rang[0] != 1 || rang[1] != 3 {
			t.Errorf("rang %v", rang)
		}
		a.set(a.renew(), time.Now().Add(time.Second), func() { rang = append(rang, 4) })
		a.end()
		<-time.After(10 * time.Second)
		if a.set(a.renew(), time.Now(), func() { rang = append(rang, 5) }); len(rang) != 2 {
			t.Errorf("rang after the end: %v", rang)
		}
	})
}
