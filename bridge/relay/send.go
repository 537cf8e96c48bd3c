package relay

import (
	"context"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// send is the one goroutine that sends what waits: it asks once where all readers of a batch are, and puts one message into
// the inbox of each node that has any. What cannot be sent is left out; the other nodes notice that, and look. It waits a
// little for more before it sends, since what is said of the entries of one commit comes one by one, and each message costs this
// node, Redis and the other node more than all that is in it.
func (r *Relay) send(ctx context.Context) {
	sent := make(map[string]uint64) // messages to each node
	for r.out.await(ctx, gathering) {
		batch := r.out.take(ctx, takeMax)
		if batch == nil {
			return
		}
		if r.cut() {
			r.leaveOut(batch)
			continue
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		err := r.sendBatch(call, batch, sent)
		cancel()
		if err != nil && ctx.Err() == nil {
			r.leaveOut(batch)
			r.trouble.Change(r.log, "nodes: messages to other nodes cannot be sent", err)
			continue
		}
		r.trouble.Change(r.log, "nodes: messages to other nodes cannot be sent", nil)
	}
}

func (r *Relay) leaveOut(batch []item) {
	r.lost.Add(1)
	r.metrics.dropped.Add(float64(len(batch)))
}

func (r *Relay) sendBatch(ctx context.Context, batch []item, sent map[string]uint64) error {
	routes, err := r.route(ctx, batch)
	if err != nil {
		return err
	}
	h := header{from: r.cfg.Addr, lost: r.lost.Load(), at: time.Now()}
	messages := make(map[string][]byte)
	start := func(addr string) []byte {
		if m := messages[addr]; m != nil {
			return m
		}
		sent[addr]++
		h.n = sent[addr]
		return appendHeader(make([]byte, 0, 1024), h)
	}
	entries := make(map[pactwire.PactID]bool) // pacts of which an entry is sent: it says that the state is another too
	for i := range batch {
		if p := batch[i].entry.Stream.Pact(); p != "" {
			entries[p] = true
		}
	}
	var body []byte
	for i := range batch {
		it := &batch[i]
		if it.kind == kindState && entries[it.pact] {
			continue
		}
		to := routes.of(it)
		if len(to) == 0 {
			continue
		}
		if body = body[:0]; it.kind != 0 {
			body = appendItem(body, it)
		}
		for _, addr := range to {
			messages[addr] = append(start(addr), body...)
			r.metrics.sent.WithLabelValues(kindNames[it.kind]).Inc()
		}
	}
	for addr := range sent {
		if r.dead(addr) {
			delete(sent, addr)
		}
	}
	if len(messages) == 0 {
		return nil
	}
	return r.bus.Send(ctx, messages)
}

// routes are where the readers of a batch are.
type routes struct {
	users     map[pactwire.UserID][]string
	operators []string
	all       []string // nodes
	members   map[pactwire.PactID][]pactwire.UserID
}

// of lists the nodes that an item concerns, each once.
func (x *routes) of(it *item) (to []string) {
	if it.to != "" {
		return []string{it.to}
	}
	add := func(addrs []string) {
		for _, a := range addrs {
			if !slices.Contains(to, a) {
				to = append(to, a)
			}
		}
	}
	for _, u := range x.concerned(it) {
		add(x.users[u])
	}
	switch it.kind {
	case kindPact, kindRevoked:
		add(x.all)
	case kindEntry, kindDirect, kindState, kindPresence:
		add(x.operators)
	}
	return to
}

// concerned are the users that an item is for.
func (x *routes) concerned(it *item) []pactwire.UserID {
	switch it.kind {
	case kindEntry:
		if u := it.entry.Stream.User(); u != "" {
			return []pactwire.UserID{u}
		}
		return x.members[it.entry.Stream.Pact()]
	case kindState:
		return x.members[it.pact]
	case kindPresence, kindName:
		var all []pactwire.UserID
		for _, p := range it.pacts {
			all = append(all, x.members[p]...)
		}
		return all
	case kindPact, kindRevoked:
		return nil // but for all nodes
	}
	return []pactwire.UserID{it.user}
}

// route asks where the readers of a batch are.
func (r *Relay) route(ctx context.Context, batch []item) (*routes, error) {
	x := &routes{users: make(map[pactwire.UserID][]string), members: make(map[pactwire.PactID][]pactwire.UserID)}
	for addr, n := range *r.nodes.Load() {
		if addr != r.cfg.Addr && !n.Lapsed {
			x.all = append(x.all, addr)
		}
	}
	directed := true
	for i := range batch {
		it := &batch[i]
		directed = directed && it.to != ""
		switch it.kind {
		case kindEntry:
			if p := it.entry.Stream.Pact(); p != "" {
				x.join(ctx, r.view, p)
			}
		case kindState:
			x.join(ctx, r.view, it.pact)
		case kindPresence, kindName:
			for _, p := range it.pacts {
				x.join(ctx, r.view, p)
			}
		}
	}
	if directed {
		return x, nil
	}
	ask := []pactwire.UserID{""} // the operators
	for i := range batch {
		if batch[i].to != "" {
			continue
		}
		for _, u := range x.concerned(&batch[i]) {
			if _, ok := x.users[u]; !ok && u != "" {
				x.users[u] = nil
				ask = append(ask, u)
			}
		}
	}
	found, err := r.bus.Routes(ctx, ask)
	if err != nil {
		return nil, err
	}
	stale := make(map[pactwire.UserID][]string)
	for i, u := range ask {
		var here []string
		for _, addr := range found[i] {
			switch {
			case addr == r.cfg.Addr:
			case r.dead(addr):
				stale[u] = append(stale[u], addr)
			default:
				here = append(here, addr)
			}
		}
		if u == "" {
			x.operators = here
		} else {
			x.users[u] = here
		}
	}
	if len(stale) > 0 {
		_ = r.bus.Forget(ctx, stale) // they are passed over all the same
	}
	return x, nil
}

// join finds the members of a pact. Of one that cannot be read now nobody is told; they find out by looking.
func (x *routes) join(ctx context.Context, view View, p pactwire.PactID) {
	if _, ok := x.members[p]; ok {
		return
	}
	var list []pactwire.UserID
	view.Readers(p, func(u pactwire.UserID) bool {
		list = append(list, u)
		return true
	})
	if list == nil {
		list, _ = view.Members(ctx, p)
	}
	x.members[p] = list
}
