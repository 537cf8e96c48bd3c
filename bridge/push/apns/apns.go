// Package apns sends pushes to Apple devices, with a provider token (a .p8 key), over HTTP/2.
package apns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"github.com/pactwire/pactwire/bridge/push"
)

// Config says as whom to send.
type Config struct {
	KeyFile string // the .p8 key
	KeyID   string
	TeamID  string
	Topic   string       // the app's bundle id
	URL     string       // "" = Apple's production address
	Client  *http.Client // nil = one that speaks HTTP/2
}

// Channel implements push.Channel.
type Channel struct {
	client *apns2.Client
	topic  string
}

// New reads the key.
func New(cfg Config) (*Channel, error) {
	key, err := token.AuthKeyFromFile(cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("push.apns.key_file: %w", err)
	}
	if cfg.KeyID == "" || cfg.TeamID == "" || cfg.Topic == "" {
		return nil, errors.New("push.apns: key_id, team_id and topic are needed with key_file")
	}
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: cfg.KeyID, TeamID: cfg.TeamID}).Production()
	if cfg.URL != "" {
		client.Host = cfg.URL
	}
	if cfg.Client != nil {
		client.HTTPClient = cfg.Client
	}
	return &Channel{client, cfg.Topic}, nil
}

// Name implements push.Channel.
func (c *Channel) Name() string { return "apns" }

// payload is what the app gets.
type payload struct {
	APS    aps    `json:"aps"`
	ID     string `json:"id"`
	Type   string `json:"type"`
	PactID string `json:"pactId,omitempty"`
}

type aps struct {
	Alert    alert  `json:"alert"`
	Sound    string `json:"sound"`
	ThreadID string `json:"thread-id,omitempty"` // groups what belongs to a pact
}

type alert struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

// Close implements push.Channel.
func (c *Channel) Close() { c.client.HTTPClient.CloseIdleConnections() }

// Send implements push.Channel. The apns-id and the collapse id are the push's, so one that comes twice replaces the first.
func (c *Channel) Send(ctx context.Context, m push.Message) error {
	res, err := c.client.PushWithContext(ctx, &apns2.Notification{
		ApnsID: m.ID, CollapseID: m.ID, DeviceToken: url.PathEscape(m.Token.Token), Topic: c.topic, Expiration: m.ExpiresAt,
		PushType: apns2.PushTypeAlert, Priority: apns2.PriorityHigh,
		Payload: payload{APS: aps{Alert: alert{m.Title, m.Text}, Sound: "default", ThreadID: string(m.Pact)}, ID: m.ID, Type: m.Type, PactID: string(m.Pact)},
	})
	if err != nil {
		return err
	}
	if res.Sent() {
		return nil
	}
	err = push.Refused(res.StatusCode, 0, "%s", res.Reason)
	switch {
	case res.StatusCode == http.StatusGone, res.Reason == apns2.ReasonBadDeviceToken, res.Reason == apns2.ReasonDeviceTokenNotForTopic:
		return &push.Refusal{Gone: true, Cause: err}
	case res.Reason == apns2.ReasonExpiredProviderToken, res.Reason == apns2.ReasonInvalidProviderToken:
		return errors.Unwrap(err) // our own token, not the message, is to blame
	}
	return err
}
