package delivery_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// TestPromise4NothingMissed lets a client come, go, dawdle and acknowledge in any order while entries are committed: it gets
// each entry in order, none that it acknowledged again, and in the end all.
func TestPromise4NothingMissed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.IntRange(0, 9), 5, 80).Draw(rt, "script")
		windows := rapid.IntRange(1, 70).Draw(rt, "window")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			h := newHub(t, w)
			defer stop(t, h)
			in := user("alice")
			in.ReceiveMaximum = uint16(windows)
			c, end, _ := connect(t, h, in)
			subscribe(t, c, 1, "pacts/+/activity")
			acked, seen := 0, 0
			var unacked []uint16
			look := func() {
				for _, pk := range end.take() {
					var body struct{ Seq int }
					if json.Unmarshal(pk.Payload, &body) != nil || !strings.HasSuffix(pk.TopicName, "/activity") {
						t.Fatalf("received %q", pk.Payload)
					}
					if body.Seq != seen+1 {
						t.Fatalf("after %d came %d", seen, body.Seq)
					}
					if body.Seq <= acked {
						t.Fatalf("%d was acknowledged and came again", body.Seq)
					}
					seen = body.Seq
					unacked = append(unacked, pk.PacketID)
				}
				if len(unacked) > windows {
					t.Fatalf("%d under way with a window of %d", len(unacked), windows)
				}
			}
			ack := func(n int) {
				look()
				for ; n > 0 && len(unacked) > 0; n-- {
					c.Puback(unacked[0], 0)
					unacked = unacked[1:]
					acked++
				}
			}
			for _, step := range script {
				switch step {
				case 0, 1, 2:
					for range step*step*10 + 1 {
						h.Publish(w.commit(feed))
					}
				case 3, 4:
					ack(step * 7)
				case 5: // drops and returns
					look()
					c.Detach()
					seen, unacked = acked, nil
					h.Publish(w.commit(feed))
					c, end, _ = connect(t, h, in)
				case 6:
					end.mu.Lock()
					end.stuck = true
					end.mu.Unlock()
				case 7:
					end.unstick()
				case 8: // committed, and told only after whoever reads the log has seen it
					a, b := w.commit(feed), w.commit(feed)
					end.unstick()
					synctest.Wait()
					h.Publish(a)
					h.Publish(b)
				case 9:
					synctest.Wait()
				}
			}
			end.unstick()
			total := len(w.entries[feed])
			for range total + 10 {
				synctest.Wait()
				ack(windows)
			}
			if acked != total {
				t.Fatalf("%d of %d came", acked, total)
			}
		})
	})
}
