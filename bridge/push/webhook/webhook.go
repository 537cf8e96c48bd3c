// Package webhook sends pushes to one HTTP address, signed as Standard Webhooks asks. The webhook-id of a push is the same
// on every attempt; its timestamp and signature are not.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pactwire/pactwire/bridge/push"
)

// Channel implements push.Channel.
type Channel struct {
	url  string
	sign *standardwebhooks.Webhook
	http *http.Client
}

// New makes a channel to a URL; secret is whsec_ and base64.
func New(to, secret string) (*Channel, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("push.webhook.url is no http or https address")
	}
	if secret == "" {
		return nil, errors.New("push.webhook.secret: pushes cannot be signed without one")
	}
	sign, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errors.New("push.webhook.secret: write it as whsec_ and base64")
	}
	return &Channel{url: to, sign: sign, http: push.NewHTTPClient(nil)}, nil
}

// Name implements push.Channel.
func (c *Channel) Name() string { return "webhook" }

// Close implements push.Channel.
func (c *Channel) Close() { c.http.CloseIdleConnections() }

// Send implements push.Channel.
func (c *Channel) Send(ctx context.Context, m push.Message) error {
	now := time.Now()
	signature, err := c.sign.Sign(m.ID, now, m.Body)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(m.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	push.ReadAnswer(res)
	if res.StatusCode/100 == 2 {
		return nil
	}
	return push.Refused(res.StatusCode, push.RetryAfter(res.Header), "the webhook's receiver refused")
}
