package broker

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire/broker/frame"
)

// message is a PUBLISH as the library encodes it.
func message(qos byte, id uint16, size int) []byte {
	body := []byte{0, 3, 'a', '/', 'b'}
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	body = append(append(body, 0), bytes.Repeat([]byte{'x'}, size)...)
	return append(binary.AppendUvarint([]byte{frame.Publish<<4 | qos<<1}, uint64(len(body))), body...)
}

// TestWindowKeepsOrderAndBound: whatever is sent and acknowledged, all goes out in order, other packets at once, and never
// more under way than the client takes.
func TestWindowKeepsOrderAndBound(t *testing.T) {
	pingresp := []byte{0xD0, 0}
	rapid.Check(t, func(t *rapid.T) {
		w := &window{most: rapid.IntRange(1, 5).Draw(t, "most"), sent: map[uint16]struct{}{}}
		var given, gone []byte // PUBLISH packets alone
		var open []uint16
		next := uint16(0)
		take := func(p []byte) {
			for pk := range packetsOf(p) {
				if pk[0]>>4 != frame.Publish {
					continue
				}
				gone = append(gone, pk...)
				if pk[0]&6 != 0 {
					open = append(open, publishID(pk))
				}
			}
			if len(open) > w.most {
				t.Fatalf("%d under way, %d allowed", len(open), w.most)
			}
		}
		ack := func(i int) {
			f := frame.Frame{Type: rapid.SampledFrom([]byte{frame.Puback, frame.Pubcomp, frame.Pubrec}).Draw(t, "ack"), ID: open[i], Reason: 0x97}
			open = slices.Delete(open, i, i+1)
			take(w.acked(f))
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				var batch []byte
				for range rapid.IntRange(1, 4).Draw(t, "batch") {
					next++
					batch = append(batch, message(rapid.ByteRange(0, 2).Draw(t, "qos"), next, rapid.SampledFrom([]int{0, 5, 200}).Draw(t, "size"))...)
				}
				given = append(given, batch...)
				q := w.pass(append(bytes.Clone(batch), pingresp...))
				if !bytes.HasSuffix(q, pingresp) {
					t.Fatal("a packet that is no PUBLISH was held")
				}
				take(q)
			case 2:
				if len(open) > 0 {
					ack(rapid.IntRange(0, len(open)-1).Draw(t, "which"))
				}
			case 3: // acknowledgements of nothing, and those that end nothing
				take(w.acked(frame.Frame{Type: frame.Puback, ID: 60000}))
				if len(open) > 0 {
					take(w.acked(frame.Frame{Type: frame.Pubrec, ID: open[0]}))
				}
			}
			if len(w.held) > 0 && len(open) < w.most {
				t.Fatal("held although there is room")
			}
		}
		for len(open) > 0 {
			ack(0)
		}
		if !bytes.Equal(given, gone) {
			t.Fatalf("%d bytes of messages given, %d went out, or in another order", len(given), len(gone))
		}
	})
}
