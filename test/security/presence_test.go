package security_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// seen returns all that c was told of a person's presence in a pact.
func seen(c *client, p pactwire.PactID, u pactwire.UserID) (out []pactwire.Presence) {
	for _, m := range c.messages("pacts/" + string(p) + "/presence/" + string(u)) {
		var x pactwire.Presence
		if err := json.Unmarshal([]byte(m.payload), &x); err != nil {
			c.t.Errorf("presence %s: %v", m.payload, err)
		}
		out = append(out, x)
	}
	return out
}

// Auto-join is a SUBSCRIBE, and so is a session that brings its filters along: who comes by either is there, and is so in their own
// snapshot already.
func TestWhoNeedsNotSubscribeIsThere(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	bob := connect(t, s, opts{user: "bob", v: 5})
	bob.mustSub("pacts/+/presence/+")
	last := func(c *client) pactwire.Presence {
		if got := seen(c, p, "alice"); len(got) > 0 {
			return got[len(got)-1]
		}
		return pactwire.Presence{}
	}
	for _, how := range []struct {
		name  string
		props []byte
	}{{"auto-join", join(prop32(propExpiry, 60), userProp("auto-join", "true"))}, {"resumed", prop32(propExpiry, 60)}} {
		alice := connect(t, s, opts{user: "alice", id: "phone", v: 5, keep: true, props: how.props})
		alice.wait(1, how.name+": her snapshot", func(m packet) bool { return m.topic == "pacts/"+string(p)+"/presence/alice" })
		if first := seen(alice, p, "alice")[0]; !first.IsOnline {
			t.Errorf("%s: she was told %+v of herself", how.name, first)
		}
		testkit.Eventually(t, limit, how.name+": she is there", func() bool { return last(bob).IsOnline })
		alice.pub("users/alice/presence", "offline")
		testkit.Eventually(t, limit, how.name+": she is gone", func() bool { return last(bob).Status == pactwire.PresenceOffline })
		alice.quit()
	}
}

func TestPromise6PresenceIsTrue(t *testing.T) {
	t.Parallel()
	const grace = 300 * time.Millisecond
	s := testkit.Start(t, map[string]string{"presence.grace": grace.String()})
	p := s.NewPact("alice", "bob").ID
	bob := connect(t, s, opts{user: "bob", v: 5})
	bob.mustSub("pacts/+/presence/+", "users/bob/inbox")
	last := func() pactwire.Presence {
		all := seen(bob, p, "alice")
		if len(all) == 0 {
			return pactwire.Presence{}
		}
		return all[len(all)-1]
	}
	is := func(status pactwire.PresenceStatus) {
		t.Helper()
		testkit.Eventually(t, limit, "alice is "+string(status), func() bool {
			x := last()
			return x.Status == status && x.IsOnline == (status != pactwire.PresenceOffline)
		})
	}
	is(pactwire.PresenceOffline) // the snapshot
	if x := last(); x.LastSeen != nil {
		t.Errorf("last seen %v of who was never here", x.LastSeen)
	}
	// A one-shot publisher flips nobody.
	shot := connect(t, s, opts{user: "alice", id: "button"})
	shot.pub("pacts/"+string(p)+"/checkins", "done")
	shot.quit()
	testkit.Never(t, 2*grace, "a one-shot publisher is online", func() bool { return last().IsOnline })

	phone := connect(t, s, opts{user: "alice", id: "phone"})
	phone.mustSub("users/alice/inbox")
	is(pactwire.PresenceActive)
	watch := connect(t, s, opts{user: "alice", id: "watch", v: 5, props: userProp("device", "watch")})
	watch.mustSub("users/alice/inbox")
	// One of two drops: still online.
	n := len(seen(bob, p, "alice"))
	watch.drop()
	testkit.Never(t, 3*grace, "the drop of one of two is told", func() bool { return !last().IsOnline || len(seen(bob, p, "alice")) > n+1 })
	// Away and back, and offline at once.
	phone.pub("users/alice/presence", `{"status":"away"}`)
	is(pactwire.PresenceAway)
	phone.pub("users/alice/presence", "active")
	is(pactwire.PresenceActive)
	start := time.Now()
	phone.pub("users/alice/presence", `{"status":"offline"}`)
	is(pactwire.PresenceOffline)
	if took := time.Since(start); took > grace {
		t.Errorf("explicit offline took %v", took)
	}
	if x := last(); x.LastSeen == nil {
		t.Error("no last seen")
	}
	phone.pub("users/alice/presence", "active")
	is(pactwire.PresenceActive)
	// A quick reconnect does not flap.
	n = len(seen(bob, p, "alice"))
	phone.drop()
	phone = connect(t, s, opts{user: "alice", id: "phone"})
	phone.mustSub("users/alice/inbox")
	testkit.Never(t, 3*grace, "a flap", func() bool {
		for _, x := range seen(bob, p, "alice")[n:] {
			if !x.IsOnline {
				return true
			}
		}
		return false
	})
	// DISCONNECT, too, has the grace time.
	start = time.Now()
	phone.quit()
	is(pactwire.PresenceOffline)
	if took := time.Since(start); took < grace-20*time.Millisecond || took > grace+3*time.Second {
		t.Errorf("offline after %v, grace %v", took, grace)
	}
	before := last()
	if before.LastSeen == nil || time.Since(time.Time(*before.LastSeen)) > time.Minute {
		t.Errorf("last seen %v", before.LastSeen)
	}
	// It survives a restart, with a higher version.
	s.Stop()
	s.Restart()
	bob = connect(t, s, opts{user: "bob", v: 5})
	bob.mustSub("pacts/+/presence/+")
	is(pactwire.PresenceOffline)
	if x := last(); x.LastSeen == nil || !time.Time(*x.LastSeen).Equal(time.Time(*before.LastSeen)) {
		t.Errorf("last seen %v, before the restart %v", x.LastSeen, before.LastSeen)
	}
	phone = connect(t, s, opts{user: "alice", id: "phone"})
	phone.mustSub("users/alice/inbox")
	is(pactwire.PresenceActive)
	if x := last(); x.Version <= before.Version {
		t.Errorf("version %d after %d", x.Version, before.Version)
	}
	all := seen(bob, p, "alice")
	for i := 1; i < len(all); i++ {
		if all[i].Version < all[i-1].Version {
			t.Errorf("version %d after %d", all[i].Version, all[i-1].Version)
		}
	}
	// Operators and outsiders have none.
	olga := connect(t, s, opts{user: "olga", roles: []string{"operator"}})
	olga.mustSub("pacts/+/presence/+")
	phone.pub("users/alice/presence", "away")
	testkit.Eventually(t, limit, "the operator sees it", func() bool { return len(seen(olga, p, "alice")) == 1 })
	if m := olga.messages("")[0]; m.retain {
		t.Error("a change has the retain flag")
	}
}
