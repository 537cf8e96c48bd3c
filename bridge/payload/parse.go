package payload

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Parse reads a payload that was published to t: one command, or for an array of check-ins one for each item, with
// Index. Kind, ID, Pact or User, and the part that Kind names are set; sender, topic, time and answer are the caller's.
//
// An item of an array that is invalid in itself comes back with Refused, so that the others can go on; an array that is
// empty, too long or not readable is refused as a whole. When a single command is refused, the result holds, besides the
// error, one command with nothing but what could be read of Kind, Pact and ID, for the answer to name it.
func Parse(t topics.Topic, contentType string, payload []byte) ([]pactwire.Command, error) {
	c := codecOf(contentType)
	switch t.Kind {
	case topics.CheckinsKind, topics.DeviceCheckinKind:
		return parseCheckins(t.Pact, c, payload)
	case topics.MessagesKind:
		return one(parseMessage(t.Pact, c, payload))
	case topics.HistoryKind:
		return one(parseHistory(t.Pact, c, payload))
	case topics.CelebrationsKind:
		return one(parseCelebration(t.Pact, c, payload))
	case topics.EncouragementKind:
		return one(parseEncouragement(t.Pact, c, payload))
	case topics.ReactionsKind:
		return one(parseReaction(t.Pact, c, payload))
	case topics.UserMessagesKind:
		return one(parseDirectMessage(t.User, c, payload))
	case topics.ConnectionsKind:
		return one(parseConnection(t.User, c, payload))
	case topics.NotificationsKind:
		return one(parseNotification(t.User, c, payload))
	case topics.UserPresenceKind:
		return one(parsePresence(c, payload))
	}
	return one(nothingTo(c, payload))
}

// parsePresence reads how somebody is there, which is also the only form of a last will: an object or, in text, the bare word.
func parsePresence(c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandPresence}
	if c == jsonCodec {
		payload = bytes.TrimSpace(payload)
	}
	if err := c.check(payload); err != nil {
		return cmd, err
	}
	status := string(payload)
	if c == cborCodec || c.shape(payload) != word {
		var w struct {
			ID     *string `json:"id"`
			Status string  `json:"status"`
		}
		decodeErr := c.decode(payload, &w)
		var err error
		if cmd.ID, err = readID(w.ID); err != nil {
			return cmd, err
		}
		if decodeErr != nil {
			return cmd, decodeErr
		}
		status = w.Status
	}
	switch s := pactwire.PresenceStatus(status); s {
	case pactwire.PresenceActive, pactwire.PresenceAway, pactwire.PresenceOffline:
		cmd.Presence = s
		return cmd, nil
	}
	return cmd, pactwire.FieldErrorf("status", "say how you are there: status is active, away or offline")
}

// nothingTo is the refusal of a publish to where nothing can be asked for, with the id by which its sender knows it.
func nothingTo(c codec, payload []byte) (cmd pactwire.Command, err error) {
	var w struct {
		ID *string `json:"id"`
	}
	if c.check(payload) == nil && c.shape(payload) == object && c.decode(payload, &w) == nil {
		cmd.ID, _ = readID(w.ID)
	}
	return cmd, pactwire.FieldErrorf("topic", "nothing can be asked for on this topic; see docs/topics.md for those that take commands")
}

func one(cmd pactwire.Command, err error) ([]pactwire.Command, error) {
	return []pactwire.Command{cmd}, err
}

type messageWire struct {
	ID      *string `json:"id"`
	Message *string `json:"message"`
}

func parseMessage(p pactwire.PactID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandMessage, Pact: p}
	if err := c.check(payload); err != nil {
		return cmd, err
	}
	var w messageWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readID(w.ID); err != nil {
		return cmd, err
	}
	if decodeErr != nil {
		return cmd, decodeErr
	}
	if w.Message == nil || strings.TrimSpace(*w.Message) == "" {
		return cmd, pactwire.FieldErrorf("message", "a message needs words: put them in message")
	}
	if err := text("message", *w.Message, pactwire.MaxMessage); err != nil {
		return cmd, err
	}
	cmd.Message = &pactwire.MessageCommand{Message: *w.Message}
	return cmd, nil
}

type historyWire struct {
	ID        *string `json:"id"`
	AfterSeq  *uint64 `json:"afterSeq"`
	BeforeSeq *uint64 `json:"beforeSeq"`
	Limit     *int64  `json:"limit"`
}

// maxPage is the most activities in one page of history.
const maxPage = 200

func parseHistory(p pactwire.PactID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandHistory, Pact: p, History: &pactwire.HistoryQuery{}}
	if len(bytes.TrimSpace(payload)) == 0 { // the latest, please
		return cmd, nil
	}
	if err := c.check(payload); err != nil {
		return cmd, err
	}
	var w historyWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readID(w.ID); err != nil {
		return cmd, err
	}
	if decodeErr != nil {
		return cmd, decodeErr
	}
	if w.AfterSeq != nil && w.BeforeSeq != nil {
		return cmd, pactwire.FieldErrorf("beforeSeq", "give afterSeq or beforeSeq, not both")
	}
	cmd.History.After = (*pactwire.Seq)(w.AfterSeq)
	cmd.History.Before = (*pactwire.Seq)(w.BeforeSeq)
	if w.Limit != nil {
		if *w.Limit < 0 {
			return cmd, pactwire.FieldErrorf("limit", "limit is how many activities you want, at most %d", maxPage)
		}
		cmd.History.Limit = int(min(*w.Limit, maxPage))
	}
	return cmd, nil
}

// readID checks the sender's id of a command. None and "" are the same.
func readID(id *string) (string, error) { return readKey("id", id) }

func readKey(field string, id *string) (string, error) {
	if id == nil || *id == "" {
		return "", nil
	}
	if utf8.RuneCountInString(*id) > pactwire.MaxCommandIDLength {
		return "", pactwire.FieldErrorf(field, "an id has at most %d characters", pactwire.MaxCommandIDLength)
	}
	if strings.ContainsRune(*id, 0) {
		return "", pactwire.FieldErrorf(field, "an id may not contain the character NUL")
	}
	return *id, nil
}

// text checks the length, in code points, of what a person wrote.
func text(field, s string, limit int) error {
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		return pactwire.FieldErrorf(field, "%s is too long: at most %d characters", field, limit)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return pactwire.FieldErrorf(field, "%s may not contain the character NUL", field)
	}
	return nil
}
