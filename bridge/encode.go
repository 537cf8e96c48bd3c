package bridge

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// Activities and events are written by hand, since they are written on the committing goroutine; a test holds them to what
// encoding/json makes of the same values.

func appendActivity(b []byte, a *pactwire.Activity) []byte {
	b = appendString(append(b, `{"id":`...), a.ID)
	b = appendString(append(b, `,"pactId":`...), string(a.PactID))
	b = strconv.AppendUint(append(b, `,"seq":`...), uint64(a.Seq), 10)
	b = appendString(append(b, `,"type":`...), string(a.Type))
	b = appendString(append(b, `,"userId":`...), string(a.UserID))
	b = appendString(append(b, `,"userName":`...), a.UserName)
	b = appendCommandID(b, a.CommandID)
	b = append(append(b, `,"data":`...), a.Data...)
	return appendCreated(b, a.CreatedAt.Std())
}

func appendEvent(b []byte, e *pactwire.Event) []byte {
	b = appendString(append(b, `{"id":`...), e.ID)
	if e.Seq > 0 {
		b = strconv.AppendUint(append(b, `,"seq":`...), uint64(e.Seq), 10)
	}
	b = appendString(append(b, `,"type":`...), string(e.Type))
	b = appendCommandID(b, e.CommandID)
	if e.Index != nil {
		b = strconv.AppendInt(append(b, `,"index":`...), int64(*e.Index), 10)
	}
	b = append(append(b, `,"data":`...), e.Data...)
	return appendCreated(b, e.CreatedAt.Std())
}

func appendCommandID(b []byte, id *string) []byte {
	b = append(b, `,"commandId":`...)
	if id == nil {
		return append(b, "null"...)
	}
	return appendString(b, *id)
}

func appendCreated(b []byte, t time.Time) []byte {
	return append(pactwire.AppendTime(append(b, `,"createdAt":"`...), t), `"}`...)
}

// encode writes the data of an activity or event. What a check-in causes is written by hand.
func encode(data any) (json.RawMessage, error) {
	switch d := data.(type) {
	case json.RawMessage:
		return d, nil
	case pactwire.CheckinLogged:
		return appendCheckinLogged(make([]byte, 0, 704+len(d.Checkin.Notes)), &d), nil
	}
	return json.Marshal(data)
}

// appendStored writes an answer as the journal keeps it: a storedAnswer.
func appendStored(b []byte, typ pactwire.EventType, data json.RawMessage) []byte {
	b = appendString(append(b, `{"type":`...), string(typ))
	return append(append(append(b, `,"data":`...), data...), '}')
}

func appendCheckinData(b []byte, d *pactwire.CheckinData) []byte {
	b = appendString(append(b, `{"checkinId":`...), d.CheckinID)
	b = appendString(append(b, `,"habitGoalId":`...), string(d.HabitGoalID))
	b = appendString(append(b, `,"habitName":`...), d.HabitName)
	b = appendString(append(b, `,"status":`...), string(d.Status))
	if d.PreviousStatus != "" {
		b = appendString(append(b, `,"previousStatus":`...), string(d.PreviousStatus))
	}
	b = appendString(append(b, `,"localDate":`...), string(d.LocalDate))
	b = appendString(append(b, `,"notes":`...), d.Notes)
	b = appendMedia(append(b, `,"proofMedia":`...), d.ProofMedia)
	b = appendStreak(append(b, `,"streakUpdate":`...), d.StreakUpdate)
	return append(b, '}')
}

func appendCheckinLogged(b []byte, l *pactwire.CheckinLogged) []byte {
	c := &l.Checkin
	b = appendString(append(b, `{"checkin":{"id":`...), c.ID)
	b = appendString(append(b, `,"pactId":`...), string(c.PactID))
	b = appendString(append(b, `,"habitGoalId":`...), string(c.HabitGoalID))
	b = appendString(append(b, `,"userId":`...), string(c.UserID))
	b = appendString(append(b, `,"status":`...), string(c.Status))
	b = appendString(append(b, `,"localDate":`...), string(c.LocalDate))
	b = appendString(append(b, `,"notes":`...), c.Notes)
	b = appendMedia(append(b, `,"proofMedia":`...), c.ProofMedia)
	b = pactwire.AppendTime(append(b, `,"createdAt":"`...), c.CreatedAt.Std())
	b = pactwire.AppendTime(append(b, `","updatedAt":"`...), c.UpdatedAt.Std())
	b = appendStreak(append(b, `"},"streakUpdate":`...), l.StreakUpdate)
	b = append(b, `,"achievementsUnlocked":[`...)
	for i, a := range l.AchievementsUnlocked {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, a)
	}
	b = strconv.AppendBool(append(b, `],"duplicate":`...), l.Duplicate)
	b = append(b, `,"activityId":`...)
	if l.ActivityID == nil {
		b = append(b, "null"...)
	} else {
		b = appendString(b, *l.ActivityID)
	}
	b = append(b, `,"activitySeq":`...)
	if l.ActivitySeq == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendUint(b, uint64(*l.ActivitySeq), 10)
	}
	return append(b, '}')
}

func appendMedia(b []byte, list []pactwire.Media) []byte {
	b = append(b, '[')
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"path":`...), m.Path)
		b = append(appendString(append(b, `,"type":`...), m.Type), '}')
	}
	return append(b, ']')
}

func appendStreak(b []byte, s *pactwire.StreakUpdate) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	b = strconv.AppendInt(append(b, `{"before":`...), int64(s.Before), 10)
	b = strconv.AppendInt(append(b, `,"after":`...), int64(s.After), 10)
	b = strconv.AppendInt(append(b, `,"longest":`...), int64(s.Longest), 10)
	b = strconv.AppendBool(append(b, `,"isNewRecord":`...), s.IsNewRecord)
	return append(strconv.AppendInt(append(b, `,"graceUsed":`...), int64(s.GraceUsed), 10), '}')
}

// appendString writes a JSON string as encoding/json does. What needs no escape, as almost everything, goes straight
// through.
func appendString(b []byte, s string) []byte {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			return appendEscaped(b, s)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && (!utf8.ValidString(s) || strings.Contains(s, "\u2028") || strings.Contains(s, "\u2029")) {
		return appendEscaped(b, s)
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendEscaped(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string always encodes
	return append(b, quoted...)
}
