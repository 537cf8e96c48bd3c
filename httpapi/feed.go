package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/pactwire/pactwire"
)

func (a *API) listActivities(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	pact, err := pactOf(r)
	if err != nil {
		return err
	}
	var q pactwire.HistoryQuery
	if q.Limit, err = limitOf(r); err != nil {
		return err
	}
	if q.After, err = seqOf(r, "afterSeq"); err != nil {
		return err
	}
	if q.Before, err = seqOf(r, "beforeSeq"); err != nil {
		return err
	}
	if q.After != nil && q.Before != nil {
		return pactwire.FieldErrorf("beforeSeq", "afterSeq and beforeSeq do not go together")
	}
	p, err := a.ports.History.History(r.Context(), id, pact, q)
	if err != nil {
		if c := pactwire.CodeOf(err); c == pactwire.Denied || c == pactwire.NotFound {
			return noPact()
		}
		return err
	}
	if p.Items == nil {
		p.Items = []json.RawMessage{}
	}
	writeJSON(w, http.StatusOK, list[json.RawMessage]{p.Items, p.HasMore, &p.HeadSeq})
	return nil
}

func (a *API) listInbox(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	after, err := seqOf(r, "afterSeq")
	if err != nil {
		return err
	}
	if after == nil {
		after = new(pactwire.Seq)
	}
	items, more, err := a.ports.Inbox.Inbox(r.Context(), id, *after, limit)
	if err != nil {
		return err
	}
	if items == nil {
		items = []json.RawMessage{}
	}
	writeJSON(w, http.StatusOK, list[json.RawMessage]{Items: items, HasMore: more})
	return nil
}

// receiveEvent takes a webhook. It has no bearer token: its signature says who sent it.
func (a *API) receiveEvent(w http.ResponseWriter, r *http.Request, _ pactwire.Identity) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if err := a.ports.Events.Receive(r.Context(), r.Header, body); err != nil {
		return unauthorized(err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
