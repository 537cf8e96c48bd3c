package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
)

var logTests = []test{
	{"append and read", on(testAppend)},
	{"only the next number is accepted", on(testAppendRefusesGaps)},
	{"pages before a place", on(testReadBefore)},
	{"many streams in one read", on(testReadMany)},
	{"a pact and a person of the same id are two streams", on(testStreamKinds)},
	{"payloads come back byte for byte", on(testPayloads)},
	{"heads are known after a kill", on(testHeadsReopened)},
}

func testAppend(t *testing.T, s Store) {
	if got, err := s.ReadAfter(ctx, room, 0, 10); err != nil || len(got) != 0 {
		t.Fatalf("empty stream: %v, %v", got, err)
	}
	if b, err := s.Bounds(ctx, []pactwire.Stream{room}); err != nil || b[0] != (pactwire.Bounds{}) {
		t.Fatalf("empty stream: %v, %v", b, err)
	}
	must(t, s, func(tx Tx) error {
		if head, err := tx.Head(room); head != 0 || err != nil {
			t.Errorf("head of an empty stream: %d, %v", head, err)
		}
		return appendNext(tx, room, noon, "a", "b", "c")
	})
	must(t, s, func(tx Tx) error {
		if head, err := tx.Head(room); head != 3 || err != nil {
			t.Errorf("head: %d, %v", head, err)
		}
		return appendNext(tx, room, noon, "d")
	})
	for _, tt := range []struct {
		after pactwire.Seq
		limit int
		want  string
	}{{0, 10, "1a 2b 3c 4d"}, {0, 2, "1a 2b"}, {2, 10, "3c 4d"}, {4, 10, ""}, {9, 10, ""}, {1 << 63, 10, ""}, {0, 0, ""}} {
		got, err := s.ReadAfter(ctx, room, tt.after, tt.limit)
		if err != nil || words(got) != tt.want {
			t.Errorf("after %d at most %d: %q, %v", tt.after, tt.limit, words(got), err)
		}
		for _, e := range got {
			if e.Stream != room {
				t.Errorf("entry of stream %v", e.Stream)
			}
		}
	}
}

// words writes entries in one line.
func words(entries []pactwire.Entry) string {
	var w []string
	for _, e := range entries {
		w = append(w, fmt.Sprintf("%d%s", e.Seq, e.Payload))
	}
	return strings.Join(w, " ")
}

func testAppendRefusesGaps(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "a", "b") })
	for _, seq := range []pactwire.Seq{0, 1, 2, 4, 1 << 40} {
		err := do(t, s, func(tx Tx) error {
			return tx.Append(pactwire.Entry{Stream: room, Seq: seq, Payload: []byte("x")}, noon)
		})
		if pactwire.CodeOf(err) != pactwire.Internal {
			t.Errorf("append of %d after 2: %v", seq, err)
		}
	}
	if got, err := s.ReadAfter(ctx, room, 0, 10); err != nil || words(got) != "1a 2b" {
		t.Errorf("%q, %v", words(got), err)
	}
}

func testReadBefore(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "a", "b", "c", "d", "e") })
	for _, tt := range []struct {
		before pactwire.Seq
		limit  int
		want   string
	}{{6, 2, "4d 5e"}, {1 << 63, 2, "4d 5e"}, {4, 10, "1a 2b 3c"}, {4, 2, "2b 3c"}, {1, 10, ""}, {0, 10, ""}, {3, 0, ""}} {
		got, err := s.ReadBefore(ctx, room, tt.before, tt.limit)
		if err != nil || words(got) != tt.want {
			t.Errorf("before %d at most %d: %q, %v", tt.before, tt.limit, words(got), err)
		}
	}
}

func testReadMany(t *testing.T, s Store) {
	var reqs []pactwire.ReadRequest
	var want []string
	var streams []pactwire.Stream
	must(t, s, func(tx Tx) error {
		reqs, want, streams = nil, nil, nil // a function may run again
		for i := range 100 {
			stream := pactwire.ActivityOf(pactwire.PactID(fmt.Sprint("p", i)))
			streams = append(streams, stream)
			for n := range i % 7 {
				if err := appendNext(tx, stream, noon, fmt.Sprintf("-%d", n)); err != nil {
					return err
				}
			}
			reqs = append(reqs, pactwire.ReadRequest{Stream: stream, After: pactwire.Seq(i % 3), Limit: 3})
			var w []string
			for n := i % 3; n < i%7 && len(w) < 3; n++ {
				w = append(w, fmt.Sprintf("%d-%d", n+1, n))
			}
			want = append(want, strings.Join(w, " "))
		}
		return nil
	})
	reqs = append(reqs, pactwire.ReadRequest{Stream: pactwire.InboxOf("nobody"), Limit: 3})
	want = append(want, "")
	got, err := s.ReadMany(ctx, reqs)
	if err != nil || len(got) != len(reqs) {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i := range got {
		if words(got[i]) != want[i] {
			t.Errorf("request %d: %q, want %q", i, words(got[i]), want[i])
		}
	}
	b, err := s.Bounds(ctx, streams)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if b[i] != (pactwire.Bounds{Head: pactwire.Seq(i % 7)}) {
			t.Errorf("bounds %d: %v", i, b[i])
		}
	}
	if got, err := s.ReadMany(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("no requests: %v, %v", got, err)
	}
}

func testStreamKinds(t *testing.T, s Store) {
	a, b := pactwire.ActivityOf("same"), pactwire.InboxOf("same")
	must(t, s, func(tx Tx) error {
		if err := appendNext(tx, a, noon, "pact"); err != nil {
			return err
		}
		return appendNext(tx, b, noon, "inbox", "inbox")
	})
	got, err := s.ReadMany(ctx, []pactwire.ReadRequest{{Stream: a, Limit: 9}, {Stream: b, Limit: 9}})
	if err != nil || words(got[0]) != "1pact" || words(got[1]) != "1inbox 2inbox" {
		t.Fatalf("%v, %v", got, err)
	}
}

func testPayloads(t *testing.T, s Store) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	payloads := [][]byte{{}, {0}, all, []byte("{\"é\":\"🎉\"}"), bytes.Repeat([]byte("long "), 50_000)}
	must(t, s, func(tx Tx) error {
		for i, p := range payloads {
			kept := slices.Clone(p)
			if err := tx.Append(pactwire.Entry{Stream: room, Seq: pactwire.Seq(i + 1), Payload: kept}, noon); err != nil {
				return err
			}
			clear(kept) // the store must have copied it
		}
		return nil
	})
	got, err := s.ReadAfter(ctx, room, 0, 10)
	if err != nil || len(got) != len(payloads) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i := range got {
		if !bytes.Equal(got[i].Payload, payloads[i]) {
			t.Errorf("payload %d came back with %d bytes", i, len(got[i].Payload))
		}
	}
}

func testHeadsReopened(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		if err := appendNext(tx, room, noon, "a", "b"); err != nil {
			return err
		}
		return appendNext(tx, pactwire.InboxOf("alice"), noon, "c")
	})
	s = s.Reopen(t)
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "d") })
	got, err := s.ReadMany(ctx, []pactwire.ReadRequest{{Stream: room, Limit: 9}, {Stream: pactwire.InboxOf("alice"), Limit: 9}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1a 2b 3d", "1c"}, []string{words(got[0]), words(got[1])}); diff != "" {
		t.Fatal(diff)
	}
}
