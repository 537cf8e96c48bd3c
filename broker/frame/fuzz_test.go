package frame_test

import (
	"bytes"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire/broker/frame"
)

// seeds are whole packets of each kind, for both fuzz targets; the committed corpus adds what was found.
func seeds() [][]byte {
	return [][]byte{
		packet(0x30, str("t"), raw(1, 2)),
		packet(0x32, str("t"), u16(1), props(prop(0x08, str("r")), user("a", "b")), raw(1)),
		packet(0x40, u16(1), raw(0), props(prop(0x1F, str("why")))),
		packet(0x62, u16(1)),
		packet(0x82, u16(1), str("a/+"), raw(1)),
		packet(0x82, u16(1), props(prop(0x0B, raw(1))), str("$share/g/#"), raw(0x2D)),
		packet(0x82, u16(1), props(), str("a")),
		packet(0xA2, u16(1), props(), str("a")),
		packet(0xC0),
		packet(0xE0, raw(4), props(prop(0x11, u32(1)))),
		packet(0xF0, raw(0x19), props(prop(0x15, str("jwt")), prop(0x16, str("x")))),
		connect4(0xC6, str("a"), str("t"), str("gone"), str("u"), str("p")),
		connect5(0x06, props(prop(0x21, u16(1)), user("a", "b")), str("a"), props(prop(0x18, u32(5))), str("t"), str("")),
	}
}

// FuzzGuardedDecoder holds the checker to its promise: what it lets through, the library's decoder takes without a panic
// and without an error, and the library's validation finds nothing to object to.
func FuzzGuardedDecoder(f *testing.F) {
	for _, s := range seeds() {
		f.Add(byte(4), s)
		f.Add(byte(5), s)
	}
	f.Fuzz(func(t *testing.T, version byte, in []byte) {
		c := frame.NewChecker(&limits)
		if version&1 == 1 {
			c = greeted(t, 5)
		} else if version&2 == 0 {
			c = greeted(t, 4)
		}
		for {
			got, n, err := c.Next(in)
			if err != nil || n == 0 {
				return
			}
			decode(t, got, c.Version())
			in = in[n:]
		}
	})
}

// decode does what the library's read loop does with a packet.
func decode(t *testing.T, f frame.Frame, version byte) {
	pk := packets.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(f.Bytes[0]); err != nil {
		t.Fatalf("fixed header of % x: %v", f.Bytes, err)
	}
	r := bytes.NewReader(f.Bytes[1:])
	length, _, err := packets.DecodeLength(r)
	if err != nil || length != r.Len() {
		t.Fatalf("length of % x: %d of %d, %v", f.Bytes, length, r.Len(), err)
	}
	pk.FixedHeader.Remaining = length
	body := f.Bytes[len(f.Bytes)-length:]
	code := packets.CodeSuccess
	switch f.Type {
	case frame.Connect:
		err = pk.ConnectDecode(body)
		// Valid MQTT that the library objects to, and that is mended before it can.
		pk.Connect.PasswordFlag = pk.Connect.PasswordFlag && len(pk.Connect.Password) > 0
		if pk.Connect.WillFlag && len(pk.Connect.WillPayload) == 0 {
			pk.Connect.WillPayload = []byte{0}
		}
		code = pk.ConnectValidate()
	case frame.Publish:
		err = pk.PublishDecode(body)
		code = pk.PublishValidate(0)
	case frame.Puback:
		err = pk.PubackDecode(body)
	case frame.Pubrec:
		err = pk.PubrecDecode(body)
	case frame.Pubrel:
		err = pk.PubrelDecode(body)
	case frame.Pubcomp:
		err = pk.PubcompDecode(body)
	case frame.Subscribe:
		err = pk.SubscribeDecode(body)
		code = pk.SubscribeValidate()
	case frame.Unsubscribe:
		err = pk.UnsubscribeDecode(body)
		code = pk.UnsubscribeValidate()
	case frame.Disconnect:
		err = pk.DisconnectDecode(body)
	case frame.Auth:
		err = pk.AuthDecode(body)
		code = pk.AuthValidate()
	}
	if err != nil || code != packets.CodeSuccess {
		t.Fatalf("% x passed, and the library says %v, %v", f.Bytes, err, code)
	}
	if f.ID != pk.PacketID && f.Type != frame.Connect {
		t.Fatalf("% x: packet id %d, the library reads %d", f.Bytes, f.ID, pk.PacketID)
	}
	if string(f.Topic) != pk.TopicName {
		t.Fatalf("% x: topic %q, the library reads %q", f.Bytes, f.Topic, pk.TopicName)
	}
}

// FuzzSplitting feeds the same bytes in pieces: the packets and the verdict are the same.
func FuzzSplitting(f *testing.F) {
	all := bytes.Join(append([][]byte{hello5}, seeds()...), nil)
	f.Add(all, []byte{1})
	f.Add(all, []byte{3, 1, 200})
	f.Add(bytes.Join([][]byte{hello4, packet(0x30, str("t")), packet(0x36, str("t"))}, nil), []byte{2})
	f.Fuzz(func(t *testing.T, in, sizes []byte) {
		whole, wholeErr := split(in, nil)
		pieces, piecesErr := split(in, sizes)
		if len(whole) != len(pieces) {
			t.Fatalf("%d packets whole, %d in pieces", len(whole), len(pieces))
		}
		for i := range whole {
			if !bytes.Equal(whole[i], pieces[i]) {
				t.Fatalf("packet %d: % x whole, % x in pieces", i, whole[i], pieces[i])
			}
		}
		if reasonOf(wholeErr) != reasonOf(piecesErr) {
			t.Fatalf("%v whole, %v in pieces", wholeErr, piecesErr)
		}
	})
}

// split gives in to a checker, in pieces of the sizes, over and over, and returns what it lets through.
func split(in, sizes []byte) (frames [][]byte, err error) {
	c := frame.NewChecker(&limits)
	var buf []byte
	for i := 0; len(in) > 0; i++ {
		size := len(in)
		if len(sizes) > 0 {
			size = min(int(sizes[i%len(sizes)])+1, len(in))
		}
		buf = append(buf, in[:size]...)
		in = in[size:]
		for {
			f, n, err := c.Next(buf)
			if err != nil {
				return frames, err
			}
			if n == 0 {
				break
			}
			frames = append(frames, bytes.Clone(f.Bytes))
			buf = buf[n:]
		}
	}
	return frames, nil
}
