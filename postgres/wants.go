package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

type none = struct{}

// wants is what functions have asked for and memory does not have. Whoever's rows are wanted is locked too.
type wants struct {
	locks     map[name]none // added when they are not there
	looks     map[name]none // locked when they are there
	adds      map[name]none // added when they are not there, and not locked
	commands  map[commandKey]none
	users     map[pactwire.UserID]none
	pacts     map[pactwire.PactID]none
	goals     map[pactwire.GoalID]none
	active    map[userGoal]none
	dates     map[userGoal]none
	recent    map[userGoal]none
	checkins  map[userGoalDay]none
	announced map[userGoal]none
	tellable  map[int64]none
	pending   map[int64]none
	seen      map[userGoalDay]none
	said      map[said]none
	received  map[pactwire.Inbound]none
	dues      map[string]none
	wantedWords
	numbers int
}

func (w *wants) ready() {
	if w.locks != nil {
		return
	}
	w.locks, w.looks, w.adds = map[name]none{}, map[name]none{}, map[name]none{}
	w.commands, w.users, w.pacts, w.goals = map[commandKey]none{}, map[pactwire.UserID]none{}, map[pactwire.PactID]none{}, map[pactwire.GoalID]none{}
	w.active, w.dates, w.recent, w.announced = map[userGoal]none{}, map[userGoal]none{}, map[userGoal]none{}, map[userGoal]none{}
	w.received, w.dues = map[pactwire.Inbound]none{}, map[string]none{}
	w.wantedWords = newWantedWords()
	w.checkins, w.tellable, w.pending = map[userGoalDay]none{}, map[int64]none{}, map[int64]none{}
	w.seen, w.said = map[userGoalDay]none{}, map[said]none{}
}

func (w *wants) lock(n name) {
	w.ready()
	w.locks[n] = none{}
}

func (w *wants) add(n name) {
	w.ready()
	w.adds[n] = none{}
}

func (w *wants) pact(p pactwire.PactID) {
	w.ready()
	w.looks[pactName(p)] = none{}
	w.pacts[p] = none{}
}

func (w *wants) userGoal(in func(*wants) map[userGoal]none, k userGoal) {
	w.lock(userName(k.user))
	in(w)[k] = none{}
}

// names are all whose numbers are needed, and whether they are to be added.
func (w *wants) names() map[name]bool {
	all := make(map[name]bool, len(w.locks)+len(w.looks)+len(w.goals))
	for n := range w.looks {
		all[n] = false
	}
	for g := range w.goals {
		all[goalName(g)] = false
	}
	pairs := func(m map[userGoal]none) {
		for k := range m {
			all[goalName(k.goal)] = false
		}
	}
	pairs(w.active)
	pairs(w.dates)
	pairs(w.recent)
	pairs(w.announced)
	for k := range w.checkins {
		all[goalName(k.goal)] = false
	}
	for k := range w.seen {
		all[goalName(k.goal)] = false
	}
	for k := range w.said {
		all[goalName(k.goal)] = false
	}
	for n := range w.locks {
		all[n] = true
	}
	for n := range w.adds {
		all[n] = true
	}
	return all
}

// fetch brings what is wanted into memory, with one round trip when the names are known. Locks are taken in order of their
// numbers: when one is wanted that comes before one which is held, the transaction begins anew and takes all of them, so
// that no two nodes wait for each other.
func (t *Tx) fetch(w *wants) error {
	w.ready()
	if err := t.d.resolve(t.ctx, w.names()); err != nil {
		return t.fail(err)
	}
	var ids []int64
	byID := map[int64]name{}
	for _, set := range []map[name]none{w.locks, w.looks} {
		for n := range set {
			id := t.d.ids[n]
			if id == 0 {
				t.heads[n] = &head{} // there is no such name
				continue
			}
			if _, held := t.locked[id]; !held && byID[id] == (name{}) {
				ids = append(ids, id)
				byID[id] = n
			}
		}
	}
	slices.Sort(ids)
	if t.open && len(ids) > 0 && (!t.alone || ids[0] < t.highest) {
		if t.alone {
			panic(errAgain) // the function runs again, from the start, with everything locked before
		}
		return t.begin()
	}
	var b pgx.Batch
	if !t.open {
		b.Queue("BEGIN")
	}
	if len(ids) > 0 {
		b.Queue(`SELECT id, head FROM names WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`, ids).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var id, at int64
				if err := rows.Scan(&id, &at); err != nil {
					return err
				}
				t.heads[byID[id]] = &head{id: id, seq: pactwire.Seq(at)} //nolint:gosec // never negative
				t.locked[id] = none{}
				t.highest = max(t.highest, id)
				return nil
			})
		})
	}
	t.queueReads(&b, w)
	t.open = true
	t.trips++
	if err := t.c.SendBatch(t.ctx, &b).Close(); err != nil {
		return t.fail(err)
	}
	return nil
}

// begin starts the transaction anew, with all that was wanted so far.
func (t *Tx) begin() error {
	if err := t.rollback(); err != nil {
		return t.fail(err)
	}
	t.forgetAll()
	return t.fetch(&t.wants)
}

// rollback ends the transaction without effect.
func (t *Tx) rollback() error {
	if !t.open {
		return nil
	}
	t.open = false
	t.trips++
	_, err := t.c.Exec(t.ctx, "ROLLBACK")
	return err
}

// each scans all rows. The rows are closed by who made them.
func each(rows pgx.Rows, scan func() error) error {
	for rows.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// queueReads asks for the rows, each kind of them with one statement.
func (t *Tx) queueReads(b *pgx.Batch, w *wants) {
	if lack := w.numbers - len(t.numbers); lack > 0 {
		b.Queue(`SELECT nextval('command_numbers') FROM generate_series(1, $1)`, lack).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var n int64
				err := rows.Scan(&n)
				t.numbers = append(t.numbers, n)
				return err
			})
		})
	}
	t.queueCommands(b, w)
	t.queueReceived(b, w)
	t.queueDues(b, w)
	t.queueUsers(b, w)
	t.queuePacts(b, w)
	t.queueGoals(b, w)
	t.queueActive(b, w)
	t.queueCheckins(b, w)
	t.queueAnnounced(b, w)
	t.queueSeen(b, w)
	t.queueWords(b, w)
}

func (t *Tx) queueUsers(b *pgx.Batch, w *wants) {
	var ids []int64
	of := map[int64]pactwire.UserID{}
	for u := range w.users {
		if t.users[u] != nil {
			continue
		}
		t.users[u] = &user{}
		id := t.d.ids[userName(u)]
		ids = append(ids, id)
		of[id] = u
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(`SELECT id, `+userColumns+` FROM users WHERE id = ANY ($1)`, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var id int64
			u, err := scanUser(rows, &id)
			u.ID = of[id]
			t.users[u.ID] = &user{u: u, ok: true}
			return err
		})
	})
}

func (t *Tx) queuePacts(b *pgx.Batch, w *wants) {
	var ids []int64
	of := map[int64]pactwire.PactID{}
	for p := range w.pacts {
		if t.pacts[p] != nil {
			continue
		}
		t.pacts[p] = &pact{}
		if id := t.d.ids[pactName(p)]; id != 0 {
			ids = append(ids, id)
			of[id] = p
		}
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(sqlPacts, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var id int64
			p, err := scanPact(rows, &id)
			if err != nil {
				return err
			}
			t.pacts[p.ID] = &pact{p: p, ok: true}
			return nil
		})
	})
	b.Queue(sqlMembers, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var id int64
			m, err := scanMember(rows, &id)
			if p := t.pacts[of[id]]; err == nil && p.ok {
				p.p.Members = append(p.p.Members, m)
			}
			return err
		})
	})
}

func (t *Tx) queueGoals(b *pgx.Batch, w *wants) {
	var ids []int64
	for g := range w.goals {
		if t.goals[g] != nil {
			continue
		}
		t.goals[g] = &goal{}
		if id := t.d.ids[goalName(g)]; id != 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(`SELECT `+goalColumns+goalTables+` WHERE g.id = ANY ($1)`, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			g, err := scanGoal(rows)
			t.goals[g.ID] = &goal{g: g, ok: true}
			return err
		})
	})
}

// pairs are the numbers of people and goals, with the keys in the same order; those that cannot have rows are left out.
type pairs struct {
	keys         []userGoal
	users, goals []int64
}

func (t *Tx) pairs(m map[userGoal]none, known func(userGoal) bool, absent func(userGoal)) (p pairs) {
	p.keys, p.users, p.goals = numbered(t, m, func(k userGoal) (name, name) { return userName(k.user), goalName(k.goal) }, known, absent)
	return p
}

// numbered are the keys that are not known, with the numbers of their two names in the same order. Those that cannot have rows are
// noted as absent, and left out.
func numbered[K comparable](t *Tx, m map[K]none, names func(K) (name, name), known func(K) bool, absent func(K)) (keys []K, first, second []int64) {
	for k := range m {
		if known(k) {
			continue
		}
		absent(k)
		one, other := names(k)
		a, b := t.d.ids[one], t.d.ids[other]
		if a != 0 && b != 0 {
			keys, first, second = append(keys, k), append(first, a), append(second, b)
		}
	}
	return keys, first, second
}

const ofPairs = ` FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w (usr, goal, i) `

func (t *Tx) queueActive(b *pgx.Batch, w *wants) {
	p := t.pairs(w.active, func(k userGoal) bool { _, ok := t.active[k]; return ok }, func(k userGoal) { t.active[k] = nil })
	if len(p.keys) == 0 {
		return
	}
	b.Queue(`SELECT w.i, n.name`+ofPairs+`JOIN members m ON m.usr = w.usr AND m.status = 'active'
		JOIN pacts p ON p.id = m.pact AND p.goal = w.goal AND p.status = 'active' JOIN names n ON n.id = p.id
		ORDER BY w.i, p.id`, p.users, p.goals).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i int
			var id pactwire.PactID
			err := rows.Scan(&i, &id)
			if err == nil {
				k := p.keys[i-1]
				t.active[k] = append(t.active[k], id)
			}
			return err
		})
	})
}

func (t *Tx) queueCheckins(b *pgx.Batch, w *wants) {
	p := t.pairs(w.dates, func(k userGoal) bool { _, ok := t.dates[k]; return ok }, func(k userGoal) { t.dates[k] = nil })
	if len(p.keys) > 0 {
		b.Queue(`SELECT w.i, c.day`+ofPairs+`JOIN checkins c ON c.usr = w.usr AND c.goal = w.goal AND c.status = 'completed'
			ORDER BY w.i, c.day`, p.users, p.goals).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var i int
				var day int32
				err := rows.Scan(&i, &day)
				if err == nil {
					k := p.keys[i-1]
					t.dates[k] = append(t.dates[k], dateOf(day))
				}
				return err
			})
		})
	}
	from := recentFrom(time.Now())
	r := t.pairs(w.recent, func(k userGoal) bool { _, ok := t.recent[k]; return ok }, func(k userGoal) { t.recent[k] = from })
	if len(r.keys) > 0 {
		b.Queue(`SELECT w.i, `+checkinColumns+ofPairs+`JOIN checkins c ON c.usr = w.usr AND c.goal = w.goal AND c.day >= $3
			JOIN names n ON n.id = c.pact`, r.users, r.goals, from).Query(func(rows pgx.Rows) error {
			return each(rows, func() error { return t.scanCheckin(rows, r.keys) })
		})
	}
	var days pairs
	var numbers []int32
	for k := range w.checkins {
		if t.checkins[k] != nil {
			continue
		}
		t.checkins[k] = &checkin{}
		u, g := t.d.ids[userName(k.user)], t.d.ids[goalName(k.goal)]
		if u != 0 && g != 0 {
			days.keys, days.users, days.goals = append(days.keys, k.userGoal), append(days.users, u), append(days.goals, g)
			numbers = append(numbers, k.day)
		}
	}
	if len(days.keys) > 0 {
		b.Queue(`SELECT w.i, `+checkinColumns+` FROM unnest($1::bigint[], $2::bigint[], $3::int[]) WITH ORDINALITY AS w (usr, goal, day, i)
			JOIN checkins c ON c.usr = w.usr AND c.goal = w.goal AND c.day = w.day JOIN names n ON n.id = c.pact`,
			days.users, days.goals, numbers).Query(func(rows pgx.Rows) error {
			return each(rows, func() error { return t.scanCheckin(rows, days.keys) })
		})
	}
}

func (t *Tx) scanCheckin(rows pgx.Rows, keys []userGoal) error {
	var i int
	c, day, err := readCheckin(rows, &i)
	if err != nil {
		return err
	}
	k := keys[i-1]
	c.UserID, c.HabitGoalID = k.user, k.goal
	t.checkins[userGoalDay{k, day}] = &checkin{c: c, ok: true}
	return nil
}

func (t *Tx) queueAnnounced(b *pgx.Batch, w *wants) {
	p := t.pairs(w.announced, func(k userGoal) bool { return t.announced[k] != nil }, func(k userGoal) { t.announced[k] = &announced{} })
	if len(p.keys) == 0 {
		return
	}
	b.Queue(`SELECT w.i, a.from_day, a.to_day, a.days`+ofPairs+`JOIN announced a ON a.usr = w.usr AND a.goal = w.goal
		ORDER BY w.i, a.from_day, a.days`, p.users, p.goals).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i, days int
			var from, to int32
			err := rows.Scan(&i, &from, &to, &days)
			if err == nil {
				a := t.announced[p.keys[i-1]]
				a.list = append(a.list, pactwire.AnnouncedMilestone{From: dateOf(from), To: dateOf(to), Days: days})
			}
			return err
		})
	})
}

func (t *Tx) queueCommands(b *pgx.Batch, w *wants) {
	var users []int64
	var keys []string
	var of []commandKey
	for k := range w.commands {
		if t.commands[k] != nil {
			continue
		}
		t.commands[k] = &command{}
		users, keys, of = append(users, t.d.ids[userName(k.user)]), append(keys, k.key), append(of, k)
	}
	if len(keys) > 0 {
		b.Queue(`SELECT w.i, `+commandColumns+` FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS w (usr, key, i)
			JOIN commands c ON c.usr = w.usr AND c.key = w.key`, users, keys).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var i int
				rec, err := scanCommand(rows, &i)
				if err == nil {
					k := of[i-1]
					rec.User = k.user
					t.commands[k] = &command{rec: rec, ok: true}
				}
				return err
			})
		})
	}
	lookUp := func(m map[int64]none, into map[int64]bool, condition string) {
		var ids []int64
		for id := range m {
			if _, known := into[id]; !known {
				into[id] = false
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return
		}
		b.Queue(`SELECT id FROM commands WHERE id = ANY ($1) AND `+condition+` ORDER BY id FOR NO KEY UPDATE`, ids).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var id int64
				err := rows.Scan(&id)
				into[id] = true
				return err
			})
		})
	}
	lookUp(w.tellable, t.tellable, `answer IS NULL AND NOT told`)
	lookUp(w.pending, t.pending, `answer IS NULL`)
}

// unmarshal reads a value that this package wrote.
func unmarshal(what string, b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
