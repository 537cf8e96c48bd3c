package topics

import (
	"strings"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// Kind says what a topic is for. The comment behind each shows its spelling; ↓ only the server publishes, ↑ only clients.
type Kind uint8

// The kinds of topics.
const (
	Other             Kind = iota // anything else; plain MQTT for role lab
	ActivityKind                  // ↓ pacts/{p}/activity
	StateKind                     // ↓ pacts/{p}/state
	PresenceKind                  // ↓ pacts/{p}/presence/{u}
	CheckinsKind                  // ↑ pacts/{p}/checkins
	CelebrationsKind              // ↑ pacts/{p}/celebrations
	EncouragementKind             // ↑ pacts/{p}/encouragements
	ReactionsKind                 // ↑ pacts/{p}/reactions
	MessagesKind                  // ↑ pacts/{p}/messages
	HistoryKind                   // ↑ pacts/{p}/history
	InboxKind                     // ↓ users/{u}/inbox
	PactsKind                     // ↓ users/{u}/pacts
	UserPresenceKind              // ↑ users/{u}/presence
	UserMessagesKind              // ↑ users/{u}/messages
	ConnectionsKind               // ↑ users/{u}/connections
	NotificationsKind             // ↑ users/{u}/notifications
	RepliesKind                   // ↓ users/{u}/replies/{any…}
	DeviceCheckinKind             // ↑ devices/{d}/checkins
	DeviceRepliesKind             // ↓ devices/{d}/replies
	SysKind                       // ↓ $SYS/…
)

var pactWords = map[string]Kind{
	"activity": ActivityKind, "state": StateKind, "checkins": CheckinsKind, "celebrations": CelebrationsKind,
	"encouragements": EncouragementKind, "reactions": ReactionsKind, "messages": MessagesKind, "history": HistoryKind,
}

var userWords = map[string]Kind{
	"inbox": InboxKind, "pacts": PactsKind, "presence": UserPresenceKind, "messages": UserMessagesKind,
	"connections": ConnectionsKind, "notifications": NotificationsKind,
}

var deviceWords = map[string]Kind{"checkins": DeviceCheckinKind, "replies": DeviceRepliesKind}

// Up reports whether clients publish to such topics.
func (k Kind) Up() bool {
	switch k {
	case CheckinsKind, CelebrationsKind, EncouragementKind, ReactionsKind, MessagesKind, HistoryKind, UserPresenceKind,
		UserMessagesKind, ConnectionsKind, NotificationsKind, DeviceCheckinKind:
		return true
	}
	return false
}

// Topic is a parsed topic: one that messages are published to, without wildcards.
type Topic struct {
	Kind   Kind
	Pact   pactwire.PactID
	User   pactwire.UserID // the owner of a users/ topic; in presence the member
	Device pactwire.DeviceID
	Rest   string // what follows users/{u}/replies/; the whole topic for Other and $SYS
}

// Parse reads a topic name. What is not in the grammar but could be a plain MQTT topic is Other; a topic under pacts/,
// users/ or devices/ that is not in the grammar, and what MQTT forbids, is an Invalid error about field "topic".
func (l Limits) Parse(s string) (Topic, error) {
	if err := l.checkName(s); err != nil {
		return Topic{}, err
	}
	if strings.ContainsAny(s, "+#") {
		return Topic{}, pactwire.FieldErrorf("topic", "a topic to publish to has no wildcards: take out + and #")
	}
	head, tail, _ := strings.Cut(s, "/")
	switch head {
	case "pacts":
		return parsePact(tail)
	case "users":
		return parseUser(tail)
	case "devices":
		id, word, _ := strings.Cut(tail, "/")
		if kind, ok := deviceWords[word]; ok && pactwire.ValidID(id) {
			return Topic{Kind: kind, Device: pactwire.DeviceID(id)}, nil
		}
		return Topic{}, unknown()
	}
	if isSys(head) {
		return Topic{Kind: SysKind, Rest: s}, nil
	}
	return Topic{Kind: Other, Rest: s}, nil
}

func parsePact(tail string) (Topic, error) {
	id, word, _ := strings.Cut(tail, "/")
	if !pactwire.ValidID(id) {
		return Topic{}, unknown()
	}
	t := Topic{Pact: pactwire.PactID(id)}
	if member, ok := strings.CutPrefix(word, "presence/"); ok && pactwire.ValidID(member) {
		t.Kind, t.User = PresenceKind, pactwire.UserID(member)
		return t, nil
	}
	if t.Kind = pactWords[word]; t.Kind == Other {
		return Topic{}, unknown()
	}
	return t, nil
}

func parseUser(tail string) (Topic, error) {
	id, word, _ := strings.Cut(tail, "/")
	if !pactwire.ValidID(id) {
		return Topic{}, unknown()
	}
	t := Topic{User: pactwire.UserID(id)}
	if rest, ok := strings.CutPrefix(word, "replies/"); ok && rest != "" {
		t.Kind, t.Rest = RepliesKind, rest
		return t, nil
	}
	if t.Kind = userWords[word]; t.Kind == Other {
		return Topic{}, unknown()
	}
	return t, nil
}

func unknown() error {
	return pactwire.FieldErrorf("topic", "there is no such topic; see docs/topics.md for those that exist")
}

// checkName checks what holds for names and filters alike.
func (l Limits) checkName(s string) error {
	switch {
	case s == "":
		return pactwire.FieldErrorf("topic", "the topic is empty")
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return pactwire.FieldErrorf("topic", "the topic must be UTF-8 without NUL")
	}
	return l.check(s)
}

func isSys(head string) bool { return len(head) >= 4 && strings.EqualFold(head[:4], "$SYS") }

// String spells the topic.
func (t Topic) String() string {
	switch t.Kind {
	case PresenceKind:
		return Presence(t.Pact, t.User)
	case RepliesKind:
		return "users/" + string(t.User) + "/replies/" + t.Rest
	case SysKind, Other:
		return t.Rest
	}
	switch {
	case t.Pact != "":
		return "pacts/" + string(t.Pact) + "/" + t.Kind.word()
	case t.User != "":
		return "users/" + string(t.User) + "/" + t.Kind.word()
	default:
		return "devices/" + string(t.Device) + "/" + t.Kind.word()
	}
}

func (k Kind) word() string { return kindWords[k] }

var kindWords = func() (words [SysKind + 1]string) {
	for _, m := range []map[string]Kind{pactWords, userWords, deviceWords} {
		for w, k := range m {
			words[k] = w
		}
	}
	return words
}()

// Activity spells the feed of a pact.
func Activity(p pactwire.PactID) string { return "pacts/" + string(p) + "/activity" }

// State spells the state of a pact.
func State(p pactwire.PactID) string { return "pacts/" + string(p) + "/state" }

// Presence spells a member's presence in a pact.
func Presence(p pactwire.PactID, u pactwire.UserID) string {
	return "pacts/" + string(p) + "/presence/" + string(u)
}

// Checkins spells where a member logs a check-in.
func Checkins(p pactwire.PactID) string { return "pacts/" + string(p) + "/checkins" }

// Messages spells where a member chats in a pact.
func Messages(p pactwire.PactID) string { return "pacts/" + string(p) + "/messages" }

// History spells where a member asks for activities.
func History(p pactwire.PactID) string { return "pacts/" + string(p) + "/history" }

// Inbox spells a person's inbox.
func Inbox(u pactwire.UserID) string { return "users/" + string(u) + "/inbox" }

// DeviceCheckins spells where a device logs a check-in.
func DeviceCheckins(d pactwire.DeviceID) string { return "devices/" + string(d) + "/checkins" }

// DeviceReplies spells where a device is answered.
func DeviceReplies(d pactwire.DeviceID) string { return "devices/" + string(d) + "/replies" }

// Pacts spells the list of a person's pacts.
func Pacts(u pactwire.UserID) string { return "users/" + string(u) + "/pacts" }

// UserPresence spells where a person says how they are there.
func UserPresence(u pactwire.UserID) string { return "users/" + string(u) + "/presence" }

// OfStream spells the topic that carries a stream.
func OfStream(s pactwire.Stream) string {
	if s.Kind == pactwire.InboxStream {
		return Inbox(s.User())
	}
	return Activity(s.Pact())
}
