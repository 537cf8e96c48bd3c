package bridge

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

func FuzzHandWrittenJSONIsTheStandardLibrarys(f *testing.F) {
	f.Add("alice", "Zoë <&> \"\\\u2028\t🙂", "key", uint64(7), int64(1767312245678))
	f.Add("", "\xff\x00", "", uint64(0), int64(0))
	f.Fuzz(func(t *testing.T, user, name, key string, seq uint64, ms int64) {
		at := pactwire.Time(time.UnixMilli(ms % 250_000_000_000_000).UTC())
		if y := at.Std().Year(); y < 1 || y > 9999 {
			return
		}
		var id *string
		if key != "" {
			id = &key
		}
		data := json.RawMessage(`{"a":1}`)
		a := pactwire.Activity{ID: "x", PactID: "p", Seq: pactwire.Seq(seq), Type: pactwire.MessageSent, UserID: pactwire.UserID(user),
			UserName: name, CommandID: id, Data: data, CreatedAt: at}
		want, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendActivity(nil, &a); string(got) != string(want) {
			t.Fatalf("%s\n%s", got, want)
		}
		index := int(seq % 200)
		e := pactwire.Event{ID: "x", Seq: pactwire.Seq(seq), Type: pactwire.EventType(name), CommandID: id, Index: &index, Data: data, CreatedAt: at}
		if want, err = json.Marshal(e); err != nil {
			t.Fatal(err)
		}
		if got := appendEvent(nil, &e); string(got) != string(want) {
			t.Fatalf("%s\n%s", got, want)
		}
	})
}
