package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// queueWords asks for what is wanted, each kind with one statement.
func (t *Tx) queueWords(b *pgx.Batch, w *wants) {
	t.queuePlaces(b, w)
	t.queueCelebrated(b, w)
	t.queueEncouraged(b, w)
	t.queueReactions(b, w)
	t.queueConnections(b, w)
	t.queueLists(b, w)
	t.queueUnread(b, w)
}

// abouts are those of a kind that are not known, as the arguments of a statement; absent notes that there is none until one is found.
func (t *Tx) abouts(m map[about]none, known func(about) bool, absent func(about)) (of []about, users []int64, whats []string) {
	for k := range m {
		if known(k) {
			continue
		}
		absent(k)
		if id := t.d.ids[userName(k.user)]; id != 0 {
			of, users, whats = append(of, k), append(users, id), append(whats, k.what)
		}
	}
	return of, users, whats
}

const ofAbouts = ` FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS w (usr, what, i) `

func (t *Tx) queueCelebrated(b *pgx.Batch, w *wants) {
	of, users, whats := t.abouts(w.celebrated, func(k about) bool { _, ok := t.celebrated[k]; return ok }, func(k about) { t.celebrated[k] = false })
	if len(of) == 0 {
		return
	}
	b.Queue(`SELECT w.i`+ofAbouts+`JOIN celebrations c ON c.usr = w.usr AND c.checkin = w.what`, users, whats).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i int
			err := rows.Scan(&i)
			if err == nil {
				t.celebrated[of[i-1]] = true
			}
			return err
		})
	})
}

func (t *Tx) queueReactions(b *pgx.Batch, w *wants) {
	of, users, whats := t.abouts(w.reactions, func(k about) bool { _, ok := t.reactions[k]; return ok }, func(k about) { t.reactions[k] = "" })
	if len(of) == 0 {
		return
	}
	b.Queue(`SELECT w.i, r.emoji`+ofAbouts+`JOIN reactions r ON r.activity = w.what AND r.usr = w.usr`, users, whats).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i int
			var emoji string
			err := rows.Scan(&i, &emoji)
			if err == nil {
				t.reactions[of[i-1]] = emoji
			}
			return err
		})
	})
}

func (t *Tx) queueUnread(b *pgx.Batch, w *wants) {
	of, users, whats := t.abouts(w.unread, func(k about) bool { _, ok := t.unread[k]; return ok }, func(k about) { t.unread[k] = nil })
	if len(of) == 0 {
		return
	}
	b.Queue(`SELECT w.i, `+notificationColumns+ofAbouts+`JOIN notifications l ON l.usr = w.usr AND l.subject = w.what AND l.unread`, users, whats).
		Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var i int
				var n pactwire.Notification
				var made, changed int64
				err := rows.Scan(append([]any{&i}, notificationFields(&n, &made, &changed)...)...)
				if err == nil {
					k := of[i-1]
					n.UserID, n.CreatedAt, n.UpdatedAt = k.user, pactwire.Time(timeOf(made)), pactwire.Time(timeOf(changed))
					t.unread[k], t.standing[about{k.user, n.ID}] = &n, true
				}
				return err
			})
		})
}

// pairsOf are those that are not known, as the arguments of a statement.
func (t *Tx) pairsOf(m map[pair]none, known func(pair) bool, absent func(pair)) (of []pair, users, others []int64) {
	return numbered(t, m, func(k pair) (name, name) { return userName(k.user), userName(k.other) }, known, absent)
}

const ofPairsOfPeople = ` FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w (usr, other, i) `

func (t *Tx) queueEncouraged(b *pgx.Batch, w *wants) {
	of, users, others := t.pairsOf(w.encouraged, func(k pair) bool { _, ok := t.encouraged[k]; return ok }, func(k pair) { t.encouraged[k] = encouraged{} })
	if len(of) == 0 {
		return
	}
	b.Queue(`SELECT w.i, e.day, e.n`+ofPairsOfPeople+`JOIN encouragements e ON e.usr = w.usr AND e.target = w.other`, users, others).
		Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var i int
				var e encouraged
				err := rows.Scan(&i, &e.day, &e.n)
				if err == nil {
					t.encouraged[of[i-1]] = e
				}
				return err
			})
		})
}

func (t *Tx) queueConnections(b *pgx.Batch, w *wants) {
	of, users, others := t.pairsOf(w.connections, func(k pair) bool { return t.connections[k] != nil }, func(k pair) { t.connections[k] = &connection{} })
	if len(of) == 0 {
		return
	}
	b.Queue(`SELECT w.i, `+connectionColumns+ofPairsOfPeople+`JOIN connections c ON c.usr = w.usr AND c.other = w.other
		JOIN names n ON n.id = c.other LEFT JOIN users u ON u.id = c.other`, users, others).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i int
			var c pactwire.Connection
			var at int64
			err := rows.Scan(&i, &c.UserID, &c.UserName, &c.Status, &c.IsBlocked, &c.Asked, &at)
			if err == nil {
				c.UpdatedAt = pactwire.Time(timeOf(at))
				t.connections[of[i-1]] = &connection{c, true}
			}
			return err
		})
	})
}

func (t *Tx) queueLists(b *pgx.Batch, w *wants) {
	var users []int64
	of := map[int64]pactwire.UserID{}
	for u := range w.lists {
		if _, known := t.lists[u]; known {
			continue
		}
		t.lists[u] = list{}
		if id := t.d.ids[userName(u)]; id != 0 {
			users = append(users, id)
			of[id] = u
		}
	}
	if len(users) == 0 {
		return
	}
	b.Queue(`SELECT usr, count(*) FILTER (WHERE unread), min(n), max(n) FROM notifications WHERE usr = ANY ($1) GROUP BY usr`, users).
		Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var id int64
				var l list
				err := rows.Scan(&id, &l.unread, &l.oldest, &l.top)
				t.lists[of[id]] = l
				return err
			})
		})
}
