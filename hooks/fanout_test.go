package hooks

import (
	"bytes"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"pgregory.net/rapid"
)

// TestSharedBytesAreEachOnesOwn: whoever gets bytes that were made for another gets what would have been made for them.
func TestSharedBytesAreEachOnesOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 2, Retain: true},
			TopicName:   rapid.StringMatching(`[a-z/]{1,200}`).Draw(t, "topic"),
			Payload:     rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload"),
		}
		if rapid.Bool().Draw(t, "properties") {
			base.Properties.ContentType, base.Properties.ResponseTopic = "text", "answer/here"
			base.Properties.User = []packets.UserProperty{{Key: "a", Val: "1"}}
		}
		enc := encoder{base: &base}
		for range rapid.IntRange(1, 40).Draw(t, "subscribers") {
			out := base
			out.ProtocolVersion = rapid.SampledFrom([]byte{3, 4, 5}).Draw(t, "version")
			out.FixedHeader.Qos = rapid.ByteRange(0, 2).Draw(t, "qos")
			out.FixedHeader.Retain = rapid.Bool().Draw(t, "retain")
			if out.FixedHeader.Qos > 0 {
				out.PacketID = rapid.Uint16Range(1, 65535).Draw(t, "id")
			}
			special := rapid.IntRange(0, 4).Draw(t, "special") == 0
			if special {
				out.Properties.SubscriptionIdentifier = []int{7}
			}
			if got, want := enc.encode(&out, special), encodePublish(&out); !bytes.Equal(got, want) {
				t.Fatalf("%x\nwant %x", got, want)
			}
		}
	})
}
