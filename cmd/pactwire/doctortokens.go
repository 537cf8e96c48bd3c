package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/config"
)

// tokens looks whether tokens can be checked, and whether a running server agrees.
func (d *doctor) tokens(ctx context.Context) {
	j := d.cfg.Auth.JWT
	if j.Secret == "" && j.JWKSURL != "" {
		d.issuer(ctx, j.JWKSURL)
		return
	}
	name := config.SigningKeyName(d.cfg)
	_, err := config.SigningKey(d.cfg)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.running:
		d.say("tokens", warning, sameKey, "the running server has a key of its own: %s does not exist", strings.TrimPrefix(name, "the key in "))
	case errors.Is(err, fs.ErrNotExist):
		d.ok("tokens", "a key for them will be made: %s", name)
	case err != nil:
		d.say("tokens", failure, "", "%v", err)
	default:
		d.ok("tokens", "they are signed with %s", name)
		if d.running {
			d.believed(ctx, name)
		}
	}
}

const sameKey = "run this in the folder of the server, or set data_dir or auth.jwt.* as the server has it"

// believed shows the running server a token.
func (d *doctor) believed(ctx context.Context, key string) {
	f := clientFlags{Server: "http://" + reachable(d.cfg.HTTP.Addr)}
	id, err := signed(d.cfg, pactwire.Identity{UserID: "doctor"})
	if err != nil {
		return
	}
	status, err := f.client(id).do(ctx, http.MethodGet, "/v1/me", nil, nil)
	switch {
	case status == http.StatusUnauthorized:
		d.say("tokens", warning, sameKey, "the running server does not believe a token signed with %s: %s", key, describe(err))
	case err == nil:
		d.ok("tokens", "the running server believes one")
	}
}

// issuer fetches the key set.
func (d *doctor) issuer(ctx context.Context, address string) {
	const do = "see that auth.jwt.jwks_url is right and can be reached from here"
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	began := time.Now()
	resp, err := get(ctx, address)
	if err != nil {
		d.say("tokens", failure, do, "the issuer's keys cannot be fetched: %v", cause(err))
		return
	}
	defer resp.Body.Close()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	err = json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&set)
	switch {
	case resp.StatusCode != http.StatusOK:
		d.say("tokens", failure, do, "the issuer answers %d instead of its keys", resp.StatusCode)
	case err != nil || len(set.Keys) == 0:
		d.say("tokens", failure, do, "the issuer answers with no keys")
	default:
		d.ok("tokens", "the issuer has %d keys", len(set.Keys))
	}
	d.apart("the issuer", resp, began)
}
