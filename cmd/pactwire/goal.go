package main

import (
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"

	"github.com/pactwire/pactwire"
)

// goalCmd is about habits.
type goalCmd struct {
	Create goalCreateCmd `cmd:"" help:"Make a habit; prints its id."`
	List   goalListCmd   `cmd:"" help:"List your habits and those of your pacts."`
}

type goalCreateCmd struct {
	clientFlags
	Name        string `arg:"" help:"Its name."`
	Emoji       string `help:"An emoji for it."`
	Description string `help:"More about it."`
	Frequency   string `help:"daily, weekly or custom." enum:"daily,weekly,custom" default:"daily"`
	Count       int    `help:"How often in that time; 0 = once."`
	Days        []int  `help:"Days of the week for weekly and custom, 0 is Sunday: 1,3,5."`
}

// Run implements the command.
func (c *goalCreateCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	var goal pactwire.Goal
	in := pactwire.GoalInput{Name: c.Name, Emoji: c.Emoji, Description: c.Description, FrequencyType: c.Frequency,
		FrequencyCount: c.Count, TargetDaysOfWeek: c.Days}
	if err := server.post(ctx, "/v1/goals", in, &goal); err != nil {
		return err
	}
	return c.print(out, goal, string(goal.ID))
}

type goalListCmd struct{ clientFlags }

// Run implements the command.
func (c *goalListCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	list, err := all(ctx, server, "/v1/goals", url.Values{}, func(g pactwire.Goal) string { return string(g.ID) })
	if err != nil {
		return err
	}
	if c.JSON {
		return c.print(out, list, "")
	}
	t := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	for _, goal := range list {
		fmt.Fprintf(t, "%s\t%s\t%s %s\n", goal.ID, goal.FrequencyType, oneLine(goal.Name), oneLine(goal.Emoji))
	}
	return t.Flush()
}
