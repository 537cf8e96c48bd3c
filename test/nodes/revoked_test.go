package nodes_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestWhatIsRevokedAtOneNodeIsRefusedAtAnother without waiting until that one looks by itself, which here takes long.
func TestWhatIsRevokedAtOneNodeIsRefusedAtAnother(t *testing.T) {
	const poll = 20 * time.Second
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Settings: map[string]string{"store.poll": poll.String()}})
	here, there := c.Nodes[0], c.Nodes[1]
	for _, n := range c.Nodes {
		testkit.Eventually(t, limit, "it knows the other node", func() bool { return n.Metric("pactwire_nodes") == 2 })
	}
	button := here.NewDevice("alice", here.NewPact("alice", "bob").ID)
	phone := testkit.Sign(jwt.MapClaims{"id": "alice", "jti": "t1", "iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	for what, as := range map[string]struct {
		username, password string
		revoke             func() (int, []byte, error)
	}{
		"a token": {"alice", phone, func() (int, []byte, error) {
			return here.CallWith(phone, http.MethodPost, "/v1/logout", nil)
		}},
		"a device": {button.Username, button.Secret, func() (int, []byte, error) {
			return here.Call("alice", http.MethodDelete, "/v1/devices/"+string(button.ID), nil)
		}},
	} {
		nc, err := rawmqtt.Dial(t.Context(), there.TCP)
		if err != nil {
			t.Fatal(err)
		}
		var reason byte
		conn, _, err := rawmqtt.Connect(t.Context(), nc, rawmqtt.Options{ClientID: "c", Username: as.username, Password: as.password, Version: 5},
			rawmqtt.Handler{Disconnect: func(code byte) { reason = code }})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = conn.Run() // how it ends is told by the reason
		}()
		if code, body, err := as.revoke(); err != nil || code/100 != 2 {
			t.Fatalf("%s: %d %s %v", what, code, body, err)
		}
		select {
		case <-ended:
			if reason != 0x87 {
				t.Errorf("%s: cut with %#x", what, reason)
			}
		case <-time.After(poll / 4):
			t.Errorf("%s: not cut", what)
		}
		conn.Close()
		<-ended
	}
	if code, _, err := there.CallWith(phone, http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusUnauthorized {
		t.Errorf("HTTP: %d %v", code, err)
	}
}
