package delivery_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// TestPromise6PresenceGoesForwardHoweverItComes: changes in any order, snapshots, and presence told again.
func TestPromise6PresenceGoesForwardHoweverItComes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			w.join("p", "bob")
			h := newHub(t, w)
			defer stop(t, h)
			in := user("alice")
			in.ReceiveMaximum = 2
			c, end, _ := connect(t, h, in)
			subscribe(t, c, 1, "pacts/+/presence/+")
			said, shown := uint64(0), map[string]uint64{}
			look := func() {
				synctest.Wait()
				for _, pk := range end.take() {
					var p pactwire.Presence
					if err := json.Unmarshal(pk.Payload, &p); err != nil {
						t.Fatal(err)
					}
					if p.Version < shown[pk.TopicName] {
						t.Fatalf("%s: %d after %d", pk.TopicName, p.Version, shown[pk.TopicName])
					}
					shown[pk.TopicName] = p.Version
					if pk.PacketID != 0 {
						c.Puback(pk.PacketID, 0)
					}
				}
			}
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				switch rapid.IntRange(0, 4).Draw(rt, "what") {
				case 0, 1: // one of the last words
					said++
					w.setVersion(said)
					v := said - min(said-1, uint64(rapid.IntRange(0, 3).Draw(rt, "late")))
					h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "bob", Version: v})
				case 2:
					subscribe(t, c, 1, "pacts/+/presence/+")
				case 3:
					h.PresenceMissed()
				case 4:
					look()
				}
			}
			h.PresenceMissed()
			for range 5 {
				pass(time.Second)
				look()
			}
			if got := shown["pacts/p/presence/bob"]; got != said {
				t.Fatalf("bob is shown as of %d, and %d is true", got, said)
			}
		})
	})
}

func TestMissedPresenceIsToldAgainToWhomItIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.setVersion(5)
		var ends []*wireEnd
		const many = 200 // more than are seen to at once
		for i := range many {
			u := pactwire.UserID(fmt.Sprint("u", i))
			p := pactwire.PactID(fmt.Sprint("p", i/2)) // two in each
			w.join(p, u)
		}
		h := newHub(t, w)
		defer stop(t, h)
		filter := "pacts/+/presence/+"
		for i := range many {
			c, end, _ := connect(t, h, user(pactwire.UserID(fmt.Sprint("u", i))))
			subscribe(t, c, 0, filter)
			ends = append(ends, end)
		}
		synctest.Wait()
		for _, end := range ends {
			end.take()
		}
		told := func() (n int) {
			for _, end := range ends {
				for _, s := range presences(t, end.take()) {
					if s[len(s)-2:] != " 6" {
						t.Errorf("told %q", s)
					}
					n++
				}
			}
			return n
		}
		w.setVersion(6)
		h.PresenceChanged(pactwire.Presence{PactID: "p0", UserID: "u1", Version: 6}) // this alone has come
		synctest.Wait()
		if n := told(); n != 2 {
			t.Errorf("%d were told of the change", n)
		}
		h.PresenceMissed()
		pass(5 * time.Second)
		if n := told(); n != 2*many-2 {
			t.Errorf("%d were told again, want %d", n, 2*many-2)
		}
		h.PresenceMissed()
		pass(5 * time.Second)
		if n := told(); n != 0 {
			t.Errorf("%d were told what they knew", n)
		}
	})
}
