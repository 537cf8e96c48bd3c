package security_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// The scenarios of what only MQTT 5 has.

func interopSessionExpiry(r *room) {
	expiry := func(s uint32) func(*opts) { return with(prop32(propExpiry, s)) }
	meets := func(what string, present bool, set ...func(*opts)) *client {
		r.Helper()
		c, ack := r.ask("a", set...)
		if ack.code != 0 || ack.present != present {
			r.Errorf("%s: code %#x, Session Present %v", what, ack.code, ack.present)
		}
		return c
	}
	gone := func() { // after the library's next look, whenever that is
		r.Helper()
		for wait := 2 * time.Second; wait < time.Minute; wait *= 2 {
			r.pass(wait)
			c, ack := r.ask("a", stay, expiry(1))
			c.quit()
			if !ack.present {
				return
			}
		}
		r.Error("the session does not expire")
	}
	c := meets("clean", false, expiry(0))
	c.grant(2, nil, r.topic("A"))
	c.quit()
	meets("at once", false, stay, expiry(0)).quit()
	c = meets("clean again", false, expiry(60))
	c.grant(2, nil, r.topic("A"))
	c.quit()
	c = meets("within its time", true, stay, expiry(60))
	c.quitWith(0, prop32(propExpiry, 1)) // DISCONNECT shortens it
	gone()
	c = meets("begun anew", false, expiry(1))
	c.grant(2, nil, r.topic("A"))
	c.quitWith(0, prop32(propExpiry, 60)) // and lengthens it
	c = meets("lengthened", true, stay, expiry(1))
	c.quitWith(0, prop32(propExpiry, 0))
	meets("ended by DISCONNECT", false, stay, expiry(1)).quit()
}

func interopUserProperties(r *room) {
	c := r.join("a")
	c.grant(2, nil, r.topic("A"))
	for qos := range byte(3) {
		c.say(qos<<1, r.topic("A"), "", userProp("a", "2"), userProp("c", "3"))
	}
	got := c.hears(3)
	for _, m := range got {
		if m.user != "a=2&c=3" {
			r.Errorf("%+v", m)
		}
	}
	if !slices.Equal(qualities(got), []byte{0, 1, 2}) {
		r.Errorf("QoS %v", qualities(got))
	}
}

func interopPayloadFormat(r *room) {
	c := r.join("a")
	c.grant(2, nil, r.topic("A"))
	for qos := range byte(3) {
		c.say(qos<<1, r.topic("A"), "ü", []byte{propFormat, 1}, propStr(propContentType, "My name"))
	}
	for _, m := range c.hears(3) {
		if m.props[propFormat] != uint32(1) || m.props[propContentType] != "My name" {
			r.Errorf("%+v", m)
		}
	}
}

func interopPublicationExpiry(r *room) {
	b := r.join("b", keep)
	b.grant(2, nil, r.topic("A"))
	b.quit()
	a := r.join("a")
	for _, seconds := range []uint32{1, 60} {
		for _, qos := range []byte{1, 2} {
			a.say(qos<<1, r.topic("A"), fmt.Sprint(seconds), prop32(propMessageExpiry, seconds))
		}
	}
	r.pass(3 * time.Second)
	for _, m := range r.join("b", keep).hears(2) {
		if left, _ := m.props[propMessageExpiry].(uint32); m.payload != "60" || left == 0 || left >= 60 {
			r.Errorf("%+v", m)
		}
	}
}

func interopNoLocal(r *room) {
	a, b := r.join("a"), r.join("b")
	a.grant(2|4, nil, r.topic("A"))
	b.grant(2|4, nil, r.topic("A"))
	a.say(2, r.topic("A"), "no local")
	b.hears(1)
	a.hears(0)
}

func interopRetainOptions(r *room) {
	a := r.join("a")
	a.grant(2|8, nil, r.topic("as"))
	a.say(2, r.topic("as"), "not retained")
	a.say(2|1, r.topic("as"), "retained")
	if got := a.hears(2); got[0].retain || !got[1].retain {
		r.Errorf("retain as published: %+v", got)
	}
	p := r.join("p")
	for qos := range byte(3) {
		p.say(qos<<1|1, r.topic("A/"+fmt.Sprint(qos)), "kept")
	}
	for _, x := range []struct{ handling, first, second byte }{{0, 3, 6}, {1, 3, 3}, {2, 0, 0}} {
		c := r.join(fmt.Sprint("c", x.handling))
		c.grant(2|x.handling<<4, nil, r.topic("A/+"))
		c.hears(int(x.first))
		c.grant(2|x.handling<<4, nil, r.topic("A/+"))
		c.hears(int(x.second))
	}
}

func interopAssignedID(r *room) {
	c, ack := r.ask("")
	id, _ := ack.props[propAssignedID].(string)
	if id == "" {
		r.Fatalf("%+v", ack)
	}
	c.quit()
	r.join(id).quit()
}

func interopSubscriptionIDs(r *room) {
	a, b := r.join("a"), r.join("b")
	id := func(n uint64) []byte { return binary.AppendUvarint([]byte{propSubscription}, n) }
	a.grant(2, id(456789), r.topic("A"))
	b.grant(2, id(2), r.topic("A"))
	b.grant(2, id(3), r.topic("+"))
	b.say(2, r.topic("A"), "sub identifier test")
	if got := a.hears(1)[0].subs; !slices.Equal(got, []uint32{456789}) {
		r.Errorf("%v", got)
	}
	if got := b.hears(1)[0].subs; !slices.Equal(got, []uint32{2, 3}) {
		r.Errorf("%v", got)
	}
}

func interopRequestResponse(r *room) {
	a, b := r.join("a"), r.join("b")
	a.grant(2|4, nil, r.topic("A"))
	b.grant(2|4, nil, r.topic("A"))
	a.say(2, r.topic("A"), "request", propStr(propResponseTopic, r.topic("A")), propStr(propCorrelation, "334"))
	m := b.hears(1)[0]
	answer, _ := m.props[propResponseTopic].(string)
	if m.props[propCorrelation] != "334" || answer != r.topic("A") {
		r.Fatalf("%+v", m)
	}
	b.say(2, answer, "response", propStr(propCorrelation, "334"))
	if m := a.hears(1)[0]; m.payload != "response" || m.props[propCorrelation] != "334" {
		r.Errorf("%+v", m)
	}
}

func interopClientAlias(r *room) {
	c, ack := r.ask("a")
	if most, said := ack.props[propAliasMax]; said && most != uint32(0) {
		r.Fatalf("topic aliases are announced: %v", most)
	}
	c.raw(c.publishBytes(0, 0, r.topic("A"), "x", prop16(propAlias, 1)))
	if code := c.endedWith(); code != 0x94 {
		r.Errorf("an alias that was not offered ended with %#x", code)
	}
}

func interopServerAlias(r *room) {
	c := r.join("a", with(prop16(propAliasMax, 1)))
	c.grant(2, nil, r.topic("A"))
	for qos := range byte(3) {
		c.say(qos<<1, r.topic("A"), fmt.Sprint("alias ", qos))
	}
	for i, m := range c.hears(3) {
		want := ""
		if i == 0 {
			want = r.topic("A")
		}
		if m.props[propAlias] != uint32(1) || m.topic != want {
			r.Errorf("%d: %+v", i, m)
		}
	}
	none := r.join("b")
	none.grant(2, nil, r.topic("A"))
	c.say(0, r.topic("A"), "plain")
	if m := none.hears(1)[0]; m.props[propAlias] != nil || m.topic != r.topic("A") {
		r.Errorf("%+v", m)
	}
}

// interopAliasesThatWereTold: an alias is used once the client has it, and on that connection alone.
func interopAliasesThatWereTold(r *room) {
	a := r.join("a", keep, silent, with(prop16(propAliasMax, 5), prop32(propMaxPacket, 200)))
	a.grant(1, nil, r.topic("#"))
	b := r.join("b")
	b.say(2, r.topic("A"), strings.Repeat("too large ", 30))
	b.say(2, r.topic("A"), "one")
	b.say(2, r.topic("A"), "two")
	a.wait(2, "both", func(p packet) bool { return p.kind == publish })
	got := a.messages("")
	if m := got[0]; m.payload != "one" || m.topic != r.topic("A") || m.props[propAlias] != uint32(1) {
		r.Errorf("after one that was too large: %+v", m)
	}
	if m := got[1]; m.payload != "two" || m.topic != "" || m.props[propAlias] != uint32(1) {
		r.Errorf("the next: %+v", m)
	}
	a.drop()
	a, _ = r.ask("a", keep)
	for _, m := range a.hears(2) {
		if m.topic != r.topic("A") || m.props[propAlias] != nil {
			r.Errorf("on another connection: %+v", m)
		}
	}
}

// interopAliasesOfMany: each alias is told before it is used, also when several publish to a new topic at once.
func interopAliasesOfMany(r *room) {
	a := r.join("a", with(prop16(propAliasMax, 60000)))
	a.grant(0, nil, r.topic("#"))
	const publishers, topics = 4, 400
	start := make([]sync.WaitGroup, topics)
	for i := range start {
		start[i].Add(publishers)
	}
	var all sync.WaitGroup
	for i := range publishers {
		p := r.join(fmt.Sprint("p", i))
		all.Go(func() {
			for k := range topics {
				start[k].Done()
				start[k].Wait()
				p.raw(p.publishBytes(0, 0, r.topic(fmt.Sprint(k)), "x"))
			}
			p.ping()
		})
	}
	all.Wait()
	a.ping()
	told := map[any]bool{}
	for _, m := range a.messages("") {
		if alias := m.props[propAlias]; m.topic != "" {
			told[alias] = true
		} else if !told[alias] {
			r.Fatalf("alias %v is used before it is told", alias)
		}
	}
	if len(told) != topics {
		r.Errorf("%d aliases", len(told))
	}
}

// interopAliasOfARetainedMessage: one that is too large for the subscriber uses up no alias.
func interopAliasOfARetainedMessage(r *room) {
	b := r.join("b")
	b.say(2|1, r.topic("A"), strings.Repeat("too large ", 30))
	a := r.join("a", with(prop16(propAliasMax, 5), prop32(propMaxPacket, 200)))
	a.grant(1, nil, r.topic("#"))
	b.say(2, r.topic("A"), "one")
	if m := a.hears(1)[0]; m.topic != r.topic("A") {
		r.Errorf("%+v", m)
	}
	b.say(2|1, r.topic("A"), "") // take it back
}

func interopPacketSize(r *room) {
	c, ack := r.ask("a", with(prop32(propMaxPacket, 64)))
	most, _ := ack.props[propMaxPacket].(uint32)
	if most == 0 {
		r.Fatal("no Maximum Packet Size in CONNACK")
	}
	c.grant(2, nil, r.topic("A"))
	p := r.join("p")
	p.say(2, r.topic("A"), strings.Repeat("x", 100))
	p.say(2, r.topic("A"), "small")
	if got := c.hears(1); got[0].payload != "small" {
		r.Errorf("%+v", got)
	}
	p.raw(p.publishBytes(2, 9, r.topic("A"), strings.Repeat("x", int(most))))
	if code := p.endedWith(); code != 0x95 {
		r.Errorf("too large a packet ended with %#x", code)
	}
}

func interopServerKeepalive(r *room) {
	_, ack := r.ask("a", beat(120))
	if ack.props[propKeepAlive] != uint32(60) {
		r.Errorf("%+v", ack)
	}
}

// interopFlowToClient: with two messages not acknowledged the third waits, and each acknowledgement lets one more come.
func interopFlowToClient(r *room) {
	for _, qos := range []byte{1, 2} {
		c := r.join(fmt.Sprint("c", qos), with(prop16(propReceiveMax, 2)), silent)
		topic := r.topic(fmt.Sprint("A", qos))
		c.grant(2, nil, topic)
		const many = 7
		for i := range many {
			c.raw(c.publishBytes(2, c.id(), topic, fmt.Sprint("message ", i)))
		}
		p := r.join(fmt.Sprint("p", qos))
		for i := range many {
			p.say(qos<<1, topic, fmt.Sprint("other ", i))
		}
		for done := range 2 * many {
			got := c.wait(min(done+2, 2*many), "the next", func(p packet) bool { return p.kind == publish })
			c.ping()
			if n := len(c.messages("")); n > done+2 {
				r.Fatalf("%d messages with %d acknowledged and 2 allowed", n, done)
			}
			m := got[done]
			if m.qos == 2 {
				c.ack(pubrec, m.id)
				c.answered(pubrel, m.id, "PUBREL")
				c.ack(pubcomp, m.id)
			} else {
				c.ack(puback, m.id)
			}
		}
		for i, m := range c.messages("")[:many] {
			if m.payload != fmt.Sprint("message ", i) && m.payload != fmt.Sprint("other ", i) {
				r.Errorf("message %d is %q", i, m.payload)
			}
		}
		c.quit()
	}
}

// interopFlowToServer: who has more under way than the server offered is cut.
func interopFlowToServer(r *room) {
	c, ack := r.ask("a")
	most, _ := ack.props[propReceiveMax].(uint32)
	if most == 0 {
		r.Fatal("no Receive Maximum in CONNACK")
	}
	for range most + 1 {
		c.raw(c.publishBytes(4, c.id(), r.topic("A"), "x"))
	}
	if code := c.endedWith(); code != 0x93 {
		r.Errorf("ended with %#x", code)
	}
}

func interopWillDelay(r *room) {
	b := r.join("b")
	b.grant(2, nil, r.topic("C"))
	a := r.join("a", with(prop32(propExpiry, 60)), will(r.topic("C"), "late will", 0, prop32(propWillDelay, 2), userProp("a", "2")))
	began := time.Now()
	a.drop()
	m := b.hears(1)[0]
	if took := time.Since(began); took < time.Second || m.user != "a=2" {
		r.Errorf("after %v: %+v", took, m)
	}
}

func interopShared(r *room) {
	a, b := r.join("a"), r.join("b")
	for _, c := range []*client{a, b} {
		c.grant(2, nil, "$share/name/"+r.topic("A"), r.topic("all"))
	}
	p := r.join("p")
	const many = 40 // each goes to one of the two by chance
	for i := range many {
		p.say(2, r.topic("A"), fmt.Sprint("shared ", i))
	}
	p.say(2, r.topic("all"), "not shared")
	count := func(c *client, topic string) int { return len(c.messages(r.topic(topic))) }
	testkit.Eventually(r.T, limit, "all came", func() bool {
		return count(a, "A")+count(b, "A") >= many && count(a, "all") == 1 && count(b, "all") == 1
	})
	a.ping()
	b.ping()
	if x, y := count(a, "A"), count(b, "A"); x+y != many || x == 0 || y == 0 {
		r.Errorf("%d and %d of %d", x, y, many)
	}
}
