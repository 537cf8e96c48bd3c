package pactwire

import "encoding/json"

// What people say to each other, besides checking in.

// Limits of what is said.
const (
	MaxShort           = 280 // code points of the message of a celebration or an encouragement
	MaxEmoji           = 16  // code points of an emoji; one that a person sees may be made of a dozen
	MaxEncouragements  = 5   // by one sender, for one target, on one local day of the sender
	MaxAsked           = 3   // requests for a connection to one person, until one of the two says yes
	MaxConnections     = 500 // accepted ones of a person
	MaxRequests        = 100 // for connections, by one person, not yet answered
	MaxConnectionRows  = 5000
	MaxNotifications   = 1000 // kept for a person; the oldest go
	MaxPresenceTargets = 200  // accepted connections that hear of a person's coming and going
)

// CelebrationCommand celebrates a partner's check-in.
type CelebrationCommand struct {
	Target    UserID // "" = whose check-in it is
	CheckinID string
	Message   string
}

// EncouragementCommand encourages a partner.
type EncouragementCommand struct {
	Target  UserID
	Message string
	Emoji   string
}

// ReactionCommand sets the sender's one emoji on an activity; "" takes it back.
type ReactionCommand struct {
	ActivityID string
	Emoji      string
}

// ConnectionCommand is a step in how the sender and another person stand to each other.
type ConnectionCommand struct {
	Action ConnectionAction
}

// NotificationCommand marks notifications of the sender's as read or unread: one, or all.
type NotificationCommand struct {
	ID     string // "" with All
	All    bool
	Unread bool
}

// CelebrationData is the data of celebration_sent.
type CelebrationData struct {
	CelebrationID string `json:"celebrationId"`
	TargetUserID  UserID `json:"targetUserId"`
	CheckinID     string `json:"checkinId"`
	Message       string `json:"message"`
}

// EncouragementData is the data of encouragement_sent.
type EncouragementData struct {
	EncouragementID string  `json:"encouragementId"`
	TargetUserID    UserID  `json:"targetUserId"`
	Message         string  `json:"message"`
	Emoji           *string `json:"emoji"`
}

// ReactionData is the data of reaction_added; a null emoji says that a reaction was taken back.
type ReactionData struct {
	ActivityID string  `json:"activityId"`
	Emoji      *string `json:"emoji"`
}

// Celebration is one celebration of a check-in.
type Celebration struct {
	ID         string `json:"id"`
	PactID     PactID `json:"pactId"`
	FromUserID UserID `json:"fromUserId"`
	ToUserID   UserID `json:"toUserId"`
	CheckinID  string `json:"checkinId"`
	Message    string `json:"message"`
}

// CelebrationReceived is the data of SERVER:CELEBRATION_RECEIVED.
type CelebrationReceived struct {
	Celebration  Celebration `json:"celebration"`
	FromUserName string      `json:"fromUserName"`
	Message      string      `json:"message"`
}

// Encouragement is one encouragement.
type Encouragement struct {
	ID         string  `json:"id"`
	PactID     PactID  `json:"pactId"`
	FromUserID UserID  `json:"fromUserId"`
	ToUserID   UserID  `json:"toUserId"`
	Message    string  `json:"message"`
	Emoji      *string `json:"emoji"`
}

// EncouragementReceived is the data of SERVER:ENCOURAGEMENT_RECEIVED.
type EncouragementReceived struct {
	Encouragement Encouragement `json:"encouragement"`
	FromUserName  string        `json:"fromUserName"`
	Message       string        `json:"message"`
}

// DirectMessage is one message from person to person.
type DirectMessage struct {
	ID           string `json:"id"`
	FromUserID   UserID `json:"fromUserId"`
	FromUserName string `json:"fromUserName"`
	ToUserID     UserID `json:"toUserId"`
	Text         string `json:"text"`
	Time         Time   `json:"time"`
}

// DirectMessageSent is the data of SERVER:SEND_DIRECT_MESSAGE, which comes to both inboxes. ContextUserID is the other
// person, as seen by the inbox's owner.
type DirectMessageSent struct {
	ContextUserID UserID        `json:"contextUserId"`
	Message       DirectMessage `json:"message"`
}

// ConnectionAction is what one may do about another person.
type ConnectionAction string

// The actions.
const (
	ConnectionRequest ConnectionAction = "request"
	ConnectionAccept  ConnectionAction = "accept"
	ConnectionDecline ConnectionAction = "decline"
	ConnectionEnd     ConnectionAction = "end" // of a connection, or of a request that has no answer yet
	ConnectionBlock   ConnectionAction = "block"
	ConnectionUnblock ConnectionAction = "unblock"
)

// ConnectionStatus is how a person stands to another, as that person sees it.
type ConnectionStatus string

// The statuses.
const (
	ConnectionRequested ConnectionStatus = "requested" // asked, and not answered
	ConnectionPending   ConnectionStatus = "pending"   // was asked, and has not answered
	ConnectionAccepted  ConnectionStatus = "accepted"
	ConnectionDeclined  ConnectionStatus = "declined"
	ConnectionEnded     ConnectionStatus = "ended" // or never was more than a block
)

// Connection is one person's side of how they stand to another. The other has a side of their own, which differs where one of
// the two is not to know.
type Connection struct {
	UserID    UserID           `json:"userId"` // the other person
	UserName  string           `json:"userName"`
	Status    ConnectionStatus `json:"status"`
	IsBlocked bool             `json:"isBlocked"` // by the one whose side this is
	UpdatedAt Time             `json:"updatedAt"`
	Asked     int              `json:"-"` // requests of the one whose side this is, since the two were last connected
}

// ConnectionChanged is the data of SERVER:USER_CONNECTION_CREATED and SERVER:USER_CONNECTION_UPDATED.
type ConnectionChanged struct {
	Connection Connection `json:"connection"`
}

// ConnectionCounts is how many sides of a person's there are, by status, and in all.
type ConnectionCounts struct {
	Accepted, Requested, All int
}

// NotificationType says what a notification is about.
type NotificationType string

// The types of notifications.
const (
	NotifyCelebration        NotificationType = "celebration"
	NotifyEncouragement      NotificationType = "encouragement"
	NotifyMessage            NotificationType = "message"
	NotifyConnectionRequest  NotificationType = "connection_request"
	NotifyConnectionAccepted NotificationType = "connection_accepted"
	NotifyPactInvitation     NotificationType = "pact_invitation"
	NotifyMilestone          NotificationType = "milestone"
)

// Notification is one line of a person's list of news. It is about a person's own affairs: what happens in a pact day by day
// stands in the pact's feed.
type Notification struct {
	ID           string           `json:"id"`
	Type         NotificationType `json:"type"`
	IsUnread     bool             `json:"isUnread"`
	FromUserID   UserID           `json:"fromUserId,omitempty"`
	FromUserName string           `json:"fromUserName,omitempty"`
	PactID       PactID           `json:"pactId,omitempty"`
	Count        int              `json:"count"` // of what it stands for: messages of one person are one notification while it is unread
	Data         json.RawMessage  `json:"data"`
	CreatedAt    Time             `json:"createdAt"`
	UpdatedAt    Time             `json:"updatedAt"`

	UserID  UserID `json:"-"` // whose it is
	Subject string `json:"-"` // an unread one about the same subject is renewed instead of adding another; "" = never
}

// NotificationChanged is the data of SERVER:NOTIFICATION_CREATED and SERVER:NOTIFICATION_UPDATED about one notification.
type NotificationChanged struct {
	Notification
	UnreadCount int `json:"unreadCount"`
}

// NotificationsMarked is the data of SERVER:NOTIFICATION_UPDATED about all of them.
type NotificationsMarked struct {
	All         bool `json:"all"` // true
	IsUnread    bool `json:"isUnread"`
	UnreadCount int  `json:"unreadCount"`
}

// NotificationQuery asks for a page of a person's notifications, the newest first.
type NotificationQuery struct {
	Unread bool   // only those
	Before string // the id of the last one of the page before; "" = from the newest
	Limit  int
}

// NotificationPage is the answer of GET /v1/notifications.
type NotificationPage struct {
	Items       []Notification `json:"items"` // never null
	HasMore     bool           `json:"hasMore"`
	UnreadCount int            `json:"unreadCount"`
}
