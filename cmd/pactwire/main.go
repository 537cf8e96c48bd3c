// Command pactwire is the server and everything around it, in one binary: see pactwire --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

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
	Goal          goalCmd          `cmd:"" help:"Make and list habits."`
	Pact          pactCmd          `cmd:"" help:"Make pacts, let people in, and end them."`
	Checkin       checkinCmd       `cmd:"" help:"Check in."`
	Celebrate     celebrateCmd     `cmd:"" help:"Celebrate a partner's check-in."`
	Watch         watchCmd         `cmd:"" help:"See what your partners do, as it happens."`
	Device        deviceCmd        `cmd:"" help:"Things that check in by themselves: make, list and revoke them."`
	Revoke        revokeCmd        `cmd:"" help:"Take tokens and devices back before they end."`
	Push          pushCmd          `cmd:"" help:"Look after what is pushed to people without a device on the line."`
	Why           whyCmd           `cmd:"" help:"Explain why somebody may or may not use a pact."`
	Bench         benchCmd         `cmd:"" help:"Make members for a benchmark, and run it."`
	Store         storeCmd         `cmd:"" help:"Move to another database."`
	Doctor        doctorCmd        `cmd:"" help:"Look whether a server can run with these settings on this machine."`
	Settings      configCmd        `cmd:"" name:"config" help:"Check and show the settings."`
	Version       versionCmd       `cmd:"" help:"Print the version."`
}

type versionCmd struct{}

// Run implements the command.
func (versionCmd) Run(out *output) error {
	fmt.Fprintln(out.stdout, version)
	return nil
}

// output is where commands write: results to stdout, words about them to stderr.
type output struct{ stdout, stderr io.Writer }

// Exit codes: done, refused, wrong usage.
const (
	exitRefused = 1
	exitUsage   = 2
)

// usageError is a command line that cannot be meant.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], &output{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// exited carries kong's exit (--help) out of the parser.
type exited int

// run is main without the process, for tests.
func run(ctx context.Context, args []string, out *output) (code int) {
	help, helped := out.stdout, 0
	switch {
	case len(args) == 0: // nothing was done, so it is no success
		help, helped, args = out.stderr, exitUsage, []string{"--help"}
	case args[0] == "help":
		args = append(args[1:len(args):len(args)], "--help")
	}
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exited)
			if !ok {
				panic(p)
			}
			code = max(int(e), helped)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("pactwire"), kong.Writers(help, out.stderr),
		kong.Description("The realtime server for pacts: MQTT in front, check-ins that are kept."),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Bind(&c.globals, out), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(out.stderr, "pactwire:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(out.stderr, "pactwire: %s\nTry pactwire --help.\n", err)
		return exitUsage
	}
	if err := command.Run(action(command.Selected().Name)); err != nil {
		fmt.Fprintln(out.stderr, "pactwire:", describe(err))
		var usage *usageError
		if errors.As(err, &usage) {
			return exitUsage
		}
		return exitRefused
	}
	return 0
}

// describe says what a person needs of an error.
func describe(err error) string {
	var e *pactwire.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	s := e.Message
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}
