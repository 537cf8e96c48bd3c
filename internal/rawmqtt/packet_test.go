package rawmqtt

import (
	"bytes"
	"testing"
)

func FuzzPackets(f *testing.F) {
	f.Add(appendPublish(nil, 4, 7, 1, false, "pacts/p/activity", []byte("{}")), byte(4))
	f.Add(appendPublish(nil, 5, 7, 1, true, "a", nil), byte(5))
	f.Add(appendAck(nil, typePuback, 3), byte(4))
	f.Add([]byte{0x90, 4, 0, 1, 0, 1}, byte(5))
	f.Fuzz(func(t *testing.T, b []byte, version byte) {
		c := &Conn{opts: Options{Version: version, HoldAcks: true}, handler: Handler{
			Publish: func(Publish) {}, Acked: func(uint16, byte) {}, Suback: func(uint16, []byte) {},
		}}
		for {
			first, body, size, need, err := next(b)
			if err != nil || need > 0 {
				return
			}
			if size > len(b) {
				t.Fatalf("a packet of %d bytes in %d", size, len(b))
			}
			if _, err := c.handle(first, body, nil); err != nil {
				return
			}
			b = b[size:]
		}
	})
}

func TestPublishRoundTrip(t *testing.T) {
	for _, version := range []byte{4, 5} {
		for _, n := range []int{0, 1, 100, 127, 128, 20_000} {
			payload := bytes.Repeat([]byte{'x'}, n)
			b := appendPublish(nil, version, 513, 1, true, "a/b", payload)
			for cut := range min(len(b), 20) {
				if _, _, _, need, err := next(b[:cut]); err != nil || need <= cut {
					t.Fatalf("cut at %d: need %d, %v", cut, need, err)
				}
			}
			first, body, size, need, err := next(b)
			if err != nil || need != 0 || size != len(b) {
				t.Fatalf("size %d of %d, need %d, %v", size, len(b), need, err)
			}
			p, err := readPublish(version, first, body)
			if err != nil || string(p.Topic) != "a/b" || p.ID != 513 || p.QoS != 1 || !p.Dup || !bytes.Equal(p.Payload, payload) {
				t.Fatalf("read %+v, %v", p, err)
			}
		}
	}
}
