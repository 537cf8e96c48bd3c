package security_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// Both directions have packet ids of their own: a publish with the id of a message that is under way acknowledges nothing,
// and neither do packets that belong to no exchange.
func TestTrapOnePacketIDForBothDirections(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		p := s.NewPact("alice", "bob").ID
		o := kept(v)
		o.hold = true
		c := connect(t, s, o)
		c.mustSub("pacts/+/activity")
		say(t, s, p, 3)
		got := c.wait(3, "three", func(p packet) bool { return p.kind == publish })
		topic := "pacts/" + string(p) + "/messages"
		for _, m := range got {
			c.raw(c.publishBytes(2, m.id, topic, `{"message":"same id"}`))
			c.answered(puback, m.id, "PUBACK")
			c.raw(c.publishBytes(4, m.id, topic, `{"message":"same id, QoS 2"}`))
			c.answered(pubrec, m.id, "PUBREC")
			c.ack(pubrel, m.id)
			c.answered(pubcomp, m.id, "PUBCOMP")
			c.ack(pubrel, m.id) // of no exchange
			c.ack(puback, m.id+1000)
		}
		c.ping()
		c.drop()
		o.hold = false
		c, ack := try(t, s, o)
		if !ack.present {
			t.Error("no session")
		}
		testkit.Eventually(t, limit, "all again", func() bool { return len(c.activities(p)) >= 9 })
		c.ping()
		if got := seqs(c.activities(p)); !slices.Equal(got, upTo(3, 11)) {
			t.Errorf("version %d: %v", v, got)
		}
	}
}

// A wildcard session that was away when its owner joined a pact begins there with the owner's own partner_joined.
func TestJoinedWhileAway(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		c := connect(t, s, kept(v))
		c.mustSub("pacts/+/activity")
		c.quit()
		in := pactwire.PactInput{HabitGoalID: s.NewGoal("alice"), PartnerUserIDs: []pactwire.UserID{"carol", "bob"}}
		var made pactwire.Pact
		s.Must("alice", "POST", "/v1/pacts", in, &made)
		s.Must("carol", "POST", "/v1/pacts/"+string(made.ID)+"/accept", nil, nil)
		say(t, s, made.ID, 3)
		s.Must("bob", "POST", "/v1/pacts/"+string(made.ID)+"/accept", nil, nil)
		say(t, s, made.ID, 2)
		all := s.Activities("alice", made.ID)
		c, _ = try(t, s, kept(v))
		head := all[len(all)-1].Seq
		testkit.Eventually(t, limit, "up to the head", func() bool {
			as := c.activities(made.ID)
			return len(as) > 0 && as[len(as)-1].Seq == head
		})
		as := c.activities(made.ID)
		var data pactwire.MembershipData
		if json.Unmarshal(as[0].Data, &data) != nil || as[0].Type != pactwire.PartnerJoined || data.MemberUserID != "bob" {
			t.Errorf("version %d: it begins with %d %s %s", v, as[0].Seq, as[0].Type, as[0].Data)
		}
		if got := seqs(as); !slices.Equal(got, upTo(as[0].Seq, head)) {
			t.Errorf("version %d: %v", v, got)
		}
	}
}

// Removed and taken in again while a session was away: it goes on without a hole.
func TestRemovedAndBackWhileAway(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "carol", "bob").ID
	c := connect(t, s, kept(5))
	c.mustSub("pacts/+/activity")
	say(t, s, p, 2)
	testkit.Eventually(t, limit, "live", func() bool { return len(c.activities(p)) == 2 })
	first := c.activities(p)[0].Seq
	c.ping()
	c.quit()
	root := "/v1/pacts/" + string(p)
	s.Must("alice", "POST", root+"/remove", map[string]string{"userId": "bob"}, nil)
	say(t, s, p, 2)
	s.Must("alice", "POST", root+"/invite", map[string][]string{"userIds": {"bob"}}, nil)
	s.Must("bob", "POST", root+"/accept", nil, nil)
	say(t, s, p, 2)
	all := s.Activities("alice", p)
	head := all[len(all)-1].Seq
	c, _ = try(t, s, kept(5))
	testkit.Eventually(t, limit, "up to the head", func() bool {
		as := c.activities(p)
		return len(as) > 0 && as[len(as)-1].Seq == head
	})
	got := seqs(c.activities(p))
	if !slices.Equal(got, upTo(got[0], head)) || got[0] <= first+1 {
		t.Errorf("%v after %d", got, first+1)
	}
}

// Removed and taken in again while connected with a wildcard: it flows again.
func TestRemovedAndBackWhileConnected(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "carol", "bob").ID
	c := connect(t, s, kept(5))
	c.mustSub("pacts/+/activity", "users/bob/inbox")
	root := "/v1/pacts/" + string(p)
	for n := 1; n <= 3; n++ {
		s.Must("alice", "POST", root+"/remove", map[string]string{"userId": "bob"}, nil)
		c.event(pactwire.EventLeftPact, n)
		say(t, s, p, 2)
		s.Must("alice", "POST", root+"/invite", map[string][]string{"userIds": {"bob"}}, nil)
		s.Must("bob", "POST", root+"/accept", nil, nil)
		say(t, s, p, 2)
		all := s.Activities("alice", p)
		head := all[len(all)-1].Seq
		testkit.Eventually(t, limit, "up to the head", func() bool {
			as := c.activities(p)
			return len(as) > 0 && as[len(as)-1].Seq == head
		})
	}
	c.ping()
	if errs := testkit.Once("bob", c.activities(p)); len(errs) > 0 {
		t.Error(errs)
	}
}

// One who comes with less than a minute left is told as soon as the session speaks.
func TestTokenExpiringOnResume(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	c := connect(t, s, kept(5))
	c.mustSub("users/bob/inbox")
	c.quit()
	o := kept(5)
	o.token = testkit.Sign(jwt.MapClaims{"id": "bob", "exp": time.Now().Add(30 * time.Second).Unix()})
	c = connect(t, s, o)
	c.event(pactwire.EventTokenExpiring, 1)
}

func TestPactListOnSubscribe(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := string(s.NewPact("alice", "bob").ID)
	for _, f := range []string{"users/bob/pacts", "users/bob/#"} {
		c := connect(t, s, opts{user: "bob", v: 5})
		c.mustSub(f)
		m := c.wait(1, "the list", func(p packet) bool { return p.topic == "users/bob/pacts" })[0]
		if !m.retain || !json.Valid([]byte(m.payload)) || !strings.Contains(m.payload, p) {
			t.Errorf("%s: %+v", f, m)
		}
		c.quit()
	}
}
