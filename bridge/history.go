package bridge

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Sizes of a page.
const (
	defaultPage = 50
	maxPage     = 200
)

// acceptHistory answers a request for activities. Nothing is written, so nothing is committed: the acknowledgement says
// that the answer is on its way.
func (b *Bridge) acceptHistory(ctx context.Context, cmd *pactwire.Command, ack func(error)) error {
	if err := b.mayRead(ctx, cmd.Sender, cmd.Pact); err != nil {
		return err
	}
	if b.roomFor(cmd, cmd.Pact) < costOfSeq {
		return pactwire.FieldErrorf("maximumPacketSize", "your Maximum Packet Size leaves no room for an answer, beside where it goes and its Correlation Data; "+
			"raise it, or read GET /v1/pacts/%s/activities", cmd.Pact)
	}
	select {
	case b.reads <- struct{}{}:
	case <-ctx.Done():
		return pactwire.Errorf(pactwire.Unavailable, "too many histories are being read; try again")
	}
	err := b.spawn(func() {
		defer func() { <-b.reads }()
		page, err := b.page(b.ctx, cmd.Pact, *cmd.History)
		if err != nil {
			ack(err)
			return
		}
		ack(nil)
		b.sendHistory(cmd, page)
	})
	if err != nil {
		<-b.reads
	}
	return err
}

// sendHistory sends a page in as many answers as the packet limits ask for, the server's and the asker's.
func (b *Bridge) sendHistory(cmd *pactwire.Command, page pactwire.HistoryPage) {
	room := b.roomFor(cmd, page.PactID)
	for rest := page.Items; ; {
		part := pactwire.HistoryPage{PactID: page.PactID, Items: []json.RawMessage{}, HeadSeq: page.HeadSeq}
		rest = fill(&part, rest, room)
		part.HasMore = page.HasMore || len(rest) > 0
		b.tell(cmd, cmd.Pact, pactwire.EventPactHistory, part)
		if len(rest) == 0 {
			return
		}
	}
}

// fill puts as much into a part as there is room for, at least one, and returns the rest. Of an item that alone is too large for the
// asker, as it is in the live feed too, only the number goes in: who pages on from what they have would else ask for it again and again.
func fill(part *pactwire.HistoryPage, items []json.RawMessage, room int) (rest []json.RawMessage) {
	size := 0
	for i, item := range items {
		large := len(item) > room
		cost := len(item)
		if large {
			cost = costOfSeq
		}
		if i > 0 && size+cost > room {
			return items[i:]
		}
		size += cost + 1
		if large {
			part.LeftOut = append(part.LeftOut, seqOf(item))
		} else {
			part.Items = append(part.Items, item)
		}
	}
	return nil
}

// costOfSeq is how long a number is at most, with the name of the list.
const costOfSeq = len(`,"leftOut":[9223372036854775807]`)

// seqOf is the number of an activity that is stored.
func seqOf(item json.RawMessage) pactwire.Seq {
	var a struct {
		Seq pactwire.Seq `json:"seq"`
	}
	_ = json.Unmarshal(item, &a) // we wrote it
	return a.Seq
}

// aroundPage is what an answer has beside its items, its event and what is named, at most: the names and numbers of the page (100
// bytes), and of the PUBLISH headers, lengths, and a subscription identifier of five bytes for each of some thirty filters.
const aroundPage = 300

// roomFor is how many bytes of items fit in one answer.
func (b *Bridge) roomFor(cmd *pactwire.Command, pact pactwire.PactID) int {
	most := b.cfg.PacketSize
	if m := cmd.Answer.MaxPacket; m > 0 {
		most = min(most, m)
	}
	e := pactwire.Event{Type: pactwire.EventPactHistory, CommandID: commandID(cmd), ID: b.cfg.NewID()}
	return most - len(appendEvent(nil, &e)) - len(answerTopic(cmd)) - len(cmd.Answer.Correlation) - aroundPage - len(pact)
}

// answerTopic is where a command's answer goes.
func answerTopic(cmd *pactwire.Command) string {
	if cmd.Answer.Topic != "" {
		return cmd.Answer.Topic
	}
	return topics.Inbox(cmd.Sender.UserID)
}

// tell sends an answer that is never logged. about is the pact whose content it has, if any.
func (b *Bridge) tell(cmd *pactwire.Command, about pactwire.PactID, typ pactwire.EventType, data any) {
	e := pactwire.Event{Type: typ, CommandID: commandID(cmd)}
	c := &commit{b: b, now: time.Now()}
	if err := c.fill(&e, data); err != nil {
		b.log.Error("encode answer", "type", typ, "error", err)
		return
	}
	b.pub.Direct(cmd.Sender.UserID, about, answerTopic(cmd), appendEvent(nil, &e), cmd.Answer.Correlation)
}

// History reads a page of a pact's activities for a member. Who may not read the pact gets NotFound.
func (b *Bridge) History(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, q pactwire.HistoryQuery) (pactwire.HistoryPage, error) {
	if err := b.mayRead(ctx, id, pact); err != nil {
		if pactwire.CodeOf(err) == pactwire.Denied {
			err = pactwire.Errorf(pactwire.NotFound, "there is no such pact")
		}
		return pactwire.HistoryPage{PactID: pact, Items: []json.RawMessage{}}, err
	}
	return b.page(ctx, pact, q)
}

// page reads a page of a pact's activities.
func (b *Bridge) page(ctx context.Context, pact pactwire.PactID, q pactwire.HistoryQuery) (pactwire.HistoryPage, error) {
	page := pactwire.HistoryPage{PactID: pact, Items: []json.RawMessage{}}
	if q.After != nil && q.Before != nil {
		return page, pactwire.FieldErrorf("beforeSeq", "give afterSeq or beforeSeq, not both")
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	stream := pactwire.ActivityOf(pact)
	bounds, err := b.store.Bounds(ctx, []pactwire.Stream{stream})
	if err != nil {
		return page, err
	}
	page.HeadSeq = bounds[0].Head
	var entries []pactwire.Entry
	if q.After != nil {
		entries, err = b.store.ReadAfter(ctx, stream, *q.After, limit+1)
		if page.HasMore = len(entries) > limit; page.HasMore {
			entries = entries[:limit]
		}
	} else {
		before := page.HeadSeq + 1
		if q.Before != nil {
			before = *q.Before
		}
		entries, err = b.store.ReadBefore(ctx, stream, before, limit+1)
		if page.HasMore = len(entries) > limit; page.HasMore {
			entries = entries[1:] // they ascend: the one too many is the oldest
		}
	}
	for _, e := range entries {
		page.Items = append(page.Items, e.Payload)
	}
	return page, err
}

// mayRead is nil when someone may read a pact, also one that has ended; else Denied or Unavailable.
func (b *Bridge) mayRead(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) error {
	if id.Is(pactwire.RoleOperator) {
		return nil
	}
	if err := b.members.Ensure(ctx, id.UserID); err != nil {
		return err
	}
	defer b.members.Release(id.UserID)
	if err := b.mayCommand(ctx, id.UserID, pact); err != nil && pactwire.CodeOf(err) != pactwire.Conflict {
		return err
	}
	return nil
}

// Inbox reads the caller's events after a place, ascending.
func (b *Bridge) Inbox(ctx context.Context, id pactwire.Identity, after pactwire.Seq, limit int) ([]json.RawMessage, bool, error) {
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	entries, err := b.store.ReadAfter(ctx, pactwire.InboxOf(id.UserID), after, limit+1)
	if err != nil {
		return nil, false, err
	}
	more := len(entries) > limit
	if more {
		entries = entries[:limit]
	}
	items := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		items[i] = e.Payload
	}
	return items, more, nil
}

// Heads tells the last sequence number of each pact's activity.
func (b *Bridge) Heads(ctx context.Context, pacts []pactwire.PactID) ([]pactwire.Seq, error) {
	streams := make([]pactwire.Stream, len(pacts))
	for i, p := range pacts {
		streams[i] = pactwire.ActivityOf(p)
	}
	bounds, err := b.store.Bounds(ctx, streams)
	if err != nil {
		return nil, err
	}
	heads := make([]pactwire.Seq, len(bounds))
	for i, x := range bounds {
		heads[i] = x.Head
	}
	return heads, nil
}
