package auth

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
)

// Signer makes tokens with a shared secret.
type Signer struct {
	Secret   []byte
	Issuer   string
	Audience string
	Brand    string           // of identities that have none
	Now      func() time.Time // nil = time.Now
}

// roleNames are the names of all roles.
var roleNames = []string{"operator", "lab"}

// Sign makes a token that speaks for id during ttl.
func (s Signer) Sign(id pactwire.Identity, ttl time.Duration) (string, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	user := string(id.UserID)
	c := claims{
		TokenID: uuid.NewString(),
		ID:      &user, Subject: user, UserName: id.UserName, Brand: id.Brand, Issuer: s.Issuer,
		IssuedAt: jwt.NewNumericDate(now()), ExpiresAt: jwt.NewNumericDate(now().Add(ttl)),
	}
	if c.Brand == "" {
		c.Brand = s.Brand
	}
	if s.Audience != "" {
		c.Audience = jwt.ClaimStrings{s.Audience}
	}
	for _, name := range roleNames {
		if id.Is(pactwire.ParseRole(name)) {
			c.Roles = append(c.Roles, name)
		}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(s.Secret)
	if err != nil {
		return "", fmt.Errorf("sign token for %s: %w", id.UserID, err)
	}
	return token, nil
}

// Peek reads whom a token speaks for without believing it. It is for clients, who look into the token that they hold.
func Peek(token string) (pactwire.Identity, error) {
	var c claims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		return pactwire.Identity{}, refusal(err)
	}
	return c.identity(token)
}
