package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// speech is what the store ought to hold of what people say to each other, for two of them.
type speech struct {
	Celebrated map[string]bool
	Emoji      map[string]string
	Encouraged map[pactwire.UserID]encouragement
	Lists      map[pactwire.UserID][]pactwire.Notification // the newest last
}

type encouragement struct {
	Day pactwire.LocalDate
	N   int
}

func (w *speech) clone() *speech {
	c := &speech{maps.Clone(w.Celebrated), maps.Clone(w.Emoji), maps.Clone(w.Encouraged), maps.Clone(w.Lists)}
	for u, l := range c.Lists {
		c.Lists[u] = slices.Clone(l)
	}
	return c
}

// word is one thing that is said. about is a check-in, an activity or a subject, as the kind wants it; n numbers what is said.
type word struct {
	kind     string
	from, to pactwire.UserID
	about    string
	n        int
	fail     bool
}

var errWanted = errors.New("as the model wants")

// on the model: what the function would see, and do unless it fails.
func (x word) on(w *speech) (seen string) {
	switch x.kind {
	case "celebrate":
		seen = fmt.Sprint(w.Celebrated[string(x.from)+x.about])
		w.Celebrated[string(x.from)+x.about] = true
	case "react":
		k := string(x.from) + x.about
		seen = w.Emoji[k]
		w.Emoji[k] = x.emoji()
	case "encourage":
		e := w.Encouraged[x.from]
		if e.Day < x.day() {
			e = encouragement{x.day(), 0}
		}
		seen = fmt.Sprint(e.N)
		w.Encouraged[x.from] = encouragement{e.Day, e.N + 1}
	case "notify":
		list := w.Lists[x.to]
		n := x.notification()
		i := slices.IndexFunc(list, func(o pactwire.Notification) bool { return o.IsUnread && x.about != "" && o.Subject == x.about })
		if i >= 0 {
			n.ID, n.Count = list[i].ID, list[i].Count+1
			list = slices.Delete(list, i, i+1)
		}
		w.Lists[x.to] = append(list, n)
		seen = fmt.Sprint(n.ID, n.Count, unread(w.Lists[x.to]))
	case "read all":
		seen = fmt.Sprint(unread(w.Lists[x.to]))
		for i := range w.Lists[x.to] {
			w.Lists[x.to][i].IsUnread = false
		}
	}
	return seen
}

func unread(list []pactwire.Notification) (n int) {
	for i := range list {
		if list[i].IsUnread {
			n++
		}
	}
	return n
}

func (x word) emoji() string { return []string{"", "🎉", "💪"}[x.n%3] }

func (x word) day() pactwire.LocalDate {
	return pactwire.LocalDate(noon.AddDate(0, 0, x.n%2).Format(time.DateOnly))
}

func (x word) notification() pactwire.Notification {
	return notification(x.to, fmt.Sprint(x.n), x.about)
}

// in a transaction: the same.
func (x word) in(tx Tx) (seen string, err error) {
	var is bool
	var n int
	switch x.kind {
	case "celebrate":
		if is, err = tx.Celebrated(x.from, x.about); err != nil {
			return "", err
		}
		return fmt.Sprint(is), tx.PutCelebrated(x.from, x.about, noon)
	case "react":
		if seen, err = tx.Reaction(x.about, x.from); err != nil {
			return "", err
		}
		return seen, tx.PutReaction(x.about, x.from, x.emoji())
	case "encourage":
		if n, err = tx.Encouragements(x.from, x.to, x.day()); err != nil {
			return "", err
		}
		return fmt.Sprint(n), tx.PutEncouragements(x.from, x.to, x.day(), n+1)
	case "notify":
		add := x.notification()
		was, ok, err := tx.UnreadAbout(x.to, x.about)
		if err != nil {
			return "", err
		}
		if ok {
			add.ID, add.Count = was.ID, was.Count+1
		}
		if err := tx.AddNotification(add); err != nil {
			return "", err
		}
		n, err = tx.CountUnread(x.to)
		return fmt.Sprint(add.ID, add.Count, n), err
	}
	n, err = tx.ReadAllNotifications(x.to, noon)
	return fmt.Sprint(n), err
}

// testWordsInOneBatch has people say things in random batches, of which some fail, beside a model that takes one after the other.
func testWordsInOneBatch(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	defer fewer(t)()
	run, n := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		people := []pactwire.UserID{pactwire.UserID(fmt.Sprint("a", run)), pactwire.UserID(fmt.Sprint("b", run))}
		m := &speech{map[string]bool{}, map[string]string{}, map[pactwire.UserID]encouragement{}, map[pactwire.UserID][]pactwire.Notification{}}
		for range rapid.IntRange(1, 4).Draw(r, "batches") {
			said := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) word {
				n++
				i := rapid.IntRange(0, 1).Draw(r, "who")
				return word{
					kind: rapid.SampledFrom([]string{"celebrate", "react", "encourage", "notify", "notify", "notify", "read all"}).Draw(r, "kind"),
					from: people[i], to: people[1-i], about: rapid.SampledFrom([]string{"", "x", "y"}).Draw(r, "about"),
					n: n, fail: rapid.IntRange(0, 4).Draw(r, "outcome") == 0,
				}
			}), 1, 10).Draw(r, "words")
			release := hold(t, s)
			seen, results := make([]string, len(said)), make(chan error, len(said))
			for i, x := range said {
				err := s.Submit(ctx, func(tx Tx) (err error) {
					if seen[i], err = x.in(tx); err == nil && x.fail {
						err = errWanted
					}
					return err
				}, func(err error) { results <- err })
				if err != nil {
					r.Fatal(err)
				}
			}
			release()
			for i, x := range said {
				if err := <-results; x.fail != errors.Is(err, errWanted) || !x.fail && err != nil {
					r.Fatalf("%+v was told %v", x, err)
				}
				now := m.clone()
				if want := x.on(now); seen[i] != want {
					r.Fatalf("%d of %+v: saw %q, want %q", i, said, seen[i], want)
				}
				if !x.fail {
					m = now
				}
			}
		}
		for _, u := range people {
			items, count, err := s.ReadNotifications(ctx, u, pactwire.NotificationQuery{Limit: 100})
			if err != nil || count != unread(m.Lists[u]) {
				r.Fatalf("%d unread, %v; want %d", count, err, unread(m.Lists[u]))
			}
			var got, want []string
			for _, n := range items {
				got = append(got, fmt.Sprint(n.ID, n.Count, n.IsUnread))
			}
			for _, n := range slices.Backward(m.Lists[u]) {
				want = append(want, fmt.Sprint(n.ID, n.Count, n.IsUnread))
			}
			if !slices.Equal(got, want) {
				r.Fatalf("listed %v, want %v", got, want)
			}
		}
	})
}
