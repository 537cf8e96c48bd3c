package relay

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

func drawItem(t *rapid.T) item {
	k := kind(rapid.IntRange(int(kindEntry), int(kindRevoked)).Draw(t, "kind"))
	text := rapid.StringN(0, 8, 30)
	bytes := rapid.SliceOfN(rapid.Byte(), 1, 30)
	if k == kindEntry {
		return item{kind: k, entry: pactwire.Entry{Stream: pactwire.Stream{Kind: pactwire.PactStream, ID: text.Draw(t, "id")},
			Seq: pactwire.Seq(rapid.Uint64().Draw(t, "seq")), Payload: bytes.Draw(t, "payload")}}
	}
	it := item{kind: k, user: pactwire.UserID(text.Draw(t, "user")), pact: pactwire.PactID(text.Draw(t, "pact")), text: text.Draw(t, "text"),
		payload: bytes.Draw(t, "payload"), more: bytes.Draw(t, "more"), number: rapid.Uint64().Draw(t, "number"), ok: rapid.Bool().Draw(t, "ok"),
		status: pactwire.PresenceAway}
	if rapid.Bool().Draw(t, "seen") {
		it.seen = time.UnixMilli(rapid.Int64Range(1, 1<<45).Draw(t, "at")).UTC()
	}
	for range rapid.IntRange(0, 3).Draw(t, "pacts") {
		it.pacts = append(it.pacts, pactwire.PactID(text.Draw(t, "of")))
	}
	return it
}

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := header{from: "a/1", n: rapid.Uint64().Draw(t, "n"), lost: rapid.Uint64().Draw(t, "lost"), at: time.UnixMilli(1_700_000_000_000).UTC()}
		m := appendHeader(nil, h)
		var items []item
		for range rapid.IntRange(0, 5).Draw(t, "items") {
			it := drawItem(t)
			items = append(items, it)
			m = appendItem(m, &it)
		}
		m = appendText(m, []byte{200, 1, 2, 3}) // of a version to come
		var got []item
		err := readMessage(m, func(x header) bool {
			if x != h {
				t.Fatalf("%+v, want %+v", x, h)
			}
			return true
		}, func(it *item) { got = append(got, *it) })
		if err != nil || !reflect.DeepEqual(got, items) {
			t.Fatalf("%v: %+v, want %+v", err, got, items)
		}
	})
}

// FuzzMessage: damaged messages are refused without a panic and without taking much memory.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendItem(appendHeader(nil, header{from: "a/1", n: 1}), &item{kind: kindPresence, user: "u", pacts: []pactwire.PactID{"p"}}))
	f.Add(append(appendHeader(nil, header{from: "a/1"}), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, m []byte) {
		_ = readMessage(m, func(header) bool { return true }, func(it *item) {
			if it.kind < kindEntry || it.kind > kindRevoked {
				t.Errorf("kind %d", it.kind)
			}
			if b := appendItem(nil, it); len(it.payload) > 0 && !bytes.Contains(b, it.payload) {
				t.Error("the payload is lost")
			}
		})
	})
}
