package bridge

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pactwire/pactwire"
)

// Event takes a signed webhook (Standard Webhooks) that tells of a change made elsewhere. A webhook-id that was seen before
// has no effect; nor have types that mean nothing here. Denied means that the signature is wrong, too old, or that no
// secret is configured.
func (b *Bridge) Event(ctx context.Context, header http.Header, body []byte) error {
	if b.cfg.Secret == "" {
		return pactwire.Errorf(pactwire.Denied, "events are not taken: habits.secret is not set")
	}
	wh, err := standardwebhooks.NewWebhook(b.cfg.Secret)
	if err != nil {
		return &pactwire.Error{Code: pactwire.Internal, Message: "habits.secret cannot be used", Cause: err}
	}
	if err := wh.Verify(body, header); err != nil {
		return pactwire.Errorf(pactwire.Denied, "the signature does not fit, or the event is older than 5 minutes")
	}
	var e struct {
		Type string `json:"type"`
		Data struct {
			PactID pactwire.PactID `json:"pactId"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return pactwire.Errorf(pactwire.Invalid, "the event is no JSON object with type, timestamp and data")
	}
	if e.Type == "pact.updated" {
		if !pactwire.ValidID(e.Data.PactID) {
			return pactwire.FieldErrorf("data.pactId", "pact.updated names its pact in data.pactId")
		}
		// The pact is read again, so an event that comes twice, or late, does no harm: what it says is true now.
		if err := b.Refresh(ctx, e.Data.PactID); err != nil && pactwire.CodeOf(err) != pactwire.NotFound {
			return err
		}
	}
	return b.Record(ctx, func(tx Tx) ([]pactwire.Change, error) {
		_, err := tx.SeenWebhook(header.Get("webhook-id"), time.Now())
		return nil, err
	})
}
