package sessionstate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
)

func TestSessionStateRoundTrip(t *testing.T) {
	s := pactwire.Session{
		Filters: []pactwire.SessionFilter{{Filter: "a/+", QoS: 2, Identifier: 1<<28 - 1, RetainHandling: 2, NoLocal: true, RetainAsPub: true}, {Filter: ""}},
		Cursors: []pactwire.Cursor{{Stream: pactwire.ActivityOf("p"), Acked: 1 << 62, Sent: 1<<64 - 1}, {Stream: pactwire.InboxOf("")}},
	}
	got, err := Decode(Encode(&s))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Fatal(diff)
	}
}

// FuzzSessionState feeds damaged states: they are refused without a panic and without taking much memory, and what is
// accepted is written again as it reads.
func FuzzSessionState(f *testing.F) {
	f.Add(Encode(&pactwire.Session{}))
	f.Add(Encode(&pactwire.Session{Filters: []pactwire.SessionFilter{{Filter: "pacts/+/activity", QoS: 1}},
		Cursors: []pactwire.Cursor{{Stream: pactwire.ActivityOf("p"), Acked: 3, Sent: 9}}}))
	f.Add([]byte{})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(Encode(&s))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
