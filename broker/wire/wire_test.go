package wire_test

import (
	"bytes"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire/broker/wire"
)

// decode reads one packet with the library's decoder.
func decode(t *testing.T, version byte, b []byte) packets.Packet {
	t.Helper()
	var fh packets.FixedHeader
	if err := fh.Decode(b[0]); err != nil {
		t.Fatal(err)
	}
	n, used, err := packets.DecodeLength(bytes.NewReader(b[1:]))
	if err != nil || 1+used+n != len(b) {
		t.Fatalf("length %d after %d bytes of %d: %v", n, 1+used, len(b), err)
	}
	fh.Remaining = n
	pk := packets.Packet{FixedHeader: fh, ProtocolVersion: version}
	body := b[1+used:]
	switch fh.Type {
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Pubrec:
		err = pk.PubrecDecode(body)
	case packets.Pubcomp:
		err = pk.PubcompDecode(body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pk
}

func TestPublishIsReadAsWritten(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("done"), bytes.Repeat([]byte("x"), 300), bytes.Repeat([]byte("y"), 20000)} {
		for _, p := range []wire.Publish{
			{Version: 4, Topic: "pacts/p/activity", Payload: payload},
			{Version: 4, QoS: 1, ID: 513, Topic: "pacts/p/activity", Dup: true, Payload: payload},
			{Version: 5, QoS: 1, ID: 65535, Topic: "pacts/p/state", Retain: true, Payload: payload},
			{Version: 5, QoS: 1, ID: 1, Topic: "users/a/inbox", Identifiers: []uint32{1, 300, 268435455}, Payload: payload},
			{Version: 5, QoS: 1, ID: 2, Topic: "users/a/replies/x", Correlation: []byte{0, 1, 255}, Payload: payload},
		} {
			b := p.Append(nil)
			if len(b) != p.Size() {
				t.Errorf("Size says %d, Append wrote %d", p.Size(), len(b))
			}
			pk := decode(t, p.Version, b)
			if pk.TopicName != p.Topic || !bytes.Equal(pk.Payload, p.Payload) || pk.FixedHeader.Qos != p.QoS ||
				pk.FixedHeader.Retain != p.Retain || pk.FixedHeader.Dup != p.Dup || p.QoS > 0 && pk.PacketID != p.ID ||
				!bytes.Equal(pk.Properties.CorrelationData, p.Correlation) ||
				len(pk.Properties.SubscriptionIdentifier) != len(p.Identifiers) {
				t.Errorf("%+v was read as %+v", p, pk)
			}
		}
	}
}

func TestAcksAreReadAsWritten(t *testing.T) {
	for _, version := range []byte{4, 5} {
		for _, qos := range []byte{1, 2} {
			for _, code := range []byte{0, 0x87, 0x99} {
				for _, reason := range []string{"", "send a status"} {
					pk := decode(t, version, wire.AppendAck(nil, version, qos, 700, code, reason))
					if version == 5 && pk.ReasonCode != code || version == 4 && pk.ReasonCode != 0 || pk.PacketID != 700 {
						t.Errorf("version %d qos %d code %#x was read as %+v", version, qos, code, pk)
					}
					if version == 5 && code != 0 && pk.Properties.ReasonString != reason {
						t.Errorf("reason %q was read as %q", reason, pk.Properties.ReasonString)
					}
				}
			}
		}
		if pk := decode(t, version, wire.AppendPubcomp(nil, version, 9, 0)); pk.PacketID != 9 {
			t.Errorf("PUBCOMP was read as %+v", pk)
		}
	}
}

func TestStampedPublishIsThatOfAnotherClient(t *testing.T) {
	for _, n := range []int{0, 100, 127, 200, 20000} {
		for _, version := range []byte{4, 5} {
			p := wire.Publish{Version: version, QoS: 1, ID: 7, Topic: "pacts/p/activity", Payload: bytes.Repeat([]byte("x"), n)}
			b := p.Append(nil)
			p.Stamp(b, 4660, true)
			p.ID, p.Dup = 4660, true
			if want := p.Append(nil); !bytes.Equal(b, want) {
				t.Errorf("version %d, %d bytes: stamped % x, written % x", version, n, b[:24], want[:24])
			}
			p.Stamp(b, 1, false)
			p.ID, p.Dup = 1, false
			if want := p.Append(nil); !bytes.Equal(b, want) {
				t.Errorf("DUP is not taken back")
			}
		}
	}
}

func TestTrapPubackNeverSaysOne(t *testing.T) {
	for code := range 0x80 {
		for _, qos := range []byte{1, 2} {
			pk := decode(t, 5, wire.AppendAck(nil, 5, qos, 3, byte(code), "x"))
			if pk.ReasonCode != 0 && pk.ReasonCode != 0x10 {
				t.Errorf("an acknowledgement says %#x", pk.ReasonCode)
			}
		}
	}
	if pk := decode(t, 5, wire.AppendPubcomp(nil, 5, 3, 0x92)); pk.ReasonCode != 0x92 {
		t.Errorf("PUBCOMP says %#x", pk.ReasonCode)
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	p := wire.Publish{Version: 5, QoS: 1, ID: 7, Topic: "pacts/p/activity", Payload: make([]byte, 400)}
	buf := p.Append(nil)
	for b.Loop() {
		buf = p.Append(buf[:0])
	}
}
