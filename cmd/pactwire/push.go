package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/pactwire/pactwire/httpapi"
)

// pushCmd looks after what is pushed.
type pushCmd struct {
	List  pushListCmd  `cmd:"" help:"List pushes that were given up, or all that are not done."`
	Retry pushRetryCmd `cmd:"" help:"Try a push again that was given up."`
}

type pushListCmd struct {
	clientFlags
	All bool `help:"Also those that are still tried."`
}

type pushRetryCmd struct {
	clientFlags
	ID string `arg:"" help:"Id of the push, or all."`
}

func pushes(ctx context.Context, server *client, dead bool) ([]httpapi.Push, error) {
	return all(ctx, server, "/v1/pushes", url.Values{"dead": {fmt.Sprint(dead)}}, func(p httpapi.Push) string { return p.ID })
}

// Run implements the command.
func (c *pushListCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.operator(ctx, g)
	if err != nil {
		return err
	}
	list, err := pushes(ctx, server, !c.All)
	if err != nil {
		return err
	}
	for _, p := range list {
		state := "given up"
		if p.NextAt != nil {
			state = "next at " + p.NextAt.Std().Format(time.RFC3339)
		}
		line := fmt.Sprintf("%s  %s  %s  %d attempts, %s  %s", p.ID, p.Channel, p.UserID, p.Attempts, state, oneLine(p.Error))
		if err := c.print(out, p, line); err != nil {
			return err
		}
	}
	return nil
}

// Run implements the command.
func (c *pushRetryCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.operator(ctx, g)
	if err != nil {
		return err
	}
	ids := []string{c.ID}
	if c.ID == "all" {
		dead, err := pushes(ctx, server, true)
		if err != nil {
			return err
		}
		ids = nil
		for _, p := range dead {
			ids = append(ids, p.ID)
		}
	}
	for _, id := range ids {
		if _, err := server.do(ctx, http.MethodPost, "/v1/pushes/"+url.PathEscape(id)+"/retry", nil, nil); err != nil {
			return err
		}
		if err := c.print(out, id, id); err != nil {
			return err
		}
	}
	return nil
}
