package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/pactwire/pactwire"
)

// deviceCmd is about things that check in by themselves.
type deviceCmd struct {
	Add    deviceAddCmd    `cmd:"" help:"Make a device for a pact; prints its id, and its secret once."`
	List   deviceListCmd   `cmd:"" help:"List your devices."`
	Revoke deviceRevokeCmd `cmd:"" help:"Take a device back; it is cut off at once."`
}

type deviceAddCmd struct {
	clientFlags
	Pact string `arg:"" help:"Id of the pact that it checks in for."`
	Name string `help:"What you call it." default:"button"`
	Kind string `help:"button, scale, watch, phone or web." enum:"button,scale,watch,phone,web" default:"button"`
}

// Run implements the command. The id alone goes to stdout, for scripts; with --json the secret is there too.
func (c *deviceAddCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	in := pactwire.DeviceInput{Name: c.Name, Kind: pactwire.DeviceKind(c.Kind), PactID: pactwire.PactID(c.Pact)}
	var made pactwire.DeviceSecret
	if err := server.post(ctx, "/v1/devices", in, &made); err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintf(out.stderr, "user name  %s\npassword   %s\ntopic      devices/%s/checkins\nThe password is shown this once and not kept: write it into the device now.\n",
			made.Username, made.Secret, made.ID)
	}
	return c.print(out, made, string(made.ID))
}

type deviceListCmd struct{ clientFlags }

// Run implements the command.
func (c *deviceListCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	list, err := all(ctx, server, "/v1/devices", url.Values{}, func(d pactwire.Device) string { return string(d.ID) })
	if err != nil {
		return err
	}
	if c.JSON {
		return c.print(out, list, "")
	}
	t := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	for _, d := range list {
		seen, battery := "never seen", ""
		if d.LastSeen != nil {
			seen = "seen " + d.LastSeen.Std().Format(time.RFC3339)
		}
		if d.Battery != nil {
			battery = fmt.Sprintf("battery %d %%", *d.Battery)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tpact %s\t%s\t%s\n", d.ID, d.Kind, oneLine(d.Name), d.PactID, seen, battery)
	}
	return t.Flush()
}

type deviceRevokeCmd struct {
	clientFlags
	Device string `arg:"" help:"Id of the device."`
}

// Run implements the command.
func (c *deviceRevokeCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	if _, err := server.do(ctx, http.MethodDelete, "/v1/devices/"+url.PathEscape(c.Device), nil, nil); err != nil {
		return err
	}
	return c.print(out, map[string]any{"id": c.Device, "revoked": true}, c.Device+" is revoked")
}
