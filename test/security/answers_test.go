package security_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// longBatch is the longest batch of check-ins, in a packet that is nearly as large as may be.
func longBatch() string {
	items := make([]string, pactwire.MaxBatch)
	for i := range items {
		items[i] = fmt.Sprintf(`{"id":"b%d","status":"completed","notes":"%d %s","ageMs":%d}`, i, i, strings.Repeat("x", 240), 1000*(len(items)-i))
	}
	return "[" + strings.Join(items, ",") + "]"
}

// TestTheAnswersToABatchAllCome: there are as many as check-ins, at once, and who takes one after the other is no slow client.
func TestTheAnswersToABatchAllCome(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	x := newThing(t, s, p)
	const replies = "users/alice/replies/x"
	for name, who := range map[string]struct {
		opts
		checkins, replies string
		props             []byte
	}{
		"a phone":                   {opts{user: "alice", v: 5}, "pacts/" + string(p) + "/checkins", replies, propStr(propResponseTopic, replies)},
		"a watch, one by one":       {opts{user: "alice", v: 5, props: prop16(propReceiveMax, 1)}, "pacts/" + string(p) + "/checkins", replies, propStr(propResponseTopic, replies)},
		"a thing that speaks 3.1.1": {x.opts(4), x.checkins(), x.replies(), nil},
		"a thing that speaks 5":     {x.opts(5), x.checkins(), x.replies(), nil},
	} {
		c := connect(t, s, who.opts)
		c.mustSub(who.replies)
		c.raw(c.publishBytes(2, c.id(), who.checkins, longBatch(), who.props))
		testkit.Eventually(t, limit, name+" has all answers, or is cut", func() bool {
			return c.isEnded() || len(c.messages(who.replies)) == pactwire.MaxBatch
		})
		if c.isEnded() {
			t.Errorf("%s was cut after %d answers", name, len(c.messages(who.replies)))
			continue
		}
		for i, m := range c.messages(who.replies) {
			var e pactwire.Event
			if err := json.Unmarshal([]byte(m.payload), &e); err != nil || e.CommandID == nil || *e.CommandID != fmt.Sprint("b", i) {
				t.Fatalf("%s: answer %d is %s", name, i, m.payload)
			}
		}
		c.quit()
	}
}

// TestHistoryComesInAsManyPartsAsItTakes, to who has room for one activity in a packet and takes one packet after the other.
func TestHistoryComesInAsManyPartsAsItTakes(t *testing.T) {
	t.Parallel()
	s, p, alice := pair(t, 5)
	const most = 200
	for i := range most {
		if a := alice.pub("pacts/"+string(p)+"/messages", fmt.Sprintf(`{"message":"%d %s"}`, i, strings.Repeat("x", 200))); a.code != 0 {
			t.Fatalf("%#x", a.code)
		}
	}
	c := connect(t, s, opts{user: "bob", v: 5, props: append(prop32(propMaxPacket, 1024), prop16(propReceiveMax, 1)...)})
	c.mustSub("users/bob/inbox")
	c.pub("pacts/"+string(p)+"/history", `{"id":"h","limit":200}`)
	var parts, items int
	testkit.Eventually(t, limit, "bob has the page, or is cut", func() bool {
		parts, items = 0, 0
		for _, e := range c.events(pactwire.EventPactHistory) {
			var page pactwire.HistoryPage
			if err := json.Unmarshal(e.Data, &page); err != nil {
				t.Fatal(err)
			}
			parts, items = parts+1, items+len(page.Items)
		}
		return c.isEnded() || items == most
	})
	if c.isEnded() || parts < most/2 {
		t.Errorf("cut: %v, with %d activities in %d parts", c.isEnded(), items, parts)
	}
}
