package relay

import (
	"fmt"
	"testing"

	"github.com/pactwire/pactwire"
)

func TestADepartureIsUnheardOnce(t *testing.T) {
	entry := func(seq pactwire.Seq, typ, words, who string) pactwire.Entry {
		return pactwire.Entry{Seq: seq, Payload: fmt.Appendf(nil, `{"seq":%d,"type":%q,"data":{"message":%q,"memberUserId":%q}}`, seq, typ, words, who)}
	}
	reader := func(u pactwire.UserID) bool { return u == "carol" }
	d := departures{}
	for i, tt := range []struct {
		entries []pactwire.Entry
		want    bool
	}{
		{[]pactwire.Entry{entry(1, "partner_joined", "", "carol"), entry(2, "message_sent", "member_left", "carol")}, false},
		{[]pactwire.Entry{entry(3, "member_left", "", "bob")}, false}, // known
		{[]pactwire.Entry{entry(4, "member_left", "", "carol"), entry(5, "message_sent", "bye", "")}, true},
		{[]pactwire.Entry{entry(4, "member_left", "", "carol"), entry(5, "message_sent", "bye", ""), entry(6, "message_sent", "", "")}, false}, // read since
		{[]pactwire.Entry{entry(7, "member_left", "", "carol"), entry(8, "member_left", "", "bob")}, true},
		{[]pactwire.Entry{entry(7, "member_left", "", "carol")}, false},
	} {
		if got := d.unheard("p", tt.entries, reader); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if !d.unheard("q", []pactwire.Entry{entry(3, "member_left", "", "carol")}, reader) {
		t.Error("another pact")
	}
	for i := range 2 * departuresHeld {
		d.unheard(pactwire.PactID(fmt.Sprint(i)), []pactwire.Entry{entry(1, "member_left", "", "carol")}, reader)
	}
	if len(d) > departuresHeld {
		t.Errorf("%d are held", len(d))
	}
}
