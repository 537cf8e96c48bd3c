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

func parseCelebration(p pactwire.PactID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandCelebration, Pact: p}
	var w celebrationWire
	if err := read(&cmd, c, payload, &w, func(w *celebrationWire) *string { return w.ID }); err != nil {
		return cmd, err
	}
	in := &pactwire.CelebrationCommand{}
	var err error
	if in.Target, err = person("targetUserId", w.TargetUserID); err != nil {
		return cmd, err
	}
	if in.CheckinID, err = named("checkinId", w.CheckinID, "the check-in that you celebrate"); err != nil {
		return cmd, err
	}
	if in.Message, err = short(w.Message); err != nil {
		return cmd, err
	}
	cmd.Celebration = in
	return cmd, nil
}

type encouragementWire struct {
	ID           *string `json:"id"`
	TargetUserID *string `json:"targetUserId"`
	Message      *string `json:"message"`
	Emoji        *string `json:"emoji"`
}

func parseEncouragement(p pactwire.PactID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandEncouragement, Pact: p}
	var w encouragementWire
	if err := read(&cmd, c, payload, &w, func(w *encouragementWire) *string { return w.ID }); err != nil {
		return cmd, err
	}
	in := &pactwire.EncouragementCommand{}
	var err error
	if in.Target, err = person("targetUserId", w.TargetUserID); err != nil {
		return cmd, err
	}
	if in.Target == "" {
		return cmd, pactwire.FieldErrorf("targetUserId", "say whom you encourage: targetUserId is a member of the pact")
	}
	if in.Message, err = short(w.Message); err != nil {
		return cmd, err
	}
	if w.Emoji != nil {
		if in.Emoji, err = emoji(*w.Emoji); err != nil {
			return cmd, err
		}
	}
	cmd.Encouragement = in
	return cmd, nil
}

type reactionWire struct {
	ID         *string `json:"id"`
	ActivityID *string `json:"activityId"`
	Emoji      *string `json:"emoji"`
}

func parseReaction(p pactwire.PactID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandReaction, Pact: p}
	var w reactionWire
	if err := read(&cmd, c, payload, &w, func(w *reactionWire) *string { return w.ID }); err != nil {
		return cmd, err
	}
	in := &pactwire.ReactionCommand{}
	var err error
	if in.ActivityID, err = named("activityId", w.ActivityID, "the activity that you react to"); err != nil {
		return cmd, err
	}
	if w.Emoji == nil && !c.names(payload, "emoji") {
		return cmd, pactwire.FieldErrorf("emoji", "emoji is missing; null takes a reaction back")
	}
	if w.Emoji != nil { // null takes a reaction back
		if *w.Emoji == "" {
			return cmd, pactwire.FieldErrorf("emoji", "emoji is empty; null takes a reaction back")
		}
		if in.Emoji, err = emoji(*w.Emoji); err != nil {
			return cmd, err
		}
	}
	cmd.Reaction = in
	return cmd, nil
}

func parseDirectMessage(to pactwire.UserID, c codec, payload []byte) (pactwire.Command, error) {
	cmd, err := parseMessage("", c, payload)
	cmd.Kind, cmd.User = pactwire.CommandDirectMessage, to
	return cmd, err
}

type connectionWire struct {
	ID     *string `json:"id"`
	Action *string `json:"action"`
}

func parseConnection(u pactwire.UserID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandConnection, User: u}
	var w connectionWire
	if err := read(&cmd, c, payload, &w, func(w *connectionWire) *string { return w.ID }); err != nil {
		return cmd, err
	}
	if w.Action != nil {
		switch a := pactwire.ConnectionAction(*w.Action); a {
		case pactwire.ConnectionRequest, pactwire.ConnectionAccept, pactwire.ConnectionDecline, pactwire.ConnectionEnd,
			pactwire.ConnectionBlock, pactwire.ConnectionUnblock:
			cmd.Connection = &pactwire.ConnectionCommand{Action: a}
			return cmd, nil
		}
	}
	return cmd, pactwire.FieldErrorf("action", "action is request, accept, decline, end, block or unblock")
}

// notificationWire marks notifications. Here id names a notification, so a key of the command's own has another name.
type notificationWire struct {
	CommandID *string `json:"commandId"`
	ID        *string `json:"id"`
	All       *bool   `json:"all"`
	IsUnread  *bool   `json:"isUnread"`
}

func parseNotification(u pactwire.UserID, c codec, payload []byte) (pactwire.Command, error) {
	cmd := pactwire.Command{Kind: pactwire.CommandNotification, User: u}
	if err := c.check(payload); err != nil {
		return cmd, err
	}
	var w notificationWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readKey("commandId", w.CommandID); err != nil {
		return cmd, err
	}
	if decodeErr != nil {
		return cmd, decodeErr
	}
	in := &pactwire.NotificationCommand{All: w.All != nil && *w.All}
	switch {
	case in.All && w.ID != nil && *w.ID != "":
		return cmd, pactwire.FieldErrorf("all", "mark one notification by its id, or all of them, not both")
	case !in.All:
		if in.ID, err = named("id", w.ID, "the notification that you mark"); err != nil {
			return cmd, err
		}
	}
	if w.IsUnread == nil {
		return cmd, pactwire.FieldErrorf("isUnread", "say how to mark it: isUnread is true or false")
	}
	if in.Unread = *w.IsUnread; in.All && in.Unread {
		return cmd, pactwire.FieldErrorf("isUnread", "all can be marked as read only: isUnread is false")
	}
	cmd.Notification = in
	return cmd, nil
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
