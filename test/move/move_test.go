package move_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

const limit = time.Minute

// ok makes a request that must be taken.
func ok(t *testing.T, s *testkit.Server, u pactwire.UserID, method, path string, in any) []byte {
	t.Helper()
	code, body, err := s.Call(u, method, path, in)
	if err != nil || code/100 != 2 {
		t.Fatalf("%s %s: %d %s %v", method, path, code, body, err)
	}
	return body
}

// TestPromise4AwayOverAMoveToPostgreSQL: a client that was away while its server moved to another store finds its session
// there, and goes on without a gap or a repeat; keys that were used are known.
func TestPromise4AwayOverAMoveToPostgreSQL(t *testing.T) {
	s := testkit.Start(t, map[string]string{"log.level": "warn"})
	p := s.NewPact("alice", "bob")
	bob := testkit.NewReader(s.TCP, "bob", "phone", p.ID)
	alice := &testkit.Device{Addr: s.TCP, User: "alice", ClientID: "phone"}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running.Go(func() { alice.Run(ctx) })

	said := 0
	checkIn := func(n int) {
		for range n {
			said++
			alice.Checkin(p.ID, fmt.Sprint("k", said), fmt.Sprint("note ", said))
		}
		testkit.Eventually(t, limit, "alice's check-ins are acked", alice.Settled)
	}
	there, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() { defer close(gone); bob.Run(there) }()
	testkit.Eventually(t, limit, "bob is subscribed", func() bool { return bob.Ready() > 0 })
	checkIn(10)
	testkit.Eventually(t, limit, "bob has them", func() bool { return bob.Last() >= p.HeadSeq+10 })
	leave()
	<-gone
	checkIn(25)
	log := s.Activities("alice", p.ID)
	last := log[len(log)-1]
	ok(t, s, "bob", http.MethodPost, "/v1/devices", map[string]any{"name": "button", "kind": "button", "pactId": p.ID})
	pages := []string{"/v1/me", "/v1/goals", "/v1/pacts/" + string(p.ID), "/v1/streaks", "/v1/inbox", "/v1/devices"}
	seen := map[string][]byte{}
	for _, u := range []pactwire.UserID{"alice", "bob"} {
		for _, path := range pages {
			seen[string(u)+path] = ok(t, s, u, http.MethodGet, path, nil)
		}
	}
	s.Stop()

	url := testkit.Postgres(t).URL()
	from := "sqlite:" + filepath.Join(s.Setting("data_dir"), "pactwire.db")
	move := func() (string, error) {
		out, err := exec.Command(testkit.Binary(t), "store", "copy", "--from", from, "--to", url).CombinedOutput()
		return string(out), err
	}
	if out, err := move(); err != nil || !strings.Contains(out, "have no gap") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := move(); err == nil || !strings.Contains(out, "it is not empty") {
		t.Errorf("a second time: %v\n%s", err, out)
	}
	s.Set("store.url", url)
	s.Launch()
	s.WaitReady()

	for _, u := range []pactwire.UserID{"alice", "bob"} {
		for _, path := range pages {
			if now := ok(t, s, u, http.MethodGet, path, nil); !bytes.Equal(now, seen[string(u)+path]) {
				t.Errorf("%s of %s was\n%s\nand is\n%s", path, u, seen[string(u)+path], now)
			}
		}
	}
	var again pactwire.CheckinLogged
	body := ok(t, s, "alice", http.MethodPost, "/v1/pacts/"+string(p.ID)+"/checkins", map[string]string{"id": fmt.Sprint("k", said), "status": "completed", "notes": "other"})
	if err := json.Unmarshal(body, &again); err != nil || !again.Duplicate || again.ActivityID == nil || *again.ActivityID != last.ID {
		t.Errorf("a key that was used: %s, %v", body, err)
	}
	checkIn(5)
	running.Go(func() { bob.Run(ctx) })
	head := p.HeadSeq + pactwire.Seq(said) //nolint:gosec // counted here
	testkit.Eventually(t, limit, "bob has all", func() bool { return bob.Last() >= head })
	got, err := bob.Got()
	if err != nil {
		t.Error(err)
	}
	for _, err := range testkit.Once("bob", got) {
		t.Error(err)
	}
	log = s.Activities("alice", p.ID)
	h := testkit.History{Acked: alice.Acked(), Log: log, Received: map[string][]pactwire.Activity{"bob": got}, From: map[string]pactwire.Seq{"bob": p.HeadSeq}}
	for _, err := range h.Check() {
		t.Error(err)
	}
	if len(log) != int(head) { //nolint:gosec // small
		t.Errorf("%d activities, want %d", len(log), head)
	}
}
