package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
)

// revokeCmd takes credentials back.
type revokeCmd struct {
	Token  revokeTokenCmd  `cmd:"" help:"Revoke one token."`
	Of     revokeOfCmd     `cmd:"" name:"user" help:"Revoke every token that a person was issued so far."`
	Device revokeDeviceCmd `cmd:"" help:"Revoke anybody's device."`
	List   revokeListCmd   `cmd:"" help:"List what is revoked."`
}

// operator connects as who the flags name, else as an operator, signed with the configured secret.
func (f *clientFlags) operator(ctx context.Context, g *globals) (*client, error) {
	if f.User == "" {
		if err := f.locate(g, true); err != nil {
			return nil, err
		}
	}
	if f.Token == "" && f.User == "" && os.Getenv("PACTWIRE_TOKEN") == "" {
		return f.signing(g, pactwire.Identity{UserID: "operator", Roles: pactwire.RoleOperator})
	}
	return f.connect(ctx, g)
}

// revoke asks for a revocation and says in a line what it did.
func (f *clientFlags) revoke(ctx context.Context, g *globals, out *output, in pactwire.RevocationInput, line string) error {
	server, err := f.operator(ctx, g)
	if err != nil {
		return err
	}
	var rev pactwire.Revocation
	if err := server.post(ctx, "/v1/revocations", in, &rev); err != nil {
		return err
	}
	return f.print(out, rev, line)
}

type revokeTokenCmd struct {
	clientFlags
	Which string `arg:"" help:"The token, or its id (the claim jti)."`
}

// Run implements the command.
func (c *revokeTokenCmd) Run(ctx context.Context, g *globals, out *output) error {
	in := pactwire.RevocationInput{TokenID: c.Which}
	if strings.Count(c.Which, ".") == 2 {
		id, err := auth.Peek(c.Which)
		if err != nil {
			return err
		}
		if id.TokenID == "" {
			return usagef("this token has no id (jti) to revoke it by; revoke user %s instead", id.UserID)
		}
		in = pactwire.RevocationInput{TokenID: id.TokenID, ExpiresAt: &id.ExpiresAt}
	}
	return c.revoke(ctx, g, out, in, "token "+in.TokenID+" is revoked")
}

type revokeOfCmd struct {
	clientFlags
	Who    string `arg:"" help:"The person."`
	Before string `help:"Tokens issued up to then; now, when it is left out." placeholder:"2026-01-31T07:30:00Z"`
}

// Run implements the command.
func (c *revokeOfCmd) Run(ctx context.Context, g *globals, out *output) error {
	in := pactwire.RevocationInput{UserID: pactwire.UserID(c.Who)}
	if c.Before != "" {
		before, err := time.Parse(time.RFC3339, c.Before)
		if err != nil {
			return usagef("--before %s is no time: write RFC 3339, as 2026-01-31T07:30:00Z", c.Before)
		}
		in.Before = &before
	}
	return c.revoke(ctx, g, out, in, c.Who+" has to sign in again, everywhere")
}

type revokeDeviceCmd struct {
	clientFlags
	Device string `arg:"" help:"Id of the device."`
}

// Run implements the command.
func (c *revokeDeviceCmd) Run(ctx context.Context, g *globals, out *output) error {
	return c.revoke(ctx, g, out, pactwire.RevocationInput{DeviceID: pactwire.DeviceID(c.Device)}, "device "+c.Device+" is revoked")
}

type revokeListCmd struct{ clientFlags }

// Run implements the command.
func (c *revokeListCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.operator(ctx, g)
	if err != nil {
		return err
	}
	list, err := all(ctx, server, "/v1/revocations", url.Values{}, func(r pactwire.Revocation) string { return r.ID })
	if err != nil {
		return err
	}
	if c.JSON {
		return c.print(out, list, "")
	}
	t := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	for _, r := range list {
		what := "token " + r.TokenID
		switch {
		case r.UserID != "":
			what = fmt.Sprintf("tokens of %s up to %s", r.UserID, r.Before.Std().Format(time.RFC3339))
		case r.DeviceID != "":
			what = "device " + string(r.DeviceID)
		}
		fmt.Fprintf(t, "%s\t%s\tby %s\n", r.At.Std().Format(time.RFC3339), oneLine(what), r.By)
	}
	return t.Flush()
}
