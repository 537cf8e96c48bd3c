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
		media := []pactwire.Media{}
		if seq%2 == 1 {
			media = []pactwire.Media{{Path: name, Type: "image"}, {Path: key, Type: "video"}}
		}
		streak := &pactwire.StreakUpdate{Before: int(seq % 9), After: int(seq % 11), Longest: 12, IsNewRecord: seq%3 == 0, GraceUsed: int(seq % 2)}
		if seq%5 == 0 {
			streak = nil
		}
		d := pactwire.CheckinData{CheckinID: key, HabitGoalID: "g", HabitName: name, Status: "completed", PreviousStatus: pactwire.CheckinStatus(key),
			LocalDate: "2026-01-02", Notes: name, ProofMedia: media, StreakUpdate: streak}
		if want, err = json.Marshal(d); err != nil {
			t.Fatal(err)
		}
		if got := appendCheckinData(nil, &d); string(got) != string(want) {
			t.Fatalf("%s\n%s", got, want)
		}
		l := pactwire.CheckinLogged{Checkin: pactwire.Checkin{ID: key, PactID: "p", HabitGoalID: "g", UserID: pactwire.UserID(user), Status: "partial",
			LocalDate: "2026-01-02", Notes: name, ProofMedia: media, CreatedAt: at, UpdatedAt: at}, StreakUpdate: streak,
			AchievementsUnlocked: []string{}, Duplicate: seq%2 == 0}
		if seq%3 == 1 {
			l.ActivityID, l.ActivitySeq, l.AchievementsUnlocked = &a.ID, &a.Seq, []string{name, "x"}
		}
		if want, err = json.Marshal(l); err != nil {
			t.Fatal(err)
		}
		if got, err := encode(l); err != nil || string(got) != string(want) {
			t.Fatalf("%s\n%s", got, want)
		}
		if want, err = json.Marshal(storedAnswer{Type: pactwire.EventType(name), Data: data}); err != nil {
			t.Fatal(err)
		}
		if got := appendStored(nil, pactwire.EventType(name), data); string(got) != string(want) {
			t.Fatalf("%s\n%s", got, want)
		}
	})
}
