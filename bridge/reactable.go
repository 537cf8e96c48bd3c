package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"sort"
	"time"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
)

// An activity is found by its id without an index, since an index would cost every check-in a row: the id tells when it was
// made, and a pact's activities are in order of time.
const (
	recent = 50              // the newest activities, which most reactions are about, are looked through first
	apart  = 5 * time.Second // how far an id's time and the entry's may differ
)

// reactable is nil when the pact has the activity and it can be reacted to; else NotFound or Invalid.
func (b *Bridge) reactable(ctx context.Context, cmd *pactwire.Command) error {
	select {
	case b.reads <- struct{}{}:
		defer func() { <-b.reads }()
	case <-ctx.Done():
		return pactwire.Errorf(pactwire.Unavailable, "too many activities are being read; try again")
	}
	payload, err := b.findActivity(ctx, pactwire.ActivityOf(cmd.Pact), cmd.Reaction.ActivityID)
	if err != nil {
		return err
	}
	if payload == nil {
		return &pactwire.Error{Code: pactwire.NotFound, Field: "activityId", Message: "there is no such activity in this pact"}
	}
	var a pactwire.Activity
	if err := json.Unmarshal(payload, &a); err != nil {
		return err
	}
	if a.Type == pactwire.ReactionAdded {
		return pactwire.FieldErrorf("activityId", "this is a reaction itself; react to what it was about")
	}
	return nil
}

// findActivity returns the activity of that id in a stream, or nil.
func (b *Bridge) findActivity(ctx context.Context, s pactwire.Stream, id string) ([]byte, error) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return nil, nil // none of ours
	}
	sec, nsec := u.Time().UnixTime()
	made := time.Unix(sec, nsec)
	prefix := appendString([]byte(`{"id":`), id)
	find := func(entries []pactwire.Entry) []byte {
		for _, e := range entries {
			if bytes.HasPrefix(e.Payload, prefix) {
				return e.Payload
			}
		}
		return nil
	}
	bounds, err := b.store.Bounds(ctx, []pactwire.Stream{s})
	if err != nil {
		return nil, err
	}
	floor, head := bounds[0].Floor, bounds[0].Head
	newest, err := b.store.ReadBefore(ctx, s, head+1, recent)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	if found := find(newest); found != nil {
		return found, nil
	}
	// The first entry that is not too old, by halving.
	older := int(newest[0].Seq - floor - 1) //nolint:gosec // a stream has fewer entries than an int counts
	at := sort.Search(older, func(i int) bool {
		if err != nil {
			return true
		}
		var one []pactwire.Entry
		if one, err = b.store.ReadAfter(ctx, s, floor+pactwire.Seq(i), 1); err != nil || len(one) == 0 {
			return true
		}
		return !madeAt(one[0].Payload).Before(made.Add(-apart))
	})
	for after := floor + pactwire.Seq(at); err == nil && after < newest[0].Seq; { //nolint:gosec // at is no less than 0
		var page []pactwire.Entry
		if page, err = b.store.ReadAfter(ctx, s, after, recent); err != nil || len(page) == 0 {
			break
		}
		if found := find(page); found != nil {
			return found, nil
		}
		last := page[len(page)-1]
		if madeAt(last.Payload).After(made.Add(apart)) {
			break
		}
		after = last.Seq
	}
	return nil, err
}

// madeAt is when an activity was made.
func madeAt(payload []byte) time.Time {
	var a struct {
		CreatedAt time.Time `json:"createdAt"`
	}
	_ = json.Unmarshal(payload, &a) // we wrote it
	return a.CreatedAt
}
