// Package webpush sends pushes to browsers: RFC 8030 with VAPID (RFC 8292), encrypted for the browser alone (RFC 8291).
//
// The address of a subscription comes from a client, so it may point anywhere. Only https is spoken, and by default no
// connection is made to an address of this machine or of a private network.
package webpush

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"

	"github.com/pactwire/pactwire/bridge/push"
)

// Config says as whom to send.
type Config struct {
	PublicKey    string // VAPID keys, base64url
	PrivateKey   string
	Subject      string       // whom the push service may write to: mailto:… or https://…
	AllowPrivate bool         // for tests and push services of one's own network
	Client       *http.Client // nil = one that keeps to what is public, unless AllowPrivate
}

// Channel implements push.Channel.
type Channel struct {
	cfg  Config
	http *http.Client
}

// New checks the keys.
func New(cfg Config) (*Channel, error) {
	private, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(cfg.PrivateKey, "="))
	if err != nil {
		return nil, errors.New("push.webpush.private_key is no base64url")
	}
	key, err := ecdh.P256().NewPrivateKey(private)
	if err != nil {
		return nil, errors.New("push.webpush.private_key is no P-256 key of 32 bytes")
	}
	public := base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())
	if strings.TrimRight(cfg.PublicKey, "=") != public {
		return nil, fmt.Errorf("push.webpush.public_key does not belong to private_key; it is %s", public)
	}
	if !strings.HasPrefix(cfg.Subject, "mailto:") && !strings.HasPrefix(cfg.Subject, "https://") {
		return nil, errors.New("push.webpush.subject is mailto: and an address, or an https address")
	}
	c := &Channel{cfg: cfg, http: cfg.Client}
	if c.http == nil {
		dialer := &net.Dialer{Timeout: 5 * time.Second}
		if !cfg.AllowPrivate {
			dialer.Control = onlyPublic
		}
		// No proxy: it would connect to where we must not.
		c.http = push.NewHTTPClient(&http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 5 * time.Second, MaxIdleConns: 32, IdleConnTimeout: time.Minute})
	}
	return c, nil
}

// errPrivate refuses a connection to where nobody from outside may send us.
var errPrivate = errors.New("the address is not a public one")

// onlyPublic runs after the name was resolved, so a name cannot get around it.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !public(ip) {
		return errPrivate
	}
	return nil
}

// reserved are networks that are not on the internet and that netip has no word for.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
}

func public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// Name implements push.Channel.
func (c *Channel) Name() string { return "webpush" }

// payload is what the service worker gets.
type payload struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Body   string `json:"body"`
	PactID string `json:"pactId,omitempty"`
}

// Close implements push.Channel.
func (c *Channel) Close() { c.http.CloseIdleConnections() }

// Send implements push.Channel.
func (c *Channel) Send(ctx context.Context, m push.Message) error {
	if !strings.HasPrefix(m.Token.Token, "https://") {
		return &push.Refusal{Gone: true, Cause: errors.New("the endpoint is no https address")}
	}
	body, err := json.Marshal(payload{m.ID, m.Type, m.Title, m.Text, string(m.Pact)})
	if err != nil {
		return err
	}
	res, err := webpush.SendNotificationWithContext(ctx, body,
		&webpush.Subscription{Endpoint: m.Token.Token, Keys: webpush.Keys{Auth: m.Token.Auth, P256dh: m.Token.P256dh}},
		&webpush.Options{HTTPClient: c.http, Subscriber: strings.TrimPrefix(c.cfg.Subject, "mailto:"), VAPIDPublicKey: c.cfg.PublicKey,
			VAPIDPrivateKey: c.cfg.PrivateKey, TTL: max(0, int(time.Until(m.ExpiresAt).Seconds())), Urgency: webpush.UrgencyHigh,
			Topic: strings.ReplaceAll(m.ID, "-", "")}) // one that comes twice replaces the first
	if errors.Is(err, errPrivate) {
		return &push.Refusal{Gone: true, Cause: err}
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := push.ReadAnswer(res)
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return &push.Refusal{Gone: true, Cause: push.Refused(res.StatusCode, 0, "the subscription is over")}
	}
	return push.Refused(res.StatusCode, push.RetryAfter(res.Header), "%.200s", answer)
}
