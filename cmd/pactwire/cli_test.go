package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/internal/testkit"
)

// server is a real node in this process, and the flags by which commands find it.
type server struct {
	node  *node
	dir   string
	http  string
	mqtt  string
	wsURL string
}

// start runs a node on a data directory; addresses that are given are taken again.
func start(t *testing.T, dir string, before *server) *server {
	t.Helper()
	return startWith(t, dir, before, func(*config.Config) {})
}

// startWith is start with other settings.
func startWith(t *testing.T, dir string, before *server, set func(*config.Config)) *server {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = dir
	cfg.MQTT.TCP, cfg.MQTT.WS, cfg.HTTP.Addr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if before != nil {
		cfg.MQTT.TCP, cfg.HTTP.Addr = before.mqtt, strings.TrimPrefix(before.http, "http://")
	}
	set(&cfg)
	n, err := newNode(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stopForTest)
	addrs := n.broker.Addrs()
	s := &server{node: n, dir: dir}
	if a := n.api.Addr("http.addr"); a != nil {
		s.http = "http://" + a.String()
	}
	if a := addrs["tcp"]; a != nil {
		s.mqtt = a.String()
	}
	if a := addrs["ws"]; a != nil {
		s.wsURL = "ws://" + a.String()
	}
	return s
}

func (n *node) stopForTest() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	n.Stop(ctx)
}

// pactwire runs a command against the server and returns what it printed and its exit code.
func (s *server) pactwire(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	t.Setenv("PACTWIRE_SERVER", s.http)
	t.Setenv("PACTWIRE_CONFIG", "")
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"--set", "data_dir=" + s.dir}, args...), &output{&out, &errs})
	return out.String(), errs.String(), code
}

// does runs a command that must succeed, and returns its one line.
func (s *server) does(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := s.pactwire(t, args...)
	if code != 0 {
		t.Fatalf("pactwire %s: exit %d: %s", strings.Join(args, " "), code, stderr)
	}
	return strings.TrimSuffix(stdout, "\n")
}

func TestCommandsFromGoalToStreak(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	goal := s.does(t, "goal", "create", "Morning run", "--emoji", "🏃", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	if !pactwire.ValidID(goal) || !pactwire.ValidID(pact) {
		t.Fatalf("creating commands print the id alone: %q %q", goal, pact)
	}
	if got := s.does(t, "pact", "accept", pact, "--user", "bob"); got != pact+" is active" {
		t.Error(got)
	}
	code := s.does(t, "pact", "invite", pact, "--user", "bob")
	if !strings.HasPrefix(code, "PACT-") {
		t.Fatalf("code %q", code)
	}
	if got := s.does(t, "pact", "claim", code, "--user", "carol"); got != pact {
		t.Error(got)
	}
	first := s.does(t, "checkin", pact, "--notes", "5 km", "--user", "alice")
	again := s.does(t, "checkin", pact, "done", "--notes", "5 km", "--user", "alice")
	if !pactwire.ValidID(first) || first != again {
		t.Errorf("check-ins %q %q", first, again)
	}
	var logged pactwire.CheckinLogged
	if err := json.Unmarshal([]byte(s.does(t, "checkin", pact, "done", "--notes", "5 km", "--user", "alice", "--json")), &logged); err != nil || !logged.Duplicate {
		t.Errorf("%+v %v", logged, err)
	}
	party := s.does(t, "celebrate", pact, "--message", "well done", "--id", "party-1", "--user", "bob")
	if again := s.does(t, "celebrate", pact, first, "--message", "well done", "--id", "party-1", "--user", "bob"); !pactwire.ValidID(party) || again != party {
		t.Errorf("celebrations %q %q", party, again)
	}
	if got := s.does(t, "why", "bob", pact); !strings.HasPrefix(got, "bob may read and send commands: ") {
		t.Error(got)
	}
	if got := s.does(t, "why", "mallory", pact); !strings.HasPrefix(got, "mallory may neither read nor send commands: ") {
		t.Error(got)
	}
	if got := s.does(t, "pact", "leave", pact, "--user", "carol"); got != "you left "+pact {
		t.Error(got)
	}
	list := s.does(t, "pact", "list", "--user", "bob")
	if want := pact + "  active  Morning run  alice, bob, carol (left)"; list != want {
		t.Errorf("got  %s\nwant %s", list, want)
	}
	var shown pactwire.Pact
	if err := json.Unmarshal([]byte(s.does(t, "pact", "show", pact, "--user", "bob")), &shown); err != nil || shown.ID != pactwire.PactID(pact) || shown.HeadSeq == 0 {
		t.Errorf("%+v %v", shown, err)
	}
}

func TestExitCodes(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	nowhere := &server{dir: s.dir, http: "http://127.0.0.1:1"}
	for _, c := range []struct {
		at   *server
		args []string
		code int
		says string
	}{
		{s, []string{"version"}, 0, ""},
		{s, []string{"--help"}, 0, ""},
		{s, []string{"config", "check"}, 0, ""},
		{s, nil, 2, "expected one of"},
		{s, []string{"dance"}, 2, "unexpected argument dance"},
		{s, []string{"checkin"}, 2, "<pact>"},
		{s, []string{"checkin", "p", "danced", "--user", "alice"}, 2, `must be one of "done"`},
		{s, []string{"pact", "list"}, 2, "say who you are"},
		{s, []string{"pact", "list", "--user", "a/b"}, 2, "is no user id"},
		{s, []string{"pact", "list", "--user", "alice", "--token", "x"}, 2, "can't be used together"},
		{s, []string{"token", "a b"}, 2, "is no user id"},
		{s, []string{"token", "a", "--role", "king"}, 2, `must be one of "operator","lab"`},
		{s, []string{"token", "a", "--ttl", "0s"}, 2, "no time to live"},
		{s, []string{"watch", "--user", "alice", "--mqtt", "gopher://x"}, 2, "--mqtt"},
		{s, []string{"pact", "list", "--user", "alice", "--server", "foo"}, 2, "--server foo is no URL"},
		{s, []string{"revoke", "list", "--server", "ftp://x"}, 2, "--server ftp://x is no URL"},
		{s, []string{"bench", "prepare", "--out", "x", "--server", "ftp://x"}, 2, "--server ftp://x is no URL"},
		{s, []string{"bench", "run", "--scenario", "fanout", "--server", "foo"}, 2, "--server foo is no URL"},
		{s, []string{"--set", "http.addr=", "pact", "list", "--user", "alice", "--server", ""}, 2, "--server"},
		{s, []string{"revoke", "user", "bob", "--before", "yesterday"}, 2, "--before yesterday is no time: write RFC 3339"},
		{s, []string{"pact", "accept", "nope", "--user", "alice"}, 1, "there is no such pact, or you are not in it"},
		{s, []string{"pact", "list", "--token", "hunter2"}, 1, "the token is malformed: it must be a JWT\n"},
		{s, []string{"goal", "create", "", "--user", "alice"}, 1, "name"},
		{s, []string{"--set", "mqtt.tpc=x", "config", "check"}, 1, "did you mean mqtt.tcp?"},
		{nowhere, []string{"pact", "list", "--user", "alice"}, 1, "no server answers at http://127.0.0.1:1"},
	} {
		stdout, stderr, code := c.at.pactwire(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("pactwire %s: exit %d, %s", strings.Join(c.args, " "), code, stderr)
		}
		if code != 0 && stdout != "" {
			t.Errorf("pactwire %s: refused, and prints %q", strings.Join(c.args, " "), stdout)
		}
	}
}

// Who does not know what to say sees what can be said. A script that says nothing is told that this is no use.
func TestWithoutACommandThereIsHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{{nil, 2}, {[]string{"help"}, 0}, {[]string{"--help"}, 0}} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), c.args, &output{&stdout, &stderr})
		shown, other := &stdout, &stderr
		if c.code != 0 {
			shown, other = other, shown
		}
		if code != c.code || other.Len() > 0 || !strings.Contains(shown.String(), "serve             Run the server.") {
			t.Errorf("pactwire %v: exit %d, %q, %q", c.args, code, stdout.String(), stderr.String())
		}
	}
}

// token needs no server, and the server that comes later believes it.
func TestTokenNeedsNoServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	offline := &server{dir: dir, http: "http://127.0.0.1:1"}
	token, stderr, code := offline.pactwire(t, "token", "alice", "--name", "Alice", "--role", "operator", "--role", "lab", "--ttl", "2h")
	if code != 0 || !strings.HasSuffix(token, "\n") || strings.Count(token, "\n") != 1 {
		t.Fatalf("%d %q %s", code, token, stderr)
	}
	token = strings.TrimSpace(token)
	id, err := auth.Peek(token)
	if left := time.Until(id.ExpiresAt); err != nil || left < time.Hour || left > 2*time.Hour {
		t.Errorf("%+v %v", id, err)
	}
	if id.TokenID == "" || id.IssuedAt.IsZero() {
		t.Error("the token cannot be revoked: it has no id, or no time of issue")
	}
	id.Token, id.TokenID, id.ExpiresAt, id.IssuedAt = "", "", time.Time{}, time.Time{}
	if diff := cmp.Diff(pactwire.Identity{UserID: "alice", UserName: "Alice", Roles: pactwire.RoleOperator | pactwire.RoleLab}, id); diff != "" {
		t.Error(diff)
	}
	s := start(t, dir, nil)
	t.Setenv("PACTWIRE_TOKEN", token)
	if got := s.does(t, "pact", "list", "--json"); got != "[]" {
		t.Error(got)
	}
}

// In another folder than the server's there is another key, or none: commands say so, and leave nothing behind.
func TestCommandsInTheWrongFolderSaySo(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	empty := &server{dir: filepath.Join(t.TempDir(), "data"), http: s.http}
	key := filepath.Join(empty.dir, "jwt.key")
	for _, args := range [][]string{{"pact", "list", "--user", "alice"}, {"revoke", "list"}, {"watch", "--user", "bob", "--mqtt", s.mqtt}} {
		if _, stderr, code := empty.pactwire(t, args...); code != 1 || !strings.Contains(stderr, key+" does not exist; run this in the folder of the server") {
			t.Errorf("pactwire %v: exit %d, %s", args, code, stderr)
		}
	}
	if _, err := os.Stat(empty.dir); !os.IsNotExist(err) {
		t.Errorf("it made the folder: %v", err)
	}
	settings := []string{"data_dir=" + empty.dir, "mqtt.tcp=" + s.mqtt, "mqtt.ws=", "http.addr=" + strings.TrimPrefix(s.http, "http://")}
	says := func(words string) {
		t.Helper()
		list, _ := examine(t, settings...)
		if !slices.ContainsFunc(list, func(f finding) bool { return f.Check == "tokens" && strings.Contains(f.Found, words) }) {
			t.Errorf("the doctor does not say %q: %+v", words, list)
		}
	}
	says("the running server has a key of its own")
	if _, stderr, code := empty.pactwire(t, "token", "alice"); code != 0 || !strings.Contains(stderr, "made the key in "+key) {
		t.Errorf("token: exit %d, %s", code, stderr)
	}
	if _, stderr, code := empty.pactwire(t, "pact", "list", "--user", "alice"); code != 1 || !strings.Contains(stderr, "it was signed with the key in "+key) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	says("does not believe a token signed with the key in " + key)
	settings[0] = "data_dir=" + s.dir
	says("the running server believes one")
}

func TestConfigShowHidesSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	const secret = "0123456789012345678901234567890123456789"
	if err := os.WriteFile(file, []byte("auth:\n  jwt:\n    secret: "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shown := (&server{dir: "x"}).does(t, "config", "show", file)
	if strings.Contains(shown, secret) || !strings.Contains(shown, "# "+file+":3") || !strings.Contains(shown, "# --set") {
		t.Error(shown)
	}
}

// watching is a running pactwire watch.
type watching struct{ lines, notes *testkit.Lines }

func (s *server) watch(t *testing.T, args ...string) *watching {
	t.Helper()
	t.Setenv("PACTWIRE_SERVER", s.http)
	ctx, stop := context.WithCancel(t.Context())
	w, code := &watching{new(testkit.Lines), new(testkit.Lines)}, make(chan int)
	go func() {
		code <- run(ctx, append([]string{"--set", "data_dir=" + s.dir, "watch"}, args...), &output{w.lines, w.notes})
	}()
	t.Cleanup(func() {
		if stop(); <-code != 0 {
			t.Errorf("watch ended badly: %s", strings.Join(w.notes.All(), "\n"))
		}
	})
	return w
}

// until waits for a line that holds each of the words.
func until(t *testing.T, l *testkit.Lines, words ...string) {
	t.Helper()
	holds := func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
	}
	if !testkit.Within(20*time.Second, func() bool { return len(l.Matching(holds)) > 0 }) {
		t.Fatalf("no line holds %q; there are\n%s", words, strings.Join(l.All(), "\n"))
	}
}

func TestWatchTellsThePastAndThePresent(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	goal := s.does(t, "goal", "create", "Morning run", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	s.does(t, "pact", "accept", pact, "--user", "bob")
	for _, c := range []struct {
		name string
		args []string
	}{
		{"all pacts, TCP", []string{"--mqtt", s.mqtt}},
		{"one pact, WebSocket", []string{"--mqtt", s.wsURL, "--pact", pact}},
		{"kept session", []string{"--mqtt", s.mqtt, "--client-id", "desk"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.watch(t, append(c.args, "--user", "bob")...)
			until(t, w.lines, "the pact has begun", "Morning run")
			until(t, w.notes, "watching as bob")
			notes := "from " + c.name
			s.does(t, "checkin", pact, "done", "--notes", notes, "--user", "alice")
			until(t, w.lines, "alice", notes)
		})
	}
}

// A pact that is joined while watching tells its whole story, without another subscription.
func TestWatchTakesInPactsThatAreJoinedLater(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	w := s.watch(t, "--mqtt", s.mqtt, "--user", "bob")
	until(t, w.notes, "watching as bob")
	goal := s.does(t, "goal", "create", "Swim", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	until(t, w.lines, "alice", "invites you to a pact: Swim", pact)
	s.does(t, "pact", "accept", pact, "--user", "bob")
	until(t, w.lines, "you", "joined")
	s.does(t, "checkin", pact, "--user", "alice")
	until(t, w.lines, "alice", "checked in: Swim, day 1")
}

// Promise 4, seen from a terminal: over a restart every activity is shown once and in order, those of the time without a
// connection too.
func TestPromise4WatchMissesNothingOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	goal := s.does(t, "goal", "create", "Morning run", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	s.does(t, "pact", "accept", pact, "--user", "bob")
	w := s.watch(t, "--mqtt", s.mqtt, "--user", "bob", "--json", "--last", "200")
	until(t, w.notes, "watching as bob")
	expect := func(upTo pactwire.Seq) {
		t.Helper()
		var seqs []pactwire.Seq
		testkit.Within(20*time.Second, func() bool {
			seqs = shownSeqs(w.lines)
			return len(seqs) >= int(upTo)
		})
		var want []pactwire.Seq
		for n := pactwire.Seq(1); n <= upTo; n++ {
			want = append(want, n)
		}
		if diff := cmp.Diff(want, seqs); diff != "" {
			t.Fatal(diff)
		}
	}
	say := func(s *server, n int) {
		t.Helper()
		for i := range n {
			s.does(t, "checkin", pact, "done", "--notes", fmt.Sprint("note ", time.Now().UnixNano(), " ", i), "--user", "alice")
		}
	}
	say(s, 3)
	expect(5)
	s.node.stopForTest()
	until(t, w.notes, "the connection was lost")
	again := start(t, dir, s)
	say(again, 4)
	expect(9)
	say(again, 2)
	expect(11)
	if n := testutil.CollectAndCount(again.node.reg, "pactwire_http_requests_total"); n == 0 {
		t.Error("requests are not counted")
	}
}

// shownSeqs are the places of the activities among the lines.
func shownSeqs(l *testkit.Lines) (seqs []pactwire.Seq) {
	for _, line := range l.All() {
		var a pactwire.Activity
		if json.Unmarshal([]byte(line), &a) == nil && a.Seq > 0 && a.PactID != "" {
			seqs = append(seqs, a.Seq)
		}
	}
	return seqs
}

func TestWatchEndsWhenItIsNotAllowed(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	_, stderr, code := s.pactwire(t, "watch", "--mqtt", s.mqtt, "--user", "bob", "--pact", "nope")
	if code != 1 || !strings.Contains(stderr, "there is no such pact") {
		t.Errorf("%d %s", code, stderr)
	}
}
