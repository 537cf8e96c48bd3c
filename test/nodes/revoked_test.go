package nodes_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// looks is how many times store.poll may pass, on a busy machine, until a node has learned what another one was told.
const looks = 10

const pollEvery = 500 * time.Millisecond

// line is an MQTT 5 connection, of which one asks whether it stands and why it ended.
type line struct {
	conn   *rawmqtt.Conn
	reason atomic.Int32 // of DISCONNECT
	ended  chan struct{}
	at     time.Time // of the end; valid after ended
}

func dial(t *testing.T, n *testkit.Node, user, password, client string) (*line, error) {
	t.Helper()
	nc, err := rawmqtt.Dial(t.Context(), n.TCP)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{ended: make(chan struct{})}
	l.conn, _, err = rawmqtt.Connect(t.Context(), nc, rawmqtt.Options{Version: 5, Clean: true, ClientID: client, Username: user, Password: password},
		rawmqtt.Handler{Disconnect: func(reason byte) { l.reason.Store(int32(reason)) }})
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(l.ended)
		l.conn.Run() // how it ended the DISCONNECT says
		l.at = time.Now()
	}()
	t.Cleanup(func() {
		l.conn.Close()
		<-l.ended
	})
	return l, nil
}

func stand(t *testing.T, n *testkit.Node, user, password, client string) *line {
	t.Helper()
	l, err := dial(t, n, user, password, client)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// cut waits for the end of the connection and says how long after a time it came.
func (l *line) cut(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	select {
	case <-l.ended:
	case <-time.After(limit):
		t.Fatal("the connection stands")
	}
	if reason := l.reason.Load(); reason != 0x87 {
		t.Errorf("DISCONNECT %#x, want 0x87", reason)
	}
	return l.at.Sub(since)
}

func (l *line) stands() bool {
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

func isRefused(err error) bool {
	var no *rawmqtt.Refused
	return errors.As(err, &no) && no.Code == 0x86
}

// TestPromise5WhatIsRevokedOnOneNodeIsCutOnAnother: a token, a person's tokens and a device, with Redis, without it, and after
// the other node was cut off from the database.
func TestPromise5WhatIsRevokedOnOneNodeIsCutOnAnother(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Settings: map[string]string{"store.poll": pollEvery.String()}})
	a, b := c.Nodes[0], c.Nodes[1]
	pact := a.NewPact("alice", "bob").ID
	kept := stand(t, b, "alice", issued("alice", "kept"), "kept")
	always := func() {}
	for _, round := range []struct {
		name          string
		before, after func() // the revocations
	}{
		{"with Redis", always, always},
		{"without Redis", c.Redis.Kill, always},
		{"cut off from the database meanwhile", b.ToPostgres.Down, b.ToPostgres.Up},
	} {
		person := pactwire.UserID("dora-" + strings.ReplaceAll(round.name, " ", "-"))
		button := a.NewDevice("alice", pact)
		credentials := map[string][2]string{
			"token":  {"alice", issued("alice", round.name)},
			"person": {string(person), issued(person, "")},
			"device": {button.Username, button.Secret},
		}
		lines := map[string]*line{}
		for what, x := range credentials {
			lines[what] = stand(t, b, x[0], x[1], what)
		}
		round.before()
		revoke(t, a, pactwire.RevocationInput{TokenID: round.name})
		revoke(t, a, pactwire.RevocationInput{UserID: person})
		a.Must("alice", http.MethodDelete, "/v1/devices/"+string(button.ID), nil, nil)
		round.after()
		since := time.Now()
		for what, l := range lines {
			took := l.cut(t, since)
			t.Logf("%s: %s cut after %v", round.name, what, took)
			if took > looks*pollEvery {
				t.Errorf("%s: %s was cut after %v, which is more than %d looks", round.name, what, took, looks)
			}
		}
		for what, x := range credentials {
			if _, err := dial(t, b, x[0], x[1], what); !isRefused(err) {
				t.Errorf("%s: %s is let in again: %v", round.name, what, err)
			}
		}
		if code, _, err := b.CallWith(credentials["token"][1], http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusUnauthorized {
			t.Errorf("%s: HTTP says %d %v", round.name, code, err)
		}
	}
	if !kept.stands() {
		t.Error("a connection of a token that nobody revoked was cut too")
	}
}

// issued signs a token with an id, which was issued an hour ago.
func issued(u pactwire.UserID, jti string) string {
	now := time.Now()
	return testkit.Sign(jwt.MapClaims{"id": string(u), "jti": jti, "iat": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Hour).Unix()})
}

func revoke(t *testing.T, n *testkit.Node, in pactwire.RevocationInput) {
	t.Helper()
	code, body, err := n.CallWith(testkit.Token("ops", "operator"), http.MethodPost, "/v1/revocations", in)
	if err != nil || code != http.StatusCreated {
		t.Fatalf("%d %s %v", code, body, err)
	}
}
