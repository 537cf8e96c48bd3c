package push

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
)

// Bounds of tokens. A person's oldest token goes when there would be more than maxTokens.
const (
	maxTokens     = 20
	maxTokenBytes = 4096
)

// Register keeps where one of a person's apps takes pushes. The same token again is the same registration; one that was
// another person's is now this one's, since it is their device.
func (p *Pusher) Register(ctx context.Context, id pactwire.Identity, in pactwire.PushTokenInput) (pactwire.PushToken, error) {
	t, err := tokenOf(in)
	if err != nil {
		return t, err
	}
	if !slices.ContainsFunc(p.channels, func(l *lane) bool { return l.channel.Name() == string(in.Kind) }) {
		return t, pactwire.FieldErrorf("kind", "this server does not push by %s: push.%s is not set", in.Kind, in.Kind)
	}
	t.ID, t.User, t.CreatedAt = p.cfg.NewID(), id.UserID, pactwire.Time(time.Now())
	out := t
	err = p.store.Push(ctx, func(tx Tx) (err error) {
		if out, err = tx.PutPushToken(t); err != nil {
			return err
		}
		all, err := tx.PushTokensOf(id.UserID)
		if err != nil {
			return err
		}
		for _, old := range all[:max(0, len(all)-maxTokens)] {
			if _, err := tx.DropPushToken(id.UserID, old.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// tokenOf checks a token for what can be seen of it.
func tokenOf(in pactwire.PushTokenInput) (t pactwire.PushToken, err error) {
	t = pactwire.PushToken{Kind: in.Kind, Token: in.Token}
	switch in.Kind {
	case pactwire.TokenFCM:
	case pactwire.TokenAPNs:
		if b, err := hex.DecodeString(in.Token); err != nil || len(b) < 16 {
			return t, pactwire.FieldErrorf("token", "an APNs token is a hexadecimal number")
		}
	case pactwire.TokenWebPush:
		s := in.Subscription
		if s == nil {
			return t, pactwire.FieldErrorf("subscription", "webpush needs the subscription that the browser gave: endpoint and keys")
		}
		u, err := url.Parse(s.Endpoint)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return t, pactwire.FieldErrorf("subscription.endpoint", "the endpoint is no https address")
		}
		if _, err := ecdh.P256().NewPublicKey(fromBase64(s.Keys.P256dh)); err != nil {
			return t, pactwire.FieldErrorf("subscription.keys.p256dh", "p256dh is a P-256 point in base64url")
		}
		if len(fromBase64(s.Keys.Auth)) != 16 {
			return t, pactwire.FieldErrorf("subscription.keys.auth", "auth is base64url of 16 bytes")
		}
		t.Token, t.P256dh, t.Auth = s.Endpoint, s.Keys.P256dh, s.Keys.Auth
	default:
		return t, pactwire.FieldErrorf("kind", "kind is fcm, apns or webpush")
	}
	if t.Token == "" || len(t.Token) > maxTokenBytes {
		return t, pactwire.FieldErrorf("token", "token is needed, with at most %d characters", maxTokenBytes)
	}
	return t, nil
}

// fromBase64 reads base64 of either alphabet, padded or not; nil when it is none.
func fromBase64(s string) []byte {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// Tokens lists a person's registrations, the oldest first.
func (p *Pusher) Tokens(ctx context.Context, id pactwire.Identity) ([]pactwire.PushToken, error) {
	return p.store.PushTokens(ctx, id.UserID)
}

// Unregister forgets one of a person's registrations.
func (p *Pusher) Unregister(ctx context.Context, id pactwire.Identity, token string) error {
	there := false
	err := p.store.Push(ctx, func(tx Tx) (err error) {
		there, err = tx.DropPushToken(id.UserID, token)
		return err
	})
	if err == nil && !there {
		return pactwire.Errorf(pactwire.NotFound, "you have no such push token")
	}
	return err
}

// Pending lists the pushes after an id that were given up, or all that are not yet done.
func (p *Pusher) Pending(ctx context.Context, dead bool, after string, limit int) ([]pactwire.Push, error) {
	return p.store.Pushes(ctx, dead, after, limit)
}

// Retry gives a push that was given up another day, from now on.
func (p *Pusher) Retry(ctx context.Context, id string) error {
	there := false
	err := p.store.Push(ctx, func(tx Tx) (err error) {
		there, err = tx.RevivePush(id, time.Now())
		return err
	})
	if err == nil && !there {
		return pactwire.Errorf(pactwire.NotFound, "no push with this id was given up")
	}
	return err
}
