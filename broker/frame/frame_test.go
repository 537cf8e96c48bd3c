package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/pactwire/pactwire/broker/frame"
)

var limits = frame.Limits{}.WithDefaults()

// The parts of packets, written out by hand so that the tests do not believe an encoder.

func packet(first byte, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	p := []byte{first}
	return append(binary.AppendUvarint(p, uint64(len(b))), b...)
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func u16(v uint16) []byte  { return binary.BigEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte  { return binary.BigEndian.AppendUint32(nil, v) }
func raw(b ...byte) []byte { return b }

func props(p ...[]byte) []byte {
	b := bytes.Join(p, nil)
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

func prop(id byte, v []byte) []byte { return append([]byte{id}, v...) }
func user(k, v string) []byte       { return prop(0x26, append(str(k), str(v)...)) }

func connect4(flags byte, rest ...[]byte) []byte {
	return packet(0x10, append([][]byte{str("MQTT"), raw(4, flags), u16(60)}, rest...)...)
}

func connect5(flags byte, p []byte, rest ...[]byte) []byte {
	return packet(0x10, append([][]byte{str("MQTT"), raw(5, flags), u16(60), p}, rest...)...)
}

var (
	hello4 = connect4(2, str("a"))
	hello5 = connect5(2, props(), str("a"))
)

// greeted is a checker that has let a CONNECT of the version pass.
func greeted(t testing.TB, version byte) frame.Checker {
	t.Helper()
	c := frame.NewChecker(&limits)
	hello := hello4
	if version == 5 {
		hello = hello5
	}
	if _, n, err := c.Next(hello); err != nil || n != len(hello) {
		t.Fatalf("CONNECT: n=%d err=%v", n, err)
	}
	return c
}

func reasonOf(err error) byte {
	var v *frame.Violation
	if errors.As(err, &v) {
		return v.Reason
	}
	return 0
}

func TestConnect(t *testing.T) {
	many := bytes.Repeat(user("k", "v"), 65)
	for _, tc := range []struct {
		name   string
		in     []byte
		reason byte // 0 = passes
	}{
		{"3.1.1", hello4, 0},
		{"5", hello5, 0},
		{"3.1", packet(0x10, str("MQIsdp"), raw(3, 2), u16(60), str("a")), 0},
		{"3.1 empty id", packet(0x10, str("MQIsdp"), raw(3, 2), u16(60), str("")), 0x85},
		{"empty id, clean", connect4(2, str("")), 0},
		{"empty id, not clean", connect4(0, str("")), 0x85},
		{"5 empty id, not clean", connect5(0, props(), str("")), 0},
		{"id with spaces", connect4(2, str("a b c")), 0},
		{"long id", connect4(2, str(strings.Repeat("x", 256))), 0},
		{"longer id", connect4(2, str(strings.Repeat("x", 257))), 0x85},
		{"id with NUL", connect4(2, str("a\x00")), 0x81},
		{"id not UTF-8", connect4(2, str("a\xff")), 0x81},
		{"id with a surrogate", connect4(2, str("a\xed\xa0\x80")), 0x81},
		{"version 6", packet(0x10, str("MQTT"), raw(6, 2), u16(60), str("a")), 0x84},
		{"version 3 with the new name", packet(0x10, str("MQTT"), raw(3, 2), u16(60), str("a")), 0x84},
		{"other protocol", packet(0x10, str("HTTP"), raw(4, 2), u16(60), str("a")), 0x82},
		{"reserved flag", connect4(3, str("a")), 0x81},
		{"user and password", connect4(0xC2, str("a"), str("u"), str("p")), 0},
		{"user only", connect4(0x82, str("a"), str("u")), 0},
		{"password only", connect4(0x42, str("a"), str("p")), 0x81},
		{"5 password only", connect5(0x42, props(), str("a"), str("p")), 0},
		{"user announced, not there", connect4(0x82, str("a")), 0x81},
		{"password announced, not there", connect4(0xC2, str("a"), str("u")), 0x81},
		{"password binary", connect4(0xC2, str("a"), str("u"), str("\xff\x00")), 0},
		{"user with NUL", connect4(0x82, str("a"), str("u\x00")), 0x81},
		{"trailing bytes", connect4(2, str("a"), raw(0)), 0x81},
		{"5 trailing bytes", connect5(2, props(), str("a"), raw(0)), 0x81},
		{"truncated", packet(0x10, str("MQTT"), raw(4)), 0x81},
		{"no body", packet(0x10), 0x81},

		{"will", connect4(0x06, str("a"), str("t"), str("gone")), 0},
		{"will, empty payload", connect4(0x06, str("a"), str("t"), str("")), 0},
		{"will QoS 2 retain", connect4(0x36, str("a"), str("t"), str("x")), 0},
		{"will QoS 3", connect4(0x1E, str("a"), str("t"), str("x")), 0x81},
		{"will QoS without will", connect4(0x0A, str("a")), 0x81},
		{"will retain without will", connect4(0x22, str("a")), 0x81},
		{"will topic with wildcard", connect4(0x06, str("a"), str("t/+"), str("x")), 0x90},
		{"will topic with hash", connect4(0x06, str("a"), str("#"), str("x")), 0x90},
		{"will topic empty", connect4(0x06, str("a"), str(""), str("x")), 0x90},
		{"will announced, not there", connect4(0x06, str("a")), 0x81},

		{"all properties", connect5(2, props(prop(0x11, u32(9)), prop(0x21, u16(1)), prop(0x27, u32(1)), prop(0x22, u16(0)),
			prop(0x19, raw(1)), prop(0x17, raw(0)), user("k", "v"), user("k", "v"), prop(0x15, str("jwt")), prop(0x16, str("x"))), str("a")), 0},
		{"property twice", connect5(2, props(prop(0x11, u32(9)), prop(0x11, u32(9))), str("a")), 0x82},
		{"receive maximum 0", connect5(2, props(prop(0x21, u16(0))), str("a")), 0x82},
		{"maximum packet size 0", connect5(2, props(prop(0x27, u32(0))), str("a")), 0x82},
		{"request problem information 2", connect5(2, props(prop(0x17, raw(2))), str("a")), 0x82},
		{"authentication data alone", connect5(2, props(prop(0x16, str("x"))), str("a")), 0x82},
		{"unknown authentication method", connect5(2, props(prop(0x15, str("SCRAM"))), str("a")), 0x8C},
		{"property of another packet", connect5(2, props(prop(0x23, u16(1))), str("a")), 0x81},
		{"property of a server", connect5(2, props(prop(0x13, u16(1))), str("a")), 0x81},
		{"unknown property", connect5(2, props(prop(0x7F, raw(1))), str("a")), 0x81},
		{"property 0", connect5(2, props(prop(0, raw(1))), str("a")), 0x81},
		{"65 user properties", connect5(2, append(binary.AppendUvarint(nil, uint64(len(many))), many...), str("a")), 0x97},
		{"user property not UTF-8", connect5(2, props(user("k", "\xff")), str("a")), 0x81},
		{"user property cut", connect5(2, props(prop(0x26, str("k"))), str("a")), 0x81},
		{"property list longer than the packet", connect5(2, raw(50), str("a")), 0x81},
		{"property value beyond its list", connect5(2, append(raw(2), prop(0x11, u32(1))...), str("a")), 0x81},
		{"property length too long", connect5(2, raw(0x80, 0x80, 0x80, 0x80, 0x01), str("a")), 0x81},
		{"property length not shortest", connect5(2, raw(0x80, 0x00), str("a")), 0x81},
		{"will properties", connect5(0x06, props(), str("a"), props(prop(0x18, u32(5)), prop(0x01, raw(1)), prop(0x02, u32(1)),
			prop(0x03, str("c")), prop(0x08, str("r")), prop(0x09, str("d")), user("k", "v")), str("t"), str("x")), 0},
		{"will property twice", connect5(0x06, props(), str("a"), props(prop(0x18, u32(5)), prop(0x18, u32(5))), str("t"), str("x")), 0x82},
		{"will response topic with wildcard", connect5(0x06, props(), str("a"), props(prop(0x08, str("r/#"))), str("t"), str("x")), 0x82},
		{"will without its properties", connect5(0x06, props(), str("a"), str("t"), str("x")), 0x81},
		{"flags", packet(0x11, hello4[2:]), 0x81},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := frame.NewChecker(&limits)
			f, n, err := c.Next(tc.in)
			if got := reasonOf(err); got != tc.reason {
				t.Fatalf("reason %#x (%v), want %#x", got, err, tc.reason)
			}
			if tc.reason == 0 && (n != len(tc.in) || f.Type != frame.Connect || !bytes.Equal(f.Bytes, tc.in)) {
				t.Errorf("n=%d of %d, frame %+v", n, len(tc.in), f)
			}
			if tc.reason != 0 && c.Version() != 0 {
				t.Error("a refused CONNECT fixed the version")
			}
		})
	}
}

func TestConnectTellsVersionAndKeepalive(t *testing.T) {
	c := frame.NewChecker(&limits)
	if _, _, err := c.Next(packet(0x10, str("MQTT"), raw(5, 2), u16(65535), props(), str("a"))); err != nil {
		t.Fatal(err)
	}
	if c.Version() != 5 || c.Keepalive() != 65535 {
		t.Errorf("version %d keepalive %d", c.Version(), c.Keepalive())
	}
}

func TestRefusedConnectNamesVersion(t *testing.T) {
	c := frame.NewChecker(&limits)
	_, _, err := c.Next(connect5(2, props(prop(0x21, u16(0))), str("a")))
	var v *frame.Violation
	if !errors.As(err, &v) || v.Version != 5 {
		t.Errorf("%v does not name version 5", err)
	}
	// And does not stain what others share.
	_, _, err = c.Next(connect5(2, raw(50), str("a")))
	_, _, err2 := c.Next(packet(0x10, str("MQTT")))
	if errors.As(err2, &v) && v.Version != 0 {
		t.Errorf("%v and %v share a version", err, err2)
	}
}

func TestPackets(t *testing.T) {
	deep := strings.Repeat("a/", 30000) + "a"
	many := bytes.Repeat(user("k", "v"), 65)
	ids := func(n int) []byte { return bytes.Repeat(append(str("a"), 0), n) }
	for _, tc := range []struct {
		name    string
		version byte
		in      []byte
		reason  byte
	}{
		{"publish", 4, packet(0x30, str("t"), raw(1, 2)), 0},
		{"publish empty payload", 4, packet(0x30, str("t")), 0},
		{"publish QoS 1", 4, packet(0x32, str("t"), u16(1)), 0},
		{"publish QoS 2 dup retain", 4, packet(0x3D, str("t"), u16(1)), 0},
		{"publish QoS 3", 4, packet(0x36, str("t"), u16(1)), 0x81},
		{"publish dup QoS 0", 4, packet(0x38, str("t")), 0x81},
		{"publish id 0", 4, packet(0x32, str("t"), u16(0)), 0x82},
		{"publish no id", 4, packet(0x32, str("t")), 0x81},
		{"publish empty topic", 4, packet(0x30, str("")), 0x82},
		{"publish topic +", 4, packet(0x30, str("a/+")), 0x90},
		{"publish topic #", 5, packet(0x30, str("#"), props()), 0x90},
		{"publish topic NUL", 4, packet(0x30, str("a\x00b")), 0x81},
		{"publish topic not UTF-8", 4, packet(0x30, str("a\xc0\x80")), 0x81},
		{"publish topic beyond the packet", 4, packet(0x30, u16(9), raw('a')), 0x81},
		{"publish $SYS passes", 4, packet(0x30, str("$SYS/x")), 0},
		{"publish deep topic passes", 4, packet(0x30, str(deep)), 0},
		{"publish no body", 4, packet(0x30), 0x81},
		{"publish 5", 5, packet(0x32, str("t"), u16(7), props(prop(0x01, raw(1)), prop(0x02, u32(1)), prop(0x08, str("r")),
			prop(0x09, str("\xff")), prop(0x03, str("json")), user("a", "b"), user("a", "b")), raw(1)), 0},
		{"publish 5 without properties", 5, packet(0x30, str("t")), 0x81},
		{"publish alias", 5, packet(0x30, str("t"), props(prop(0x23, u16(1)))), 0x94},
		{"publish alias 0", 5, packet(0x30, str("t"), props(prop(0x23, u16(0)))), 0x94},
		{"publish alias without topic", 5, packet(0x30, str(""), props(prop(0x23, u16(1)))), 0x94},
		{"publish subscription id", 5, packet(0x30, str("t"), props(prop(0x0B, raw(1)))), 0x82},
		{"publish payload format 2", 5, packet(0x30, str("t"), props(prop(0x01, raw(2)))), 0x82},
		{"publish response topic wildcard", 5, packet(0x30, str("t"), props(prop(0x08, str("a/+")))), 0x82},
		{"publish property twice", 5, packet(0x30, str("t"), props(prop(0x03, str("a")), prop(0x03, str("a")))), 0x82},
		{"publish session expiry", 5, packet(0x30, str("t"), props(prop(0x11, u32(1)))), 0x81},
		{"publish 65 user properties", 5, packet(0x30, str("t"), append(binary.AppendUvarint(nil, uint64(len(many))), many...)), 0x97},
		{"publish property cut", 5, packet(0x30, str("t"), raw(3, 0x02, 0, 0)), 0x81},

		{"puback", 4, packet(0x40, u16(1)), 0},
		{"puback id 0", 4, packet(0x40, u16(0)), 0x82},
		{"puback 3.1.1 with a reason", 4, packet(0x40, u16(1), raw(0)), 0x81},
		{"puback short", 4, packet(0x40, raw(1)), 0x81},
		{"puback flags", 4, packet(0x42, u16(1)), 0x81},
		{"puback 5", 5, packet(0x40, u16(1)), 0},
		{"puback 5 reason", 5, packet(0x40, u16(1), raw(0x10)), 0},
		{"puback 5 reason and properties", 5, packet(0x40, u16(1), raw(0x80), props(prop(0x1F, str("why")), user("a", "b"))), 0},
		{"puback 5 unknown reason", 5, packet(0x40, u16(1), raw(0x01)), 0x82},
		{"puback 5 foreign property", 5, packet(0x40, u16(1), raw(0), props(prop(0x03, str("x")))), 0x81},
		{"puback 5 trailing", 5, packet(0x40, u16(1), raw(0), props(), raw(0)), 0x81},
		{"pubrec", 4, packet(0x50, u16(1)), 0},
		{"pubrel", 4, packet(0x62, u16(1)), 0},
		{"pubrel flags", 4, packet(0x60, u16(1)), 0x81},
		{"pubrel 5 reason of puback", 5, packet(0x62, u16(1), raw(0x10)), 0x82},
		{"pubrel 5 not found", 5, packet(0x62, u16(1), raw(0x92)), 0},
		{"pubcomp", 4, packet(0x70, u16(1)), 0},
		{"pubcomp id 0", 5, packet(0x70, u16(0)), 0x82},

		{"subscribe", 4, packet(0x82, u16(1), str("a/+"), raw(1), str("#"), raw(0)), 0},
		{"subscribe flags", 4, packet(0x80, u16(1), str("a"), raw(1)), 0x81},
		{"subscribe id 0", 4, packet(0x82, u16(0), str("a"), raw(1)), 0x82},
		{"subscribe nothing", 4, packet(0x82, u16(1)), 0x82},
		{"subscribe without options", 4, packet(0x82, u16(1), str("a")), 0x81},
		{"subscribe QoS 3", 4, packet(0x82, u16(1), str("a"), raw(3)), 0x81},
		{"subscribe 3.1.1 options of 5", 4, packet(0x82, u16(1), str("a"), raw(4)), 0x81},
		{"subscribe empty filter", 4, packet(0x82, u16(1), str(""), raw(0)), 0x82},
		{"subscribe a+", 4, packet(0x82, u16(1), str("a+"), raw(0)), 0x8F},
		{"subscribe +a", 4, packet(0x82, u16(1), str("+a"), raw(0)), 0x8F},
		{"subscribe a#", 4, packet(0x82, u16(1), str("a#"), raw(0)), 0x8F},
		{"subscribe #/a", 4, packet(0x82, u16(1), str("#/a"), raw(0)), 0x8F},
		{"subscribe a/#/", 4, packet(0x82, u16(1), str("a/#/"), raw(0)), 0x8F},
		{"subscribe ++", 4, packet(0x82, u16(1), str("++"), raw(0)), 0x8F},
		{"subscribe +/+/#", 4, packet(0x82, u16(1), str("+/+/#"), raw(0)), 0},
		{"subscribe /", 4, packet(0x82, u16(1), str("/"), raw(0)), 0},
		{"subscribe /+", 4, packet(0x82, u16(1), str("/+"), raw(0)), 0},
		{"subscribe NUL", 4, packet(0x82, u16(1), str("a\x00"), raw(0)), 0x81},
		{"subscribe deep filter passes", 4, packet(0x82, u16(1), str(deep), raw(0)), 0},
		{"subscribe $share//x", 5, packet(0x82, u16(1), props(), str("$share//x"), raw(0)), 0x8F},
		{"subscribe $share", 5, packet(0x82, u16(1), props(), str("$share"), raw(0)), 0x8F},
		{"subscribe $share/g", 5, packet(0x82, u16(1), props(), str("$share/g"), raw(0)), 0x8F},
		{"subscribe $share/g/", 5, packet(0x82, u16(1), props(), str("$share/g/"), raw(0)), 0x8F},
		{"subscribe $share/+/x", 5, packet(0x82, u16(1), props(), str("$share/+/x"), raw(0)), 0x8F},
		{"subscribe $SHARE//x", 5, packet(0x82, u16(1), props(), str("$SHARE//x"), raw(0)), 0x8F},
		{"subscribe $share/g/a+", 5, packet(0x82, u16(1), props(), str("$share/g/a+"), raw(0)), 0x8F},
		{"subscribe $share/g/#", 5, packet(0x82, u16(1), props(), str("$share/g/#"), raw(0)), 0},
		{"subscribe $share no local", 5, packet(0x82, u16(1), props(), str("$share/g/x"), raw(4)), 0x82},
		{"subscribe no local", 5, packet(0x82, u16(1), props(), str("x"), raw(4)), 0},
		{"subscribe all options", 5, packet(0x82, u16(1), props(prop(0x0B, raw(0xFF, 0xFF, 0xFF, 0x7F)), user("after", "0")), str("x"), raw(0x2E)), 0},
		{"subscribe retain handling 3", 5, packet(0x82, u16(1), props(), str("x"), raw(0x30)), 0x82},
		{"subscribe reserved options", 5, packet(0x82, u16(1), props(), str("x"), raw(0x40)), 0x81},
		{"subscribe id property 0", 5, packet(0x82, u16(1), props(prop(0x0B, raw(0))), str("x"), raw(0)), 0x82},
		{"subscribe id property twice", 5, packet(0x82, u16(1), props(prop(0x0B, raw(1)), prop(0x0B, raw(2))), str("x"), raw(0)), 0x82},
		{"subscribe id property too long", 5, packet(0x82, u16(1), props(prop(0x0B, raw(0x80, 0x80, 0x80, 0x80, 1))), str("x"), raw(0)), 0x81},
		{"subscribe too many", 4, packet(0x82, u16(1), ids(1025)), 0x97},
		{"subscribe many", 4, packet(0x82, u16(1), ids(1024)), 0},

		{"unsubscribe", 4, packet(0xA2, u16(1), str("a"), str("b/#")), 0},
		{"unsubscribe nothing", 4, packet(0xA2, u16(1)), 0x82},
		{"unsubscribe a+", 4, packet(0xA2, u16(1), str("a+")), 0x8F},
		{"unsubscribe flags", 4, packet(0xA0, u16(1), str("a")), 0x81},
		{"unsubscribe 5", 5, packet(0xA2, u16(1), props(user("a", "b")), str("a")), 0},
		{"unsubscribe 5 subscription id", 5, packet(0xA2, u16(1), props(prop(0x0B, raw(1))), str("a")), 0x81},
		{"unsubscribe short", 4, packet(0xA2, u16(1), u16(2), raw('a')), 0x81},

		{"pingreq", 4, packet(0xC0), 0},
		{"pingreq body", 4, packet(0xC0, raw(0)), 0x81},
		{"pingreq flags", 4, packet(0xC1), 0x81},

		{"disconnect", 4, packet(0xE0), 0},
		{"disconnect 3.1.1 reason", 4, packet(0xE0, raw(0)), 0x81},
		{"disconnect 5", 5, packet(0xE0), 0},
		{"disconnect 5 with will", 5, packet(0xE0, raw(4)), 0},
		{"disconnect 5 properties", 5, packet(0xE0, raw(0), props(prop(0x11, u32(1)), prop(0x1F, str("x")))), 0},
		{"disconnect 5 server reference", 5, packet(0xE0, raw(0), props(prop(0x1C, str("x")))), 0x81},
		{"disconnect 5 reason of a server", 5, packet(0xE0, raw(0x8B)), 0x82},
		{"disconnect 5 trailing", 5, packet(0xE0, raw(0), props(), raw(1)), 0x81},

		{"auth", 5, packet(0xF0, raw(0x19), props(prop(0x15, str("jwt")), prop(0x16, str("x")))), 0},
		{"auth 3.1.1", 4, packet(0xF0, raw(0x19), props(prop(0x15, str("jwt")))), 0x82},
		{"auth empty", 5, packet(0xF0), 0x82},
		{"auth without method", 5, packet(0xF0, raw(0x19), props()), 0x82},
		{"auth reason only", 5, packet(0xF0, raw(0x19)), 0x82},
		{"auth success", 5, packet(0xF0, raw(0), props(prop(0x15, str("jwt")))), 0x82},
		{"auth flags", 5, packet(0xF1, raw(0x19), props(prop(0x15, str("jwt")))), 0x81},

		{"second connect", 4, hello4, 0x82},
		{"type 0", 4, packet(0x00), 0x81},
		{"connack", 4, packet(0x20, raw(0, 0)), 0x82},
		{"suback", 4, packet(0x90, u16(1), raw(0)), 0x82},
		{"unsuback", 4, packet(0xB0, u16(1)), 0x82},
		{"pingresp", 4, packet(0xD0), 0x82},

		{"too large", 4, packet(0x30, str("t"), make([]byte, 64<<10)), 0x95},
		{"largest", 4, packet(0x30, str("t"), make([]byte, 64<<10-7)), 0},
		{"remaining length without end", 4, raw(0x30, 0x80, 0x80, 0x80, 0x80), 0x81},
		{"remaining length padded", 4, raw(0xC0, 0x80, 0x00), 0},
		{"remaining length padded, 5", 5, raw(0xC0, 0x80, 0x00), 0x81},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := greeted(t, tc.version)
			f, n, err := c.Next(tc.in)
			if got := reasonOf(err); got != tc.reason {
				t.Fatalf("reason %#x (%v), want %#x", got, err, tc.reason)
			}
			if tc.reason == 0 && (n != len(tc.in) || f.Type != tc.in[0]>>4 || !bytes.Equal(f.Bytes, tc.in)) {
				t.Errorf("n=%d of %d, frame %+v", n, len(tc.in), f)
			}
		})
	}
}

func TestFirstPacketMustBeConnect(t *testing.T) {
	for _, in := range [][]byte{packet(0xC0), packet(0x30, str("t")), packet(0x20, raw(0, 0)), []byte("GET / HTTP/1.1\r\n"), raw(0x16)} {
		c := frame.NewChecker(&limits)
		if _, _, err := c.Next(in); err == nil {
			t.Errorf("% x passed", in[:1])
		}
	}
}

// What the first bytes give away is told before the rest is there, so that nobody waits, or buffers, for nonsense.
func TestTellsEarly(t *testing.T) {
	for name, tc := range map[string]struct {
		in     []byte
		reason byte
	}{
		"first byte":       {raw(0x36), 0x81},
		"announced 256 MB": {raw(0x30, 0xFF, 0xFF, 0xFF, 0x7F), 0x95},
		"endless length":   {raw(0x30, 0x80, 0x80, 0x80, 0x80), 0x81},
	} {
		c := greeted(t, 4)
		if _, _, err := c.Next(tc.in); reasonOf(err) != tc.reason {
			t.Errorf("%s: %v, want %#x", name, err, tc.reason)
		}
	}
	c := greeted(t, 4)
	for _, in := range [][]byte{nil, raw(0x30), raw(0x30, 0x80), raw(0x30, 0x80, 0x80), raw(0x30, 5), raw(0x30, 5, 0, 1, 'a')} {
		if _, n, err := c.Next(in); n != 0 || err != nil {
			t.Errorf("% x: n=%d err=%v, want to wait", in, n, err)
		}
	}
}

// The broker library reads one byte past the end of this packet and panics.
func TestTrapTruncatedSubscribeIsRefused(t *testing.T) {
	c := greeted(t, 5)
	_, _, err := c.Next(packet(0x82, u16(1), props(), str("a")))
	if reasonOf(err) != frame.Malformed {
		t.Errorf("%v, want malformed", err)
	}
}

func TestFrameNamesItsParts(t *testing.T) {
	c := greeted(t, 5)
	f, _, err := c.Next(packet(0x34, str("pacts/p/checkins"), u16(513), props(), []byte("done")))
	if err != nil || f.ID != 513 || string(f.Topic) != "pacts/p/checkins" || f.QoS() != 2 {
		t.Errorf("%+v %v", f, err)
	}
	f, _, err = c.Next(packet(0x40, u16(9), raw(0x97)))
	if err != nil || f.ID != 9 || f.Reason != 0x97 {
		t.Errorf("%+v %v", f, err)
	}
}

func TestCheckingDoesNotAllocate(t *testing.T) {
	c := greeted(t, 5)
	p := packet(0x32, str("pacts/0198c2f1/checkins"), u16(7), props(prop(0x03, str("application/json")), user("k", "v")), []byte(`{"status":"completed"}`))
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := c.Next(p); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	c := greeted(b, 4)
	p := packet(0x32, str("pacts/0198c2f1-aaaa-7bbb-8ccc-0123456789ab/checkins"), u16(7), []byte(`{"id":"x","status":"completed","notes":"ran 5 km"}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Next(p); err != nil {
			b.Fatal(err)
		}
	}
}
