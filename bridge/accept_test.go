package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
)

func say(id pactwire.Identity, p pactwire.PactID, key, words string) pactwire.Command {
	return pactwire.Command{Kind: pactwire.CommandMessage, ID: key, Sender: id, Pact: p, Topic: "pacts/" + string(p) + "/messages",
		ReceivedAt: time.Now(), Message: &pactwire.MessageCommand{Message: words}}
}

func activityTypes(list []pactwire.Activity) (names []pactwire.ActivityType) {
	for _, a := range list {
		names = append(names, a.Type)
	}
	return names
}

// TestSenderMayBeGoneBeforeTheCommit: a one-shot publisher's connection ends while its command is on the way.
func TestSenderMayBeGoneBeforeTheCommit(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	q := pactAbout(t, n.service, p.HabitGoalID, alice, carol)
	if err := n.members.Ensure(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	go func() {
		_ = store{n.db}.Submit(context.Background(), func(bridge.Tx) error { close(entered); <-leave; return nil }, func(error) {})
	}()
	<-entered // the committer is busy
	acked := make(chan error, 1)
	if err := n.bridge.Accept(t.Context(), []pactwire.Command{done(alice, p.ID, "", "")}, func(err error) { acked <- err }); err != nil {
		t.Fatal(err)
	}
	n.members.Release("alice")
	close(leave)
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	for _, id := range []pactwire.PactID{p.ID, q.ID} {
		n.told.until(t, "the activity", func() bool { return len(n.told.activities(t, id)) == 3 })
	}
}

func TestCheckinToAPactThatHasNotBegunIsKeptAndNotTold(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	waiting, err := n.service.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: p.HabitGoalID, PartnerUserIDs: []pactwire.UserID{"carol"}})
	if err != nil {
		t.Fatal(err)
	}
	n.hold(t, alice)
	if err := n.accept(t, done(alice, waiting.ID, "", "")); err != nil {
		t.Fatal(err)
	}
	if err := n.accept(t, say(alice, waiting.ID, "", "hello?")); pactwire.CodeOf(err) != pactwire.Conflict {
		t.Errorf("a message to nobody: %v", err)
	}
	if got := n.told.activities(t, p.ID); len(got) != 3 {
		t.Errorf("the pact that is active has %v", activityTypes(got))
	}
	if _, err := n.service.Act(t.Context(), carol, waiting.ID, pactwire.ActAccept); err != nil {
		t.Fatal(err)
	}
	if got, want := activityTypes(n.told.activities(t, waiting.ID)), []pactwire.ActivityType{pactwire.PartnerJoined, pactwire.PactStarted}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestEveryItemOfARefusedBatchIsAnswered(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	var cmds []pactwire.Command
	for i := range 3 {
		c := done(alice, p.ID, fmt.Sprint("k", i), "")
		c.Index, c.Checkin, c.Refused = &i, nil, pactwire.FieldErrorf("status", "no %d", i)
		cmds = append(cmds, c)
	}
	err := n.accept(t, cmds...)
	if e := pactwire.AsError(err); e.Code != pactwire.Invalid || e.Message != "no 0" {
		t.Errorf("acked with %v", err)
	}
	for i, e := range n.told.events(t, "alice") {
		if e.Type != pactwire.EventError || *e.Index != i || *e.CommandID != fmt.Sprint("k", i) {
			t.Errorf("answer %d: %+v", i, e)
		}
	}
	if got := len(n.told.events(t, "alice")); got != 3 {
		t.Errorf("%d answers", got)
	}
	good := done(alice, p.ID, "k0", "") // a refusal is not remembered under its key
	if err := n.accept(t, good); err != nil {
		t.Error(err)
	}
}

func TestAnswerGoesToTheResponseTopicAlone(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	for range 2 {
		c := done(alice, p.ID, "k", "")
		c.Answer = pactwire.Answer{Topic: "users/alice/replies/1", Correlation: []byte{7}}
		if err := n.accept(t, c); err != nil {
			t.Fatal(err)
		}
	}
	n.bridge.Refuse(pactwire.Command{Sender: alice, ID: "x", Topic: "pacts/p/checkins", Answer: pactwire.Answer{Topic: "users/alice/replies/1"}}, errors.New("a bug"))
	if got, want := types(n.told.directs()), []pactwire.EventType{pactwire.EventCheckinLogged, pactwire.EventCheckinLogged, pactwire.EventError}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, e := range n.told.direct {
		if e.Seq != 0 {
			t.Errorf("%s has seq %d", e.Type, e.Seq)
		}
	}
	if strings.Contains(string(n.told.direct[2].Data), "a bug") {
		t.Errorf("the cause reached a client: %s", n.told.direct[2].Data)
	}
	if got := n.told.events(t, "alice"); len(got) != 0 && got[0].Type != pactwire.EventStreakMilestone {
		t.Errorf("the inbox has %v", types(got))
	}
}

func TestRefusalIsLoggedInTheInbox(t *testing.T) {
	n := newNode(t)
	n.bridge.Refuse(pactwire.Command{Sender: alice, ID: "x", Topic: "pacts/p/checkins"}, pactwire.FieldErrorf("status", "say more"))
	n.told.until(t, "the refusal", func() bool { return len(n.told.events(t, "alice")) == 1 })
	e := n.told.events(t, "alice")[0]
	var data pactwire.ErrorData
	if err := json.Unmarshal(e.Data, &data); err != nil || e.Type != pactwire.EventError || e.Seq != 1 || *e.CommandID != "x" ||
		data != (pactwire.ErrorData{Code: pactwire.Invalid, Message: "say more", Field: "status", Topic: "pacts/p/checkins"}) {
		t.Errorf("%+v %s", e, e.Data)
	}
}

// signalling tells when a function is in the queue.
type signalling struct {
	store
	queued chan struct{}
}

func (s signalling) Submit(ctx context.Context, fn func(bridge.Tx) error, done func(error)) error {
	err := s.store.Submit(ctx, fn, done)
	s.queued <- struct{}{}
	return err
}

// TestPromise5LeavingAndWritingInOneCommit: what is asked in the same transaction, but behind the leave, is refused.
func TestPromise5LeavingAndWritingInOneCommit(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	n.hold(t, alice, bob, carol)
	entered, leave := make(chan struct{}), make(chan struct{})
	go func() {
		_ = store{n.db}.Submit(context.Background(), func(bridge.Tx) error { close(entered); <-leave; return nil }, func(error) {})
	}()
	<-entered
	queued := make(chan struct{}, 2)
	b := bridge.New(bridge.Config{}, signalling{store{n.db}, queued}, newScript(), n.members, quiet, nil)
	b.Bind(n.told)
	gone := make(chan error, 1)
	go func() {
		gone <- b.Record(context.Background(), func(bridge.Tx) ([]pactwire.Change, error) {
			left := p
			left.Members = slices.Clone(p.Members)
			left.Members[1].Status = pactwire.MemberLeft
			return []pactwire.Change{{Kind: pactwire.ChangeLeft, Pact: left, User: "bob", Member: "bob", Reason: "left"}}, nil
		})
	}()
	<-queued
	acked := make(chan error, 1)
	if err := b.Accept(context.Background(), []pactwire.Command{say(bob, p.ID, "", "still here")}, func(err error) { acked <- err }); err != nil {
		t.Fatal(err)
	}
	close(leave)
	if err := <-gone; err != nil {
		t.Fatal(err)
	}
	if err := <-acked; pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("bob left and wrote: %v", err)
	}
}

// TestPromise1AndPromise2OverRestarts sends commands, some of them several times and at once, closes the node now and then,
// and looks at the log in the end: one effect for each key, numbers without a gap, and every acknowledged command there.
func TestPromise1AndPromise2OverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.db")
	n := openNode(t, path, nil, bridge.Config{})
	defer func() { n.close(t) }()
	p := pactOf(t, n.service, alice, bob)
	acked := map[string]bool{}
	for life := range 8 {
		n.hold(t, alice, bob)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 24 {
			who, key := []pactwire.Identity{alice, bob}[rand.IntN(2)], fmt.Sprint("k", rand.IntN(6+3*life))
			c := say(who, p.ID, key, fmt.Sprint(who.UserID, key))
			wg.Go(func() {
				var err error
				if i%3 == 0 {
					_, err = n.bridge.Do(context.Background(), []pactwire.Command{c})
				} else {
					err = n.accept(t, c)
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[c.Message.Message] = true
				mu.Unlock()
			})
		}
		wg.Wait()
		n.close(t)
		n = openNode(t, path, nil, bridge.Config{})
	}
	page, err := n.bridge.History(t.Context(), alice, p.ID, pactwire.HistoryQuery{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, item := range page.Items {
		var a pactwire.Activity
		var m pactwire.MessageData
		if err := errors.Join(json.Unmarshal(item, &a), json.Unmarshal(a.Data, &m)); err != nil {
			t.Fatal(err)
		}
		if a.Seq != pactwire.Seq(i+1) {
			t.Errorf("place %d has seq %d", i+1, a.Seq)
		}
		if a.Type == pactwire.MessageSent && seen[m.Message] {
			t.Errorf("%s twice", m.Message)
		}
		seen[m.Message] = true
	}
	for words := range acked {
		if !seen[words] {
			t.Errorf("%s was acknowledged and is not there", words)
		}
	}
	if len(page.Items) != 2+len(acked) {
		t.Errorf("%d activities for %d commands", len(page.Items), len(acked))
	}
}

// TestUndoneTransactionsLeaveNothingBehind: a function that fails makes the store run the others again, and what was cached
// meanwhile is forgotten.
func TestUndoneTransactionsLeaveNothingBehind(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice, bob)
	dave := pactwire.Identity{UserID: "dave", UserName: "Dave"}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if i%5 == 0 {
				err := n.bridge.Record(context.Background(), func(tx bridge.Tx) ([]pactwire.Change, error) {
					if err := tx.TouchUser("x", "y", time.Now()); err != nil {
						return nil, err
					}
					return nil, pactwire.Errorf(pactwire.Conflict, "no")
				})
				if pactwire.CodeOf(err) != pactwire.Conflict {
					t.Error(err)
				}
				return
			}
			n.bridge.Greet(context.Background(), dave)
			if err := n.accept(t, done([]pactwire.Identity{alice, bob}[i%2], p.ID, "", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(n.told.activities(t, p.ID)); got != 2+160 {
		t.Errorf("%d activities", got)
	}
	if u, ok, err := n.db.ReadUser(t.Context(), "dave"); err != nil || !ok || u.UserName != "Dave" {
		t.Errorf("dave is %+v %v %v", u, ok, err)
	}
	if _, ok, _ := n.db.ReadUser(t.Context(), "x"); ok {
		t.Error("what was undone is there")
	}
}

// TestATokenWithoutANameLeavesTheNameThatIsStored: also at a process that has not seen the person before.
func TestATokenWithoutANameLeavesTheNameThatIsStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db")
	n := openNode(t, path, nil, bridge.Config{})
	p := pactOf(t, n.service, alice, bob)
	n.bridge.Greet(t.Context(), pactwire.Identity{UserID: "dave", UserName: "Dave"})
	n.close(t)
	n = openNode(t, path, nil, bridge.Config{})
	defer func() { n.close(t) }()
	token := pactwire.Identity{UserID: "bob"}
	n.hold(t, bob)
	if name := n.bridge.Called("bob", ""); name != "Bob" {
		t.Errorf("bob is here as %q", name)
	}
	for _, c := range []pactwire.Command{say(token, p.ID, "m", "hello"), done(token, p.ID, "c", "")} {
		if err := n.accept(t, c); err != nil {
			t.Fatal(err)
		}
	}
	_, checkin := lastCheckin(t, n, p.ID)
	if err := n.takeBack(t, token, checkin.CheckinID); err != nil {
		t.Fatal(err)
	}
	if _, err := n.service.Act(t.Context(), token, p.ID, pactwire.ActLeave); err != nil {
		t.Fatal(err)
	}
	list := n.told.activities(t, p.ID)
	if len(list) < 4 {
		t.Fatalf("%d activities", len(list))
	}
	for _, a := range list {
		if a.UserID == "bob" && a.UserName != "Bob" {
			t.Errorf("%s of %q", a.Type, a.UserName)
		}
	}

	// Who is in no pact has a name in the store alone.
	ask := pactwire.Command{Kind: pactwire.CommandConnection, Sender: pactwire.Identity{UserID: "dave"}, User: "bob", ReceivedAt: time.Now(),
		Connection: &pactwire.ConnectionCommand{Action: pactwire.ConnectionRequest}}
	if err := n.accept(t, ask); err != nil {
		t.Fatal(err)
	}
	if asked, _, err := n.db.ReadNotifications(t.Context(), "bob", pactwire.NotificationQuery{Limit: 1}); err != nil || len(asked) != 1 || asked[0].FromUserName != "Dave" {
		t.Errorf("%+v %v", asked, err)
	}
}

func TestNewNameIsSeenInTheState(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	renamed := alice
	renamed.UserName = "Alicia"
	if err := n.accept(t, done(renamed, p.ID, "", "")); err != nil {
		t.Fatal(err)
	}
	pact, _ := n.members.Pact(p.ID)
	if m, _ := pact.Member("alice"); m.UserName != "Alicia" {
		t.Errorf("alice is %q", m.UserName)
	}
	if stored, _, err := n.db.ReadPact(t.Context(), p.ID); err != nil || stored.Members[0].UserName != "Alicia" {
		t.Errorf("stored %+v %v", stored.Members, err)
	}
}

func TestHistoryIsSplitToFitThePacket(t *testing.T) {
	n := openNode(t, filepath.Join(t.TempDir(), "p.db"), nil, bridge.Config{PacketSize: 16 << 10})
	defer n.close(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	for i := range 20 {
		if err := n.accept(t, say(alice, p.ID, "", strings.Repeat("x", 1900)+fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	ask := pactwire.Command{Kind: pactwire.CommandHistory, ID: "h", Sender: alice, Pact: p.ID, ReceivedAt: time.Now(), History: &pactwire.HistoryQuery{}}
	if err := n.accept(t, ask); err != nil {
		t.Fatal(err)
	}
	var got []json.RawMessage
	n.told.until(t, "all parts", func() bool {
		n.told.mu.Lock()
		defer n.told.mu.Unlock()
		got = nil
		for _, e := range n.told.direct {
			var page pactwire.HistoryPage
			if err := json.Unmarshal(e.Data, &page); err != nil || e.Type != pactwire.EventPactHistory || len(e.Data) > 16<<10 || page.HeadSeq != 22 {
				t.Fatalf("%s of %d bytes: %v", e.Type, len(e.Data), err)
			}
			got = append(got, page.Items...)
			if page.HasMore != (len(got) < 22) {
				t.Fatalf("hasMore %v after %d items", page.HasMore, len(got))
			}
		}
		return len(got) == 22
	})
	ask.Sender = carol
	if err := n.accept(t, ask); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("an outsider: %v", err)
	}
}

// TestHistoryIsSplitToFitTheAsker: a part that is over a client's Maximum Packet Size would never arrive. Of one activity that alone is
// over it, the number is told.
func TestHistoryIsSplitToFitTheAsker(t *testing.T) {
	n := openNode(t, filepath.Join(t.TempDir(), "p.db"), nil, bridge.Config{})
	defer n.close(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice)
	for i := range 20 {
		words := strings.Repeat("<", 20+i)
		if i == 10 {
			words = strings.Repeat("x", 1900)
		}
		if err := n.accept(t, say(alice, p.ID, "", words)); err != nil {
			t.Fatal(err)
		}
	}
	const most = 1500
	topic, correlation := "users/alice/replies/here", make([]byte, 100)
	ask := pactwire.Command{Kind: pactwire.CommandHistory, ID: "h", Sender: alice, Pact: p.ID, ReceivedAt: time.Now(), History: &pactwire.HistoryQuery{},
		Answer: pactwire.Answer{Topic: topic, Correlation: correlation, MaxPacket: most}}
	if err := n.accept(t, ask); err != nil {
		t.Fatal(err)
	}
	var parts int
	n.told.until(t, "all parts", func() bool {
		n.told.mu.Lock()
		defer n.told.mu.Unlock()
		items, leftOut := 0, []pactwire.Seq(nil)
		for _, e := range n.told.direct {
			var page pactwire.HistoryPage
			if err := json.Unmarshal(e.Data, &page); err != nil || e.Type != pactwire.EventPactHistory {
				t.Fatalf("%s: %v", e.Type, err)
			}
			items += len(page.Items)
			leftOut = append(leftOut, page.LeftOut...)
			if page.HasMore != (items+len(leftOut) < 22) {
				t.Fatalf("hasMore %v after %d items", page.HasMore, items)
			}
		}
		parts = len(n.told.direct)
		return items == 21 && slices.Equal(leftOut, []pactwire.Seq{13})
	})
	for _, size := range n.told.sizes {
		if size+len(topic)+len(correlation)+100 > most {
			t.Errorf("a part of %d bytes", size)
		}
	}
	if parts < 5 || parts > 21 {
		t.Errorf("%d parts", parts)
	}
	for _, about := range n.told.about {
		if about != p.ID {
			t.Errorf("an answer about %q: who leaves the pact would still get it", about)
		}
	}
	// Nothing but numbers fit, of 22 activities in as many parts as it takes.
	n.told.forget()
	ask.Answer.MaxPacket = 1500 - 800
	if err := n.accept(t, ask); err != nil {
		t.Fatal(err)
	}
	n.told.until(t, "the numbers", func() bool {
		n.told.mu.Lock()
		defer n.told.mu.Unlock()
		var leftOut []pactwire.Seq
		for _, e := range n.told.direct {
			var page pactwire.HistoryPage
			if err := json.Unmarshal(e.Data, &page); err != nil || len(page.Items) > 0 {
				t.Fatalf("%s: %v", e.Data, err)
			}
			leftOut = append(leftOut, page.LeftOut...)
		}
		return len(leftOut) == 22 && leftOut[0] == 1 && leftOut[21] == 22
	})
	for _, size := range n.told.sizes {
		if size+len(topic)+len(correlation)+100 > ask.Answer.MaxPacket {
			t.Errorf("a part of %d bytes", size)
		}
	}
	ask.Answer.MaxPacket = 500
	if err := n.accept(t, ask); pactwire.AsError(err).Field != "maximumPacketSize" {
		t.Errorf("with room for nothing: %v", err)
	}
}
