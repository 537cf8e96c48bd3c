package nodes_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestWhoJoinsAtOneNodeIsAMemberAtAnotherAtOnce: nobody is refused because news of a pact are on their way. Here they take an
// hour.
func TestWhoJoinsAtOneNodeIsAMemberAtAnotherAtOnce(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true, Settings: map[string]string{"store.poll": "1h"}})
	here, there := c.Nodes[0], c.Nodes[1]
	call(t, here, "bob", "watch", "users/bob/inbox") // so that this node has a view of bob's pacts, and keeps it
	pact := func() pactwire.PactID { return there.NewPact("alice", "bob").ID }

	p := pact()
	phone := call(t, here, "bob", "phone", "pacts/"+string(p)+"/state", "pacts/"+string(p)+"/presence/alice")
	phone.wait(t, "/state", 1)
	phone.wait(t, "/presence/alice", 1)

	if code, body, err := here.Call("bob", http.MethodGet, fmt.Sprintf("/v1/pacts/%s/activities", pact()), nil); code != http.StatusOK {
		t.Errorf("history: %d %s %v", code, body, err)
	}
	here.NewDevice("bob", pact())

	// An outsider's asking is no news for the members.
	told := len(phone.topic("/state"))
	for range 5 {
		if code, _, _ := here.Call("mallory", http.MethodGet, fmt.Sprintf("/v1/pacts/%s/activities", p), nil); code != http.StatusNotFound {
			t.Errorf("an outsider: %d", code)
		}
	}
	testkit.Never(t, 2*time.Second, "a state that is the same is told", func() bool { return len(phone.topic("/state")) > told })
}

// TestPromise5WhoIsRemovedAtOneNodeHearsNothingThatIsSaidAtAnother, before the news have come there: here they take an hour.
func TestPromise5WhoIsRemovedAtOneNodeHearsNothingThatIsSaidAtAnother(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true, Settings: map[string]string{"store.poll": "1h"}})
	here, there := c.Nodes[0], c.Nodes[1]
	p := here.NewPact("alice", "bob", "carol").ID
	feed := "pacts/" + string(p) + "/activity"
	alice := call(t, here, "alice", "a", feed)
	var carols []*phone
	for _, filter := range []string{feed, "pacts/+/activity", "pacts/#"} {
		carols = append(carols, call(t, here, "carol", filter, filter))
	}
	checkin(alice, p, "before")
	for _, carol := range carols {
		carol.wait(t, "/activity", 1)
	}
	there.Must("alice", http.MethodPost, "/v1/pacts/"+string(p)+"/remove", map[string]string{"userId": "carol"}, nil)
	for i := range 3 {
		checkin(alice, p, fmt.Sprint("after ", i))
	}
	if got := seqs(t, alice.wait(t, "/activity", 5)); fmt.Sprint(got) != "[4 5 6 7 8]" {
		t.Errorf("alice got %v", got)
	}
	for _, carol := range carols {
		testkit.Never(t, 200*time.Millisecond, carol.ClientID+" hears more", func() bool { return len(carol.topic("/activity")) > 1 })
	}
}

// TestPromise5WhoIsRemovedComesBackToANodeThatHasNotHeard, which goes by its view, since they have another connection there. What was said
// since is not replayed.
func TestPromise5WhoIsRemovedComesBackToANodeThatHasNotHeard(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true, Settings: map[string]string{"store.poll": "1h"}})
	here, there := c.Nodes[0], c.Nodes[1]
	p := here.NewPact("alice", "bob", "carol").ID
	path := "/v1/pacts/" + string(p)
	call(t, here, "carol", "stays", "users/carol/inbox")
	call(t, here, "carol", "away", "pacts/+/activity").stop()
	say := func(what string) {
		there.Must("alice", http.MethodPost, path+"/messages", map[string]string{"message": what}, nil)
	}
	say("before")
	there.Must("alice", http.MethodPost, path+"/remove", map[string]string{"userId": "carol"}, nil)
	say("after")
	back := call(t, here, "carol", "away", "pacts/+/activity")
	testkit.Never(t, time.Second, "what was said since is told", func() bool { return len(back.topic("/activity")) > 1 })
}

// TestWhoWasRemovedWhereTheirSessionWas comes with it to a node that has not heard of that, and is not told once more what was said while
// they were a member.
func TestWhoWasRemovedWhereTheirSessionWas(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true, Settings: map[string]string{"store.poll": "1h"}})
	here, there := c.Nodes[0], c.Nodes[1]
	p := here.NewPact("alice", "bob", "carol").ID
	path := "/v1/pacts/" + string(p)
	call(t, here, "carol", "stays", "users/carol/inbox")
	phone := call(t, there, "carol", "phone", "pacts/+/activity", "users/carol/inbox")
	const many = 100 // more than is read at a time
	for i := range many {
		there.Must("alice", http.MethodPost, path+"/messages", map[string]string{"message": fmt.Sprint(i)}, nil)
	}
	phone.wait(t, "/activity", many)
	there.Must("alice", http.MethodPost, path+"/remove", map[string]string{"userId": "carol"}, nil)
	phone.wait(t, "/inbox", 1)
	phone.stop()
	back := call(t, here, "carol", "phone", "pacts/+/activity")
	testkit.Never(t, time.Second, "it is told again", func() bool { return len(back.topic("/activity")) > 0 })
}

// TestWhoJoinsAtAnotherNodeStartsAtTheirJoining, also when what this node hears of it first is its own change of the pact: here the news
// of other nodes take an hour.
func TestWhoJoinsAtAnotherNodeStartsAtTheirJoining(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true, Settings: map[string]string{"store.poll": "1h"}})
	here, there := c.Nodes[0], c.Nodes[1]
	p := there.NewPact("alice", "bob").ID
	path := "/v1/pacts/" + string(p)
	carol := call(t, here, "carol", "c", "pacts/+/activity")
	say := func(n *testkit.Node, what string) {
		n.Must("alice", http.MethodPost, path+"/messages", map[string]string{"message": what}, nil)
	}
	for i := range 3 {
		say(there, fmt.Sprint("before ", i))
	}
	there.Must("alice", http.MethodPost, path+"/invite", map[string]any{"userIds": []pactwire.UserID{"carol", "dan"}}, nil)
	there.Must("carol", http.MethodPost, path+"/accept", nil, nil)
	joined := there.Pact("carol", p).HeadSeq
	here.Must("dan", http.MethodPost, path+"/accept", nil, nil)
	say(here, "after")
	got := seqs(t, carol.wait(t, "/activity", 3))
	if want := []pactwire.Seq{joined, joined + 1, joined + 2}; !slices.Equal(got, want) {
		t.Errorf("carol got %v, want %v", got, want)
	}
}

// TestWhoIsRemovedAndBackBeforeTheNewsCome hears nothing of what was said in between, connected or away, and their subscription to that
// pact alone is dead.
func TestWhoIsRemovedAndBackBeforeTheNewsCome(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, NoRedis: true, Settings: map[string]string{"store.poll": "1h"}})
	here, there := c.Nodes[0], c.Nodes[1]
	p := there.NewPact("alice", "bob", "carol", "dan").ID
	path, feed := "/v1/pacts/"+string(p), "pacts/"+string(p)+"/activity"
	all, one := call(t, here, "carol", "all", "pacts/+/activity"), call(t, here, "carol", "one", feed)
	call(t, here, "dan", "away", "pacts/+/activity").stop()
	say := func(n *testkit.Node, what string) {
		n.Must("alice", http.MethodPost, path+"/messages", map[string]string{"message": what}, nil)
	}
	joined := map[pactwire.UserID]pactwire.Seq{}
	for _, u := range []pactwire.UserID{"carol", "dan"} {
		there.Must("alice", http.MethodPost, path+"/remove", map[string]any{"userId": u}, nil)
		say(there, "in between")
		there.Must("alice", http.MethodPost, path+"/invite", map[string]any{"userIds": []pactwire.UserID{u}}, nil)
		there.Must(u, http.MethodPost, path+"/accept", nil, nil)
		joined[u] = there.Pact(u, p).HeadSeq
	}
	say(here, "after")
	last := joined["dan"] + 1
	check := func(p *phone) {
		t.Helper()
		want := []pactwire.Seq{}
		for seq := joined[p.User]; seq <= last; seq++ {
			want = append(want, seq)
		}
		if got := seqs(t, p.wait(t, "/activity", len(want))); !slices.Equal(got, want) {
			t.Errorf("%s got %v, want %v", p.User, got, want)
		}
	}
	check(all)
	testkit.Never(t, 200*time.Millisecond, "what is dead is served", func() bool { return len(one.topic("/activity")) > 0 })
	check(call(t, here, "dan", "away", "pacts/+/activity"))
}
