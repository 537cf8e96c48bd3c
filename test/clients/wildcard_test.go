package clients_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// TestAllMyPacts: pacts/+/activity shows a member all of their pacts, one joined afterwards too; an outsider nothing, and
// an operator everything.
func TestAllMyPacts(t *testing.T) {
	s := testkit.Start(t, nil)
	first := s.NewPact("alice", "bob")
	for _, version := range []string{"mqttv311", "mqttv5"} {
		t.Run(version, func(t *testing.T) {
			bob := s.Subscribe("bob", version, []string{"pacts/+/activity"})
			mallory := s.Subscribe("mallory", version, []string{"pacts/+/activity"})
			operator := s.Subscribe("olga", version, []string{"pacts/+/activity"}, "-P", testkit.Token("olga", "operator"))

			s.PublishAs("alice", version, "pacts/"+string(first.ID)+"/messages", `{"message":"to the first"}`)
			bob.Wait(1, "/activity")

			second := s.NewPact("carol", "bob") // joined with the wildcard standing
			s.PublishAs("carol", version, "pacts/"+string(second.ID)+"/messages", `{"message":"to the second"}`)
			for _, l := range bob.Wait(3, "/activity")[1:] { // partner_joined, or pact_started, or both, and the message
				if !strings.Contains(l, string(second.ID)) {
					t.Errorf("bob got %s", l)
				}
			}
			third := s.NewPact("carol", "dave") // none of bob's
			s.PublishAs("carol", version, "pacts/"+string(third.ID)+"/messages", `{"message":"to the third"}`)
			testkit.Eventually(t, limit, "the operator sees the third pact", func() bool {
				return strings.Contains(strings.Join(operator.Messages("/activity"), "\n"), "to the third")
			})
			testkit.Eventually(t, limit, "bob sees the message in the second", func() bool {
				return strings.Contains(strings.Join(bob.Messages("/activity"), "\n"), "to the second")
			})
			testkit.Never(t, 300*time.Millisecond, "an outsider gets something", func() bool {
				return len(mallory.Messages("")) > 0 || strings.Contains(strings.Join(bob.Messages(""), "\n"), "to the third")
			})
		})
	}
}

// TestOneWordIsEnough: mosquitto_pub -m done.
func TestOneWordIsEnough(t *testing.T) {
	s := testkit.Start(t, nil)
	for _, version := range []string{"mqttv311", "mqttv5"} {
		pact := s.NewPact("alice", "bob")
		bob := s.Subscribe("bob", version, []string{"pacts/" + string(pact.ID) + "/activity"})
		s.PublishAs("alice", version, "pacts/"+string(pact.ID)+"/checkins", "done")
		if got := bob.Wait(1, "/activity"); len(got) != 1 || !strings.Contains(got[0], `"checkin_completed"`) {
			t.Errorf("%s: bob got %v", version, got)
		}
		bob.Stop()
	}
}
