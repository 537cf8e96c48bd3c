// Package fcm sends pushes to Android apps, and to others that use Firebase, by the HTTP v1 API of Firebase Cloud Messaging.
package fcm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/pactwire/pactwire/bridge/push"
)

// Google's addresses. The credentials name the one for tokens.
const (
	defaultURL = "https://fcm.googleapis.com"
	scope      = "https://www.googleapis.com/auth/firebase.messaging"
)

// tokenTimeout bounds the call that gets an access token, which all senders wait for.
const tokenTimeout = 10 * time.Second

// Config says as whom to send.
type Config struct {
	CredentialsFile string // the JSON key of a service account
	URL             string // "" = Google
}

// Channel implements push.Channel.
type Channel struct {
	url  string
	http *http.Client
	jwt  *jwt.Config

	mu     sync.Mutex
	tokens oauth2.TokenSource
}

// credentials are what is used of a service account's key.
type credentials struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

// New reads the credentials.
func New(cfg Config) (*Channel, error) {
	b, err := os.ReadFile(cfg.CredentialsFile)
	if err != nil {
		return nil, fmt.Errorf("push.fcm.credentials_file: %w", err)
	}
	var key credentials
	if err := json.Unmarshal(b, &key); err != nil || key.Type != "service_account" || key.ProjectID == "" || key.PrivateKey == "" || key.ClientEmail == "" || key.TokenURI == "" {
		return nil, errors.New("push.fcm.credentials_file is no JSON key of a service account; make one in the Firebase console, under service accounts")
	}
	base := cfg.URL
	if base == "" {
		base = defaultURL
	}
	c := &Channel{
		url:  strings.TrimRight(base, "/") + "/v1/projects/" + url.PathEscape(key.ProjectID) + "/messages:send",
		http: push.NewHTTPClient(nil),
		jwt: &jwt.Config{Email: key.ClientEmail, PrivateKey: []byte(key.PrivateKey), PrivateKeyID: key.PrivateKeyID,
			Scopes: []string{scope}, TokenURL: key.TokenURI},
	}
	c.forget()
	return c, nil
}

// forget drops the access token.
func (c *Channel) forget() {
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: tokenTimeout})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = c.jwt.TokenSource(ctx) // keeps a token until shortly before its end
}

func (c *Channel) source() oauth2.TokenSource {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens
}

// Name implements push.Channel.
func (c *Channel) Name() string { return "fcm" }

// message is the body of messages:send.
type message struct {
	Token        string            `json:"token"`
	Notification notification      `json:"notification"`
	Data         map[string]string `json:"data"`
	Android      android           `json:"android"`
}

type notification struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

// android makes a push that comes twice replace the first.
type android struct {
	TTL          string         `json:"ttl"`
	Notification androidDisplay `json:"notification"`
}

type androidDisplay struct {
	Tag string `json:"tag"`
}

// Close implements push.Channel.
func (c *Channel) Close() { c.http.CloseIdleConnections() }

// Send implements push.Channel.
func (c *Channel) Send(ctx context.Context, m push.Message) error {
	token, err := c.source().Token()
	if err != nil {
		return fmt.Errorf("get an access token: %w", err)
	}
	body, err := json.Marshal(struct {
		Message message `json:"message"`
	}{message{
		Token: m.Token.Token, Notification: notification{m.Title, m.Text},
		Data: map[string]string{"id": m.ID, "type": m.Type, "pactId": string(m.Pact)},
		Android: android{TTL: fmt.Sprintf("%ds", max(0, int(time.Until(m.ExpiresAt).Seconds()))),
			Notification: androidDisplay{Tag: m.ID}},
	}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	token.SetAuthHeader(req)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return c.verdict(res, push.ReadAnswer(res))
}

// verdict reads an answer.
func (c *Channel) verdict(res *http.Response, body []byte) error {
	if res.StatusCode/100 == 2 {
		return nil
	}
	var answer struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
			Details []struct {
				ErrorCode string `json:"errorCode"`
			} `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // without it the status alone speaks
	code := answer.Error.Status
	for _, d := range answer.Error.Details {
		if d.ErrorCode != "" {
			code = d.ErrorCode
		}
	}
	err := push.Refused(res.StatusCode, push.RetryAfter(res.Header), "%s %s", code, answer.Error.Message)
	switch {
	case res.StatusCode == http.StatusNotFound, code == "UNREGISTERED", code == "SENDER_ID_MISMATCH":
		return &push.Refusal{Gone: true, Cause: err}
	case res.StatusCode == http.StatusUnauthorized:
		c.forget() // our own token, not the message, is to blame
		return err.Cause
	}
	return err
}
