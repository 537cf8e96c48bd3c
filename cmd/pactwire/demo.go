package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pactwire/pactwire"
)

// The people of the demo.
var (
	alice = pactwire.Identity{UserID: "alice", UserName: "Alice"}
	bob   = pactwire.Identity{UserID: "bob", UserName: "Bob"}
)

// demo sees to two people with a pact and a little history, and prints what to paste into two terminals.
func (n *node) demo(ctx context.Context) error {
	pact, err := n.demoPact(ctx)
	if err != nil {
		return err
	}
	host, port := n.mqttAddr("tcp")
	_, ws := n.mqttAddr("ws")
	aliceToken, err := sign(n.cfg, alice, 7*24*time.Hour)
	if err != nil {
		return err
	}
	bobToken, err := sign(n.cfg, bob, 7*24*time.Hour)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, `
Pactwire is running. Alice and Bob have a pact about %s.

  Terminal 1: Bob watches.

    mosquitto_sub -h %[2]s -p %[3]s -i bob-phone -u bob -P '%[5]s' -t 'pacts/+/activity' -q 1 -v

  Terminal 2: Alice checks in. Bob sees it at once.

    mosquitto_pub -h %[2]s -p %[3]s -i alice-button -u alice -P '%[6]s' -t 'pacts/%[7]s/checkins' -q 1 -m done

  Without mosquitto (in the same folder, with the same data_dir):

    %[9]s watch --user bob
    %[9]s checkin %[7]s done --user alice --notes 'before breakfast'

  MQTT over WebSocket: ws://%[2]s:%[4]s/mqtt     HTTP: http://%[8]s/v1/pacts     Ctrl-C stops it.

`, pact.HabitName, host, port, ws, bobToken, aliceToken, pact.ID, n.cfg.HTTP.Addr, os.Args[0])
	return err
}

// demoPact finds the demo's pact, or makes it with a few days of history.
func (n *node) demoPact(ctx context.Context) (pactwire.Pact, error) {
	pacts, err := n.service.Pacts(ctx, alice, string(pactwire.PactActive))
	if err != nil || len(pacts) > 0 {
		if len(pacts) > 0 {
			return pacts[0], nil
		}
		return pactwire.Pact{}, err
	}
	n.bridge.Greet(ctx, alice)
	n.bridge.Greet(ctx, bob)
	goal, err := n.service.CreateGoal(ctx, alice, pactwire.GoalInput{Name: "Morning run", Emoji: "🏃"})
	if err != nil {
		return pactwire.Pact{}, err
	}
	pact, err := n.service.CreatePact(ctx, alice, pactwire.PactInput{HabitGoalID: goal.ID, PartnerUserIDs: []pactwire.UserID{bob.UserID}})
	if err != nil {
		return pact, err
	}
	if pact, err = n.service.Act(ctx, bob, pact.ID, pactwire.ActAccept); err != nil {
		return pact, err
	}
	now := time.Now()
	day := func(ago int) pactwire.LocalDate {
		return pactwire.LocalDate(now.UTC().AddDate(0, 0, -ago).Format(time.DateOnly))
	}
	for _, c := range []struct {
		who   pactwire.Identity
		ago   int
		notes string
	}{{alice, 2, "5 km along the river"}, {bob, 2, "slow, but I went"}, {alice, 1, "in the rain!"}, {bob, 1, ""}} {
		_, err := n.bridge.Do(ctx, []pactwire.Command{{Kind: pactwire.CommandCheckin, Sender: c.who, Pact: pact.ID, ReceivedAt: now,
			Checkin: &pactwire.CheckinCommand{Status: pactwire.StatusCompleted, Notes: c.notes, ScheduledDate: day(c.ago)}}})
		if err != nil {
			return pact, err
		}
	}
	_, err = n.bridge.Do(ctx, []pactwire.Command{{Kind: pactwire.CommandMessage, Sender: bob, Pact: pact.ID, ReceivedAt: now,
		Message: &pactwire.MessageCommand{Message: "Tomorrow again? 🙂"}}})
	return pact, err
}
