package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// Board is where several nodes put what each of them says of people, and find what that comes to. It may be away, and may
// forget everything; then the nodes say it again.
type Board interface {
	// Say takes this node's words and returns what they make of each person. Of those who speak at once, one is told of a
	// change.
	Say(ctx context.Context, words []pactwire.Word) ([]pactwire.Said, error)
	// SayFor takes words for another node, which can speak for itself no more; People are some of those of whom it has said
	// anything, and Remove forgets it.
	SayFor(ctx context.Context, node string, words []pactwire.Word) ([]pactwire.Said, error)
	People(ctx context.Context, node string, n int64) ([]pactwire.UserID, error)
	Remove(ctx context.Context, node string) error
	// Presence tells what is said of people.
	Presence(ctx context.Context, users []pactwire.UserID) ([]pactwire.Said, error)
}

const (
	boardTime  = time.Second            // of one call to the board
	boardRetry = 500 * time.Millisecond // after a failure
	settleTime = 300 * time.Millisecond // how long a snapshot waits for what is being said
	// After the board has forgotten, nobody is called offline before the other nodes have had time to say who is with them.
	repeatTime = 3 * time.Second
)

// Shared knows who is there over several nodes. Its Tracker keeps what this node has of a person; that becomes this node's
// word on the board, and the node whose word changes what all words come to announces that and writes it down.
//
// While the board is away the node's own people come and go in the eyes of its own: who comes is announced here, who goes is
// announced when the board is back, since they may be elsewhere.
type Shared struct {
	*Tracker
	board Board
	tell  func(pactwire.Presence)
	began time.Time

	mu      sync.Mutex
	words   map[pactwire.UserID]pactwire.Word // to be said, the newest of each person; bounded by people
	saying  map[pactwire.UserID]struct{}      // on their way
	spoke   chan struct{}                     // closed and replaced when something was said
	away    bool                              // the board did not answer last
	patient time.Time                         // until when nobody is called offline
	kept    map[pactwire.UserID]pactwire.Seen // to be written; bounded by people

	wakeSpeak chan struct{} // of size 1
	wakeKeep  chan struct{} // of size 1
	stop      context.CancelFunc
	tasks     sync.WaitGroup
}

// NewShared makes a Shared. tell gets each change that this node announces, without a pact.
func NewShared(cfg Config, board Board, store Store, tell func(pactwire.Presence), log *slog.Logger, reg prometheus.Registerer) *Shared {
	s := &Shared{board: board, tell: tell, words: make(map[pactwire.UserID]pactwire.Word), saying: make(map[pactwire.UserID]struct{}),
		spoke: make(chan struct{}), kept: make(map[pactwire.UserID]pactwire.Seen),
		wakeSpeak: make(chan struct{}, 1), wakeKeep: make(chan struct{}, 1)}
	s.Tracker = New(cfg, reading{store}, s.changed, log, reg)
	return s
}

// reading is the store as a Tracker sees it that writes nothing: what one node knows of a person is not all.
type reading struct{ Store }

func (reading) SaveSeen(context.Context, []pactwire.Seen) error { return nil }

// WereOnline is empty: the board knows who was.
func (reading) WereOnline(context.Context) ([]pactwire.UserID, error) { return nil, nil }

// Start begins to speak.
func (s *Shared) Start(ctx context.Context) error {
	s.began = time.Now()
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = cancel
	s.tasks.Go(func() { s.speak(run) })
	s.tasks.Go(func() { s.keep(run) })
	return s.Tracker.Start(ctx)
}

// Stop announces nobody: this node's words hold for the grace time, in which its people may come back to any node.
func (s *Shared) Stop(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	err := s.Tracker.Stop(ctx)
	s.stop()
	s.tasks.Wait()
	if failed := s.write(ctx); err == nil {
		err = failed
	}
	return err
}

// changed takes what this node has of a person now.
func (s *Shared) changed(p pactwire.Presence) {
	w := pactwire.Word{User: p.UserID, Status: p.Status, Floor: p.Version}
	if p.LastSeen != nil {
		w.LastSeen = p.LastSeen.Std()
	}
	s.mu.Lock()
	s.words[p.UserID] = w
	away := s.away
	s.mu.Unlock()
	s.wake(s.wakeSpeak)
	if away && p.IsOnline {
		s.tell(p)
	}
}

// Repeat has everything said again that this node has said: the board may have forgotten it. It does not block.
func (s *Shared) Repeat() {
	standing := s.standing()
	s.mu.Lock()
	s.patient = time.Now().Add(repeatTime)
	for _, w := range standing {
		if _, news := s.words[w.User]; !news {
			s.words[w.User] = w
		}
	}
	s.mu.Unlock()
	s.wake(s.wakeSpeak)
}

// standing is this node's word for each person who is online here.
func (t *Tracker) standing() []pactwire.Word {
	t.mu.Lock()
	defer t.mu.Unlock()
	words := make([]pactwire.Word, 0, t.online)
	for u, p := range t.people {
		if p.status != pactwire.PresenceOffline {
			words = append(words, pactwire.Word{User: u, Status: p.status, LastSeen: p.lastSeen, Floor: p.version, Quiet: true})
		}
	}
	return words
}

// speak is the one goroutine that says words, so that each person's come in order.
func (s *Shared) speak(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wakeSpeak:
		}
		for {
			words, wait := s.takeWords()
			if len(words) == 0 {
				if wait > 0 {
					time.AfterFunc(wait, func() { s.wake(s.wakeSpeak) })
				}
				break
			}
			call, cancel := context.WithTimeout(ctx, boardTime)
			said, err := s.board.Say(call, words)
			cancel()
			s.said(words, err)
			if err != nil {
				if !pause(ctx, boardRetry) {
					return
				}
				continue
			}
			for i := range words {
				s.announce(words[i].User, said[i])
			}
		}
	}
}

// takeWords takes some of what is to be said. When all that is left is not to be said yet, it tells when it is.
func (s *Shared) takeWords() (words []pactwire.Word, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	patience := time.Until(s.patient)
	for u, w := range s.words {
		if len(words) == batch {
			break
		}
		if patience > 0 && w.Status == pactwire.PresenceOffline {
			wait = patience
			continue
		}
		words = append(words, w)
		delete(s.words, u)
		s.saying[u] = struct{}{}
	}
	return words, wait
}

// said notes how saying went. What was not heard is said again, unless there is something newer to say.
func (s *Shared) said(words []pactwire.Word, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.away {
		s.log.Warn("presence: other nodes cannot be told; who goes offline is announced later", "error", err)
	} else if err == nil && s.away {
		s.log.Info("presence: other nodes are told again")
	}
	s.away = err != nil
	clear(s.saying)
	if err == nil {
		close(s.spoke)
		s.spoke = make(chan struct{})
		return
	}
	for _, w := range words {
		if _, newer := s.words[w.User]; !newer {
			s.words[w.User] = w
		}
	}
}

// announce tells a change that this node is to announce, and notes it to be written.
func (s *Shared) announce(u pactwire.UserID, said pactwire.Said) {
	if !said.Changed {
		return
	}
	seen := pactwire.Seen{User: u, LastSeen: said.LastSeen, Version: said.Version, Online: said.Status != pactwire.PresenceOffline}
	s.mu.Lock()
	s.kept[u] = seen
	s.mu.Unlock()
	s.wake(s.wakeKeep)
	s.metrics.changed(said.Status)
	s.tell(view(seen, "", said.Status))
}

// Bury sees to the people of nodes that are no more: who is nowhere else is offline. It is called again and again until none
// is left. Who just came up waits for the grace time first, since all may have been restarted together.
func (s *Shared) Bury(ctx context.Context, nodes []pactwire.NodeBeat) {
	if time.Since(s.began) < s.cfg.Grace {
		return
	}
	for _, n := range nodes {
		if err := s.bury(ctx, n); err != nil && ctx.Err() == nil {
			s.log.Warn("presence: the people of a node that is no more are not seen to; tried again", "node", n.Addr, "error", err)
		}
	}
}

func (s *Shared) bury(ctx context.Context, n pactwire.NodeBeat) error {
	seen := time.Now().Add(-n.Age)
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, boardTime)
		users, err := s.board.People(call, n.Addr, batch)
		if err == nil && len(users) == 0 {
			err = s.board.Remove(call, n.Addr)
			cancel()
			return err
		}
		words := make([]pactwire.Word, len(users))
		for i, u := range users {
			words[i] = pactwire.Word{User: u, Status: pactwire.PresenceOffline, LastSeen: seen}
		}
		var said []pactwire.Said
		if err == nil {
			said, err = s.board.SayFor(call, n.Addr, words)
		}
		cancel()
		if err != nil {
			return err
		}
		for i := range words {
			s.announce(words[i].User, said[i])
		}
	}
	return ctx.Err()
}

// Get returns the presence of each user, in order, without a pact and a name.
func (s *Shared) Get(ctx context.Context, users []pactwire.UserID) ([]pactwire.Presence, error) {
	s.settled(ctx, users)
	here, err := s.Tracker.Get(ctx, users)
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, boardTime)
	defer cancel()
	said, err := s.board.Presence(call, users)
	if err != nil {
		return s.without(ctx, here)
	}
	for i, x := range said {
		if !x.Known {
			continue
		}
		seen := pactwire.Seen{User: users[i], LastSeen: x.LastSeen, Version: x.Version}
		if p := here[i].LastSeen; p != nil && p.Std().After(seen.LastSeen) {
			seen.LastSeen = p.Std()
		}
		here[i] = view(seen, here[i].UserName, x.Status)
	}
	return here, nil
}

// without is what can be said while the board is away: who is not here may be elsewhere, if they were online when that was
// last written.
func (s *Shared) without(ctx context.Context, here []pactwire.Presence) ([]pactwire.Presence, error) {
	var others []pactwire.UserID
	for i := range here {
		if !here[i].IsOnline {
			others = append(others, here[i].UserID)
		}
	}
	kept, err := s.lastSeen(ctx, others)
	if err != nil {
		return nil, err
	}
	for i := range here {
		if seen, ok := kept[here[i].UserID]; ok && seen.Online && !here[i].IsOnline {
			here[i] = view(seen, here[i].UserName, pactwire.PresenceActive)
		}
	}
	return here, nil
}

// settled waits a moment for what is being said of users: who asks has perhaps just come.
func (s *Shared) settled(ctx context.Context, users []pactwire.UserID) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		s.mu.Lock()
		waiting, spoke := false, s.spoke
		if !s.away {
			for _, u := range users {
				_, word := s.words[u]
				_, saying := s.saying[u]
				waiting = waiting || word || saying
			}
		}
		away := s.away
		s.mu.Unlock()
		if away || !waiting && !s.announcing(users) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-spoke:
		}
	}
}

// announcing reports whether a change of any of these people has not been announced yet.
func (t *Tracker) announcing(users []pactwire.UserID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range users {
		if p := t.people[u]; p != nil && p.queued {
			return true
		}
	}
	return false
}

// keep is the one goroutine that writes down what was announced. It collects for a while, then writes all.
func (s *Shared) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wakeKeep:
		}
		if !pause(ctx, s.cfg.Flush) {
			return
		}
		if err := s.write(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("presence: not saved; tried again each second", "error", err)
			s.wake(s.wakeKeep)
		}
	}
}

// write writes what is to be written, in bounded batches. After an error the rest stays.
func (s *Shared) write(ctx context.Context) error {
	for {
		s.mu.Lock()
		rows := make([]pactwire.Seen, 0, min(batch, len(s.kept)))
		for u, seen := range s.kept {
			if len(rows) == batch {
				break
			}
			rows = append(rows, seen)
			delete(s.kept, u)
		}
		s.mu.Unlock()
		if len(rows) == 0 {
			return nil
		}
		call, cancel := context.WithTimeout(ctx, saveTimeout)
		err := s.store.(reading).Store.SaveSeen(call, rows)
		cancel()
		if err == nil {
			continue
		}
		s.metrics.saveErrors.Inc()
		s.mu.Lock()
		for _, row := range rows {
			if _, newer := s.kept[row.User]; !newer {
				s.kept[row.User] = row
			}
		}
		s.mu.Unlock()
		return err
	}
}

// pause waits, and reports whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
