package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bench"
)

// benchCmd measures a running server.
type benchCmd struct {
	Prepare benchPrepareCmd `cmd:"" help:"Make people and active pacts on a running server."`
	Run     benchRunCmd     `cmd:"" help:"Drive them at a steady rate and report latency, losses and cost."`
}

type benchPrepareCmd struct {
	Pacts   int    `help:"How many pacts." default:"1000"`
	Members int    `help:"Members of each." default:"2"`
	Out     string `help:"File to write: client id, username, password, pact id, habit goal id, tab-separated." required:""`
	Server  string `help:"Base URL." default:"http://127.0.0.1:8080" env:"PACTWIRE_SERVER"`
}

// Run implements the command.
func (c *benchPrepareCmd) Run(g *globals) error {
	loaded, err := g.load()
	if err != nil {
		return err
	}
	p := bench.Prepare{Server: c.Server, Pacts: c.Pacts, Members: c.Members,
		Sign: func(u pactwire.UserID, name string) (string, error) {
			return sign(loaded.Config, pactwire.Identity{UserID: u, UserName: name}, 24*time.Hour)
		}}
	members, err := p.Run(context.Background())
	if err != nil {
		return err
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	if err := bench.WriteMembers(f, members); err != nil {
		return err
	}
	return f.Close()
}

type benchRunCmd struct {
	File      string        `help:"Members, as prepare wrote them." required:""`
	Rate      float64       `help:"Check-ins a second." default:"500"`
	Duration  time.Duration `help:"How long." default:"10s"`
	Transport string        `help:"tcp or ws." enum:"tcp,ws" default:"tcp"`
	Addr      string        `help:"host:port of the listener." default:"127.0.0.1:1883"`
	PID       []int         `help:"Process of the server, to tell what it used; may be repeated."`
	JSON      bool          `help:"Print JSON."`
}

// Run implements the command.
func (c *benchRunCmd) Run() error {
	members, err := bench.ReadMembers(c.File)
	if err != nil {
		return err
	}
	p := bench.Pairs{Target: bench.Target{Addr: c.Addr, Transport: c.Transport}, Members: members, Rate: c.Rate,
		Duration: c.Duration, PIDs: c.PID}
	report, err := p.Run(context.Background())
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if !c.JSON {
		out.SetIndent("", "  ")
	}
	if err := out.Encode(report); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}
