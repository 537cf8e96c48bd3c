package security_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

func TestLabIsPlainMQTT(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	p := string(s.NewPact("alice", "bob").ID)
	lab := []string{"lab"}
	for _, v := range []byte{4, 5} {
		c := connect(t, s, opts{user: "lara", roles: lab, id: "c", v: v})
		if got := c.subWith(2, nil, "#", "room/+", "a/b"); got[0] != 2 || got[1] != 2 || got[2] != 2 {
			t.Fatalf("version %d: %#x", v, got)
		}
		for _, f := range []string{"pacts/" + p + "/activity", "pacts/#", "pacts/+/activity", "users/#", "users/lara/inbox", "devices/#", "$SYS/#", "$pactwire/nobody",
			"$share/g/pacts/#", "$SHARE/g/pacts/" + p + "/activity", "$share/g/$SYS/#", "test/nosubscribe"} {
			if got := c.sub(f); got[0] < 0x80 {
				t.Errorf("version %d: lab may subscribe to %s", v, f)
			}
		}
		for _, topic := range []string{"pacts/" + p + "/activity", "pacts/" + p + "/checkins", "users/alice/inbox", "users/lara/presence", "devices/d/checkins", "$SYS/x", "$pactwire/nobody"} {
			want := byte(0)
			if v == 5 {
				want = 0x87
			}
			if ack := c.pub(topic, "done"); ack.code != want {
				t.Errorf("version %d: publish to %s: %#x, want %#x", v, topic, ack.code, want)
			}
		}
		// QoS 2 both ways
		w := connect(t, s, opts{user: "lena", roles: lab, id: "w", v: v, willTopic: "room/will", will: "gone", willFlags: 0x08})
		w.raw(w.publishBytes(4, 9, "room/two", "twice never"))
		w.answered(pubrec, 9, "PUBREC")
		w.ack(pubrel, 9)
		w.answered(pubcomp, 9, "PUBCOMP")
		got := c.wait(1, "QoS 2", func(p packet) bool { return p.topic == "room/two" })
		if got[0].qos != 2 {
			t.Errorf("QoS %d", got[0].qos)
		}
		// retain
		w.raw(w.publishBytes(2|1, 10, "room/kept", "kept"))
		w.answered(puback, 10, "PUBACK")
		r := connect(t, s, opts{user: "lars", roles: lab, id: "r", v: v})
		r.mustSub("room/kept")
		if m := r.wait(1, "the retained one", func(p packet) bool { return p.kind == publish }); !m[0].retain || m[0].payload != "kept" {
			t.Errorf("%+v", m[0])
		}
		w.raw(w.publishBytes(2|1, 11, "room/kept", ""))
		w.answered(puback, 11, "PUBACK")
		// will
		w.drop()
		c.wait(1, "the will", func(p packet) bool { return p.topic == "room/will" && p.payload == "gone" })
		// shared subscription
		a, b := connect(t, s, opts{user: "lars", roles: lab, id: "s1", v: v}), connect(t, s, opts{user: "lars", roles: lab, id: "s2", v: v})
		a.mustSub("$share/g/jobs")
		b.mustSub("$share/g/jobs")
		for range 10 {
			c.pub("jobs", "work")
		}
		testkit.Eventually(t, limit, "ten jobs for two", func() bool { return len(a.messages("jobs"))+len(b.messages("jobs")) >= 10 })
		a.ping()
		b.ping()
		if n := len(a.messages("jobs")) + len(b.messages("jobs")); n != 10 {
			t.Errorf("%d jobs", n)
		}
		// '#' sees none of the product's traffic
		alice := connect(t, s, opts{user: "alice", v: v})
		alice.mustSub("pacts/#", "users/alice/#")
		alice.pub("pacts/"+p+"/messages", `{"message":"x"}`)
		testkit.Eventually(t, limit, "the message", func() bool { return len(alice.messages("pacts/"+p+"/activity")) == 1 })
		alice.quit()
		c.pub("room/end", "end")
		c.wait(1, "the end", func(p packet) bool { return p.topic == "room/end" })
		for _, m := range c.messages("") {
			for _, product := range []string{"pacts", "users", "devices", "$"} {
				if strings.HasPrefix(m.topic, product) {
					t.Errorf("lab got %s", m.topic)
				}
			}
		}
		c.quit()
	}
	// A lab will names lab topics alone.
	for v, want := range map[byte]byte{4: 5, 5: 0x87} {
		for _, topic := range []string{"pacts/" + p + "/activity", "users/alice/inbox", "$SYS/x"} {
			if _, ack := try(t, s, opts{user: "lara", roles: lab, v: v, willTopic: topic, will: "x"}); ack.code != want {
				t.Errorf("lab will on %s: CONNACK %#x", topic, ack.code)
			}
		}
	}
}

// How long a message may wait is its sender's to say: who said nothing has said nothing to the receivers either.
func TestLabMessagesHaveTheExpiryOfTheirSender(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	c := connect(t, s, opts{user: "lara", roles: []string{"lab"}, v: 5})
	c.mustSub("live/#")
	for i, asked := range []uint32{0, 60, 1_000_000} {
		var props [][]byte
		if asked > 0 {
			props = append(props, prop32(propMessageExpiry, asked))
		}
		name := strconv.Itoa(i)
		c.pub("live/"+name, "x", props...)
		c.raw(c.publishBytes(2|1, uint16(900+i), "kept/"+name, "x", props...))
		c.answered(puback, uint16(900+i), "PUBACK")
		c.mustSub("kept/" + name)
		for _, topic := range []string{"live/" + name, "kept/" + name} {
			m := c.wait(1, topic, func(p packet) bool { return p.topic == topic })[0]
			got, _ := m.props[propMessageExpiry].(uint32)
			if got > asked || got+5 < asked {
				t.Errorf("%s: asked for %d, told %d", topic, asked, got)
			}
		}
	}
}

// Role lab is held to the same number of subscriptions, also over a reconnect, and an operator's $SYS is too.
func TestTrapSixtyFifthSubscriptionOutsideTheProduct(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	for v, want := range map[byte]byte{4: 0x80, 5: 0x97} {
		for _, o := range []opts{{user: "lara", roles: []string{"lab"}, id: "kept" + strconv.Itoa(int(v)), v: v, keep: true, props: prop32(propExpiry, 60)}, {user: "olga", roles: []string{"operator"}, v: v}} {
			if v == 4 {
				o.props = nil
			}
			prefix := "room/"
			if o.user == "olga" {
				prefix = "$SYS/broker/"
			}
			c := connect(t, s, o)
			var filters []string
			for i := range 70 {
				filters = append(filters, prefix+strconv.Itoa(i))
			}
			for i, code := range c.sub(filters...) {
				if exp := want; i < 64 && code > 1 || i >= 64 && code != exp {
					t.Errorf("%s, version %d, filter %d: %#x", o.user, v, i, code)
				}
			}
			if o.keep {
				c.quit()
				c = connect(t, s, o)
			}
			if got := c.sub(filters[3], filters[64]); got[0] > 1 || got[1] != want {
				t.Errorf("%s, version %d, one that is there and one more: %#x", o.user, v, got)
			}
			c.unsub(filters[:2]...)
			if got := c.sub(filters[64:67]...); got[0] > 1 || got[1] > 1 || got[2] != want {
				t.Errorf("%s, version %d, two in the place of two: %#x", o.user, v, got)
			}
			c.quit()
		}
	}
}

// Without lab.enabled the role means nothing.
func TestLabIsOffByDefault(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	c := connect(t, s, opts{user: "lara", roles: []string{"lab"}, v: 5})
	if got := c.sub("#", "weather"); got[0] != 0x87 || got[1] != 0x87 {
		t.Errorf("%#x", got)
	}
	if ack := c.pub("weather", "x"); ack.code != 0x87 {
		t.Errorf("PUBACK %#x", ack.code)
	}
}

func TestTrapLabTakeoverOfManyAtOnce(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	const many = 100
	clients := make([]*client, many)
	acks := make([]packet, many)
	var all sync.WaitGroup
	slots := make(chan struct{}, 25)
	for i := range many {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			clients[i], acks[i] = try(t, s, opts{user: "lara", roles: []string{"lab"}, id: "one", v: 5})
		})
	}
	all.Wait()
	standing := func() (n int) {
		for _, c := range clients {
			if !c.isEnded() {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, limit, "one is left", func() bool { return standing() <= 1 })
	testkit.Never(t, 300*time.Millisecond, "nobody is left", func() bool { return standing() != 1 })
	other := connect(t, s, opts{user: "lena", roles: []string{"lab"}, id: "one", v: 5}) // another user's
	other.ping()
	for _, c := range clients {
		if !c.isEnded() {
			c.mustSub("x/y")
			other.pub("x/y", "hello")
			c.wait(1, "a message", func(p packet) bool { return p.kind == publish })
		}
	}
}

// TestTrapReceiveMaximumUnderLoad: the library deadlocks a client that set a Receive Maximum and acknowledges while several
// publish to it, and drops what comes faster than its queue empties. We count and send ourselves.
func TestTrapReceiveMaximumUnderLoad(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	c := connect(t, s, opts{user: "lara", roles: []string{"lab"}, id: "c", v: 5, props: prop16(propReceiveMax, 3)})
	c.mustSub("busy/+")
	const publishers, each = 3, 150
	var all sync.WaitGroup
	for i := range publishers {
		p := connect(t, s, opts{user: "lena", roles: []string{"lab"}, id: string(rune('a' + i)), v: 5})
		all.Go(func() {
			for range each { // as fast as it can: the library's own queue would drop most of them
				p.raw(p.publishBytes(2, p.id(), "busy/"+string(rune('a'+i)), "x"))
			}
		})
	}
	all.Wait()
	testkit.Eventually(t, limit, "all messages", func() bool { return len(c.messages("busy/")) >= publishers*each })
	c.ping()
	if n := len(c.messages("busy/")); n != publishers*each {
		t.Errorf("%d messages", n)
	}
}

// TestLabMessagesToManyKeepTheirOrder: what goes to very many is written a moment later, and nothing overtakes it, nor does it
// wait for a connection that takes nothing.
func TestLabMessagesToManyKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	const many, events = 80, 60
	clients := make([]*client, many)
	for i := range clients {
		clients[i] = connect(t, s, opts{user: pactwire.UserID("lara" + strconv.Itoa(i/10)), roles: []string{"lab"}, id: "c" + strconv.Itoa(i), v: 4 + byte(i%2)})
		clients[i].mustSub("wide/all", "wide/"+strconv.Itoa(i))
	}
	p := connect(t, s, opts{user: "lena", roles: []string{"lab"}, id: "p", v: 5})
	for n := range events { // to all, and at once after that to one alone
		p.raw(p.publishBytes(2, p.id(), "wide/all", strconv.Itoa(2*n)))
		p.raw(p.publishBytes(2, p.id(), "wide/"+strconv.Itoa(n), strconv.Itoa(2*n+1)))
	}
	for i, c := range clients {
		want := events
		if i < events {
			want++
		}
		got := c.wait(want, "all messages", func(p packet) bool { return p.kind == publish })
		last := -1
		for _, m := range got {
			n, err := strconv.Atoi(m.payload)
			if err != nil || n <= last {
				t.Fatalf("client %d got %q after %d", i, m.payload, last)
			}
			last = n
		}
		if len(got) != want {
			t.Errorf("client %d got %d, want %d", i, len(got), want)
		}
	}
}
