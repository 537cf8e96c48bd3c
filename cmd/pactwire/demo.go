package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/config"
)

// The people of the demo.
var (
	alice = pactwire.Identity{UserID: "alice", UserName: "Alice"}
	bob   = pactwire.Identity{UserID: "bob", UserName: "Bob"}
)

// demo sees to two people with a pact and a little history, and prints what to paste into two terminals.
func (n *node) demo(ctx context.Context, w io.Writer) error {
	pact, err := n.demoPact(ctx)
	if err != nil {
		return err
	}
	aliceToken, err := sign(n.cfg, alice, 7*24*time.Hour)
	if err != nil {
		return err
	}
	bobToken, err := sign(n.cfg, bob, 7*24*time.Hour)
	if err != nil {
		return err
	}
	at := n.demoAddrs()
	var b strings.Builder
	fmt.Fprintf(&b, "\nPactwire is running. Alice and Bob have a pact about %s.\n", pact.HabitName)
	if at.tcp != "" {
		host, port, _ := net.SplitHostPort(at.tcp)
		fmt.Fprintf(&b, `
  Terminal 1: Bob watches.

    mosquitto_sub -h %[1]s -p %[2]s -i bob-phone -u bob -P '%[3]s' -t 'pacts/+/activity' -q 1 -v

  Terminal 2: Alice checks in. Bob sees it at once. Said again that day it changes nothing; -m partial does.

    mosquitto_pub -h %[1]s -p %[2]s -i alice-button -u alice -P '%[4]s' -t 'pacts/%[5]s/checkins' -q 1 -m done
`, host, port, bobToken, aliceToken, pact.ID)
	}
	if server, broker := at.flags(); at.http != "" {
		b.WriteString("\n  Without mosquitto (in the same folder, with the same settings):\n\n")
		if at.tcp != "" || at.ws != "" {
			fmt.Fprintf(&b, "    %s watch --user bob%s%s\n", os.Args[0], server, broker)
		}
		if at.tcp != "" && at.ws != "" { // the same over WebSocket, which not every mosquitto speaks
			fmt.Fprintf(&b, "    %s watch --user bob%s --mqtt ws://%s/mqtt   # over WebSocket\n", os.Args[0], server, at.ws)
		}
		fmt.Fprintf(&b, "    %s checkin %s done --user alice --notes 'before breakfast'%s\n", os.Args[0], pact.ID, server)
	}
	b.WriteString("\n  ")
	if at.ws != "" {
		fmt.Fprintf(&b, "MQTT over WebSocket: ws://%s/mqtt     ", at.ws)
	}
	if at.http != "" {
		fmt.Fprintf(&b, "HTTP: http://%s/v1/pacts     ", at.http)
	}
	b.WriteString("Ctrl-C stops it.\n\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// demoAddrs are where the listeners that need no certificate are found from here; "" = off.
type demoAddrs struct{ tcp, ws, http string }

func (n *node) demoAddrs() demoAddrs {
	from := func(a net.Addr) string {
		if a == nil {
			return ""
		}
		return reachable(a.String())
	}
	mqtt := n.broker.Addrs()
	return demoAddrs{from(mqtt["tcp"]), from(mqtt["ws"]), from(n.api.Addr("http.addr"))}
}

// flags name what a command in another terminal, where the environment may be another, would not look for.
func (a demoAddrs) flags() (server, broker string) {
	d := config.Default()
	if a.http != d.HTTP.Addr {
		server = " --server http://" + a.http
	}
	switch {
	case a.tcp == "" && a.ws != "":
		broker = " --mqtt ws://" + a.ws
	case a.tcp != d.MQTT.TCP:
		broker = " --mqtt " + a.tcp
	}
	return server, broker
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
