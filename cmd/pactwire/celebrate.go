package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pactwire/pactwire"
)

// celebrateCmd celebrates a partner's check-in.
type celebrateCmd struct {
	clientFlags
	Pact    string `arg:"" help:"Id of the pact."`
	Checkin string `arg:"" optional:"" help:"Id of the check-in; the newest one of a partner, when it is left out."`
	Message string `help:"A few words, up to 280 characters."`
	ID      string `help:"Your own id for it: sent twice, it happens once."`
}

// Run implements the command.
func (c *celebrateCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	in := map[string]string{"checkinId": c.Checkin, "message": c.Message}
	if in["checkinId"] == "" {
		if in["checkinId"], err = c.newest(ctx, server); err != nil {
			return err
		}
	}
	if c.ID != "" {
		in["id"] = c.ID
	}
	var done pactwire.CommandDone
	if err := server.post(ctx, pactPath(c.Pact, "/celebrations"), in, &done); err != nil {
		return err
	}
	line := "" // celebrated before, under the same id
	if done.ActivityID != nil {
		line = *done.ActivityID
	}
	return c.print(out, done, line)
}

// newest is the latest completed check-in of somebody else in the pact, among its newest activities.
func (c *celebrateCmd) newest(ctx context.Context, server *client) (string, error) {
	var page activities
	if err := server.get(ctx, pactPath(c.Pact, fmt.Sprintf("/activities?limit=%d", pageSize)), &page); err != nil {
		return "", err
	}
	newest := ""
	for _, raw := range page.Items {
		var a pactwire.Activity
		if err := json.Unmarshal(raw, &a); err != nil {
			return "", fmt.Errorf("read an activity: %w", err)
		}
		if a.Type != pactwire.CheckinCompleted || a.UserID == server.id.UserID {
			continue
		}
		var data pactwire.CheckinData
		if err := json.Unmarshal(a.Data, &data); err != nil {
			return "", fmt.Errorf("read activity %s: %w", a.ID, err)
		}
		newest = data.CheckinID
	}
	if newest == "" {
		return "", &pactwire.Error{Code: pactwire.NotFound, Message: "nobody else has checked in there lately; name a check-in"}
	}
	return newest, nil
}
