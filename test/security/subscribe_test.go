package security_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

func TestTrapWildcardsOfEachRole(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := string(s.NewPact("alice", "bob").ID)
	const denied, shared = 0x87, 0x9e
	for _, c := range []struct {
		filter                     string
		outsider, member, operator byte
	}{
		{"pacts/" + p + "/activity", denied, 1, 1},
		{"pacts/" + p + "/state", denied, 1, 1},
		{"pacts/" + p + "/presence/alice", denied, 1, 1},
		{"pacts/" + p + "/presence/mallory", denied, denied, 1},
		{"pacts/" + p + "/presence/nobody", denied, denied, 1},
		{"pacts/" + p + "/presence/+", denied, 1, 1},
		{"pacts/" + p + "/#", denied, 1, 1},
		{"pacts/" + p + "/+", denied, denied, 1},
		{"pacts/" + p + "/presence/#", denied, denied, 1},
		{"pacts/" + p, denied, denied, 1},
		{"pacts/" + p + "/checkins", denied, denied, 1},
		{"pacts/" + p + "/messages", denied, denied, 1},
		{"pacts/" + p + "/history", denied, denied, 1},
		{"pacts/unknown/activity", denied, denied, 1},
		{"pacts/unknown/#", denied, denied, 1},
		{"pacts/+/activity", 1, 1, 1},
		{"pacts/+/state", 1, 1, 1},
		{"pacts/+/presence/+", 1, 1, 1},
		{"pacts/#", 1, 1, 1},
		{"pacts/+/#", denied, denied, 1},
		{"pacts/+/+", denied, denied, 1},
		{"pacts/+", denied, denied, 1},
		{"pacts/+/presence/#", denied, denied, 1},
		{"pacts/+/checkins", denied, denied, 1},
		{"PACTS/+/activity", denied, denied, 1},
		{"+/+/activity", denied, denied, 1},
		{"+/" + p + "/activity", denied, denied, 1},
		{"#", denied, denied, 1},
		{"+/#", denied, denied, 1},
		{"/#", denied, denied, 1},
		{"users/+/inbox", denied, denied, 1},
		{"users/#", denied, denied, 1},
		{"users/alice/inbox", denied, 1, 1},
		{"users/alice/#", denied, 1, 1},
		{"users/alice/pacts", denied, 1, 1},
		{"users/alice/replies/x", denied, 1, 1},
		{"users/bob/inbox", denied, denied, 1},
		{"users/bob/#", denied, denied, 1},
		{"devices/#", denied, denied, 1},
		{"$SYS/#", denied, denied, 1},
		{"$SYS/broker/version", denied, denied, 1},
		{"$pactwire/nobody", denied, denied, 1},
		{"$share/g/pacts/" + p + "/activity", shared, shared, shared},
		{"$share/g/#", shared, shared, shared},
		{"$SHARE/g/pacts/" + p + "/activity", shared, shared, shared},
		{"weather", denied, denied, 1},
		{"pacts//activity", denied, denied, 1},
		{"pacts/" + p + "/activity/", denied, denied, 1},
	} {
		for who, want := range map[*opts]byte{{user: "mallory"}: c.outsider, {user: "alice"}: c.member, {user: "olga", roles: []string{"operator"}}: c.operator} {
			for _, v := range []byte{4, 5} {
				o := *who
				o.v, o.id = v, "f"
				cl := connect(t, s, o)
				got := cl.sub(c.filter)
				exp := want
				if v == 4 && want >= 0x80 {
					exp = 0x80
				}
				okay := bytes.Equal(got, []byte{exp})
				if want >= 0x80 && v == 5 && c.filter[0] == '$' && got[0] >= 0x80 && want != shared {
					okay = true // which refusal a topic of the broker's own gets is not promised
				}
				if o.user == "olga" && exp == 1 && got[0] <= 1 {
					okay = true // $SYS comes with the QoS that the library grants
				}
				if !okay {
					t.Errorf("%s subscribes to %s, version %d: %#x, want %#x", o.user, c.filter, v, got, exp)
				}
				cl.ping()
				cl.quit()
			}
		}
	}
}

func TestEachFilterHasItsOwnCode(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := string(s.NewPact("alice", "bob").ID)
	for v, want := range map[byte][]byte{4: {1, 0x80, 0x80, 1, 0x80}, 5: {1, 0x87, 0x9e, 1, 0x87}} {
		c := connect(t, s, opts{user: "alice", v: v})
		got := c.sub("pacts/"+p+"/activity", "pacts/x/activity", "$share/g/pacts/"+p+"/activity", "users/alice/inbox", "users/bob/inbox")
		if !bytes.Equal(got, want) {
			t.Errorf("version %d: %#x, want %#x", v, got, want)
		}
		if got := c.subWith(2, nil, "pacts/"+p+"/state"); !bytes.Equal(got, []byte{1}) {
			t.Errorf("version %d: QoS 2 granted as %#x", v, got)
		}
		if v == 5 {
			if u := c.unsub("pacts/"+p+"/activity", "never"); !bytes.Equal(u.codes, []byte{0, 0x11}) {
				t.Errorf("UNSUBACK %#x", u.codes)
			}
		}
	}
}

// A place to start from that is no number must not start the stream somewhere else without a word.
func TestAfterThatIsNoPlaceIsRefused(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := string(s.NewPact("alice", "bob").ID)
	const reasonString, notSo = 0x1f, 0x83
	bad := map[string][]byte{"twice": join(userProp("after", "1"), userProp("after", "2"))}
	for _, v := range []string{"", "x", "-1", "+1", "1.5", "0x1", " 1", "9223372036854775808"} {
		bad[v] = userProp("after", v)
	}
	for name, props := range bad {
		c := connect(t, s, opts{user: "alice", v: 5})
		got := c.subWith(1, props, "pacts/"+p+"/activity", "users/alice/#", "pacts/+/activity", "pacts/"+p+"/state", "users/bob/inbox", "pacts/none/activity")
		if want := []byte{notSo, notSo, 1, 1, 0x87, notSo}; !bytes.Equal(got, want) {
			t.Errorf("after %q: %#x, want %#x", name, got, want)
		}
		if why, _ := c.of(suback)[0].props[reasonString].(string); !strings.Contains(why, "after") {
			t.Errorf("after %q: no word about it: %v", name, c.of(suback)[0].props)
		}
		c.mustSub("pacts/"+p+"/activity", "users/alice/inbox")
		if _, said := c.of(suback)[1].props[reasonString]; said {
			t.Errorf("after %q: the next SUBACK says so again", name)
		}
		c.quit()
	}
	for filter, word := range map[string]string{"users/alice/inbox": "QoS 0", "pacts/+/activity": "one stream", "pacts/" + p + "/state": "one stream", "users/bob/inbox": ""} {
		c := connect(t, s, opts{user: "alice", v: 5})
		c.subWith(0, userProp("after", "0"), filter)
		if why, _ := c.of(suback)[0].props[reasonString].(string); !strings.Contains(why, word) || word == "" && why != "" {
			t.Errorf("%s with QoS 0: told %q", filter, why)
		}
		c.subWith(1, userProp("after", "0"), "users/alice/inbox")
		if why, said := c.of(suback)[1].props[reasonString]; said {
			t.Errorf("an after that is heeded: told %q", why)
		}
		c.quit()
	}
	for _, x := range []struct {
		opts
		qos    byte
		filter string
		word   string
	}{
		{opts{user: "alice", v: 5}, 0, "users/alice/inbox", "QoS 0"}, // live only, wherever it is to start
		{opts{user: "olga", roles: []string{"operator"}, v: 5}, 1, "pacts/" + p + "/activity", "operator"},
	} {
		for _, props := range [][]byte{userProp("after", "0"), bad["x"]} {
			c := connect(t, s, x.opts)
			got := c.subWith(x.qos, props, x.filter)
			if why, _ := c.of(suback)[0].props[reasonString].(string); got[0] != x.qos || !strings.Contains(why, x.word) {
				t.Errorf("%s with QoS %d and %q: %#x, told %q", x.filter, x.qos, props, got, why)
			}
			c.quit()
		}
	}
	c := connect(t, s, opts{user: "alice", v: 5, props: []byte{0x17, 0}})
	if got := c.subWith(1, bad["x"], "users/alice/inbox"); got[0] != notSo || len(c.of(suback)[0].props) > 0 {
		t.Errorf("who wants no reasons: %#x, %v", got, c.of(suback)[0].props)
	}
	for most := uint32(64); most < 120; most += 3 { // the word is left out where it does not fit, and the SUBACK comes
		c := connect(t, s, opts{user: "alice", v: 5, props: prop32(propMaxPacket, most)})
		if got := c.subWith(1, bad["x"], "users/alice/inbox"); got[0] != notSo {
			t.Errorf("packets of %d: %#x", most, got)
		}
		c.quit()
	}
}

func TestTrapSixtyFifthSubscription(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	for v, want := range map[byte]byte{4: 0x80, 5: 0x97} {
		c := connect(t, s, opts{user: "alice", v: v})
		var filters []string
		for i := range 64 {
			filters = append(filters, fmt.Sprint("users/alice/replies/r", i))
		}
		c.mustSub(filters...)
		if got := c.sub("users/alice/inbox"); got[0] != want {
			t.Errorf("version %d: %#x, want %#x", v, got, want)
		}
		c.mustSub(filters[3]) // one that is there is not one more
		c.unsub(filters[0])
		c.mustSub("users/alice/inbox")
	}
}

// An outsider with every wildcard that is granted to anyone gets nothing, while members get all, also of a pact that is
// made and joined later, from their own partner_joined; and the operator sees everything live.
func TestPromise5MembersOnly(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	old := s.NewPact("alice", "bob").ID
	wild := []string{"pacts/#", "pacts/+/activity", "pacts/+/state", "pacts/+/presence/+"}
	mallory := connect(t, s, opts{user: "mallory", v: 5})
	mallory.mustSub(wild...)
	mallory.mustSub("users/mallory/inbox")
	mallory.sub("#", "pacts/+/#", "pacts/"+string(old)+"/activity", "users/#", "$share/g/pacts/#")
	late := connect(t, s, opts{user: "carol", v: 5})
	late.mustSub("pacts/+/activity", "users/carol/#")
	bob := connect(t, s, opts{user: "bob"})
	bob.mustSub(wild...)
	olga := connect(t, s, opts{user: "olga", roles: []string{"operator"}, v: 5})
	olga.mustSub("#")

	checkin := func(u pactwire.UserID, p pactwire.PactID, notes string) {
		t.Helper()
		s.Must(u, "POST", "/v1/pacts/"+string(p)+"/checkins", map[string]string{"status": "completed", "notes": notes}, nil)
	}
	checkin("alice", old, "one")
	in := pactwire.PactInput{HabitGoalID: s.NewGoal("alice"), PartnerUserIDs: []pactwire.UserID{"bob", "carol"}}
	var made pactwire.Pact
	s.Must("alice", "POST", "/v1/pacts", in, &made)
	s.Must("bob", "POST", "/v1/pacts/"+string(made.ID)+"/accept", nil, nil)
	checkin("alice", made.ID, "two")
	s.Must("carol", "POST", "/v1/pacts/"+string(made.ID)+"/accept", nil, nil)
	checkin("bob", made.ID, "three")

	log := s.Activities("alice", made.ID)
	head := log[len(log)-1].Seq
	last := func(c *client, p pactwire.PactID) pactwire.Seq {
		as := c.activities(p)
		if len(as) == 0 {
			return 0
		}
		return as[len(as)-1].Seq
	}
	testkit.Eventually(t, limit, "bob has all", func() bool { return last(bob, made.ID) == head && last(bob, old) == 3 })
	testkit.Eventually(t, limit, "carol has all", func() bool { return last(late, made.ID) == head })
	testkit.Eventually(t, limit, "the operator has all", func() bool { return last(olga, made.ID) == head && last(olga, old) == 3 })
	if as := bob.activities(made.ID); as[0].Seq != 1 || as[0].Type != pactwire.PartnerJoined {
		t.Errorf("bob's story of the new pact begins with %d %s", as[0].Seq, as[0].Type)
	}
	carols := late.activities(made.ID)
	var joined pactwire.MembershipData
	if json.Unmarshal(carols[0].Data, &joined) != nil || carols[0].Type != pactwire.PartnerJoined || joined.MemberUserID != "carol" {
		t.Errorf("carol's story begins with %s %s", carols[0].Type, carols[0].Data)
	}
	if len(late.activities(old)) != 0 {
		t.Error("carol got a pact that is not hers")
	}
	if n := len(olga.activities(made.ID)); pactwire.Seq(n) != head {
		t.Errorf("the operator got %d of %d", n, head)
	}
	for _, m := range olga.messages("") {
		if m.retain {
			t.Errorf("the operator got a snapshot of %s", m.topic)
		}
	}
	mallory.ping()
	mallory.pub("pacts/"+string(old)+"/checkins", "done")
	mallory.event(pactwire.EventError, 1)
	for _, m := range mallory.messages("") {
		if !strings.HasPrefix(m.topic, "users/mallory/inbox") {
			t.Errorf("mallory got %s %s", m.topic, m.payload)
		}
	}
}

// A pact that is not yours and one that does not exist look the same.
func TestPromise5ForeignLooksUnknown(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := string(s.NewPact("alice", "bob").ID)
	unknown := strings.Repeat("z", len(p))
	c := connect(t, s, opts{user: "mallory", v: 5})
	c.mustSub("users/mallory/inbox")
	for _, pattern := range []string{"pacts/%s/checkins", "pacts/%s/messages", "pacts/%s/history", "pacts/%s/activity"} {
		foreign, none := c.pub(fmt.Sprintf(pattern, p), `{"status":"completed","message":"x"}`), c.pub(fmt.Sprintf(pattern, unknown), `{"status":"completed","message":"x"}`)
		if foreign.code != none.code || foreign.code != 0x87 || fmt.Sprint(foreign.props) != strings.ReplaceAll(fmt.Sprint(none.props), unknown, p) {
			t.Errorf("%s: %#x %v, unknown: %#x %v", pattern, foreign.code, foreign.props, none.code, none.props)
		}
	}
	testkit.Eventually(t, limit, "eight errors", func() bool { return len(c.events(pactwire.EventError)) == 8 })
	list := c.events(pactwire.EventError)
	for i := 0; i < len(list); i += 2 {
		if a, b := string(list[i].Data), strings.ReplaceAll(string(list[i+1].Data), unknown, p); a != b {
			t.Errorf("foreign: %s, unknown: %s", a, b)
		}
	}
	for _, path := range []string{"", "/activities"} {
		a, abody, _ := s.Call("mallory", "GET", "/v1/pacts/"+p+path, nil)
		b, bbody, _ := s.Call("mallory", "GET", "/v1/pacts/"+unknown+path, nil)
		if a != 404 || a != b || string(abody) != strings.ReplaceAll(string(bbody), unknown, p) {
			t.Errorf("GET %s: %d %s, unknown: %d %s", path, a, abody, b, bbody)
		}
	}
	a, abody, _ := s.Call("mallory", "POST", "/v1/pacts/"+p+"/checkins", map[string]string{"status": "completed"})
	b, bbody, _ := s.Call("mallory", "POST", "/v1/pacts/"+unknown+"/checkins", map[string]string{"status": "completed"})
	if a != 404 || a != b || string(abody) != strings.ReplaceAll(string(bbody), unknown, p) {
		t.Errorf("POST: %d %s, unknown: %d %s", a, abody, b, bbody)
	}
}

func TestTrapRevocationTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"exact", "everything of it", "wildcard"} {
		for _, v := range []byte{4, 5} {
			t.Run(fmt.Sprint(filter, " ", v), func(t *testing.T) {
				s := testkit.Start(t, nil)
				pact := s.NewPact("alice", "bob", "carol").ID
				p := string(pact)
				f := map[string]string{"exact": "pacts/" + p + "/activity", "everything of it": "pacts/" + p + "/#", "wildcard": "pacts/+/activity"}[filter]
				o := opts{user: "carol", id: "here", v: v}
				carol := connect(t, s, o)
				carol.mustSub(f, "users/carol/#")
				away := o
				away.id, away.keep = "away", true
				if v == 5 {
					away.props = prop32(propExpiry, 600)
				}
				gone := connect(t, s, away)
				gone.mustSub(f)
				gone.quit()
				alice := connect(t, s, opts{user: "alice"})
				alice.mustSub("pacts/" + p + "/activity")
				say := func(text string) {
					t.Helper()
					alice.pub("pacts/"+p+"/messages", fmt.Sprintf(`{"message":%q}`, text))
				}
				say("before")
				testkit.Eventually(t, limit, "carol reads", func() bool { return len(carol.activities(pact)) == 1 })
				lists := len(carol.messages("users/carol/pacts"))
				s.Must("alice", "POST", "/v1/pacts/"+p+"/remove", map[string]string{"userId": "carol"}, nil)
				removed := time.Now()
				say("after")
				carol.event(pactwire.EventLeftPact, 1)
				testkit.Eventually(t, time.Second, "a new list of pacts", func() bool {
					m := carol.messages("users/carol/pacts")
					return len(m) > lists && !strings.Contains(m[len(m)-1].payload, p)
				})
				if took := time.Since(removed); took > time.Second {
					t.Errorf("it took %v", took)
				}
				testkit.Eventually(t, limit, "alice reads", func() bool { return len(alice.activities(pact)) == 3 })
				say("later")
				testkit.Eventually(t, limit, "alice reads", func() bool { return len(alice.activities(pact)) == 4 })
				carol.ping()
				if as := carol.activities(pact); len(as) != 1 {
					t.Errorf("carol got %v", seqs(as))
				}
				ack := carol.pub("pacts/"+p+"/checkins", "done")
				if want := map[byte]byte{4: 0, 5: 0x87}[v]; ack.code != want {
					t.Errorf("PUBACK %#x, want %#x", ack.code, want)
				}
				e := carol.event(pactwire.EventError, 1)
				if !strings.Contains(string(e.Data), `"denied"`) {
					t.Errorf("SERVER:ERROR %s", e.Data)
				}
				if got := carol.sub("pacts/" + p + "/activity"); got[0] < 0x80 {
					t.Error("carol may subscribe again")
				}
				carol.ping()

				back, ack2 := try(t, s, away)
				if !ack2.present {
					t.Error("the session was lost")
				}
				back.mustSub("users/carol/inbox")
				back.pub("pacts/"+p+"/checkins", "done")
				back.event(pactwire.EventError, 1)
				for _, a := range back.activities(pact) {
					if a.Seq > carol.activities(pact)[0].Seq {
						t.Errorf("the session that was away got seq %d", a.Seq)
					}
				}
			})
		}
	}
}
