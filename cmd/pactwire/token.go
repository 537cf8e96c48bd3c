package main

import (
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/config"
)

// tokenCmd signs a token. It needs no server.
type tokenCmd struct {
	User string        `arg:"" help:"User id."`
	Name string        `help:"The name that others see; without it, the one they have seen before, or the id."`
	Role []string      `help:"operator or lab; may be repeated." enum:"operator,lab"`
	TTL  time.Duration `help:"How long the token is good for." default:"24h"`
}

// Run implements the command.
func (c *tokenCmd) Run(g *globals, out *output) error {
	loaded, err := g.load()
	if err != nil {
		return err
	}
	if c.TTL <= 0 {
		return usagef("--ttl %s is no time to live", c.TTL)
	}
	if !pactwire.ValidID(c.User) {
		return usagef("%q is no user id: use 1 to 64 letters, digits, - and _", c.User)
	}
	id := pactwire.Identity{UserID: pactwire.UserID(c.User), UserName: c.Name}
	for _, r := range c.Role {
		id.Roles |= pactwire.ParseRole(r)
	}
	made, err := config.MakeSigningKey(loaded.Config)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(out.stderr, "made %s; a server with the same data_dir believes what it signs\n", config.SigningKeyName(loaded.Config))
	}
	token, err := sign(loaded.Config, id, c.TTL)
	if err != nil {
		return err
	}
	fmt.Fprintln(out.stdout, token)
	return nil
}

// sign makes a token with the configured secret.
func sign(cfg config.Config, id pactwire.Identity, ttl time.Duration) (string, error) {
	key, err := config.SigningKey(cfg)
	if err != nil {
		return "", err
	}
	return auth.Signer{Secret: key, Issuer: cfg.Auth.JWT.Issuer, Audience: cfg.Auth.JWT.Audience,
		Brand: cfg.Auth.JWT.Brand}.Sign(id, ttl)
}
