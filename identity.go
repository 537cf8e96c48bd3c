package pactwire

import "time"

// Role is what a token lets its bearer be besides a member of pacts. Roles are bits; unknown names are ignored.
type Role uint8

// The roles.
const (
	RoleOperator Role = 1 << iota // reads everything, publishes nothing
	RoleLab                       // plain MQTT outside the product's topics, when lab.enabled
)

// ParseRole returns the role of that name, or 0.
func ParseRole(name string) Role {
	switch name {
	case "operator":
		return RoleOperator
	case "lab":
		return RoleLab
	}
	return 0
}

// Identity is who a connection or request speaks for. It is made by verifying a token (or a device's secret) and is the
// only source of a sender's name and id.
type Identity struct {
	UserID    UserID
	UserName  string
	Roles     Role
	Brand     string
	ExpiresAt time.Time // of the token; zero for a device
	IssuedAt  time.Time // of the token; zero when it does not say
	TokenID   string    // of the token, its jti; "" when it has none
	Device    DeviceID  // set when the bearer is a thing, not a person
	Pact      PactID    // of a device: the one pact that it checks in for
	Token     string    // as received, to pass on to a remote habits-service; never logged, never stored
}

// Is reports whether the identity holds every role of r.
func (id Identity) Is(r Role) bool { return id.Roles&r == r }

// DisplayName is UserName, or the id where the token names nobody.
func (id Identity) DisplayName() string {
	if id.UserName != "" {
		return id.UserName
	}
	return string(id.UserID)
}
