package habits

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// Limits of the client.
const (
	defaultTimeout = 5 * time.Second
	maxAnswer      = 1 << 20 // bytes of one check-in, pact or error
	maxListAnswer  = 8 << 20
	pactsAtOnce    = 8 // calls for different people at the same time
)

// ClientConfig says where a habits-service is.
type ClientConfig struct {
	URL       string        // habits.url
	Secret    string        // habits.secret, sent as bearer; "" sends none
	Timeout   time.Duration // of one attempt; 0 means 5 s
	Transport http.RoundTripper
	Now       func() time.Time // nil means time.Now
}

// Client speaks the seed's dialect with a habits-service. It makes one attempt a call, with a deadline; trying again is the
// caller's, and every error is a [*RemoteError]. What people do besides checking in it passes on with their own token.
type Client struct {
	base    string
	secret  string
	timeout time.Duration
	http    http.Client
	now     func() time.Time
}

// NewClient makes a client. The URL must be http or https with a host.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("habits.url: %q is no http or https address", cfg.URL)
	}
	c := &Client{base: strings.TrimRight(cfg.URL, "/"), secret: cfg.Secret, timeout: cfg.Timeout, now: cfg.Now}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.http.Transport = cfg.Transport
	if cfg.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 64, 256
		c.http.Transport = t
	}
	// A redirect would carry the secret to who knows where.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Checkin makes one attempt of a check-in. Its ScheduledDate and IdempotencyKey must be set and stay the same over attempts.
func (c *Client) Checkin(ctx context.Context, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	if req.ProofMedia == nil {
		req.ProofMedia = []pactwire.Media{}
	}
	header := http.Header{}
	header.Set("Idempotency-Key", req.IdempotencyKey)
	if !req.ReceivedAt.IsZero() {
		header.Set(receivedHeader, string(pactwire.AppendTime(nil, req.ReceivedAt)))
	}
	var reply checkinReply
	if err := c.call(ctx, call{method: http.MethodPost, path: "/checkins", bearer: c.secret, header: header, in: req}, &reply); err != nil {
		return pactwire.CheckinResult{}, err
	}
	return reply.result(req), nil
}

// Pact reads a pact: NotFound when there is none.
func (c *Client) Pact(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error) {
	var reply pactReply
	if err := c.call(ctx, call{method: http.MethodGet, path: "/pacts/" + url.PathEscape(string(id)), bearer: c.secret}, &reply); err != nil {
		return pactwire.Pact{}, err
	}
	if p, ok := reply.pact(); ok && p.ID == id {
		return p, nil
	}
	return pactwire.Pact{}, garbled(http.StatusOK, errors.New("no pact, or another one"))
}

// PactsOf reads the pacts of people, in every status. One that fails fails all.
func (c *Client) PactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu    sync.Mutex
		out   = make(map[pactwire.UserID][]pactwire.Pact, len(users))
		first error
		wg    sync.WaitGroup
		slots = make(chan struct{}, pactsAtOnce) // full = the next call waits
	)
	for _, u := range users {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			pacts, err := c.pactsOf(ctx, u)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
				cancel()
			}
			out[u] = pacts
		})
	}
	wg.Wait()
	if first != nil {
		return nil, first
	}
	return out, nil
}

func (c *Client) pactsOf(ctx context.Context, u pactwire.UserID) ([]pactwire.Pact, error) {
	var replies listReply[pactReply]
	path := "/users/" + url.PathEscape(string(u)) + "/pacts"
	err := c.call(ctx, call{method: http.MethodGet, path: path, bearer: c.secret, limit: maxListAnswer, refuse: listRefusal}, &replies)
	var e *RemoteError
	if errors.As(err, &e) && e.Status == http.StatusNotFound && !e.retry {
		return nil, nil // a person whom the service does not know has no pacts
	}
	if err != nil {
		return nil, err
	}
	return pactsIn(replies), nil
}

// listRefusal maps a refused list. A 404 without a JSON object is no word about a person but a wrong address: taken for one,
// it would end everybody's memberships.
func listRefusal(status int, header http.Header, body []byte, now time.Time) *RemoteError {
	e := refusal(status, header, body, now)
	if status == http.StatusNotFound && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		e.again("the habits-service is not where we look for it; try again later")
		e.misconf = true
	}
	return e
}

func pactsIn(replies []pactReply) []pactwire.Pact {
	out := make([]pactwire.Pact, 0, len(replies))
	for _, r := range replies {
		if p, ok := r.pact(); ok {
			out = append(out, p)
		}
	}
	return out
}

// call is one request.
type call struct {
	method, path, bearer string
	header               http.Header
	in                   any // nil = no body
	limit                int64
	refuse               func(status int, header http.Header, body []byte, now time.Time) *RemoteError
}

// call makes a request and reads the answer into out, which may be nil. Every error is a *RemoteError.
func (c *Client) call(ctx context.Context, r call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if r.in != nil {
		b, err := json.Marshal(r.in)
		if err != nil {
			return &RemoteError{Err: &pactwire.Error{Code: pactwire.Internal, Message: "this cannot be sent", Cause: err}}
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return &RemoteError{Err: &pactwire.Error{Code: pactwire.Internal, Message: "this cannot be sent", Cause: err}}
	}
	if r.header != nil {
		req.Header = r.header
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set(pactwire.ForwardedHeader, "1")
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return noAnswer(err)
	}
	defer res.Body.Close()
	limit := r.limit
	if limit == 0 {
		limit = maxAnswer
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil && res.StatusCode/100 == 2:
		return noAnswer(err) // cut off: what became of it is not known
	case res.StatusCode/100 != 2:
		refuse := r.refuse
		if refuse == nil {
			refuse = refusal
		}
		return refuse(res.StatusCode, res.Header, answer, c.now())
	case int64(len(answer)) > limit:
		return garbled(res.StatusCode, fmt.Errorf("answer of more than %d bytes", limit))
	case out == nil:
		return nil
	}
	if len(bytes.TrimSpace(answer)) == 0 {
		if r.method == http.MethodGet { // taken for an answer it would say that there is nothing
			return garbled(res.StatusCode, errors.New("nothing in it"))
		}
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return garbled(res.StatusCode, err)
	}
	return nil
}

// garbled is a success whose body makes no sense: something between us and the service answers in its stead.
func garbled(status int, err error) *RemoteError {
	return &RemoteError{
		Status: status, retry: true,
		Err: &pactwire.Error{Code: pactwire.Unavailable, Message: "the habits-service answers in an unexpected way; try again later", Cause: err},
	}
}
