package payload_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/payload"
	"github.com/pactwire/pactwire/topics"
)

var (
	checkins = topics.Topic{Kind: topics.CheckinsKind, Pact: "p1"}
	messages = topics.Topic{Kind: topics.MessagesKind, Pact: "p1"}
	history  = topics.Topic{Kind: topics.HistoryKind, Pact: "p1"}
)

func parse(t topics.Topic, body string) ([]pactwire.Command, error) {
	return payload.Parse(t, "", []byte(body))
}

func TestBareWords(t *testing.T) {
	for body, want := range map[string]pactwire.CheckinStatus{
		"done": "completed", "DONE": "completed", " Done\r\n": "completed", "completed": "completed", "1": "completed",
		`"done"`: "completed", `" 1 "`: "completed", "partial": "partial", `"Partial"`: "partial", "SKIPPED": "skipped",
	} {
		cmds, err := parse(checkins, body)
		if err != nil {
			t.Errorf("%q: %v", body, err)
			continue
		}
		c := cmds[0]
		if len(cmds) != 1 || c.Kind != pactwire.CommandCheckin || c.Pact != "p1" || c.Index != nil || c.Checkin.Status != want {
			t.Errorf("%q: %+v", body, c)
		}
	}
}

func TestCheckinReadsEverything(t *testing.T) {
	cmds, err := parse(checkins, `{"id":"k1","habitGoalId":"g1","status":"partial","notes":"half 🙂","proofMedia":[{"path":"a/b.jpg","type":"image"}],
		"scheduledDate":"2026-01-31","ageMs":1500,"occurredAt":"2026-01-31T07:30:00.25+02:00","userId":"mallory","later":{"x":[1]}}`)
	if err != nil {
		t.Fatal(err)
	}
	c, in := cmds[0], cmds[0].Checkin
	at := time.Date(2026, 1, 31, 5, 30, 0, 250e6, time.UTC)
	if c.ID != "k1" || c.Sender.UserID != "" || in.HabitGoalID != "g1" || in.Status != "partial" || in.Notes != "half 🙂" ||
		len(in.ProofMedia) != 1 || in.ProofMedia[0] != (pactwire.Media{Path: "a/b.jpg", Type: "image"}) ||
		in.ScheduledDate != "2026-01-31" || *in.Age != 1500*time.Millisecond || !in.OccurredAt.Equal(at) {
		t.Errorf("%+v %+v", c, in)
	}
}

func TestNullsAndEmptyTextsAreNothing(t *testing.T) {
	cmds, err := parse(checkins, `{"id":null,"habitGoalId":"","status":"completed","notes":null,"proofMedia":null,"scheduledDate":"","ageMs":null,"occurredAt":""}`)
	if err != nil {
		t.Fatal(err)
	}
	in := cmds[0].Checkin
	if cmds[0].ID != "" || in.HabitGoalID != "" || in.Notes != "" || in.ProofMedia != nil || in.ScheduledDate != "" || in.Age != nil || in.OccurredAt != nil {
		t.Errorf("%+v", in)
	}
}

func TestRefusalsNameTheField(t *testing.T) {
	media := strings.Repeat(`{"path":"a","type":"image"},`, 5)
	for _, c := range []struct {
		topic       topics.Topic
		body, field string
	}{
		{checkins, "", "payload"}, {checkins, "   ", "payload"}, {checkins, "{}", "status"}, {checkins, "[]", "payload"},
		{checkins, "\xff\xfe", "payload"}, {checkins, "done\x00", "payload"}, {checkins, "null", "status"}, {checkins, "2", "status"},
		{checkins, "true", "status"}, {checkins, "finished", "status"}, {checkins, `{"status":"done"}`, "status"},
		{checkins, `{"status":"Completed"}`, "status"}, {checkins, `{"status":1}`, "status"}, {checkins, `{"status":"deleted"}`, "status"},
		{checkins, `{"status":"completed"`, "payload"}, {checkins, `{"status":"completed"} x`, "payload"},
		{checkins, `{"status":"completed","id":"` + strings.Repeat("é", 65) + `"}`, "id"},
		{checkins, `{"status":"completed","id":7}`, "id"}, {checkins, `{"status":"completed","id":"a\u0000"}`, "id"},
		{checkins, `{"status":"completed","habitGoalId":"a b"}`, "habitGoalId"},
		{checkins, `{"status":"completed","notes":"` + strings.Repeat("é", 501) + `"}`, "notes"},
		{checkins, `{"status":"completed","notes":"a\u0000b"}`, "notes"}, {checkins, `{"status":"completed","notes":["x"]}`, "notes"},
		{checkins, `{"status":"completed","proofMedia":[` + media[:len(media)-1] + `]}`, "proofMedia"},
		{checkins, `{"status":"completed","proofMedia":[{"path":"a","type":"audio"}]}`, "proofMedia"},
		{checkins, `{"status":"completed","proofMedia":[{"type":"image"}]}`, "proofMedia"},
		{checkins, `{"status":"completed","proofMedia":[{"path":3,"type":"image"}]}`, "proofMedia"},
		{checkins, `{"status":"completed","scheduledDate":"2026-02-30"}`, "scheduledDate"},
		{checkins, `{"status":"completed","scheduledDate":"2026-2-3"}`, "scheduledDate"},
		{checkins, `{"status":"completed","scheduledDate":"2026-02-03T00:00:00Z"}`, "scheduledDate"},
		{checkins, `{"status":"completed","ageMs":-1}`, "ageMs"}, {checkins, `{"status":"completed","ageMs":1e30}`, "ageMs"},
		{checkins, `{"status":"completed","ageMs":"5"}`, "ageMs"}, {checkins, `{"status":"completed","occurredAt":"yesterday"}`, "occurredAt"},
		{checkins, `{"status":"completed","occurredAt":5}`, "occurredAt"},
		{messages, "", "payload"}, {messages, "{}", "message"}, {messages, `{"message":" \n"}`, "message"}, {messages, "hello", "payload"},
		{messages, `{"message":"` + strings.Repeat("é", 2001) + `"}`, "message"}, {messages, `{"message":7}`, "message"},
		{history, `{"afterSeq":1,"beforeSeq":2}`, "beforeSeq"}, {history, `{"afterSeq":-1}`, "afterSeq"}, {history, `{"limit":-1}`, "limit"},
		{history, `[]`, "payload"},
		{topics.Topic{Kind: topics.ActivityKind, Pact: "p1"}, `{}`, "topic"},
	} {
		_, err := parse(c.topic, c.body)
		if e := pactwire.AsError(err); err == nil || e.Code != pactwire.Invalid || e.Field != c.field || e.Message == "" {
			t.Errorf("%.60q: %v, want field %s", c.body, err, c.field)
		}
	}
}

func TestLengthsCountCodePoints(t *testing.T) {
	for _, c := range []struct {
		topic topics.Topic
		body  string
	}{
		{checkins, `{"status":"completed","notes":"` + strings.Repeat("é", 500) + `","id":"` + strings.Repeat("é", 64) + `"}`},
		{messages, `{"message":"` + strings.Repeat("🙂", 2000) + `"}`},
	} {
		if _, err := parse(c.topic, c.body); err != nil {
			t.Errorf("%.40q: %v", c.body, err)
		}
	}
}

func TestBatchRefusesItemsOneByOne(t *testing.T) {
	cmds, err := parse(checkins, `[{"id":"a","status":"completed"},{"id":"b"},"done",{"id":"c","status":"partial","notes":7},1,[]]`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, c := range cmds {
		if c.Index == nil || *c.Index != i {
			t.Errorf("item %d has index %v", i, c.Index)
		}
		if c.Refused != nil {
			got = append(got, fmt.Sprintf("%s !%s", c.ID, c.Refused.Field))
		} else {
			got = append(got, fmt.Sprintf("%s %s", c.ID, c.Checkin.Status))
		}
	}
	if want := "a completed|b !status| completed|c !notes| completed| !status"; strings.Join(got, "|") != want {
		t.Errorf("%s, want %s", strings.Join(got, "|"), want)
	}
	items := strings.Repeat(`"done",`, 200)
	if cmds, err := parse(checkins, "["+items[:len(items)-1]+"]"); err != nil || len(cmds) != 200 {
		t.Errorf("200 items: %d, %v", len(cmds), err)
	}
	if cmds, err := parse(checkins, "["+items+`"done"]`); err == nil || cmds != nil {
		t.Errorf("201 items: %d, %v", len(cmds), err)
	}
}

func TestRefusedCommandKeepsItsID(t *testing.T) {
	for _, body := range []string{`{"id":"k","status":"x"}`, `{"id":"k","notes":5,"status":"completed"}`} {
		cmds, err := parse(checkins, body)
		if err == nil || len(cmds) != 1 || cmds[0].ID != "k" {
			t.Errorf("%s: %v %v", body, cmds, err)
		}
	}
}

func TestHistory(t *testing.T) {
	for body, want := range map[string]string{
		"": "nil nil 0", " ": "nil nil 0", "{}": "nil nil 0", `{"afterSeq":0,"limit":10}`: "0 nil 10", `{"beforeSeq":7}`: "nil 7 0", `{"limit":5000}`: "nil nil 200",
	} {
		cmds, err := parse(history, body)
		if err != nil {
			t.Errorf("%q: %v", body, err)
			continue
		}
		q := cmds[0].History
		show := func(s *pactwire.Seq) string {
			if s == nil {
				return "nil"
			}
			return s.String()
		}
		if got := fmt.Sprintf("%s %s %d", show(q.After), show(q.Before), q.Limit); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
}

func TestPresence(t *testing.T) {
	own := topics.Topic{Kind: topics.UserPresenceKind, User: "alice"}
	for body, want := range map[string]string{
		`{"status":"active"}`: "active", `{"status":"away","x":1}`: "away", `{"status":"offline"}`: "offline", "away": "away", " active\n": "active",
		`{"status":"away","x":[1]}`: "away", `{"id":"k","status":"away"}`: "k away",
		"": "!payload", "{}": "!status", `{"status":"busy"}`: "!status", `"active"`: "!status", `{"status":3}`: "!status", "\xff": "!payload",
		`{"status":"away"`: "!payload", "gone": "!status", "[]": "!payload", "away\x00": "!payload", "AWAY": "!status",
		`{"id":"k","status":"busy"}`: "k !status", `{"id":"k","status":3}`: "k !status", `{"id":"k"}`: "k !status", `{"id":3,"status":"away"}`: "!id",
	} {
		cmds, err := payload.Parse(own, "", []byte(body))
		if len(cmds) != 1 || cmds[0].Kind != pactwire.CommandPresence {
			t.Fatalf("%q: %v", body, cmds)
		}
		got := string(cmds[0].Presence)
		if err != nil {
			got = "!" + pactwire.AsError(err).Field
		}
		if got = strings.TrimSpace(cmds[0].ID + " " + got); got != want {
			t.Errorf("%q: %s, %v; want %s", body, got, err, want)
		}
	}
	for status, want := range map[any]pactwire.PresenceStatus{"away": "away", "gone": "", 3: ""} {
		body, err := cbor.Marshal(map[string]any{"id": "k", "status": status})
		if err != nil {
			t.Fatal(err)
		}
		cmds, err := payload.Parse(own, "application/cbor", body)
		if (err == nil) != (want != "") || cmds[0].Presence != want || cmds[0].ID != "k" {
			t.Errorf("CBOR %v: %+v, %v", status, cmds, err)
		}
	}
}

// Where nothing can be asked for, the refusal names the id all the same.
func TestNoCommandHasItsID(t *testing.T) {
	for body, id := range map[string]string{`{"id":"k"}`: "k", `{"id":"k"`: "", "": "", "[]": "", "x": "", `{"id":3}`: ""} {
		cmds, err := payload.Parse(topics.Topic{Kind: topics.InboxKind, User: "alice"}, "", []byte(body))
		if err == nil || len(cmds) != 1 || cmds[0].ID != id {
			t.Errorf("%q: %v %v", body, cmds, err)
		}
	}
}

func TestCBORHasTheSameKeys(t *testing.T) {
	enc := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	full := map[string]any{"id": "k", "status": "skipped", "notes": "n", "ageMs": 5, "scheduledDate": "2026-01-31",
		"proofMedia": []map[string]string{{"path": "a", "type": "video"}}, "other": []int{1}}
	for _, ct := range []string{"application/cbor", "Application/CBOR; x=1"} {
		cmds, err := payload.Parse(checkins, ct, enc(full))
		if err != nil {
			t.Fatal(err)
		}
		in := cmds[0].Checkin
		if cmds[0].ID != "k" || in.Status != "skipped" || in.Notes != "n" || *in.Age != 5*time.Millisecond || in.ProofMedia[0].Type != "video" || in.ScheduledDate != "2026-01-31" {
			t.Errorf("%+v %+v", cmds[0], in)
		}
	}
	for _, v := range []any{"done", 1, " COMPLETED "} {
		cmds, err := payload.Parse(checkins, "application/cbor", enc(v))
		if err != nil || cmds[0].Checkin.Status != pactwire.StatusCompleted {
			t.Errorf("%v: %v %v", v, cmds, err)
		}
	}
	cmds, err := payload.Parse(checkins, "application/cbor", enc([]any{full, "partial", map[string]int{"status": 4}}))
	if err != nil || len(cmds) != 3 || cmds[1].Checkin.Status != "partial" || cmds[2].Refused == nil || cmds[2].Refused.Field != "status" {
		t.Errorf("%v %v", cmds, err)
	}
	deep := append(make([]byte, 0, 4001), 0xa1, 0x61, 'x') // {"x": [[[[…
	for range 4000 {
		deep = append(deep, 0x81)
	}
	for name, body := range map[string][]byte{"empty": {}, "cut": enc(full)[:9], "nested": append(deep, 0), "bad text": {0xa1, 0x66, 's', 't', 'a', 't', 'u', 's', 0x61, 0xff},
		"a key twice": {0xa2, 0x62, 'i', 'd', 0x61, 'a', 0x62, 'i', 'd', 0x61, 'b'}, "JSON": []byte(`{"status":"completed"}`), "a float": enc(1.5)} {
		if _, err := payload.Parse(checkins, "application/cbor", body); pactwire.CodeOf(err) != pactwire.Invalid || pactwire.AsError(err).Field == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := payload.Parse(checkins, "text/plain", []byte(`{"status":"completed"}`)); err != nil {
		t.Errorf("another content type is read as JSON: %v", err)
	}
}

// A field is its name letter by letter, in JSON as in CBOR: another spelling is an unknown field, which says nothing.
func TestNamesAreWrittenJustSo(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":"completed","STATUS":"skipped","notes":"a","Notes":"b","ID":"x"}`: " completed a",
		`{"ID":"x","Status":"skipped","status":"completed","id":"k"}`:                "k completed ",
		`{"STATUS":"completed"}`:                                            "status",
		"{\"\u017ftatus\":\"completed\"}":                                   "status", // a long s
		`{"status":"completed","proofMedia":[{"PATH":"a","type":"image"}]}`: "proofMedia",
		`{"status":"completed","status":"skipped"}`:                         "status",
		`{"id":"k","status":"completed","id":"j"}`:                          "id",
		`{"status":"completed","other":1,"other":2}`:                        " completed ",
	} {
		cmds, err := parse(checkins, body)
		got := pactwire.AsError(err).Field
		if err == nil {
			got = fmt.Sprintf("%s %s %s", cmds[0].ID, cmds[0].Checkin.Status, cmds[0].Checkin.Notes)
		}
		if got != want {
			t.Errorf("%s: %q %v, want %q", body, got, err, want)
		}
	}
	body, err := cbor.Marshal(map[string]any{"STATUS": "skipped", "Id": "x", "status": "completed"})
	if err != nil {
		t.Fatal(err)
	}
	if cmds, err := payload.Parse(checkins, "application/cbor", body); err != nil || cmds[0].Checkin.Status != "completed" || cmds[0].ID != "" {
		t.Errorf("CBOR: %+v %v", cmds, err)
	}
	if _, err := parse(history, `{"afterSeq":1,"afterSeq":2}`); pactwire.AsError(err).Field != "afterSeq" {
		t.Errorf("history: %v", err)
	}
}

// What is broken is said to be broken, not to be a word that nobody knows.
func TestBrokenPayloadsAreCalledBroken(t *testing.T) {
	for body, want := range map[string]string{
		"\x64done\x00":               "CBOR",      // more than one item
		"\x64don":                    "cut short", // a text of four bytes
		"\x1a\x00":                   "cut short", // an integer of four bytes
		"\x62\xff\xff":               "CBOR",      // no UTF-8
		"\xc0\x64done":               "CBOR",      // a tag
		"\x1c":                       "CBOR",      // no such head
		"\xff":                       "CBOR",      // an end of nothing
		"\x83\x64done":               "cut short", // an array of three
		"\xa1\x66status\x64d":        "cut short",
		"\xa2\x62id\x61a\x62id\x61b": "twice",
	} {
		_, err := payload.Parse(checkins, "application/cbor", []byte(body))
		if e := pactwire.AsError(err); e.Code != pactwire.Invalid || e.Field == "status" || !strings.Contains(e.Message, want) {
			t.Errorf("CBOR %x: %v, want %q", body, err, want)
		}
	}
	if _, err := parse(checkins, `"done`); pactwire.AsError(err).Field != "payload" {
		t.Errorf("JSON: %v", err)
	}
	for _, word := range []string{"\xf5", "\x02", "\x20", "\xf9\x3c\x00", "\x63yes"} { // true, 2, -1, 1.0, "yes": whole, and nothing known
		if _, err := payload.Parse(checkins, "application/cbor", []byte(word)); pactwire.AsError(err).Field != "status" {
			t.Errorf("CBOR %x: %v", word, err)
		}
	}
}

func BenchmarkParseCheckin(b *testing.B) {
	body := []byte(`{"id":"0193a1b2-0000-7000-8000-000000000001","status":"completed","notes":"ran 5 km"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := payload.Parse(checkins, "", body); err != nil {
			b.Fatal(err)
		}
	}
}
