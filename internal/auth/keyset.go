package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/pactwire/pactwire"
)

const (
	refreshEvery  = 5 * time.Minute  // all keys, so that revoked ones go
	refreshRetry  = 5 * time.Second  // after a fetch that failed
	fetchTimeout  = 5 * time.Second  // one fetch
	fetchInterval = 12 * time.Second // between fetches for unknown keys, once the burst is spent: five a minute
	fetchBurst    = 3
	maxKeySet     = 1 << 20 // bytes
)

// keySet holds an issuer's keys. A key id that it does not know makes it fetch the set again: once for all who ask at
// the same time, and a few times a minute at most, so that invented ids cannot be used against the issuer. Where it may
// not fetch, or the fetch fails, it does not know, and says so.
type keySet struct {
	url     string
	client  *http.Client
	log     *slog.Logger
	known   jwkset.Storage // replaced as a whole by each fetch
	lookup  keyfunc.Keyfunc
	unknown *rate.Limiter

	mu      sync.Mutex
	flight  *flight   // the fetch under way, nil = none
	fetched time.Time // when the last successful fetch began
	cancel  context.CancelFunc
	done    chan struct{}
}

// flight is one fetch that several callers wait for. err is written before done is closed.
type flight struct {
	done chan struct{}
	err  error
}

func newKeySet(address string, client *http.Client, log *slog.Logger) (*keySet, error) {
	if _, err := url.ParseRequestURI(address); err != nil {
		return nil, err
	}
	if client == nil {
		client = &http.Client{}
	}
	bounded := *client
	if bounded.Transport == nil {
		bounded.Transport = http.DefaultTransport
	}
	bounded.Transport = bodyLimit{bounded.Transport}
	k := &keySet{url: address, client: &bounded, log: log, known: jwkset.NewMemoryStorage(),
		unknown: rate.NewLimiter(rate.Every(fetchInterval), fetchBurst)}
	var err error
	k.lookup, err = keyfunc.New(keyfunc.Options{Storage: refreshing{k.known, k}})
	return k, err
}

// bodyLimit ends answers that are longer than any key set.
type bodyLimit struct{ http.RoundTripper }

func (b bodyLimit) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxKeySet), resp.Body}
	}
	return resp, err
}

func (k *keySet) keyfunc(ctx context.Context) jwt.Keyfunc { return k.lookup.KeyfuncCtx(ctx) }

// refreshing is the storage that keyfunc reads: what is not known is asked for.
type refreshing struct {
	jwkset.Storage
	set *keySet
}

// KeyRead implements jwkset.Storage.
func (r refreshing) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	key, err := r.Storage.KeyRead(ctx, kid)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return key, err
	}
	if err := r.set.refresh(ctx); err != nil {
		return jwkset.JWK{}, err
	}
	return r.Storage.KeyRead(ctx, kid)
}

// KeyReadAll implements jwkset.Storage, for tokens that do not name their key.
func (r refreshing) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	keys, err := r.Storage.KeyReadAll(ctx)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	if err := r.set.refresh(ctx); err != nil {
		return nil, err
	}
	return r.Storage.KeyReadAll(ctx)
}

// refresh fetches the set because something is missing from it. nil means that what is known now is fresh.
func (k *keySet) refresh(ctx context.Context) error {
	f, began := k.join(true)
	if f == nil {
		if !began {
			return pactwire.Errorf(pactwire.Unavailable, "the token's key is not known yet; try again in a few seconds")
		}
		return nil
	}
	select {
	case <-f.done:
		if f.err == nil {
			return nil
		}
		return &pactwire.Error{Code: pactwire.Unavailable, Cause: f.err,
			Message: "the issuer of tokens does not answer, so yours cannot be checked; try again soon"}
	case <-ctx.Done():
		return &pactwire.Error{Code: pactwire.Unavailable, Cause: ctx.Err(),
			Message: "the issuer of tokens takes too long to answer; try again soon"}
	}
}

// join returns the fetch under way, or begins one. A limited caller may be refused: then there is no flight, and fresh
// tells whether the set was fetched so lately that asking again would bring nothing.
func (k *keySet) join(limited bool) (f *flight, fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != nil {
		return k.flight, true
	}
	if limited && !k.unknown.Allow() {
		return nil, time.Since(k.fetched) < fetchInterval
	}
	f = &flight{done: make(chan struct{})}
	k.flight = f
	// The fetch outlives the caller who began it, since others wait for it; it ends by its own deadline.
	go k.fetch(f, time.Now())
	return f, true
}

// fetch replaces all keys by those of the issuer, or keeps them when it does not answer.
func (k *keySet) fetch(f *flight, began time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	// Without a refresh interval this reads the URL once into the storage given, and starts nothing.
	_, err := jwkset.NewStorageFromHTTP(k.url, jwkset.HTTPClientStorageOptions{
		Client: k.client, Ctx: ctx, HTTPTimeout: fetchTimeout, Storage: k.known,
	})
	if err != nil {
		k.log.Error("fetch keys of the token issuer", "url", redacted(k.url), "error", err)
		err = fmt.Errorf("fetch key set: %w", err)
	}
	k.mu.Lock()
	k.flight = nil
	if err == nil {
		k.fetched = began
	}
	k.mu.Unlock()
	f.err = err
	close(f.done)
}

func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.Redacted()
}

func (k *keySet) start(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		return
	}
	ctx, k.cancel = context.WithCancel(ctx)
	k.done = make(chan struct{})
	go k.keepFresh(ctx, k.done)
}

// keepFresh owns the periodic fetch.
func (k *keySet) keepFresh(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for {
		f, _ := k.join(false)
		<-f.done // bounded by fetchTimeout
		wait := refreshEvery
		if f.err != nil {
			wait = refreshRetry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// stop ends keepFresh and waits for a fetch under way.
func (k *keySet) stop() {
	k.mu.Lock()
	cancel, done, f := k.cancel, k.done, k.flight
	k.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	if f != nil {
		<-f.done
	}
}
