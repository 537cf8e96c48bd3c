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
	if t.Kind == topics.CheckinsKind || t.Kind == topics.DeviceCheckinKind {
		return parseCheckins(t.Pact, c, payload)
	}
	cmds := make([]pactwire.Command, 1)
	return cmds, parseOne(&cmds[0], t, c, payload)
}

// parseOne sets a command. As all that follow it takes a pointer: commands are large, and this runs on the stack of each
// connection's reader, which grows for it.
func parseOne(cmd *pactwire.Command, t topics.Topic, c codec, payload []byte) error {
	switch t.Kind {
	case topics.MessagesKind:
		return parseMessage(cmd, t.Pact, c, payload)
	case topics.HistoryKind:
		return parseHistory(cmd, t.Pact, c, payload)
	case topics.CelebrationsKind:
		return parseCelebration(cmd, t.Pact, c, payload)
	case topics.EncouragementKind:
		return parseEncouragement(cmd, t.Pact, c, payload)
	case topics.ReactionsKind:
		return parseReaction(cmd, t.Pact, c, payload)
	case topics.UserMessagesKind:
		return parseDirectMessage(cmd, t.User, c, payload)
	case topics.ConnectionsKind:
		return parseConnection(cmd, t.User, c, payload)
	case topics.NotificationsKind:
		return parseNotification(cmd, t.User, c, payload)
	case topics.UserPresenceKind:
		return parsePresence(cmd, c, payload)
	}
	return nothingTo(cmd, c, payload)
}

// parsePresence reads how somebody is there, which is also the only form of a last will: an object or, in text, the bare word.
func parsePresence(cmd *pactwire.Command, c codec, payload []byte) error {
	cmd.Kind = pactwire.CommandPresence
	if c == jsonCodec {
		payload = bytes.TrimSpace(payload)
	}
	if err := c.check(payload); err != nil {
		return err
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
			return err
		}
		if decodeErr != nil {
			return decodeErr
		}
		status = w.Status
	}
	switch s := pactwire.PresenceStatus(status); s {
	case pactwire.PresenceActive, pactwire.PresenceAway, pactwire.PresenceOffline:
		cmd.Presence = s
		return nil
	}
	return pactwire.FieldErrorf("status", "say how you are there: status is active, away or offline")
}

// nothingTo is the refusal of a publish to where nothing can be asked for, with the id by which its sender knows it.
func nothingTo(cmd *pactwire.Command, c codec, payload []byte) error {
	var w struct {
		ID *string `json:"id"`
	}
	if c.check(payload) == nil && c.shape(payload) == object && c.decode(payload, &w) == nil {
		cmd.ID, _ = readID(w.ID)
	}
	return pactwire.FieldErrorf("topic", "nothing can be asked for on this topic; see docs/topics.md for those that take commands")
}

type messageWire struct {
	ID      *string `json:"id"`
	Message *string `json:"message"`
}

func parseMessage(cmd *pactwire.Command, p pactwire.PactID, c codec, payload []byte) error {
	cmd.Kind, cmd.Pact = pactwire.CommandMessage, p
	if err := c.check(payload); err != nil {
		return err
	}
	var w messageWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readID(w.ID); err != nil {
		return err
	}
	if decodeErr != nil {
		return decodeErr
	}
	if w.Message == nil || strings.TrimSpace(*w.Message) == "" {
		return pactwire.FieldErrorf("message", "a message needs words: put them in message")
	}
	if err := text("message", *w.Message, pactwire.MaxMessage); err != nil {
		return err
	}
	cmd.Message = &pactwire.MessageCommand{Message: *w.Message}
	return nil
}

type historyWire struct {
	ID        *string `json:"id"`
	AfterSeq  *uint64 `json:"afterSeq"`
	BeforeSeq *uint64 `json:"beforeSeq"`
	Limit     *int64  `json:"limit"`
}

// maxPage is the most activities in one page of history.
const maxPage = 200

func parseHistory(cmd *pactwire.Command, p pactwire.PactID, c codec, payload []byte) error {
	cmd.Kind, cmd.Pact, cmd.History = pactwire.CommandHistory, p, &pactwire.HistoryQuery{}
	if len(bytes.TrimSpace(payload)) == 0 { // the latest, please
		return nil
	}
	if err := c.check(payload); err != nil {
		return err
	}
	var w historyWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readID(w.ID); err != nil {
		return err
	}
	if decodeErr != nil {
		return decodeErr
	}
	if w.AfterSeq != nil && w.BeforeSeq != nil {
		return pactwire.FieldErrorf("beforeSeq", "give afterSeq or beforeSeq, not both")
	}
	cmd.History.After = (*pactwire.Seq)(w.AfterSeq)
	cmd.History.Before = (*pactwire.Seq)(w.BeforeSeq)
	if w.Limit != nil {
		if *w.Limit < 0 {
			return pactwire.FieldErrorf("limit", "limit is how many activities you want, at most %d", maxPage)
		}
		cmd.History.Limit = int(min(*w.Limit, maxPage))
	}
	return nil
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
