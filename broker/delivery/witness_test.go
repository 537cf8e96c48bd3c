package delivery_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

// witness wants to know of the entries with an even number.
type witness struct {
	mu   sync.Mutex
	told []saw
}

type saw struct {
	user pactwire.UserID
	seq  pactwire.Seq
}

func (w *witness) Matters(e pactwire.Entry) bool {
	return !bytes.Contains(e.Payload, []byte("1}")) && !bytes.Contains(e.Payload, []byte("3}"))
}

func (w *witness) Saw(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of != feed {
		panic("another stream")
	}
	w.told = append(w.told, saw{u, seq})
}

func (w *witness) take() []saw {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

func TestOnlyWhatAPersonAcknowledgedWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, eye := newWorld(), &witness{}
		w.join("p", "bob")
		w.join("p", "carol")
		h := delivery.New(delivery.Config{Witness: eye}, w, w, w, w, quietLog, nil)
		defer func() { stop(t, h) }()
		publish := func() { h.Publish(w.commit(feed)) }
		// acked acknowledges what came and returns what was told of it.
		acked := func(c *delivery.Client, end *wireEnd, reason byte) []saw {
			synctest.Wait()
			for _, pk := range end.take() {
				if pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos > 0 {
					c.Puback(pk.PacketID, reason)
					c.Puback(pk.PacketID, reason) // a repetition tells nothing
				}
			}
			return eye.take()
		}

		phone, phoneEnd, _ := connect(t, h, user("bob"))
		subscribeQuietly(phone, "pacts/p/activity")
		synctest.Wait()
		publish()
		publish()
		if synctest.Wait(); eye.take() != nil {
			t.Error("sent is not seen")
		}
		if got := acked(phone, phoneEnd, 0); !slices.Equal(got, []saw{{"bob", 2}}) {
			t.Errorf("live: %v", got)
		}
		publish()
		publish()
		if got := acked(phone, phoneEnd, 0x80); got != nil {
			t.Errorf("refused by the client: %v", got)
		}
		phone.Detach()
		publish()
		publish()
		phone, phoneEnd, _ = connect(t, h, user("bob")) // what it missed is read from the log
		if got := acked(phone, phoneEnd, 0); !slices.Contains(got, saw{"bob", 6}) {
			t.Errorf("replayed: %v", got)
		}

		button := user("carol")
		button.ClientID, button.Kind = "button", pactwire.KindButton
		thing := user("carol")
		thing.ClientID, thing.Identity.Device = "device", "d1"
		for _, in := range []pactwire.Connecting{button, thing} {
			c, end, _ := connect(t, h, in)
			subscribeQuietly(c, "pacts/p/activity")
			synctest.Wait()
			publish()
			publish()
			if got := acked(c, end, 0); got != nil {
				t.Errorf("%s is nobody's eye: %v", in.ClientID, got)
			}
			c.Detach()
		}
		pass(time.Second)
	})
}
