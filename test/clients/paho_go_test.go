package clients_test

import (
	"fmt"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestPahoGo: paho.mqtt.golang over TCP and WebSocket, with a session that survives its connection.
func TestPahoGo(t *testing.T) {
	s := testkit.Start(t, nil)
	for _, transport := range []string{"tcp", "ws"} {
		t.Run(transport, func(t *testing.T) {
			alice, bob := pactwire.UserID("alice-"+transport), pactwire.UserID("bob-"+transport)
			pact := s.NewPact(alice, bob)
			got := make(chan pactwire.Activity, 64) // more than are sent
			connect := func(user pactwire.UserID) mqtt.Client {
				t.Helper()
				o := mqtt.NewClientOptions().AddBroker(url(s, transport)).SetClientID(string(user) + "-go").
					SetUsername(string(user)).SetPassword(testkit.Token(user)).SetCleanSession(false).SetAutoReconnect(false).
					SetOrderMatters(true).
					SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
						if a, err := testkit.ParseActivity(m.Payload()); err == nil && a.Seq > 0 {
							got <- a
						}
					})
				c := mqtt.NewClient(o)
				wait(t, c.Connect())
				t.Cleanup(func() { c.Disconnect(100) })
				return c
			}
			feed := "pacts/" + string(pact.ID) + "/activity"
			partner := connect(bob)
			wait(t, partner.Subscribe(feed, 1, nil))
			partner.Disconnect(250)
			sender := connect(alice)
			for i := range 10 {
				note := fmt.Sprintf(`{"status":"completed","notes":"day %d"}`, i)
				wait(t, sender.Publish("pacts/"+string(pact.ID)+"/checkins", 1, false, note))
			}
			connect(bob)
			for i := range 10 {
				if a := <-got; a.Seq != pact.HeadSeq+pactwire.Seq(i+1) {
					t.Fatalf("got seq %d in place %d after %d", a.Seq, i+1, pact.HeadSeq)
				}
			}
		})
	}
}

func wait(t testing.TB, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(limit) {
		t.Fatal("no answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}
