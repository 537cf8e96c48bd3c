package pactwire

import "time"

// Revocation takes credentials back before they end by themselves. Exactly one of TokenID, UserID and DeviceID is set.
type Revocation struct {
	ID       string   `json:"id"`
	TokenID  string   `json:"tokenId,omitempty"`  // the claim jti of one token
	UserID   UserID   `json:"userId,omitempty"`   // every token of that person that was issued up to Before
	DeviceID DeviceID `json:"deviceId,omitempty"` // a device that is no more
	Before   *Time    `json:"before,omitempty"`
	By       UserID   `json:"by"` // who revoked
	At       Time     `json:"at"`
	// Until is when the last token that this concerns has ended anyway, so that it may be forgotten.
	Until Time `json:"until"`
}

// RevocationInput asks for a revocation.
type RevocationInput struct {
	TokenID   string     `json:"tokenId"`
	UserID    UserID     `json:"userId"`
	DeviceID  DeviceID   `json:"deviceId"`
	Before    *time.Time `json:"before"`    // with userId; nil = now
	ExpiresAt *time.Time `json:"expiresAt"` // with tokenId: its exp, when known
}

// RevocationsKept is how long a revocation is kept whose last token's end is not known.
const RevocationsKept = 400 * 24 * time.Hour
