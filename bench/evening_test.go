package bench

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pactwire/pactwire/internal/rawmqtt"
)

// TestAGuestNoticesWhatIsWrong: receipts are counted once, and what is out of order, missing or repeated is seen.
func TestAGuestNoticesWhatIsWrong(t *testing.T) {
	r := &eveningRun{Evening: &Evening{}, tag: "e1-", receipts: make([]atomic.Uint32, 10)}
	g := &guest{Member: Member{Username: "bob"}, run: r, bit: 1, cheered: map[string]bool{}}
	hear := func(seq int, user, command, more string, dup bool) {
		g.hears(rawmqtt.Publish{Topic: []byte("pacts/p/activity"), Dup: dup, Payload: fmt.Appendf(nil,
			`{"id":"a%d","pactId":"p","seq":%d,"type":"checkin_completed","userId":%q,"userName":"X","commandId":%s,"data":{%s}}`, seq, seq, user, command, more)})
	}
	counts := func() string {
		return fmt.Sprintf("received %d, again %d, twice %d, out of order %d", r.received.Load(), r.again.Load(), r.dups.Load(), r.disorder.Load())
	}
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"a partner's", func() { hear(1, "alice", `"e1-0"`, `"checkinId":"c1"`, false) }, "received 1, again 0, twice 0, out of order 0"},
		{"one's own", func() { hear(2, "bob", `"e1-1"`, "", false) }, "received 1, again 0, twice 0, out of order 0"},
		{"another run's", func() { hear(3, "alice", `"e2-2"`, "", false) }, "received 1, again 0, twice 0, out of order 0"},
		{"nobody's", func() { hear(4, "alice", "null", "", false) }, "received 1, again 0, twice 0, out of order 0"},
		{"again after a reconnect", func() { hear(1, "alice", `"e1-0"`, "", true) }, "received 1, again 1, twice 0, out of order 0"},
		{"twice", func() { hear(1, "alice", `"e1-0"`, "", false) }, "received 1, again 1, twice 1, out of order 1"},
		{"after a gap", func() { hear(6, "alice", `"e1-3"`, "", false) }, "received 2, again 1, twice 1, out of order 2"},
		{"out of range", func() { hear(7, "alice", `"e1-10"`, "", false) }, "received 2, again 1, twice 1, out of order 2"},
	} {
		if step.do(); counts() != step.want {
			t.Errorf("%s: %s, want %s", step.what, counts(), step.want)
		}
	}
	if g.checkin != "c1" || g.activity != "a7" {
		t.Errorf("to celebrate %q, to react to %q", g.checkin, g.activity)
	}
}
