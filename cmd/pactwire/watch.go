package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// watchCmd shows the feed of a person's pacts as it happens.
type watchCmd struct {
	clientFlags
	Pact     string `help:"Only this pact." placeholder:"ID"`
	MQTT     string `name:"mqtt" help:"Where the broker is: host:port, or a tcp://, ssl://, ws:// or wss:// address; by default the configured port, on the host of --server." placeholder:"ADDR"`
	ClientID string `help:"Keep a session of this name on the server, so that nothing is missed while this is not running." placeholder:"NAME"`
	Last     int    `help:"How many lines of the past to begin with." default:"20"`
}

// Run implements the command.
func (c *watchCmd) Run(ctx context.Context, g *globals, out *output) error {
	broker, err := c.broker(g)
	if err != nil {
		return err
	}
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	w := &watcher{
		cmd: c, server: server, broker: broker, out: out,
		feed:  newScreen(out.stdout, isTerminal(out.stdout), time.Local, server.id.UserID),
		heads: map[pactwire.PactID]pactwire.Seq{}, here: map[pactwire.UserID]pactwire.PresenceStatus{},
	}
	return w.run(ctx)
}

// broker is where the flags or else the settings say that it is.
func (c *watchCmd) broker(g *globals) (string, error) {
	if c.MQTT != "" {
		return brokerURL(c.MQTT)
	}
	loaded, err := g.load()
	if err != nil {
		return "", err
	}
	addr, err := brokerAt(loaded.MQTT, c.Server)
	if err != nil {
		return "", err
	}
	return brokerURL(addr)
}

// brokerURL is the address that the MQTT library understands.
func brokerURL(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "tcp://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"tcp", "mqtt", "ssl", "tls", "mqtts", "ws", "wss"}, u.Scheme) {
		return "", usagef("--mqtt %s: write host:port, or a tcp://, ssl://, ws:// or wss:// address", s)
	}
	switch web := u.Scheme == "ws" || u.Scheme == "wss"; {
	case !web && u.Port() == "": // of these the library knows no usual port, and would be told to try again for ever
		return "", usagef("--mqtt %s: a port is missing, such as :1883", s)
	case web && (u.Path == "" || u.Path == "/"):
		u.Path = "/mqtt"
	}
	return u.String(), nil
}

// watcher joins the two sources of the feed: HTTP for the past and for what a broken connection missed, MQTT for the
// present. Entries are numbered without a gap, so it knows when one is missing and never shows one twice. It is used by
// one goroutine.
type watcher struct {
	cmd    *watchCmd
	server *client
	broker string
	out    *output
	feed   *screen
	begun  bool                             // the past has been shown
	heads  map[pactwire.PactID]pactwire.Seq // the last entry shown of each pact
	here   map[pactwire.UserID]pactwire.PresenceStatus
	inbox  pactwire.Seq
}

// Backoff between connections: doubling, and from the start again after one that stood for a while.
const (
	firstWait = 500 * time.Millisecond
	longWait  = 15 * time.Second
	stoodFor  = 10 * time.Second
)

// run watches until ctx ends or the server refuses for good.
func (w *watcher) run(ctx context.Context) error {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		began := time.Now()
		err := w.session(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how one stops watching
		}
		if e := pactwire.AsError(err); !e.Retryable() || errors.Is(err, errOutput) {
			return err
		}
		if time.Since(began) > stoodFor {
			wait = firstWait
		}
		pause := wait/2 + rand.N(wait/2)
		w.note("%s; trying again in %s", describe(err), pause.Round(100*time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// errOutput is that nobody reads the feed any more.
var errOutput = errors.New("write the feed")

// note says something about the watching itself.
func (w *watcher) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if isTerminal(w.out.stderr) {
		s = faint.Render(s)
	}
	fmt.Fprintln(w.out.stderr, s)
}

// session connects, catches up, and shows what comes until the connection is lost.
func (w *watcher) session(ctx context.Context) error {
	if !w.begun {
		if err := w.past(ctx); err != nil {
			return err
		}
	}
	if err := w.server.renew(false); err != nil {
		return err
	}
	conn, err := dial(ctx, w.broker, w.cmd.ClientID, w.server.id)
	if err != nil {
		return err
	}
	defer conn.close()
	filters := []string{"pacts/+/activity", "pacts/+/presence/+", topics.Inbox(w.server.id.UserID)}
	if p := pactwire.PactID(w.cmd.Pact); p != "" {
		filters[0], filters[1] = topics.Activity(p), "pacts/"+string(p)+"/presence/+"
	}
	refused, err := conn.subscribe(ctx, filters)
	if err != nil {
		return err
	}
	if slices.Contains(refused, filters[0]) {
		return pactwire.Errorf(pactwire.Denied, "you may not watch %s", filters[0])
	}
	// The subscription begins at the head: what came between the last entry shown and it is read by HTTP, also of pacts
	// that were joined meanwhile.
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	w.note("watching as %s; Ctrl-C ends it", w.server.id.DisplayName())
	for {
		select {
		case m := <-conn.messages:
			if err := w.message(ctx, m); err != nil {
				return err
			}
		case err := <-conn.lost:
			return &pactwire.Error{Code: pactwire.Unavailable, Message: "the connection was lost", Cause: err}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// message shows one publication.
func (w *watcher) message(ctx context.Context, m message) error {
	t, err := topics.Parse(m.topic)
	if err != nil {
		return nil
	}
	switch t.Kind {
	case topics.ActivityKind:
		return w.live(ctx, t.Pact, m.payload)
	case topics.PresenceKind:
		return w.presence(m.payload, m.retained)
	case topics.InboxKind:
		return w.event(m.payload)
	}
	return nil
}

// live shows an activity, and first those before it that were missed.
func (w *watcher) live(ctx context.Context, p pactwire.PactID, payload []byte) error {
	var a struct{ Seq pactwire.Seq }
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil
	}
	head, known := w.heads[p]
	if !known {
		if err := w.meet(ctx, p, a.Seq-1); err != nil {
			return err
		}
		head = w.heads[p]
	}
	if a.Seq > head+1 {
		if err := w.readUp(ctx, p); err != nil {
			return err
		}
		if a.Seq > w.heads[p]+1 {
			w.note("%d activities are missing before this one", a.Seq-w.heads[p]-1)
		}
	}
	return w.show(p, payload)
}

// meet learns of a pact that was joined while watching. Its story is told from the beginning; an operator, who is in no
// pact, sees it from now on.
func (w *watcher) meet(ctx context.Context, p pactwire.PactID, now pactwire.Seq) error {
	var pact pactwire.Pact
	switch err := w.server.get(ctx, pactPath(string(p), ""), &pact); {
	case err == nil:
		w.feed.know(pact)
		w.heads[p] = 0
	case pactwire.CodeOf(err) == pactwire.NotFound:
		w.heads[p] = now
	default:
		return err
	}
	return nil
}

// show writes an entry of a pact's log, unless it was written before.
func (w *watcher) show(p pactwire.PactID, payload []byte) error {
	var a pactwire.Activity
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil // not ours to explain; the next one may be better
	}
	if a.Seq <= w.heads[p] {
		return nil
	}
	w.heads[p] = a.Seq
	if w.cmd.JSON {
		return w.raw(payload)
	}
	return writing(w.feed.activity(a))
}

func writing(err error) error {
	if err != nil {
		return errors.Join(errOutput, err)
	}
	return nil
}

func (w *watcher) raw(payload []byte) error {
	_, err := fmt.Fprintf(w.out.stdout, "%s\n", payload)
	return writing(err)
}

// presence shows who comes and goes, once however many pacts are shared with them. Of those who are not there to begin with
// nothing is said.
func (w *watcher) presence(payload []byte, retained bool) error {
	var p pactwire.Presence
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil
	}
	if w.cmd.JSON {
		return w.raw(payload)
	}
	before, known := w.here[p.UserID]
	w.here[p.UserID] = p.Status
	if p.UserID == w.server.id.UserID || p.Status == before || !known && p.Status == pactwire.PresenceOffline && retained {
		w.feed.meet(p.UserID, p.UserName)
		return nil
	}
	return writing(w.feed.presence(p, time.Now()))
}

func (w *watcher) event(payload []byte) error {
	var e pactwire.Event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil
	}
	if e.Seq != 0 && e.Seq <= w.inbox {
		return nil // sent again after a reconnect
	}
	w.inbox = max(w.inbox, e.Seq)
	if w.cmd.JSON {
		return w.raw(payload)
	}
	return writing(w.feed.event(e))
}
