package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
)

// Config says whose tokens are believed: those signed with Secret, or those of the issuer whose keys are at JWKSURL.
type Config struct {
	Secret   []byte
	JWKSURL  string
	Issuer   string // "" = any
	Audience string // "" = any
	Brand    string // "" = any

	// Stands refuses who was revoked; nil = nobody is.
	Stands func(pactwire.Identity) error

	Client *http.Client     // for JWKSURL; nil = a client of its own with a deadline
	Now    func() time.Time // nil = time.Now
}

// asymmetric are the algorithms of an issuer's key set. HS256 is not among them: a public key must never serve as a secret.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Verifier verifies tokens. It may be used by many goroutines.
type Verifier struct {
	cfg    Config
	parser *jwt.Parser
	keys   *keySet // nil with a secret
	key    any     // the secret
}

// New makes a Verifier. With a JWKSURL its keys are kept fresh between Start and Stop.
func New(cfg Config, log *slog.Logger) (*Verifier, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Verifier{cfg: cfg}
	methods := []string{jwt.SigningMethodHS256.Alg()}
	switch {
	case cfg.JWKSURL != "" && len(cfg.Secret) > 0:
		return nil, errors.New("tokens are signed with a secret or by an issuer, not both")
	case cfg.JWKSURL != "":
		var err error
		if v.keys, err = newKeySet(cfg.JWKSURL, cfg.Client, log); err != nil {
			return nil, fmt.Errorf("key set: %w", err)
		}
		methods = asymmetric
	case len(cfg.Secret) > 0:
		v.key = cfg.Secret
	default:
		return nil, errors.New("neither a secret nor a key set says whose tokens to believe")
	}
	v.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithoutClaimsValidation())
	return v, nil
}

// Start fetches the issuer's keys and keeps them fresh until ctx ends or Stop. It does nothing with a secret, and does
// not wait: until the first fetch succeeds, Verify answers Unavailable.
func (v *Verifier) Start(ctx context.Context) {
	if v.keys != nil {
		v.keys.start(ctx)
	}
}

// Stop ends what Start began.
func (v *Verifier) Stop() {
	if v.keys != nil {
		v.keys.stop()
	}
}

// Verify returns whom a token speaks for.
func (v *Verifier) Verify(ctx context.Context, token string) (pactwire.Identity, error) {
	if token == "" {
		return pactwire.Identity{}, denied("a token is needed")
	}
	if len(token) > maxToken {
		return pactwire.Identity{}, denied("the token is longer than %d bytes", maxToken)
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.keyFor(ctx)); err != nil {
		return pactwire.Identity{}, refusal(err)
	}
	if err := v.check(c); err != nil {
		return pactwire.Identity{}, err
	}
	id, err := c.identity(token)
	if err == nil && v.cfg.Stands != nil {
		err = v.cfg.Stands(id)
	}
	if err != nil {
		return pactwire.Identity{}, err
	}
	return id, nil
}

func (v *Verifier) keyFor(ctx context.Context) jwt.Keyfunc {
	if v.keys != nil {
		return v.keys.keyfunc(ctx)
	}
	return func(*jwt.Token) (any, error) { return v.key, nil }
}

// refusal is the library's error in words for the bearer.
func refusal(err error) error {
	var e *pactwire.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, jwt.ErrTokenMalformed):
		e = denied("the token is malformed: it must be a JWT")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		e = denied("the token is signed with a key or in a way that is not known here")
	default:
		e = denied("the token's signature is wrong")
	}
	e.Cause = err
	return e
}

// check looks at the claims of a token whose signature is right.
func (v *Verifier) check(c claims) error {
	now := v.cfg.Now()
	switch {
	case c.ExpiresAt == nil:
		return denied("the token has no end: it needs the claim exp")
	case !now.Before(c.ExpiresAt.Time):
		return denied("the token has expired; sign in again")
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time):
		return denied("the token is not valid yet; check the clock of who signed it")
	case c.IssuedAt != nil && now.Add(leeway).Before(c.IssuedAt.Time):
		return denied("the token was signed in the future; check the clock of who signed it")
	case v.cfg.Issuer != "" && c.Issuer != v.cfg.Issuer:
		return denied("the token is of another issuer")
	case v.cfg.Audience != "" && !slices.Contains(c.Audience, v.cfg.Audience):
		return denied("the token is meant for another audience")
	case v.cfg.Brand != "" && c.Brand != v.cfg.Brand:
		return denied("the token is of another brand")
	}
	return nil
}
