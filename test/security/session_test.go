package security_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// say makes n messages in a pact and waits until the log has them.
func say(t *testing.T, s *testkit.Server, p pactwire.PactID, n int) {
	t.Helper()
	c := connect(t, s, opts{user: "alice", id: "speaker"})
	for i := range n {
		c.pub("pacts/"+string(p)+"/messages", fmt.Sprintf(`{"message":"m%d"}`, i))
	}
	c.quit()
}

// kept is a session of bob's that outlives its connection.
func kept(v byte) opts {
	o := opts{user: "bob", id: "kept", v: v, keep: true}
	if v == 5 {
		o.props = prop32(propExpiry, 600)
	}
	return o
}

func upTo(from, to pactwire.Seq) (out []pactwire.Seq) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

func TestPromise4NothingMissed(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		for _, filter := range []string{"pacts/+/activity", "pacts/%s/activity", "pacts/%s/#"} {
			s := testkit.Start(t, nil)
			p := s.NewPact("alice", "bob").ID
			f := strings.Replace(filter, "%s", string(p), 1)
			c, ack := try(t, s, kept(v))
			if ack.present {
				t.Error("Session Present at the first CONNECT")
			}
			c.mustSub(f)
			say(t, s, p, 3)
			testkit.Eventually(t, limit, "three live", func() bool { return len(c.activities(p)) == 3 })
			c.ping() // the acknowledgements are read
			c.drop()
			say(t, s, p, 100)
			c, ack = try(t, s, kept(v))
			if !ack.present {
				t.Error("the session is lost")
			}
			testkit.Eventually(t, limit, "what was missed", func() bool { return len(c.activities(p)) >= 100 })
			say(t, s, p, 1)
			testkit.Eventually(t, limit, "live again", func() bool { return len(c.activities(p)) >= 101 })
			c.ping()
			if got := seqs(c.activities(p)); !slices.Equal(got, upTo(6, 106)) {
				t.Errorf("version %d, %s: %v", v, filter, got)
			}
			// SUBSCRIBE to what is there keeps the cursor.
			c.mustSub(f)
			c.ping()
			c.quit()
			c, ack = try(t, s, kept(v))
			c.ping()
			if got := c.activities(p); !ack.present || len(got) != 0 {
				t.Errorf("version %d, %s: acknowledged ones came again: %v", v, filter, seqs(got))
			}
			// It is there after a restart, and a clean start drops it.
			c.drop()
			say(t, s, p, 1)
			s.Stop()
			s.Restart()
			c, ack = try(t, s, kept(v))
			if !ack.present {
				t.Error("the session is lost over a restart")
			}
			testkit.Eventually(t, limit, "the one missed", func() bool { return len(c.activities(p)) == 1 })
			c.quit()
			clean := kept(v)
			clean.keep = false
			if c, ack = try(t, s, clean); ack.present {
				t.Error("Session Present after a clean start")
			}
			c.quit()
		}
	}
}

// Unacknowledged messages come again with DUP; acknowledged ones do not.
func TestResumeSendsUnackedAgain(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		p := s.NewPact("alice", "bob").ID
		o := kept(v)
		o.hold = true
		c := connect(t, s, o)
		c.mustSub("pacts/+/activity")
		say(t, s, p, 6)
		got := c.wait(6, "six", func(p packet) bool { return p.kind == publish })
		for _, i := range []int{0, 1, 3} { // a hole: 5 is not acknowledged
			c.ack(puback, got[i].id)
		}
		c.ping()
		c.drop()
		o.hold = false
		c, ack := try(t, s, o)
		if !ack.present {
			t.Error("the session is lost")
		}
		testkit.Eventually(t, limit, "the rest", func() bool { return len(c.activities(p)) >= 4 })
		say(t, s, p, 1)
		testkit.Eventually(t, limit, "a new one", func() bool { a := c.activities(p); return a[len(a)-1].Seq == 9 })
		// the cursor is the contiguous prefix that was acknowledged: seq 3 and 4 of 3…8
		if got := seqs(c.activities(p)); !slices.Equal(got, upTo(5, 9)) {
			t.Errorf("version %d: %v", v, got)
		}
		for i, m := range c.messages("pacts/") {
			if m.dup != (i < 4) {
				t.Errorf("version %d: message %d has DUP %v", v, i, m.dup)
			}
		}
	}
}

// TestDisconnectIsNotOvertaken by the next CONNECT of a client that waits for nothing.
func TestDisconnectIsNotOvertaken(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	for n := range 100 {
		c, ack := try(t, s, kept(5))
		if ack.present {
			t.Fatalf("the session that was to end goes on, at the %dth return", n)
		}
		c.mustSub("users/bob/inbox")
		c.sayBye(0, prop32(propExpiry, 0))
		c.nc.Close()
	}
}

func TestAfterUserProperty(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	say(t, s, p, 8) // seq 3…10
	f := "pacts/" + string(p) + "/activity"
	c := connect(t, s, opts{user: "bob", v: 5})
	after := func(n int, filter string) {
		t.Helper()
		if got := c.subWith(1, userProp("after", fmt.Sprint(n)), filter); got[0] != 1 {
			t.Fatalf("%#x", got)
		}
	}
	after(4, f)
	testkit.Eventually(t, limit, "5…10", func() bool { return slices.Equal(seqs(c.activities(p)), upTo(5, 10)) })
	after(8, f)
	testkit.Eventually(t, limit, "9…10 again", func() bool { return slices.Equal(seqs(c.activities(p)), append(upTo(5, 10), 9, 10)) })
	after(0, f)
	testkit.Eventually(t, limit, "all that is kept", func() bool { return len(c.activities(p)) == 18 })
	say(t, s, p, 1)
	testkit.Eventually(t, limit, "live", func() bool { return len(c.activities(p)) == 19 })
	if got := seqs(c.activities(p))[8:]; !slices.Equal(got, upTo(1, 11)) {
		t.Errorf("%v", got)
	}
	// on a wildcard it is ignored
	w := connect(t, s, opts{user: "bob", v: 5})
	c = w
	after(0, "pacts/+/activity")
	say(t, s, p, 1)
	testkit.Eventually(t, limit, "live", func() bool { return len(w.activities(p)) > 0 })
	if got := seqs(w.activities(p)); !slices.Equal(got, []pactwire.Seq{12}) {
		t.Errorf("a wildcard with after: %v", got)
	}
	// beyond the head, and the inbox
	x := connect(t, s, opts{user: "bob", v: 5})
	c = x
	after(99999, f)
	after(0, "users/bob/inbox")
	testkit.Eventually(t, limit, "the inbox", func() bool { return len(x.messages("users/bob/inbox")) == len(s.Inbox("bob")) })
	x.ping()
}

func TestOverlappingFiltersDeliverOnce(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	c := connect(t, s, opts{user: "bob", v: 5})
	c.subWith(0, nil, "pacts/"+string(p)+"/#")
	c.mustSub("pacts/+/activity", "pacts/#", "pacts/"+string(p)+"/activity")
	say(t, s, p, 5)
	testkit.Eventually(t, limit, "five", func() bool { return len(c.activities(p)) >= 5 })
	c.ping()
	if got := seqs(c.activities(p)); !slices.Equal(got, upTo(3, 7)) {
		t.Errorf("%v", got)
	}
	for _, m := range c.messages("pacts/" + string(p) + "/activity") {
		if m.qos != 1 {
			t.Errorf("QoS %d", m.qos)
		}
	}
	c.unsub("pacts/+/activity", "pacts/#", "pacts/"+string(p)+"/activity", "pacts/"+string(p)+"/#")
	say(t, s, p, 2)
	c.ping()
	if n := len(c.activities(p)); n != 5 {
		t.Errorf("%d after UNSUBSCRIBE", n)
	}
}

func TestReceiveMaximumIsHonoured(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	for _, most := range []uint16{1, 3} {
		c := connect(t, s, opts{user: "bob", v: 5, hold: true, props: prop16(propReceiveMax, most)})
		c.subWith(1, userProp("after", "0"), "pacts/"+string(p)+"/activity")
		c.mustSub("users/bob/inbox", "pacts/+/state", "pacts/+/presence/+")
		say(t, s, p, 10)
		total := len(s.Activities("alice", p))
		acked := 0
		testkit.Eventually(t, limit, "all", func() bool {
			m := c.messages("")
			unacked := 0
			for _, x := range m[acked:] {
				if x.qos == 1 {
					unacked++
				}
			}
			if unacked > int(most) {
				t.Errorf("%d unacknowledged, Receive Maximum %d", unacked, most)
			}
			if unacked == int(most) || len(c.activities(p)) >= total {
				for _, x := range m[acked:] {
					c.ack(puback, x.id)
				}
				acked = len(m)
			}
			return len(c.activities(p)) >= total
		})
		if got := seqs(c.activities(p)); !slices.Equal(got, upTo(1, pactwire.Seq(total))) {
			t.Errorf("%v", got)
		}
		c.drop()
	}
}

func TestMaximumPacketSizeIsHonoured(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	c := connect(t, s, opts{user: "bob", v: 5, props: prop32(propMaxPacket, 600)})
	c.mustSub("pacts/" + string(p) + "/activity")
	a := connect(t, s, opts{user: "alice", id: "speaker"})
	for _, n := range []int{10, 1500, 20} {
		a.pub("pacts/"+string(p)+"/messages", fmt.Sprintf(`{"message":%q}`, strings.Repeat("x", n)))
	}
	testkit.Eventually(t, limit, "two that fit", func() bool { return len(c.activities(p)) == 2 })
	if got := seqs(c.activities(p)); !slices.Equal(got, []pactwire.Seq{3, 5}) {
		t.Errorf("%v", got)
	}
	c.ping()
	// what is larger than our own limit ends the connection
	c.raw(c.publishBytes(2, 1, "pacts/"+string(p)+"/messages", strings.Repeat("x", 65<<10)))
	if r := c.endedWith(); r != 0x95 {
		t.Errorf("DISCONNECT %#x", r)
	}
}

func TestQoS0SubscriberIsLiveOnly(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		p := s.NewPact("alice", "bob").ID
		c := connect(t, s, kept(v))
		if got := c.subWith(0, nil, "pacts/+/activity", "pacts/"+string(p)+"/state"); got[0] != 0 || got[1] != 0 {
			t.Fatalf("%#x", got)
		}
		say(t, s, p, 3)
		testkit.Eventually(t, limit, "three", func() bool { return len(c.activities(p)) == 3 })
		for _, m := range c.messages("") {
			if m.qos != 0 {
				t.Errorf("%s with QoS %d", m.topic, m.qos)
			}
		}
		c.drop()
		say(t, s, p, 3)
		c, ack := try(t, s, kept(v))
		if !ack.present {
			t.Error("the session is lost")
		}
		say(t, s, p, 1)
		testkit.Eventually(t, limit, "live", func() bool { return len(c.activities(p)) > 0 })
		c.ping()
		if got := seqs(c.activities(p)); !slices.Equal(got, []pactwire.Seq{9}) {
			t.Errorf("version %d: %v", v, got)
		}
	}
}

// After SUBACK come the state, then the presence of every member, with the retain flag; and again when the session is
// resumed; Retain Handling 2 asks for none.
func TestSnapshotsOnSubscribe(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	root := "pacts/" + string(p)
	look := func(c *client) (retained []string) {
		for _, m := range c.messages(root) {
			if m.retain {
				retained = append(retained, strings.TrimPrefix(m.topic, root))
			}
		}
		return retained
	}
	want := []string{"/state", "/presence/alice", "/presence/bob"}
	whole := func(c *client) func() bool { return func() bool { return len(look(c)) >= 3 } }
	for _, filters := range [][]string{{"pacts/#"}, {root + "/#"}, {"pacts/+/state", "pacts/+/presence/+"}, {root + "/presence/+", root + "/state"}} {
		c := connect(t, s, kept(5))
		c.mustSub(filters...)
		testkit.Eventually(t, limit, "snapshots", whole(c))
		got := look(c)
		slices.Sort(got[1:])
		if filters[0] != root+"/presence/+" && !slices.Equal(got, want) {
			t.Errorf("%v: %v", filters, got)
		}
		for _, m := range c.messages(root + "/presence/") {
			var pr pactwire.Presence
			if json.Unmarshal([]byte(m.payload), &pr) != nil || pr.PactID != p || pr.UserID == "" {
				t.Errorf("presence %s", m.payload)
			}
		}
		var st pactwire.State
		if m := c.messages(root + "/state"); json.Unmarshal([]byte(m[0].payload), &st) != nil || st.HeadSeq != 2 || len(st.Members) != 2 || st.Pact.ID != p {
			t.Errorf("state %s", m[0].payload)
		}
		if k := c.where(func(p packet) bool { return p.kind == suback || p.kind == publish }); k[0].kind != suback {
			t.Error("a snapshot before SUBACK")
		}
		c.drop()
		c, _ = try(t, s, kept(5))
		testkit.Eventually(t, limit, "snapshots of a resumed session", whole(c))
		c.ping()
		n := len(look(c))
		if got := c.subWith(1|2<<4, nil, filters...); got[0] != 1 {
			t.Errorf("%#x", got)
		}
		if got := c.subWith(1|1<<4, nil, filters...); got[0] != 1 { // it is not new
			t.Errorf("%#x", got)
		}
		c.pub("pacts/"+string(p)+"/messages", `{"message":""}`)
		if got := len(look(c)); got != n {
			t.Errorf("%d snapshots with Retain Handling", got-n)
		}
		c.quit()
		clean := kept(5)
		clean.keep = false
		connect(t, s, clean).quit()
	}
}

func TestAutoJoin(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	o := kept(5)
	o.props = append(o.props, userProp("auto-join", "true")...)
	c := connect(t, s, o)
	testkit.Eventually(t, limit, "snapshots", func() bool { return len(c.messages("pacts/")) >= 3 })
	say(t, s, p, 2)
	testkit.Eventually(t, limit, "activities", func() bool { return len(c.activities(p)) == 2 })
	c.pub("weather", "x")
	c.event(pactwire.EventError, 1)
}
