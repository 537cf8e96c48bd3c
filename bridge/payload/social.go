package payload

import (
	"strings"
	"unicode"

	"github.com/pactwire/pactwire"
)

// read does what all object payloads have in common: it checks the payload, decodes it into w, and sets the command's id,
// which is read also when something else is wrong.
func read[T any](cmd *pactwire.Command, c codec, payload []byte, w *T, id func(*T) *string) error {
	if err := c.check(payload); err != nil {
		return err
	}
	decodeErr := c.decode(payload, w)
	var err error
	if cmd.ID, err = readID(id(w)); err != nil {
		return err
	}
	return decodeErr
}

type celebrationWire struct {
	ID           *string `json:"id"`
	TargetUserID *string `json:"targetUserId"`
	CheckinID    *string `json:"checkinId"`
	Message      *string `json:"message"`
}

func parseCelebration(cmd *pactwire.Command, p pactwire.PactID, c codec, payload []byte) error {
	cmd.Kind, cmd.Pact = pactwire.CommandCelebration, p
	var w celebrationWire
	if err := read(cmd, c, payload, &w, func(w *celebrationWire) *string { return w.ID }); err != nil {
		return err
	}
	in := &pactwire.CelebrationCommand{}
	var err error
	if in.Target, err = person("targetUserId", w.TargetUserID); err != nil {
		return err
	}
	if in.CheckinID, err = named("checkinId", w.CheckinID, "the check-in that you celebrate"); err != nil {
		return err
	}
	if in.Message, err = short(w.Message); err != nil {
		return err
	}
	cmd.Celebration = in
	return nil
}

type encouragementWire struct {
	ID           *string `json:"id"`
	TargetUserID *string `json:"targetUserId"`
	Message      *string `json:"message"`
	Emoji        *string `json:"emoji"`
}

func parseEncouragement(cmd *pactwire.Command, p pactwire.PactID, c codec, payload []byte) error {
	cmd.Kind, cmd.Pact = pactwire.CommandEncouragement, p
	var w encouragementWire
	if err := read(cmd, c, payload, &w, func(w *encouragementWire) *string { return w.ID }); err != nil {
		return err
	}
	in := &pactwire.EncouragementCommand{}
	var err error
	if in.Target, err = person("targetUserId", w.TargetUserID); err != nil {
		return err
	}
	if in.Target == "" {
		return pactwire.FieldErrorf("targetUserId", "say whom you encourage: targetUserId is a member of the pact")
	}
	if in.Message, err = short(w.Message); err != nil {
		return err
	}
	if w.Emoji != nil {
		if in.Emoji, err = emoji(*w.Emoji); err != nil {
			return err
		}
	}
	cmd.Encouragement = in
	return nil
}

type reactionWire struct {
	ID         *string `json:"id"`
	ActivityID *string `json:"activityId"`
	Emoji      *string `json:"emoji"`
}

func parseReaction(cmd *pactwire.Command, p pactwire.PactID, c codec, payload []byte) error {
	cmd.Kind, cmd.Pact = pactwire.CommandReaction, p
	var w reactionWire
	if err := read(cmd, c, payload, &w, func(w *reactionWire) *string { return w.ID }); err != nil {
		return err
	}
	in := &pactwire.ReactionCommand{}
	var err error
	if in.ActivityID, err = named("activityId", w.ActivityID, "the activity that you react to"); err != nil {
		return err
	}
	if w.Emoji == nil && !c.names(payload, "emoji") {
		return pactwire.FieldErrorf("emoji", "emoji is missing; null takes a reaction back")
	}
	if w.Emoji != nil { // null takes a reaction back
		if *w.Emoji == "" {
			return pactwire.FieldErrorf("emoji", "emoji is empty; null takes a reaction back")
		}
		if in.Emoji, err = emoji(*w.Emoji); err != nil {
			return err
		}
	}
	cmd.Reaction = in
	return nil
}

func parseDirectMessage(cmd *pactwire.Command, to pactwire.UserID, c codec, payload []byte) error {
	err := parseMessage(cmd, "", c, payload)
	cmd.Kind, cmd.User = pactwire.CommandDirectMessage, to
	return err
}

type connectionWire struct {
	ID     *string `json:"id"`
	Action *string `json:"action"`
}

func parseConnection(cmd *pactwire.Command, u pactwire.UserID, c codec, payload []byte) error {
	cmd.Kind, cmd.User = pactwire.CommandConnection, u
	var w connectionWire
	if err := read(cmd, c, payload, &w, func(w *connectionWire) *string { return w.ID }); err != nil {
		return err
	}
	if w.Action != nil {
		switch a := pactwire.ConnectionAction(*w.Action); a {
		case pactwire.ConnectionRequest, pactwire.ConnectionAccept, pactwire.ConnectionDecline, pactwire.ConnectionEnd,
			pactwire.ConnectionBlock, pactwire.ConnectionUnblock:
			cmd.Connection = &pactwire.ConnectionCommand{Action: a}
			return nil
		}
	}
	return pactwire.FieldErrorf("action", "action is request, accept, decline, end, block or unblock")
}

// notificationWire marks notifications. Here id names a notification, so a key of the command's own has another name.
type notificationWire struct {
	CommandID *string `json:"commandId"`
	ID        *string `json:"id"`
	All       *bool   `json:"all"`
	IsUnread  *bool   `json:"isUnread"`
}

func parseNotification(cmd *pactwire.Command, u pactwire.UserID, c codec, payload []byte) error {
	cmd.Kind, cmd.User = pactwire.CommandNotification, u
	if err := c.check(payload); err != nil {
		return err
	}
	var w notificationWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readKey("commandId", w.CommandID); err != nil {
		return err
	}
	if decodeErr != nil {
		return decodeErr
	}
	in := &pactwire.NotificationCommand{All: w.All != nil && *w.All}
	switch {
	case in.All && w.ID != nil && *w.ID != "":
		return pactwire.FieldErrorf("all", "mark one notification by its id, or all of them, not both")
	case !in.All:
		if in.ID, err = named("id", w.ID, "the notification that you mark"); err != nil {
			return err
		}
	}
	if w.IsUnread == nil {
		return pactwire.FieldErrorf("isUnread", "say how to mark it: isUnread is true or false")
	}
	if in.Unread = *w.IsUnread; in.All && in.Unread {
		return pactwire.FieldErrorf("isUnread", "all can be marked as read only: isUnread is false")
	}
	cmd.Notification = in
	return nil
}

// person reads an optional user id.
func person(field string, id *string) (pactwire.UserID, error) {
	if id == nil || *id == "" {
		return "", nil
	}
	if !pactwire.ValidID(*id) {
		return "", pactwire.FieldErrorf(field, "%s is no person's id", field)
	}
	return pactwire.UserID(*id), nil
}

// named reads an id that must be there.
func named(field string, id *string, what string) (string, error) {
	if id == nil || *id == "" {
		return "", pactwire.FieldErrorf(field, "%s is needed: %s", field, what)
	}
	if !pactwire.ValidID(*id) {
		return "", pactwire.FieldErrorf(field, "%s is no id; take it as you got it", field)
	}
	return *id, nil
}

// short reads the few words that may go with a celebration or an encouragement.
func short(s *string) (string, error) {
	if s == nil {
		return "", nil
	}
	return *s, text("message", *s, pactwire.MaxShort)
}

// emoji reads a sign. What an emoji is changes every year, so anything goes that is short and has nothing to hide.
func emoji(s string) (string, error) {
	if err := text("emoji", s, pactwire.MaxEmoji); err != nil {
		return "", err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", pactwire.FieldErrorf("emoji", "an emoji has no spaces and no control characters")
	}
	return s, nil
}
