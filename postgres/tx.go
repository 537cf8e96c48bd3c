package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// Tx is the running transaction. It is handed to one function at a time and is not valid after that function returned.
// Its methods may be mixed freely; errors that are no *pactwire.Error are of the database.
//
// It is memory: what was fetched of the database, and what functions have written on top of it. A method that asks for
// something which was not fetched notes it in wants and ends the function there and then, by a panic that the committer
// catches, so that no caller can take "not yet" for an answer; the function is run again from the start when it is there.
type Tx struct {
	d   *DB
	ctx context.Context // ends with the patience for this batch
	c   *pgx.Conn       // of the committer

	// alone is set while one function has the transaction for itself: then statements run as they come.
	alone   bool
	open    bool  // BEGIN was sent
	lonely  bool  // the function needs to run alone
	fault   error // the first failure of the database
	wants   wants // all that the functions of this batch have asked for
	locked  map[int64]struct{}
	highest int64 // of locked
	trips   int   // round trips

	memory
	undo []func()
}

// memory is what is known of the database as this transaction sees it.
type memory struct {
	heads     map[name]*head
	commands  map[commandKey]*command
	users     map[pactwire.UserID]*user
	pacts     map[pactwire.PactID]*pact
	goals     map[pactwire.GoalID]*goal
	active    map[userGoal][]pactwire.PactID
	dates     map[userGoal][]pactwire.LocalDate
	recent    map[userGoal]int32 // from this day on all check-ins are known
	checkins  map[userGoalDay]*checkin
	announced map[userGoal]*announced
	streaks   map[userGoal]pactwire.StreakRow // written
	tellable  map[int64]bool
	pending   map[int64]bool
	seen      map[userGoalDay]*seenCheckin
	said      map[said]bool
	received  map[pactwire.Inbound]bool
	dues      map[string]due
	social
	numbers []int64
	used    int // of numbers

	log   []logRow
	puts  []*command // journalled
	posts []post     // statements that nobody reads the outcome of
}

type userGoal struct {
	user pactwire.UserID
	goal pactwire.GoalID
}

type userGoalDay struct {
	userGoal
	day int32
}

type commandKey struct {
	user pactwire.UserID
	key  string
}

type logRow struct {
	of      *head
	seq, at int64
	payload []byte
}

type post struct {
	sql  string
	args []any
}

func (t *Tx) forgetAll() {
	t.memory = memory{
		heads: map[name]*head{}, commands: map[commandKey]*command{}, users: map[pactwire.UserID]*user{},
		pacts: map[pactwire.PactID]*pact{}, goals: map[pactwire.GoalID]*goal{},
		active: map[userGoal][]pactwire.PactID{}, dates: map[userGoal][]pactwire.LocalDate{},
		recent: map[userGoal]int32{}, checkins: map[userGoalDay]*checkin{}, announced: map[userGoal]*announced{},
		streaks: map[userGoal]pactwire.StreakRow{}, tellable: map[int64]bool{}, pending: map[int64]bool{}, received: map[pactwire.Inbound]bool{}, dues: map[string]due{},
		seen: map[userGoalDay]*seenCheckin{}, said: map[said]bool{}, social: newSocial(),
		log: t.log[:0], puts: t.puts[:0], posts: t.posts[:0], numbers: t.numbers[:0],
	}
	t.locked, t.highest = map[int64]struct{}{}, 0
	t.undo = t.undo[:0]
}

// errAgain is what a function is ended with that will be run again.
var errAgain = errors.New("postgres: to be read first")

// want notes what the function needs, and ends it. When it runs alone that is fetched at once.
func (t *Tx) want(note func(*wants)) error {
	if t.fault != nil {
		return t.fault
	}
	if !t.alone {
		note(&t.wants)
		panic(errAgain)
	}
	now := wants{}
	note(&now)
	note(&t.wants)
	if err := t.flush(false); err != nil {
		return err
	}
	return t.fetch(&now)
}

// direct is called by methods that run statements of their own: their function has the transaction for itself, and what it
// has written so far is sent, so that the statements see it.
func (t *Tx) direct() error {
	if t.fault != nil {
		return t.fault
	}
	if !t.alone {
		t.lonely = true
		panic(errAgain)
	}
	if !t.open {
		if err := t.fetch(&wants{}); err != nil {
			return err
		}
	}
	return t.flush(false)
}

// hold locks names for who runs alone, adding those that are not there.
func (t *Tx) hold(names ...name) error {
	now := wants{}
	for _, n := range names {
		now.lock(n)
		t.wants.lock(n)
	}
	return t.fetch(&now)
}

// exec runs a statement of direct. What was read before may be another now.
func (t *Tx) exec(sql string, args ...any) (rows int64, err error) {
	t.trips++
	tag, err := t.c.Exec(t.ctx, sql, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	clear(t.pacts)
	clear(t.goals)
	clear(t.users)
	clear(t.active)
	clear(t.dates)
	clear(t.recent)
	clear(t.checkins)
	clear(t.seen)
	clear(t.said)
	t.social = newSocial()
	return tag.RowsAffected(), nil
}

// one reads one row of direct.
func (t *Tx) one(sql string, args []any, into ...any) (bool, error) {
	t.trips++
	err := t.c.QueryRow(t.ctx, sql, args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, t.fail(err)
	}
	return true, nil
}

// fail notes that the database has failed, which ends the transaction.
func (t *Tx) fail(err error) error {
	if t.fault == nil {
		t.fault = err
	}
	return err
}

// post queues a statement that goes out with the others, in order.
func (t *Tx) post(sql string, args ...any) { t.posts = append(t.posts, post{sql, args}) }

// change notes how a change in memory is undone.
func (t *Tx) change(undo func()) { t.undo = append(t.undo, undo) }

// mark is a place to go back to.
type mark struct{ undo, log, puts, posts, used int }

func (t *Tx) mark() mark {
	return mark{len(t.undo), len(t.log), len(t.puts), len(t.posts), t.used}
}

func (t *Tx) back(m mark) {
	for i := len(t.undo) - 1; i >= m.undo; i-- {
		t.undo[i]()
	}
	clear(t.undo[m.undo:])
	clear(t.log[m.log:])
	t.undo, t.log, t.puts, t.posts, t.used = t.undo[:m.undo], t.log[:m.log], t.puts[:m.puts], t.posts[:m.posts], m.used
}

// Expect tells what commands that follow are about, so that all they usually need is fetched at once.
func (t *Tx) Expect(x pactwire.Expected) error {
	if t.alone || t.expected(&x) {
		return nil
	}
	return t.want(func(w *wants) {
		w.lock(userName(x.User))
		w.users[x.User] = none{}
		for _, key := range x.Keys {
			w.commands[commandKey{x.User, key}] = none{}
		}
		w.numbers += len(x.Keys)
		w.words(&x)
		if x.Pact == "" {
			return
		}
		w.pact(x.Pact)
		if x.Goal == "" {
			return
		}
		k := userGoal{x.User, x.Goal}
		w.goals[x.Goal] = none{}
		w.active[k], w.dates[k], w.recent[k] = none{}, none{}, none{}
		for _, other := range x.Shares {
			w.pact(other)
		}
	})
}

// expected reports whether that was fetched already.
func (t *Tx) expected(x *pactwire.Expected) bool {
	known := t.heads[userName(x.User)] != nil && (x.Pact == "" || t.heads[pactName(x.Pact)] != nil)
	for _, key := range x.Keys {
		known = known && t.commands[commandKey{x.User, key}] != nil
	}
	return known && t.wordsKnown(x)
}

// recentDays is how far back from today check-ins are fetched ahead: as far as commands may usually reach.
const recentDays = 8

func recentFrom(now time.Time) int32 {
	n, _ := dateNumber(pactwire.LocalDate(now.UTC().AddDate(0, 0, -recentDays).Format(time.DateOnly)))
	return n
}
