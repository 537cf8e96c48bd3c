package main

import (
	"fmt"
)

// configCmd is about the settings.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say what is wrong with the settings, and where."`
	Show  configShowCmd  `cmd:"" help:"Print the settings that hold, and where each comes from; secrets are hidden."`
}

type configCheckCmd struct {
	File string `arg:"" optional:"" help:"Settings file, as --config."`
}

// Run implements the command.
func (c *configCheckCmd) Run(g *globals, out *output) error {
	if c.File != "" {
		g.Config = c.File
	}
	if _, err := g.load(); err != nil {
		return err
	}
	fmt.Fprintln(out.stdout, "the settings are fine")
	return nil
}

type configShowCmd struct {
	File string `arg:"" optional:"" help:"Settings file, as --config."`
}

// Run implements the command.
func (c *configShowCmd) Run(g *globals, out *output) error {
	if c.File != "" {
		g.Config = c.File
	}
	loaded, err := g.load()
	if err != nil {
		return err
	}
	return loaded.Show(out.stdout)
}
