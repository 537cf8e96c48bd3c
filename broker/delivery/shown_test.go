package delivery_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/pactwire/pactwire"
)

// presences are those among messages, as "who version", with "snapshot" for what answers a SUBSCRIBE.
func presences(t testing.TB, pks []packet) (list []string) {
	t.Helper()
	for _, pk := range pks {
		var p pactwire.Presence
		if err := json.Unmarshal(pk.Payload, &p); err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprint(p.UserID, " ", p.Version)
		if pk.FixedHeader.Retain {
			s += " snapshot"
		}
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// TestPromise6AnOlderPresenceNeverFollowsANewer: words of one person come from two nodes, and overtake each other.
func TestPromise6AnOlderPresenceNeverFollowsANewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		w.setVersion(5)
		a, end, _ := connect(t, h, user("alice"))
		c, late, _ := connect(t, h, user("bob"))
		say := func(version uint64, first, second []string) {
			t.Helper()
			h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "bob", Version: version})
			synctest.Wait()
			if got := presences(t, end.take()); !slices.Equal(got, first) {
				t.Errorf("bob %d: the first client was told %v, want %v", version, got, first)
			}
			if got := presences(t, late.take()); !slices.Equal(got, second) {
				t.Errorf("bob %d: the second client was told %v, want %v", version, got, second)
			}
		}
		subscribe(t, a, 0, "pacts/+/presence/+")
		synctest.Wait()
		end.take()
		say(7, []string{"bob 7"}, nil)
		say(6, nil, nil)
		w.setVersion(9)
		subscribe(t, c, 0, "pacts/p/presence/bob")
		synctest.Wait()
		if got := presences(t, late.take()); !slices.Equal(got, []string{"bob 9 snapshot"}) {
			t.Errorf("told %v", got)
		}
		say(8, []string{"bob 8"}, nil)
		say(9, []string{"bob 9"}, nil)
		say(10, []string{"bob 10"}, []string{"bob 10"})
		w.setVersion(8) // what stands in the database, while Redis is away
		subscribe(t, c, 0, "pacts/p/presence/bob")
		say(9, nil, nil)
	})
}
