// Command pactwire is the server and everything around it, in one binary: see pactwire --help.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/config"

	_ "time/tzdata" // people's zones, wherever this runs
)

// version is set by the linker.
var version = "dev"

// globals are the flags that every command understands.
type globals struct {
	Config string   `help:"Settings file; config.yaml when there is one." env:"PACTWIRE_CONFIG" placeholder:"FILE"`
	Set    []string `help:"Set one setting, as key=value; may be repeated." sep:"none" placeholder:"KEY=VALUE"`
}

// load reads the settings.
func (g *globals) load() (config.Loaded, error) {
	return config.Load(config.Source{File: g.Config, Env: os.Environ(), Set: g.Set})
}

// cli is the command line.
type cli struct {
	globals

	Serve         serveCmd         `cmd:"" help:"Run the server."`
	HabitsService habitsServiceCmd `cmd:"" name:"habits-service" help:"Run the habits-service as a process of its own."`
	Token         tokenCmd         `cmd:"" help:"Print a token for a user, signed with the configured secret."`
	Bench         benchCmd         `cmd:"" help:"Make members for a benchmark, and run it."`
	Version       versionCmd       `cmd:"" help:"Print the version."`
}

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println(version)
	return nil
}

// Exit codes: done, refused, wrong usage.
const (
	exitRefused = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main without the exit, for tests.
func run(args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("pactwire"), kong.UsageOnError(),
		kong.Description("The realtime server for pacts: MQTT in front, check-ins that are kept."))
	if err != nil {
		fmt.Fprintln(os.Stderr, "pactwire:", err)
		return exitUsage
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err) // prints the usage and exits with 80; the lines below are for when it does not
		return exitUsage
	}
	if err := ctx.Run(&c.globals); err != nil {
		fmt.Fprintln(os.Stderr, "pactwire:", describe(err))
		return exitRefused
	}
	return 0
}

// describe says what a person needs of an error.
func describe(err error) string {
	var e *pactwire.Error
	if errors.As(err, &e) && e.Cause == nil {
		return e.Message
	}
	return err.Error()
}
