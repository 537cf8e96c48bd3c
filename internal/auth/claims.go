package auth

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/exactjson"
)

const (
	// leeway is how far the issuer's clock may be ahead of ours. It does not lengthen a token's life.
	leeway = 5 * time.Second
	// maxToken and maxName bound what one bearer may make us read and repeat.
	maxToken = 8 << 10 // bytes
	maxName  = 100     // code points
)

// claims are the parts of a token that matter here.
type claims struct {
	TokenID   string           `json:"jti,omitempty"`
	ID        *string          `json:"id,omitempty"` // wins over sub
	Subject   string           `json:"sub,omitempty"`
	UserName  string           `json:"userName,omitempty"`
	Name      string           `json:"name,omitempty"` // where there is no userName
	Roles     roles            `json:"roles,omitempty"`
	Brand     string           `json:"brand,omitempty"`
	Issuer    string           `json:"iss,omitempty"`
	Audience  jwt.ClaimStrings `json:"aud,omitempty"`
	NotBefore *jwt.NumericDate `json:"nbf,omitempty"`
	IssuedAt  *jwt.NumericDate `json:"iat,omitempty"`
	ExpiresAt *jwt.NumericDate `json:"exp,omitempty"`
}

// UnmarshalJSON reads claims by their names letter by letter, as RFC 7519 has it: ID is not id, and what an issuer puts there says
// nothing about who the bearer is. A claim that is there twice is refused.
func (c *claims) UnmarshalJSON(b []byte) error {
	type plain claims
	return exactjson.Unmarshal(b, (*plain)(c))
}

// The methods that make claims a jwt.Claims. The library's own checks are off (see check): its leeway would lengthen exp.

func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
func (c claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }
func (c claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }

// roles is an array of names, or one string of them.
type roles []string

func (r *roles) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*r = strings.FieldsFunc(one, func(c rune) bool { return c == ',' || c == ' ' })
		return nil
	}
	var many []any
	if err := json.Unmarshal(b, &many); err != nil {
		return nil // no roles that we know of; never a reason to refuse
	}
	for _, v := range many {
		if s, ok := v.(string); ok {
			*r = append(*r, s)
		}
	}
	return nil
}

// identity is who the claims speak for.
func (c claims) identity(token string) (pactwire.Identity, error) {
	user := c.Subject
	if c.ID != nil {
		user = *c.ID
	}
	if user == "" && c.ID == nil {
		return pactwire.Identity{}, denied("the token names nobody: it needs the claim id or sub")
	}
	if !pactwire.ValidID(user) {
		return pactwire.Identity{}, denied("the token's user id is malformed: ids are 1 to %d letters, digits, - and _", pactwire.MaxIDLength)
	}
	name := c.UserName
	if name == "" {
		name = c.Name
	}
	id := pactwire.Identity{UserID: pactwire.UserID(user), UserName: cleanName(name), Brand: c.Brand, TokenID: c.TokenID, Token: token}
	for _, r := range c.Roles {
		id.Roles |= pactwire.ParseRole(r)
	}
	if c.ExpiresAt != nil {
		id.ExpiresAt = c.ExpiresAt.Time
	}
	if c.IssuedAt != nil {
		id.IssuedAt = c.IssuedAt.Time
	}
	return id, nil
}

// cleanName keeps what can be shown in one line.
func cleanName(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s))
	if utf8.RuneCountInString(s) > maxName {
		s = string([]rune(s)[:maxName])
	}
	return s
}

func denied(format string, args ...any) *pactwire.Error {
	return pactwire.Errorf(pactwire.Denied, format, args...)
}
