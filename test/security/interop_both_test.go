package security_test

import (
	"fmt"
	"slices"
	"time"
)

// The scenarios that run with MQTT 3.1.1 and with MQTT 5.

func interopBasic(r *room) {
	c := r.join("a")
	c.quit()
	c = r.join("a")
	c.grant(2, nil, r.topic("A"))
	for qos := range byte(3) {
		c.say(qos<<1, r.topic("A"), fmt.Sprint("qos ", qos))
	}
	if got := qualities(c.hears(3)); !slices.Equal(got, []byte{0, 1, 2}) {
		r.Errorf("QoS %v", got)
	}
	c.raw(connectPacket(opts{user: "x", v: r.v, token: "x"}))
	c.endedWith() // CONNECT twice
	c, ack := r.ask("b")
	c.drop()
	if ack.code != 0 {
		r.Errorf("%#x", ack.code)
	}
	nc := dial(r.T, r.s, r.v, false)
	nc.raw(frame(1<<4, append(str("hj"), r.v, 2, 0, 0, 0, 0, 0)))
	nc.endedWith()
}

func interopRetained(r *room) {
	c := r.join("a")
	var props [][]byte
	if r.v == 5 {
		props = [][]byte{userProp("a", "2"), userProp("c", "3")}
	}
	for qos := range byte(3) {
		c.say(qos<<1|1, r.topic(fmt.Sprint("q", qos)), fmt.Sprint("qos ", qos), props...)
	}
	c.grant(2, nil, r.topic("+"))
	got := c.hears(3)
	if !slices.Equal(qualities(got), []byte{0, 1, 2}) {
		r.Errorf("QoS %v", qualities(got))
	}
	for _, m := range got {
		if !m.retain || r.v == 5 && m.user != "a=2&c=3" {
			r.Errorf("%+v", m)
		}
	}
	for qos := range byte(3) {
		c.say(qos<<1|1, r.topic(fmt.Sprint("q", qos)), "")
	}
	again := r.join("b")
	again.grant(2, nil, r.topic("+"))
	again.hears(0)
}

func interopWill(r *room) {
	a := r.join("a", will(r.topic("C"), "client not disconnected", 0), beat(2))
	b := r.join("b", keep)
	b.grant(2, nil, r.topic("C"))
	a.drop()
	if got := b.hears(1); got[0].payload != "client not disconnected" {
		r.Errorf("%+v", got)
	}
	polite := r.join("c", will(r.topic("C"), "never", 0))
	polite.quit()
	b.hears(1)
}

func interopNoClientID(r *room) {
	c, ack := r.ask("", stay)
	if r.v == 4 {
		if ack.kind == connack && ack.code == 0 {
			r.Error("a session to keep was begun without a client id")
		}
	} else if ack.code != 0 || ack.props[propAssignedID] == nil {
		r.Errorf("%+v", ack)
	}
	c.drop()
	r.join("").quit()
}

func interopOffline(r *room) {
	a := r.join("a", keep)
	a.grant(2, nil, r.topic("+"))
	a.quit()
	b := r.join("b")
	for qos := range byte(3) {
		b.say(qos<<1, r.topic(fmt.Sprint("q", qos)), fmt.Sprint("qos ", qos))
	}
	a, ack := r.ask("a", keep)
	if !ack.present {
		r.Error("the session is lost")
	}
	if got := qualities(a.hears(2)); !slices.Equal(got, []byte{1, 2}) { // QoS 0 is not queued
		r.Errorf("QoS %v", got)
	}
}

func interopOverlapping(r *room) {
	c := r.join("a")
	c.grant(2, nil, r.topic("A/#"))
	c.grant(1, nil, r.topic("A/+"))
	c.say(4, r.topic("A/C"), "overlapping topic filters")
	if got := c.hears(1); got[0].qos != 2 {
		r.Errorf("%+v", got)
	}
}

func interopKeepalive(r *room) {
	b := r.join("b", beat(0))
	b.grant(2, nil, r.topic("late"))
	began := time.Now()
	a := r.join("a", beat(1), will(r.topic("late"), "keepalive expiry", 0))
	b.hears(1)
	if took := time.Since(began); took < time.Second || !a.isEnded() {
		r.Errorf("cut after %v, ended: %v", took, a.isEnded())
	}
}

func interopRedelivery(r *room) {
	b := r.join("b", keep, silent)
	b.grant(2, nil, r.topic("A/#"))
	p := r.join("p")
	p.say(2, r.topic("A/B"), "one")
	p.say(4, r.topic("A/C"), "two")
	b.wait(2, "both", func(p packet) bool { return p.kind == publish })
	b.drop()
	b, ack := r.ask("b", keep)
	if !ack.present {
		r.Error("the session is lost")
	}
	for _, m := range b.hears(2) {
		if !m.dup {
			r.Errorf("sent again without DUP: %+v", m)
		}
	}
	b.quit()
	r.join("b", keep).hears(0)
}

func interopSubscribeFailure(r *room) {
	if got := r.join("a").subWith(2, nil, "test/nosubscribe", r.topic("fine")); got[0] < 0x80 || got[1] != 2 {
		r.Errorf("%#x", got)
	}
}

func interopDollar(r *room) {
	b := r.join("b", beat(0))
	b.grant(2, nil, "+/"+r.topic("dollar"))
	b.say(2, "x/"+r.topic("dollar"), "a plain one")
	b.hears(1)
	b.say(2, "$x/"+r.topic("dollar"), "one with $")
	b.hears(1)
}

func interopUnsubscribe(r *room) {
	b := r.join("b")
	for _, topic := range []string{"0", "1", "2"} {
		b.grant(2, nil, r.topic(topic))
	}
	b.unsub(r.topic("0"))
	a := r.join("a")
	for _, topic := range []string{"0", "1", "2"} {
		a.say(2, r.topic(topic), "topic "+topic)
	}
	if got := b.hears(2); got[0].topic != r.topic("1") || got[1].topic != r.topic("2") {
		r.Errorf("%+v", got)
	}
}
