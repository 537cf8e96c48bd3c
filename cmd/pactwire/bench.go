package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bench"
	"github.com/pactwire/pactwire/internal/config"
)

// benchCmd measures a running server.
type benchCmd struct {
	Prepare benchPrepareCmd `cmd:"" help:"Make people and active pacts on a running server."`
	Run     benchRunCmd     `cmd:"" help:"Drive them at a steady rate and report latency, losses and cost."`
}

type benchPrepareCmd struct {
	Pacts   int    `help:"How many pacts." default:"1000"`
	Members int    `help:"Members of each." default:"2"`
	Out     string `help:"File to write: client id, username, password, pact id, habit goal id, tab-separated." required:"" placeholder:"FILE"`
	Server  string `help:"Base URL; the configured one by default." env:"PACTWIRE_SERVER" placeholder:"URL"`
	whoFlags
}

// benchTTL is how long the tokens of a benchmark are good for.
const benchTTL = 24 * time.Hour

// Run implements the command.
func (c *benchPrepareCmd) Run(ctx context.Context, g *globals, out *output) error {
	if c.Pacts < 1 {
		return usagef("--pacts %d: make one at least", c.Pacts)
	}
	if c.Members < 2 || c.Members > pactwire.MaxMembers {
		return usagef("--members %d: a pact has 2 to %d", c.Members, pactwire.MaxMembers)
	}
	loaded, err := g.load()
	if err != nil {
		return err
	}
	server := strings.TrimSuffix(c.Server, "/")
	if server == "" {
		if server, err = serverAt("http.addr", loaded.HTTP.Addr); err != nil {
			return err
		}
	}
	if err := checkServer(server); err != nil {
		return err
	}
	if err := c.greet(ctx, g, server); err != nil {
		return err
	}
	bar := newProgress(out.stderr)
	p := bench.Prepare{
		Server: server, Pacts: c.Pacts, Members: c.Members,
		Sign: func(u pactwire.UserID, name string) (string, error) {
			return sign(loaded.Config, pactwire.Identity{UserID: u, UserName: name}, benchTTL)
		},
		Progress: func(done, of int) { bar.show("pacts", done, of) },
	}
	members, err := p.Run(ctx)
	bar.clear()
	if err != nil {
		return err
	}
	// The file holds tokens.
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := bench.WriteMembers(f, members); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// greet asks the server who one is before anything is made on it. Who is not named is "bench".
func (c *benchPrepareCmd) greet(ctx context.Context, g *globals, server string) error {
	f := clientFlags{Server: server, whoFlags: c.whoFlags}
	if f.Token == "" && f.User == "" && os.Getenv("PACTWIRE_TOKEN") == "" {
		f.User = "bench"
	}
	asked, err := f.connect(ctx, g)
	if err != nil {
		return err
	}
	var me pactwire.User
	return asked.get(ctx, "/v1/me", &me)
}

type benchRunCmd struct {
	File        string        `help:"Members, as prepare wrote them; fanout needs none." placeholder:"FILE"`
	Scenario    string        `help:"pairs: check-ins at a steady rate. idle: memory of connections that do nothing. reconnect: all drop and come back. storm: all come and go, and their partners are told. busy: check-ins in one pact. evening: check-ins, messages, celebrations, reactions and drops. fanout: one event to many, on a lab topic. relay: pairs on another broker, which only relays." enum:"pairs,idle,reconnect,storm,busy,evening,fanout,relay" default:"pairs"`
	Rate        float64       `help:"Check-ins a second (pairs, busy, relay), or things done (evening)." default:"500"`
	Duration    time.Duration `help:"How long (pairs, busy, evening, fanout, relay)." default:"10s"`
	Connections int           `help:"How many (idle, reconnect) or subscribers (fanout); 10000, 5000 and 1000 by default."`
	Transport   string        `help:"tcp or ws." enum:"tcp,ws" default:"tcp"`
	Addr        string        `help:"host:port of the listener, or several with commas between; the configured one by default." placeholder:"ADDR"`
	Server      string        `help:"Base URL: its host, with the configured port, instead of --addr." placeholder:"URL"`
	PID         []int         `help:"Process of the server, to tell what it used; may be repeated." name:"pid"`
	JSON        bool          `help:"Print one line of JSON instead of a table." name:"json"`
	whoFlags                  // of fanout; the others bring their own people
}

// report is what every scenario returns.
type report interface{ Table(w io.Writer) error }

// Run implements the command.
func (c *benchRunCmd) Run(ctx context.Context, g *globals, out *output) error {
	loaded, err := g.load()
	if err != nil {
		return err
	}
	bar := newProgress(out.stderr)
	var away atomic.Int64
	r, err := c.scenario(ctx, loaded.Config, bar.show, &away)
	bar.clear()
	if err != nil {
		return err
	}
	if n := away.Load(); n > 0 {
		fmt.Fprintf(out.stderr, "note: the server turned connections away %d times before all were in; "+
			"start it with --set limits.connects_per_second=0 to measure how fast they come\n", n)
	}
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(r)
	}
	return r.Table(out.stdout)
}

func (c *benchRunCmd) scenario(ctx context.Context, cfg config.Config, progress func(string, int, int), away *atomic.Int64) (report, error) {
	target := bench.Target{Addr: c.Addr, Transport: c.Transport, TurnedAway: away}
	if target.Addr == "" {
		target.Addr = cfg.MQTT.TCP
		if c.Transport == "ws" {
			target.Addr = cfg.MQTT.WS
		}
		target.Addr = reachable(target.Addr)
		if c.Server != "" {
			if err := checkServer(c.Server); err != nil {
				return nil, err
			}
			u, err := url.Parse(c.Server)
			if err != nil {
				return nil, err
			}
			if _, port, err := net.SplitHostPort(target.Addr); err == nil {
				target.Addr = net.JoinHostPort(u.Hostname(), port)
			}
		}
	}
	connections := c.Connections
	if connections <= 0 {
		connections = map[string]int{"idle": 10_000, "reconnect": 5_000, "fanout": 1_000}[c.Scenario]
	}
	if c.Scenario == "fanout" {
		b := bench.Fanout{
			Target: target, Subscribers: connections, PerUser: cfg.Limits.ConnectionsPerUser, Duration: c.Duration, PIDs: c.PID,
			Sign: func(u pactwire.UserID) (string, error) {
				if c.Token != "" {
					return c.Token, nil
				}
				if c.User != "" {
					u = pactwire.UserID(c.User)
				}
				return sign(cfg, pactwire.Identity{UserID: u, Roles: pactwire.RoleLab}, benchTTL)
			},
			Progress: progress,
		}
		return b.Run(ctx)
	}
	if c.File == "" {
		return nil, usagef("--file is missing: make one with pactwire bench prepare")
	}
	members, err := bench.ReadMembers(c.File)
	if err != nil {
		return nil, err
	}
	switch c.Scenario {
	case "idle":
		b := bench.Idle{
			Target: target, Members: members, Connections: connections, PerUser: cfg.Limits.ConnectionsPerUser,
			PIDs: c.PID, Progress: progress,
		}
		return b.Run(ctx)
	case "reconnect":
		b := bench.Reconnect{
			Target: target, Members: members, Connections: connections, PerUser: cfg.Limits.ConnectionsPerUser,
			PIDs: c.PID, Progress: progress,
		}
		return b.Run(ctx)
	case "storm":
		b := bench.Storm{Target: target, Members: members, PIDs: c.PID, Progress: progress}
		return b.Run(ctx)
	case "evening":
		b := bench.Evening{Target: target, Members: members, Rate: c.Rate, Duration: c.Duration, PIDs: c.PID, Progress: progress}
		return b.Run(ctx)
	case "busy":
		members = bench.Busiest(members)
	}
	b := bench.Pairs{Name: c.Scenario, Relay: c.Scenario == "relay", Target: target, Members: members, Rate: c.Rate, Duration: c.Duration, PIDs: c.PID, Progress: progress}
	return b.Run(ctx)
}

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct {
	mu    sync.Mutex
	w     io.Writer // nil = not a terminal
	shown time.Time
	now   func() time.Time
}

const (
	barWidth = 32
	barEvery = 100 * time.Millisecond
)

func newProgress(w io.Writer) *progress {
	p := &progress{now: time.Now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.w = f
	}
	return p
}

// show draws the bar, at most ten times a second.
func (p *progress) show(phase string, done, of int) {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if of <= 0 || done < of && now.Sub(p.shown) < barEvery {
		return
	}
	p.shown = now
	full := min(barWidth*done/of, barWidth)
	fmt.Fprintf(p.w, "\r\033[K%-10s %s%s %d/%d", phase, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), done, of)
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\033[K")
	}
}
