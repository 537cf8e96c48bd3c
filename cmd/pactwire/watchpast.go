package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pactwire/pactwire"
)

// activities is a page of GET /v1/pacts/{id}/activities.
type activities struct {
	Items   []json.RawMessage `json:"items"`
	HeadSeq pactwire.Seq      `json:"headSeq"`
}

// pageSize is how many activities are read at once.
const pageSize = 200

// past shows the last lines of all pacts that are watched, in the order in which they happened.
func (w *watcher) past(ctx context.Context) error {
	pacts, err := w.pacts(ctx)
	if err != nil {
		return err
	}
	type entry struct {
		pact pactwire.PactID
		at   pactwire.Time
		raw  json.RawMessage
	}
	var entries []entry
	for _, p := range pacts {
		w.feed.know(p)
		var page activities
		if err := w.server.get(ctx, pactPath(string(p.ID), fmt.Sprintf("/activities?limit=%d", min(max(w.cmd.Last, 1), pageSize))), &page); err != nil {
			return err
		}
		for _, raw := range page.Items {
			var a struct{ CreatedAt pactwire.Time }
			if err := json.Unmarshal(raw, &a); err != nil {
				return fmt.Errorf("read activities of %s: %w", p.ID, err)
			}
			entries = append(entries, entry{p.ID, a.CreatedAt, raw})
		}
		w.heads[p.ID] = page.HeadSeq
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.at.Std().UnixMilli(), b.at.Std().UnixMilli()) })
	entries = entries[max(len(entries)-max(w.cmd.Last, 0), 0):]
	heads := w.heads
	w.heads = map[pactwire.PactID]pactwire.Seq{}
	for _, e := range entries {
		if err := w.show(e.pact, e.raw); err != nil {
			return err
		}
	}
	w.heads, w.begun = heads, true
	return nil
}

// pacts are those that are watched.
func (w *watcher) pacts(ctx context.Context) ([]pactwire.Pact, error) {
	if w.cmd.Pact == "" {
		pacts, err := w.server.pacts(ctx, string(pactwire.PactActive))
		return pacts, err
	}
	var p pactwire.Pact
	err := w.server.get(ctx, pactPath(w.cmd.Pact, ""), &p)
	return []pactwire.Pact{p}, err
}

// catchUp shows what happened since the last line, and the whole story of pacts that are new.
func (w *watcher) catchUp(ctx context.Context) error {
	pacts, err := w.pacts(ctx)
	if err != nil {
		return err
	}
	for _, p := range pacts {
		w.feed.know(p)
		if _, known := w.heads[p.ID]; !known {
			w.heads[p.ID] = 0
		}
	}
	for p := range w.heads {
		err := w.readUp(ctx, p)
		switch {
		case pactwire.CodeOf(err) == pactwire.NotFound: // left meanwhile
			delete(w.heads, p)
		case err != nil:
			return err
		}
	}
	return nil
}

// readUp shows what a pact's log holds after the last line that was shown of it.
func (w *watcher) readUp(ctx context.Context, p pactwire.PactID) error {
	for {
		var page activities
		err := w.server.get(ctx, pactPath(string(p), fmt.Sprintf("/activities?limit=%d&afterSeq=%d", pageSize, w.heads[p])), &page)
		if err != nil {
			var e *pactwire.Error
			if errors.As(err, &e) && e.Code == pactwire.Denied {
				return nil // operators read no logs
			}
			return err
		}
		for _, raw := range page.Items {
			if err := w.show(p, raw); err != nil {
				return err
			}
		}
		if len(page.Items) == 0 || w.heads[p] >= page.HeadSeq {
			return nil
		}
	}
}
