package relay

import (
	"context"
	"fmt"
	"strings"
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
	nodes := *r.nodes.Load()
	ids := make([]string, 0, len(nodes)+1)
	for addr, n := range nodes {
		if !n.Lapsed {
			ids = append(ids, idOf(addr))
		}
	}
	call, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	n, err := r.shared.NodesBesides(call, append(ids, idOf(r.cfg.Addr)))
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

// idOf is the name of the node that an address is a start of.
func idOf(addr string) string {
	id, _, _ := strings.Cut(addr, "/")
	return id
}
