package testkit

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pactwire/pactwire"
)

// History is what was seen of one pact from outside: which commands were acknowledged to their senders, what the log
// says, and what subscribers got. Check compares them with the promises.
type History struct {
	Acked map[string]bool // by the command's own id
	Log   []pactwire.Activity
	// Received holds, by subscriber, the activities in the order in which they came, resends included.
	Received map[string][]pactwire.Activity
	// From holds, by subscriber, the sequence number after which their story starts; who is missing starts at 0.
	From map[string]pactwire.Seq
}

// Check returns everything that is wrong, in words.
func (h *History) Check() []error {
	errs := h.checkLog()
	head := pactwire.Seq(len(h.Log))
	for name, got := range h.Received {
		errs = append(errs, h.checkReceived(name, got, head)...)
	}
	return errs
}

// checkLog: 1…n without a gap, and every acknowledged command in it exactly once.
func (h *History) checkLog() (errs []error) {
	count := map[string]int{}
	for i, a := range h.Log {
		if a.Seq != pactwire.Seq(i+1) {
			errs = append(errs, fmt.Errorf("the log has seq %d in place %d", a.Seq, i+1))
		}
		if a.CommandID != nil {
			count[*a.CommandID]++
		}
	}
	for id := range h.Acked {
		if count[id] == 0 {
			errs = append(errs, fmt.Errorf("command %s was acknowledged and is not in the log", id))
		}
	}
	for id, n := range count {
		if n > 1 {
			errs = append(errs, fmt.Errorf("command %s is in the log %d times", id, n))
		}
	}
	return errs
}

// checkReceived: what is new to a subscriber comes in order without a gap, up to the head; a resend repeats what was
// there, byte for byte.
func (h *History) checkReceived(name string, got []pactwire.Activity, head pactwire.Seq) (errs []error) {
	last := h.From[name]
	for _, a := range got {
		switch {
		case a.Seq == last+1:
			last = a.Seq
		case a.Seq > last+1:
			errs = append(errs, fmt.Errorf("%s got seq %d after %d", name, a.Seq, last))
			last = a.Seq
		}
		if a.Seq == 0 || a.Seq > head {
			errs = append(errs, fmt.Errorf("%s got seq %d, which the log does not have", name, a.Seq))
			continue
		}
		if kept := h.Log[a.Seq-1]; kept.ID != a.ID || !slices.Equal(kept.Data, a.Data) {
			errs = append(errs, fmt.Errorf("%s got another seq %d than the log has", name, a.Seq))
		}
	}
	if last < head {
		errs = append(errs, fmt.Errorf("%s got up to seq %d of %d", name, last, head))
	}
	return errs
}

// Once returns an error for each activity that came more often than once: for subscribers that were never cut off
// between a delivery and its acknowledgement.
func Once(name string, got []pactwire.Activity) (errs []error) {
	seen := map[pactwire.Seq]bool{}
	for _, a := range got {
		if seen[a.Seq] {
			errs = append(errs, fmt.Errorf("%s got seq %d again", name, a.Seq))
		}
		seen[a.Seq] = true
	}
	return errs
}

// ParseActivity reads one payload of pacts/{p}/activity.
func ParseActivity(payload []byte) (pactwire.Activity, error) {
	var a pactwire.Activity
	err := json.Unmarshal(payload, &a)
	return a, err
}
