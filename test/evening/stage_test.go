package evening_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden file")

const (
	limit = time.Minute
	quiet = 2 * time.Second // longer than the grace time and the pause between two states
)

// stage is where the evening is played: the server, who is on the line, and what was said.
type stage struct {
	t      *testing.T
	s      *testkit.Server
	names  *names
	cast   []*client
	script []string            // finished lines
	golden map[string][]string // by scene and client
	scene  string
	said   []string // by the script, in this scene
}

func newStage(t *testing.T, s *testkit.Server) *stage {
	st := &stage{t: t, s: s, names: &names{known: map[string]string{}}, golden: map[string][]string{}}
	raw, err := os.ReadFile(goldenFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	scene := ""
	for l := range strings.Lines(string(raw)) {
		l = strings.TrimSuffix(l, "\n")
		if title, ok := strings.CutPrefix(l, "# "); ok {
			scene = title
		} else if who, _, ok := strings.Cut(l, " < "); ok {
			key := scene + "\n" + strings.TrimSpace(who)
			st.golden[key] = append(st.golden[key], l)
		}
	}
	return st
}

const goldenFile = "testdata/evening.txt"

// client is one of somebody's things.
type client struct {
	st   *stage
	name string
	opts rawmqtt.Options
	web  bool
	conn *rawmqtt.Conn
	run  chan struct{} // closed when the connection is over
	id   uint16

	mu    sync.Mutex
	got   []message // in this scene
	codes chan []byte
	acked chan byte
	auth  chan byte
}

type message struct{ topic, payload string }

func (st *stage) client(name string, user pactwire.UserID, version byte, web bool, kind string) *client {
	c := &client{st: st, name: name, web: web, codes: make(chan []byte, 8), acked: make(chan byte, 8), auth: make(chan byte, 8)}
	c.opts = rawmqtt.Options{Version: version, ClientID: strings.ReplaceAll(name, "'s ", "-"), Username: string(user), Password: testkit.Token(user), KeepAlive: 60}
	if version == 5 {
		c.opts.SessionExpiry, c.opts.AuthMethod = 3600, "jwt"
		c.opts.UserProperties = [][2]string{{"device", kind}}
	}
	st.cast = append(st.cast, c)
	return c
}

// connect brings the client on the line; session says whether the server had kept one for it.
func (c *client) connect() {
	t := c.st.t
	t.Helper()
	dial, addr := rawmqtt.Dial, c.st.s.TCP
	if c.web {
		dial, addr = rawmqtt.DialWebSocket, c.st.s.WS
	}
	nc, err := dial(t.Context(), addr)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	conn, ack, err := rawmqtt.Connect(t.Context(), nc, c.opts, rawmqtt.Handler{
		Publish: func(p rawmqtt.Publish) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.got = append(c.got, message{string(p.Topic), string(p.Payload)})
		},
		Suback: func(_ uint16, codes []byte) { c.codes <- slices.Clone(codes) },
		Acked:  func(_ uint16, reason byte) { c.acked <- reason },
		Auth:   func(reason byte) { c.auth <- reason },
	})
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	c.conn, c.run = conn, make(chan struct{})
	go func(over chan struct{}) {
		defer close(over)
		_ = conn.Run() // however it ends, what came counts
	}(c.run)
	t.Cleanup(c.close)
	carried := map[bool]string{false: "TCP", true: "WebSocket"}[c.web]
	protocol := map[byte]string{4: "MQTT 3.1.1", 5: "MQTT 5"}[c.opts.Version]
	c.note("CONNECT, %s over %s; session present: %v", protocol, carried, ack.SessionPresent)
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		<-c.run
	}
}

// drop lets the connection die without a word.
func (c *client) drop() {
	c.close()
	c.conn = nil
	c.note("the line goes dead")
}

func (c *client) disconnect() {
	if err := c.conn.Disconnect(); err != nil {
		c.st.t.Fatalf("%s: %v", c.name, err)
	}
	<-c.run
	c.conn = nil
	c.note("DISCONNECT")
}

func (c *client) subscribe(filters ...string) {
	t := c.st.t
	t.Helper()
	c.id++
	if err := c.conn.Subscribe(c.id, 1, filters...); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	codes := receive(t, c.name+": SUBACK", c.codes)
	for i, f := range filters {
		c.note("SUBSCRIBE %s: 0x%02X", f, codes[i])
	}
}

// publish sends at QoS 1 and waits for the acknowledgement.
func (c *client) publish(topic, payload string) {
	t := c.st.t
	t.Helper()
	c.id++
	if err := c.conn.Publish(c.id, 1, topic, []byte(payload)); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	reason := receive(t, c.name+": PUBACK", c.acked)
	ack := "acked"
	if reason != 0 {
		ack = fmt.Sprintf("acked with 0x%02X", reason)
	}
	c.note("PUBLISH %s %s: %s", topic, payload, ack)
}

// renew authenticates again with a new token.
func (c *client) renew(token string) {
	t := c.st.t
	t.Helper()
	if err := c.conn.Auth(token); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	c.note("AUTH with a new token: 0x%02X", receive(t, c.name+": AUTH", c.auth))
}

func (c *client) note(format string, args ...any) {
	c.st.said = append(c.st.said, fmt.Sprintf("%-14s > %s", c.name, fmt.Sprintf(format, args...)))
}

func receive[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	select {
	case v = <-ch:
	case <-ctx.Done():
		t.Fatalf("%s did not come", what)
	}
	return v
}

// play is one scene: what is done, and then what everybody hears of it. It is over when all have heard what the golden
// file says, or, where that is written, when nobody hears anything more.
func (st *stage) play(title string, do func()) {
	st.t.Helper()
	st.scene, st.said = title, nil
	do()
	if *update {
		for testkit.Within(quiet, st.news()) {
		}
	} else if !testkit.Within(limit, func() bool { return st.heard() }) {
		st.t.Errorf("scene %q: not everybody heard what they should", title)
	}
	st.script = append(st.script, "# "+title, "")
	for _, l := range st.said {
		st.script = append(st.script, strings.TrimRight(st.names.hide(l), " "))
	}
	for _, c := range st.cast {
		st.script = append(st.script, c.lines(st.names)...)
		c.mu.Lock()
		c.got = nil
		c.mu.Unlock()
	}
	st.script = append(st.script, "")
}

// news reports, when called, whether anything has come since.
func (st *stage) news() func() bool {
	count := func() (n int) {
		for _, c := range st.cast {
			c.mu.Lock()
			n += len(c.got)
			c.mu.Unlock()
		}
		return n
	}
	before := count()
	return func() bool { return count() != before }
}

// heard reports whether every client has got the lines of the golden file for this scene.
func (st *stage) heard() bool {
	trial := st.names.clone()
	for _, l := range st.said {
		trial.hide(l)
	}
	for _, c := range st.cast {
		if !slices.Equal(c.lines(trial), st.golden[st.scene+"\n"+c.name]) {
			return false
		}
	}
	return true
}

// lines is what a client got in this scene. Within a topic the order is that of arrival; between topics there is none. A
// state and a presence replace the ones before.
func (c *client) lines(n *names) (out []string) {
	c.mu.Lock()
	got := slices.Clone(c.got)
	c.mu.Unlock()
	last := map[string]int{}
	for i, m := range got {
		last[m.topic] = i
	}
	for i, m := range got {
		replaced := strings.HasSuffix(m.topic, "/state") || strings.Contains(m.topic, "/presence/")
		if replaced && last[m.topic] != i {
			got[i].topic = ""
		}
	}
	got = slices.DeleteFunc(got, func(m message) bool { return m.topic == "" })
	slices.SortStableFunc(got, func(a, b message) int { return cmp.Compare(a.topic, b.topic) })
	for _, m := range got {
		out = append(out, fmt.Sprintf("%-14s < %s %s", c.name, n.hide(m.topic), n.hide(tidy(m.payload))))
	}
	return out
}

// tidy leaves out of a payload what is another in every run, and what a reader knows.
func tidy(payload string) string {
	var v map[string]any
	if json.Unmarshal([]byte(payload), &v) != nil {
		return payload
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range []string{"version", "createdAt", "updatedAt", "lastSeen", "joinedAt", "startDate"} {
				delete(v, k)
			}
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	out, err := json.Marshal(v)
	if err != nil {
		return payload
	}
	return string(out)
}

// names stand for the ids and times of this run.
type names struct {
	known map[string]string
	ids   int
	today time.Time
}

var (
	anID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	aTime  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	aDate  = regexp.MustCompile(`\d{4}-\d\d-\d\d`)
	escape = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
)

func (n *names) clone() *names {
	c := *n
	c.known = maps.Clone(n.known)
	return &c
}

func (n *names) call(id, name string) { n.known[id] = name }

func (n *names) hide(s string) string {
	s = escape.Replace(s)
	for id, name := range n.known {
		if !anID.MatchString(id) {
			s = strings.ReplaceAll(s, id, name)
		}
	}
	s = anID.ReplaceAllStringFunc(s, func(id string) string {
		if n.known[id] == "" {
			n.ids++
			n.known[id] = fmt.Sprintf("(%d)", n.ids)
		}
		return n.known[id]
	})
	s = aTime.ReplaceAllString(s, "(time)")
	return aDate.ReplaceAllStringFunc(s, func(date string) string {
		d, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return date
		}
		switch days := int(n.today.Sub(d) / (24 * time.Hour)); days {
		case 0:
			return "(today)"
		case 1:
			return "(yesterday)"
		default:
			return fmt.Sprintf("(%d days ago)", days)
		}
	})
}

// end compares the whole transcript.
func (st *stage) end() {
	st.t.Helper()
	got := strings.Join(st.script, "\n")
	if *update {
		if err := os.WriteFile(goldenFile, []byte(got), 0o600); err != nil {
			st.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		st.t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	file := filepath.Join(st.t.ArtifactDir(), "evening.txt")
	if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
		st.t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			at := func(lines []string) string {
				return strings.Join(lines[min(i, len(lines)):min(i+3, len(lines))], "\n  ")
			}
			st.t.Fatalf("line %d is another:\ngot\n  %s\nwant\n  %s", i+1, at(g), at(w))
		}
	}
}
