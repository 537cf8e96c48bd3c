package postgres

import (
	"time"

	"github.com/pactwire/pactwire"
)

// What people say to each other goes in the batches of everybody's check-ins, so it is memory as they are: see Tx. All that is read
// here belongs to a person who is locked first.

// pair is a person and another.
type pair struct{ user, other pactwire.UserID }

// about is a person and what they have said something about: a check-in, an activity, or the subject of a notification.
type about struct {
	user pactwire.UserID
	what string
}

// encouraged is how often somebody was encouraged on the latest day.
type encouraged struct {
	day int32
	n   int
}

// connection is one side of two people. It is replaced, never changed in place.
type connection struct {
	c  pactwire.Connection
	ok bool
}

// social is what is known of what people say to each other.
type social struct {
	places      map[string]*userGoalDay // check-ins by id; nil = there is none
	celebrated  map[about]bool
	encouraged  map[pair]encouraged
	reactions   map[about]string
	connections map[pair]*connection
	notified
}

// notified is what is known of people's notifications.
type notified struct {
	lists    map[pactwire.UserID]list
	unread   map[about]*pactwire.Notification // by subject; nil = there is none
	standing map[about]bool                   // by id: those that were met, and whether they are unread
}

// list is a person's notifications: how many are unread, and the places of the oldest and the newest; 0 = there is none.
type list struct {
	unread      int
	oldest, top int64
}

func newSocial() social {
	return social{
		places: map[string]*userGoalDay{}, celebrated: map[about]bool{}, encouraged: map[pair]encouraged{},
		reactions: map[about]string{}, connections: map[pair]*connection{}, notified: newNotified(),
	}
}

func newNotified() notified {
	return notified{lists: map[pactwire.UserID]list{}, unread: map[about]*pactwire.Notification{}, standing: map[about]bool{}}
}

// wantedWords is what of it is wanted.
type wantedWords struct {
	places      map[string]none
	celebrated  map[about]none
	encouraged  map[pair]none
	reactions   map[about]none
	connections map[pair]none
	lists       map[pactwire.UserID]none
	unread      map[about]none
}

func newWantedWords() wantedWords {
	return wantedWords{
		places: map[string]none{}, celebrated: map[about]none{}, encouraged: map[pair]none{}, reactions: map[about]none{},
		connections: map[pair]none{}, lists: map[pactwire.UserID]none{}, unread: map[about]none{},
	}
}

// words notes what commands that speak to somebody will ask for.
func (w *wants) words(x *pactwire.Expected) {
	if x.Checkin != "" {
		w.places[x.Checkin], w.celebrated[about{x.User, x.Checkin}] = none{}, none{}
	}
	if x.Activity != "" {
		w.reactions[about{x.User, x.Activity}] = none{}
	}
	if x.To == "" || x.To == x.User {
		return
	}
	w.looks[userName(x.To)] = none{} // who is no user yet is not made one by being spoken of
	w.connections[pair{x.To, x.User}] = none{}
	w.lists[x.To] = none{}
	if x.Encourages {
		w.encouraged[pair{x.User, x.To}] = none{}
	}
	if x.Pact == "" {
		w.connections[pair{x.User, x.To}] = none{}
	}
	if x.Subject != "" {
		w.unread[about{x.To, x.Subject}] = none{}
	}
}

// wordsKnown reports whether that was fetched already.
func (t *Tx) wordsKnown(x *pactwire.Expected) bool {
	if x.Checkin != "" {
		if _, known := t.places[x.Checkin]; !known {
			return false
		}
	}
	if x.Activity != "" {
		if _, known := t.reactions[about{x.User, x.Activity}]; !known {
			return false
		}
	}
	return x.To == "" || x.To == x.User || t.heads[userName(x.To)] != nil && t.connections[pair{x.To, x.User}] != nil
}

// Celebrated reports whether a person has celebrated a check-in.
func (t *Tx) Celebrated(u pactwire.UserID, checkin string) (bool, error) {
	k := about{u, checkin}
	if _, known := t.celebrated[k]; !known {
		if err := t.want(func(w *wants) { w.lock(userName(u)); w.celebrated[k] = none{} }); err != nil {
			return false, err
		}
	}
	return t.celebrated[k], nil
}

// PutCelebrated notes that a person has celebrated a check-in.
func (t *Tx) PutCelebrated(u pactwire.UserID, checkin string, at time.Time) error {
	if again, err := t.Celebrated(u, checkin); err != nil || again {
		return err
	}
	k := about{u, checkin}
	t.celebrated[k] = true
	t.change(func() { t.celebrated[k] = false })
	t.post(`INSERT INTO celebrations (usr, checkin, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, t.d.ids[userName(u)], checkin, millis(at))
	return nil
}

func (t *Tx) encouragements(k pair) (encouraged, error) {
	if _, known := t.encouraged[k]; !known {
		if err := t.want(func(w *wants) {
			w.lock(userName(k.user))
			w.lock(userName(k.other))
			w.encouraged[k] = none{}
		}); err != nil {
			return encouraged{}, err
		}
	}
	return t.encouraged[k], nil
}

// Encouragements counts those of a person for another on a local day. One that is before the latest counts as that: who travels west
// does not begin anew.
func (t *Tx) Encouragements(from, to pactwire.UserID, day pactwire.LocalDate) (int, error) {
	number, err := dateNumber(day)
	if err != nil {
		return 0, err
	}
	e, err := t.encouragements(pair{from, to})
	if err != nil || e.day < number {
		return 0, err
	}
	return e.n, nil
}

// PutEncouragements sets the count of a day, or of the latest one if that is later, and forgets that of the days before.
func (t *Tx) PutEncouragements(from, to pactwire.UserID, day pactwire.LocalDate, n int) error {
	number, err := dateNumber(day)
	if err != nil {
		return err
	}
	k := pair{from, to}
	was, err := t.encouragements(k)
	if err != nil {
		return err
	}
	for _, u := range []name{userName(from), userName(to)} {
		if err := t.known(u); err != nil {
			return err
		}
	}
	number = max(number, was.day)
	t.encouraged[k] = encouraged{number, n}
	t.change(func() { t.encouraged[k] = was })
	t.post(`INSERT INTO encouragements (usr, target, day, n) VALUES ($1, $2, $3, $4)
		ON CONFLICT (usr, target) DO UPDATE SET day = excluded.day, n = excluded.n`, t.d.ids[userName(from)], t.d.ids[userName(to)], number, n)
	return nil
}

// Reaction is a person's emoji on an activity, "" for none.
func (t *Tx) Reaction(activity string, u pactwire.UserID) (string, error) {
	k := about{u, activity}
	if _, known := t.reactions[k]; !known {
		if err := t.want(func(w *wants) { w.lock(userName(u)); w.reactions[k] = none{} }); err != nil {
			return "", err
		}
	}
	return t.reactions[k], nil
}

// PutReaction sets a person's emoji on an activity; "" takes it away.
func (t *Tx) PutReaction(activity string, u pactwire.UserID, emoji string) error {
	was, err := t.Reaction(activity, u)
	if err != nil {
		return err
	}
	k := about{u, activity}
	t.reactions[k] = emoji
	t.change(func() { t.reactions[k] = was })
	user := t.d.ids[userName(u)]
	if emoji == "" {
		t.post(`DELETE FROM reactions WHERE activity = $1 AND usr = $2`, activity, user)
		return nil
	}
	t.post(`INSERT INTO reactions (activity, usr, emoji) VALUES ($1, $2, $3) ON CONFLICT (activity, usr) DO UPDATE SET emoji = excluded.emoji`,
		activity, user, emoji)
	return nil
}

// Connection is u's side of how they stand to another.
func (t *Tx) Connection(u, other pactwire.UserID) (pactwire.Connection, bool, error) {
	k := pair{u, other}
	if t.connections[k] == nil {
		if err := t.want(func(w *wants) {
			w.lock(userName(u))
			w.lock(userName(other))
			w.connections[k] = none{}
		}); err != nil {
			return pactwire.Connection{}, false, err
		}
	}
	c := t.connections[k]
	return c.c, c.ok, nil
}

// UnreadAbout finds the unread notification about a subject.
func (t *Tx) UnreadAbout(u pactwire.UserID, subject string) (pactwire.Notification, bool, error) {
	if subject == "" {
		return pactwire.Notification{}, false, nil
	}
	k := about{u, subject}
	if _, known := t.unread[k]; !known {
		if err := t.want(func(w *wants) { w.lock(userName(u)); w.unread[k] = none{} }); err != nil {
			return pactwire.Notification{}, false, err
		}
	}
	n := t.unread[k]
	if n == nil {
		return pactwire.Notification{}, false, nil
	}
	return *n, true, nil
}

// AddNotification puts one at the top of its owner's list, taking it away from where it stood. Who counts the unread ones then has
// found it with UnreadAbout before.
func (t *Tx) AddNotification(n pactwire.Notification) error {
	if h := t.heads[userName(n.UserID)]; h == nil || h.id == 0 {
		if err := t.want(func(w *wants) { w.lock(userName(n.UserID)) }); err != nil {
			return err
		}
	}
	if err := t.listed(n); err != nil {
		return err
	}
	if n.Subject != "" && n.IsUnread {
		k := about{n.UserID, n.Subject}
		if was, known := t.unread[k]; known {
			t.unread[k] = &n
			t.change(func() { t.unread[k] = was })
		}
	}
	user := t.d.ids[userName(n.UserID)]
	t.post(`DELETE FROM notifications WHERE usr = $1 AND uid = $2`, user, n.ID)
	t.post(`DELETE FROM notifications WHERE usr = $1 AND n <= (SELECT max(n) FROM notifications WHERE usr = $1) + 1 - $2`,
		user, pactwire.MaxNotifications)
	t.post(`INSERT INTO notifications (usr, n, `+notificationColumns+`)
		SELECT $1, coalesce(max(n), 0) + 1, $2, $3, $4, $5::boolean, $6, $7, $8, $9::integer, $10::bytea, $11::bigint, $12::bigint
		FROM notifications WHERE usr = $1`,
		user, n.ID, string(n.Type), n.Subject, n.IsUnread, string(n.FromUserID), n.FromUserName, string(n.PactID), n.Count, []byte(n.Data),
		millis(n.CreatedAt.Std()), millis(n.UpdatedAt.Std()))
	return nil
}

// listed keeps what is known of a list true when one is put on top of it.
func (t *Tx) listed(n pactwire.Notification) error {
	was, known := t.lists[n.UserID]
	if !known {
		return nil
	}
	if t.alone { // it is counted anew
		delete(t.lists, n.UserID)
		return nil
	}
	now := was
	if now.top++; now.oldest == 0 {
		now.oldest = now.top
	}
	if now.oldest <= now.top-pactwire.MaxNotifications { // what goes at the bottom may be unread
		return t.direct()
	}
	k := about{n.UserID, n.ID}
	before, met := t.standing[k]
	if before {
		now.unread--
	}
	if n.IsUnread {
		now.unread++
	}
	t.lists[n.UserID], t.standing[k] = now, n.IsUnread
	t.change(func() {
		t.lists[n.UserID] = was
		if met {
			t.standing[k] = before
		} else {
			delete(t.standing, k)
		}
	})
	return nil
}

// CountUnread counts a person's unread notifications.
func (t *Tx) CountUnread(u pactwire.UserID) (int, error) {
	if _, known := t.lists[u]; !known {
		if err := t.want(func(w *wants) { w.lock(userName(u)); w.lists[u] = none{} }); err != nil {
			return 0, err
		}
	}
	return t.lists[u].unread, nil
}
