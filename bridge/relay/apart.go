package relay

import (
	"context"
	"fmt"

	"github.com/pactwire/pactwire"
)

// apartLooks is after how many looks in a row nodes that are not heard of are told of: who starts has its hold on the store before
// its first beat.
const apartLooks = 3

// lookForOthers compares the nodes that Redis knows with those that have their hold on the store. A node that has one and is not
// heard of has no Redis, or another one: nothing that it does is told here, and what the log does not have, such as presence, is of two
// minds.
func (r *Relay) lookForOthers(ctx context.Context) {
	if r.shared == nil || r.bus == nil || r.sick.Load() != nil {
		r.unheard = 0
		return
	}
	call, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	n, _, err := r.shared.NodesBesides(call, r.heard())
	if err != nil {
		return // that the store is away is told by others
	}
	if n == 0 {
		r.unheard = 0
		r.apart.Store(nil)
		return
	}
	if r.unheard++; r.unheard >= apartLooks {
		err := fmt.Errorf("nodes that use this database and are not heard of through Redis: %d; is redis.url the same at all nodes, and does each of them answer?", n)
		r.apart.Store(&err)
		r.eager.Store(patientLook) // what they do is found in the store alone
	}
}

// heard are the ids of the nodes that are heard of through Redis, and of this one.
func (r *Relay) heard() []string {
	ids := []string{pactwire.NodeOf(r.cfg.Addr)}
	for addr, n := range *r.nodes.Load() {
		if !n.Lapsed {
			ids = append(ids, pactwire.NodeOf(addr))
		}
	}
	return ids
}

// Unheard reports whether nodes are at work that are not heard of through Redis.
func (r *Relay) Unheard(ctx context.Context) (bool, error) {
	if r.shared == nil {
		return false, nil
	}
	_, awake, err := r.shared.NodesBesides(ctx, r.heard())
	return awake > 0, err
}
