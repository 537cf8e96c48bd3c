package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// town is everybody who lives on a cluster: people in a ring, each in three pacts with neighbours, and some who try more.
type town struct {
	t       *testing.T
	cluster *testkit.Cluster
	people  []*person
	pacts   []pactwire.PactID // the i-th is that of people i, i+1 and i+2
	heads   map[pactwire.PactID]pactwire.Seq
	watches []*phone // come and go
	away    []*phone // subscribed before, back after

	leaver   *person // leaves the first pact in the middle
	left     time.Time
	joiner   *person // joins the second
	outsider *phone  // is in no pact, and asks for everything

	running sync.WaitGroup
	ctx     context.Context // while everybody is there
}

type person struct {
	user  pactwire.UserID
	phone *phone
	goes  context.CancelFunc // the phone says DISCONNECT
	inbox pactwire.Seq       // where its story starts
	said  int
}

const limit = 2 * time.Minute

func settle(t *testing.T, c *testkit.Cluster, size int) *town {
	t.Helper()
	w := &town{t: t, cluster: c, heads: map[pactwire.PactID]pactwire.Seq{}}
	addr, api := c.MQTT.Addr, c.Nodes[0]
	newPerson := func(name string) *person {
		u := pactwire.UserID(name)
		return &person{user: u, phone: newMemberPhone(addr, u, "phone")}
	}
	for i := range size {
		w.people = append(w.people, newPerson(fmt.Sprintf("p%d", i)))
	}
	w.leaver, w.joiner = newPerson("leaver"), newPerson("joiner")
	var making sync.WaitGroup
	w.pacts = make([]pactwire.PactID, size)
	for i := range size {
		making.Go(func() {
			users := []pactwire.UserID{w.user(i), w.user(i + 1), w.user(i + 2)}
			if i == 0 {
				users = append(users, w.leaver.user)
			}
			w.pacts[i] = api.NewPact(users...).ID
		})
	}
	making.Wait()
	w.outsider = newPhone(addr, "outsider", "phone", "pacts/+/activity", "pacts/+/presence/+", "pacts/#", "#",
		"pacts/"+string(w.pacts[0])+"/activity", "pacts/"+string(w.pacts[0])+"/presence/+", "users/"+string(w.user(0))+"/inbox")
	for i := range size {
		switch i % 4 {
		case 0:
			w.watches = append(w.watches, newMemberPhone(addr, w.user(i), "watch"))
		case 2:
			w.away = append(w.away, newMemberPhone(addr, w.user(i), "away"))
		}
	}
	w.arrive()
	return w
}

func (w *town) user(i int) pactwire.UserID { return w.people[i%len(w.people)].user }

func (w *town) everybody() []*person {
	return append(append([]*person(nil), w.people...), w.leaver, w.joiner)
}

// arrive connects everybody and notes where their stories start.
func (w *town) arrive() {
	w.t.Helper()
	visit, end := context.WithCancel(w.t.Context())
	w.start(visit, w.away...)
	w.ready(w.away...)
	end()
	w.running.Wait()

	ctx, cancel := context.WithCancel(w.t.Context())
	w.ctx = ctx
	w.t.Cleanup(func() {
		cancel()
		w.running.Wait()
	})
	for _, p := range w.everybody() {
		own, stop := context.WithCancel(ctx)
		p.goes = stop
		w.start(own, p.phone)
		w.ready(p.phone)
	}
	w.start(ctx, w.outsider)
	w.start(ctx, w.watches...)
	w.ready(append(w.watches, w.outsider)...)
	for _, id := range w.pacts {
		w.heads[id] = head(w.cluster.Nodes[0].Activities(w.owner(id), id))
	}
	for _, p := range w.everybody() {
		p.inbox = lastSeq(w.cluster.Nodes[0].Inbox(p.user))
	}
	w.outsider.Say("outsider-1", "pacts/"+string(w.pacts[0])+"/messages", []byte(`{"id":"outsider-1","message":"let me in"}`))
}

func (w *town) start(ctx context.Context, phones ...*phone) {
	for _, p := range phones {
		w.running.Go(func() { p.Run(ctx) })
	}
}

func (w *town) ready(phones ...*phone) {
	w.t.Helper()
	for _, p := range phones {
		testkit.Eventually(w.t, limit, fmt.Sprintf("%s's %s is subscribed", p.User, p.ClientID), func() bool { return p.Ready() > 0 })
	}
}

// owner is who created a pact.
func (w *town) owner(id pactwire.PactID) pactwire.UserID {
	for i, p := range w.pacts {
		if p == id {
			return w.user(i)
		}
	}
	return ""
}

func head(log []pactwire.Activity) pactwire.Seq {
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].Seq
}

func lastSeq(events []pactwire.Event) pactwire.Seq {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Seq
}

// live has people talk at a rate until ctx ends.
func (w *town) live(ctx context.Context, random *rand.Rand, rate float64) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.speak(random)
		case <-ctx.Done():
			return
		}
	}
}

func (w *town) speak(random *rand.Rand) {
	i := random.IntN(len(w.people))
	p := w.people[i]
	pact := w.pacts[(i-random.IntN(3)+len(w.pacts))%len(w.pacts)]
	p.said++
	id := fmt.Sprintf("%s-%d", p.user, p.said)
	if random.IntN(3) == 0 {
		payload, err := json.Marshal(map[string]string{"id": id, "message": "hello " + id})
		if err != nil {
			panic(err) // strings can always be encoded
		}
		p.phone.Say(id, "pacts/"+string(pact)+"/messages", payload)
		return
	}
	p.phone.Checkin(pact, id, "note "+id)
}

// comeAndGo has the watches vanish for a moment, without a word, again and again.
func (w *town) comeAndGo(ctx context.Context, random *rand.Rand) {
	for after(ctx, time.Duration(200+random.IntN(1500))*time.Millisecond) {
		w.watches[random.IntN(len(w.watches))].Drop()
	}
}

// after waits for time to pass, and reports whether ctx still stands: how long a fault lasts is what is being tested.
func after(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// call asks any node for something until it is done.
func (w *town) call(ctx context.Context, user pactwire.UserID, path string, in any) {
	w.t.Helper()
	var last string
	for {
		code, body, err := w.cluster.Call(ctx, user, http.MethodPost, path, in)
		if err == nil && (code/100 == 2 || code == http.StatusConflict) {
			return
		}
		last = fmt.Sprintf("%d %s %v", code, body, err)
		if !after(ctx, retry) {
			w.t.Errorf("POST %s as %s was never done: %s", path, user, last)
			return
		}
	}
}

// move has the leaver leave and the joiner join.
func (w *town) move(ctx context.Context) {
	first, second := "/v1/pacts/"+string(w.pacts[0]), "/v1/pacts/"+string(w.pacts[1])
	w.call(ctx, w.leaver.user, first+"/leave", nil)
	w.left = time.Now()
	w.call(ctx, w.user(1), second+"/invite", map[string]any{"userIds": []pactwire.UserID{w.joiner.user}})
	w.call(ctx, w.joiner.user, second+"/accept", nil)
}
