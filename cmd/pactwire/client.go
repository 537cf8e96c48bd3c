package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/config"
)

// clientFlags say which server to talk to, and as whom.
type clientFlags struct {
	Server string `help:"Base URL of the server; the configured one by default." env:"PACTWIRE_SERVER" placeholder:"URL"`
	whoFlags
	JSON bool `help:"Print JSON."`
}

// whoFlags say as whom.
type whoFlags struct {
	Token string `help:"Who you are, as a token; else $PACTWIRE_TOKEN." placeholder:"JWT" xor:"who"`
	User  string `help:"Who you are, by name: signs a token with the configured secret." placeholder:"USER" xor:"who"`
}

// tokenTime is how long a token is good that a command signs for itself.
const tokenTime = time.Hour

// renewBefore is how long before its end such a token is made anew.
const renewBefore = 5 * time.Minute

// client is the server's HTTP API, used by one person.
type client struct {
	base   string
	http   *http.Client
	id     pactwire.Identity                                  // whom the token speaks for
	resign func(pactwire.Identity) (pactwire.Identity, error) // nil for a token that was given
	key    string                                             // which key signs, in words
}

// connect makes a client for whom the flags name.
func (f *clientFlags) connect(ctx context.Context, g *globals) (*client, error) {
	if err := f.locate(g, false); err != nil {
		return nil, err
	}
	token := f.Token
	if token == "" && f.User == "" {
		token = os.Getenv("PACTWIRE_TOKEN")
	}
	switch {
	case token != "":
		id, err := auth.Peek(token)
		if err != nil {
			return nil, errors.New(pactwire.AsError(err).Message) // the cause says the same in other words
		}
		return f.client(id), nil
	case f.User == "":
		return nil, usagef("say who you are: --user NAME, --token JWT or PACTWIRE_TOKEN")
	case !pactwire.ValidID(f.User):
		return nil, usagef("%q is no user id: use 1 to 64 letters, digits, - and _", f.User)
	}
	c, err := f.signing(g, pactwire.Identity{UserID: pactwire.UserID(f.User)})
	if err != nil {
		return nil, err
	}
	// A token without a name would show the id to others: take the name that they know.
	var me pactwire.User
	if err := c.get(ctx, "/v1/me", &me); err != nil {
		return nil, err
	}
	c.id.UserName = me.UserName
	return c, c.renew(true)
}

// signing makes a client that signs its own tokens with the configured secret.
func (f *clientFlags) signing(g *globals, id pactwire.Identity) (*client, error) {
	loaded, err := g.load()
	if err != nil {
		return nil, err
	}
	c := f.client(id)
	c.key = config.SigningKeyName(loaded.Config)
	c.resign = func(id pactwire.Identity) (pactwire.Identity, error) { return signed(loaded.Config, id) }
	return c, c.renew(true)
}

func signed(cfg config.Config, id pactwire.Identity) (pactwire.Identity, error) {
	token, err := sign(cfg, id, tokenTime)
	id.Token, id.ExpiresAt = token, time.Now().Add(tokenTime)
	return id, err
}

func (f *clientFlags) client(id pactwire.Identity) *client {
	return &client{base: strings.TrimRight(f.Server, "/"), http: &http.Client{Timeout: 30 * time.Second}, id: id}
}

// renew makes a token anew when it is about to end. Given tokens stay as they are.
func (c *client) renew(always bool) error {
	if c.resign == nil || !always && time.Until(c.id.ExpiresAt) > renewBefore {
		return nil
	}
	id, err := c.resign(c.id)
	c.id = id
	return err
}

func (c *client) get(ctx context.Context, path string, into any) error {
	_, err := c.do(ctx, http.MethodGet, path, nil, into)
	return err
}

func (c *client) post(ctx context.Context, path string, in, into any) error {
	_, err := c.do(ctx, http.MethodPost, path, in, into)
	return err
}

// all reads all pages of a list.
func all[T any](ctx context.Context, c *client, path string, query url.Values, id func(T) string) ([]T, error) {
	whole := []T{}
	query.Set("limit", "200")
	for {
		var page struct {
			Items   []T  `json:"items"`
			HasMore bool `json:"hasMore"`
		}
		if err := c.get(ctx, path+"?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		whole = append(whole, page.Items...)
		if !page.HasMore || len(page.Items) == 0 {
			return whole, nil
		}
		last := id(page.Items[len(page.Items)-1])
		if last == query.Get("after") {
			return nil, pactwire.Errorf(pactwire.Internal, "the server at %s does not page %s: it sent the same twice", c.base, path)
		}
		query.Set("after", last)
	}
}

// do makes one request. What the server refuses comes back as its Error.
func (c *client) do(ctx context.Context, method, path string, in, into any) (status int, err error) {
	if err := c.renew(false); err != nil {
		return 0, err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", c.base, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.id.Token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, &pactwire.Error{Code: pactwire.Unavailable, Message: "no server answers at " + c.base + "; start one with pactwire serve, or name it with --server", Cause: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return resp.StatusCode, &pactwire.Error{Code: pactwire.Unavailable, Message: "the server's answer broke off; try again", Cause: err}
	}
	if resp.StatusCode >= 300 {
		err := refusalOf(resp, answer)
		if resp.StatusCode == http.StatusUnauthorized && c.resign != nil {
			err.Message += "; it was signed with " + c.key + ": run this in the folder of the server, or set data_dir or auth.jwt.* as the server has it"
		}
		return resp.StatusCode, err
	}
	if into == nil || len(answer) == 0 {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return resp.StatusCode, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	return resp.StatusCode, nil
}

func refusalOf(resp *http.Response, answer []byte) *pactwire.Error {
	var e pactwire.ErrorData
	if err := json.Unmarshal(answer, &e); err != nil || e.Code == "" {
		return pactwire.Errorf(pactwire.Internal, "the server at %s answered %s", resp.Request.URL.Host, resp.Status)
	}
	return &pactwire.Error{Code: e.Code, Message: e.Message, Field: e.Field}
}

// print writes a result: the object as JSON, or one line.
func (f *clientFlags) print(out *output, v any, line string) error {
	if !f.JSON {
		_, err := fmt.Fprintln(out.stdout, line)
		return err
	}
	enc := json.NewEncoder(out.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func pactPath(p, rest string) string { return "/v1/pacts/" + url.PathEscape(p) + rest }
