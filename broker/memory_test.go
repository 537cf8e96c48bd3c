package broker_test

import (
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/pactwire/pactwire/broker"
)

// BenchmarkIdleConnection tells what an idle connection costs, all in: ours, the library's, and a bare socket's on the
// client's side.
func BenchmarkIdleConnection(b *testing.B) {
	for _, listener := range []string{"tcp", "ws"} {
		b.Run(listener, func(b *testing.B) {
			const connections = 2000
			s := start(b, broker.Config{TCP: "127.0.0.1:0", WS: "127.0.0.1:0"})
			for b.Loop() {
				before := memory()
				conns := make([]net.Conn, connections)
				for i := range conns {
					conns[i] = idle(b, s, listener)
				}
				b.ReportMetric(float64(memory()-before)/connections/1024, "KiB/conn")
				for _, c := range conns {
					_ = c.Close()
				}
				eventually(b, "all gone", func() bool { return s.metric(b, "pactwire_mqtt_connections", "") == 0 })
			}
		})
	}
}

func memory() int64 {
	for range 4 { // stacks shrink by half at each collection
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// idle connects, subscribes and pings once.
func idle(b *testing.B, s *server, listener string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", s.addr(listener))
	if err != nil {
		b.Fatal(err)
	}
	wrap, answers := func(p []byte) []byte { return p }, []int{4, 5, 2}
	if listener == "ws" {
		// The mask is of zeros, so the payload goes as it is.
		wrap = func(p []byte) []byte { return append([]byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}, p...) }
		answers = []int{6, 7, 4}
		handshake(b, c)
	}
	for i, p := range [][]byte{hello(4, c.LocalAddr().String(), 600), packet(0x82, u16(1), str("x/y"), raw(0)), packet(0xC0)} {
		if _, err := c.Write(wrap(p)); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, answers[i])); err != nil {
			b.Fatal(err)
		}
	}
	return c
}
