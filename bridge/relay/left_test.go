package relay

import (
	"fmt"
	"testing"

	"github.com/pactwire/pactwire"
)

func TestWhoLeftIsNewsOnce(t *testing.T) {
	entry := func(seq pactwire.Seq, typ, words string) pactwire.Entry {
		return pactwire.Entry{Seq: seq, Payload: fmt.Appendf(nil, `{"seq":%d,"type":%q,"data":{"message":%q}}`, seq, typ, words)}
	}
	d := departures{}
	for i, tt := range []struct {
		entries []pactwire.Entry
		want    bool
	}{
		{[]pactwire.Entry{entry(1, "partner_joined", ""), entry(2, "message_sent", "member_left")}, false},
		{[]pactwire.Entry{entry(3, "member_left", ""), entry(4, "message_sent", "bye")}, true},
		{[]pactwire.Entry{entry(3, "member_left", ""), entry(4, "message_sent", "bye"), entry(5, "message_sent", "")}, false}, // read again
		{[]pactwire.Entry{entry(6, "member_left", ""), entry(7, "member_left", "")}, true},
		{[]pactwire.Entry{entry(7, "member_left", "")}, false},
	} {
		if got := d.news("p", tt.entries); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if !d.news("q", []pactwire.Entry{entry(3, "member_left", "")}) {
		t.Error("another pact")
	}
	for i := range 2 * departuresHeld {
		d.news(pactwire.PactID(fmt.Sprint(i)), []pactwire.Entry{entry(1, "member_left", "")})
	}
	if len(d) > departuresHeld {
		t.Errorf("%d are held", len(d))
	}
}
