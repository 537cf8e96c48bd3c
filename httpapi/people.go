package httpapi

import (
	"net/http"
	"slices"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// toPact is the command topic of the pact that the path names.
func toPact(k topics.Kind) func(*http.Request, pactwire.Identity) (topics.Topic, error) {
	return func(r *http.Request, _ pactwire.Identity) (topics.Topic, error) {
		pact, err := pactOf(r)
		return topics.Topic{Kind: k, Pact: pact}, err
	}
}

// toPerson is the command topic of the person that the path names.
func toPerson(k topics.Kind) func(*http.Request, pactwire.Identity) (topics.Topic, error) {
	return func(r *http.Request, _ pactwire.Identity) (topics.Topic, error) {
		u := pactwire.UserID(r.PathValue("id"))
		if !pactwire.ValidID(u) {
			return topics.Topic{}, pactwire.FieldErrorf("id", "this is no person's id")
		}
		return topics.Topic{Kind: k, User: u}, nil
	}
}

// toSelf is a command topic of the caller's own.
func toSelf(k topics.Kind) func(*http.Request, pactwire.Identity) (topics.Topic, error) {
	return func(_ *http.Request, id pactwire.Identity) (topics.Topic, error) {
		return topics.Topic{Kind: k, User: id.UserID}, nil
	}
}

func (a *API) listNotifications(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	in := pactwire.NotificationQuery{Before: q.Get("before"), Limit: limit}
	switch q.Get("unread") {
	case "", "false":
	case "true":
		in.Unread = true
	default:
		return pactwire.FieldErrorf("unread", "unread is true or false")
	}
	page, err := a.ports.People.Notifications(r.Context(), id, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

// connectionStatuses are what ?status= may ask for.
var connectionStatuses = []pactwire.ConnectionStatus{pactwire.ConnectionRequested, pactwire.ConnectionPending, pactwire.ConnectionAccepted,
	pactwire.ConnectionDeclined, pactwire.ConnectionEnded}

func (a *API) listConnections(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	status := pactwire.ConnectionStatus(q.Get("status"))
	if status != "" && !slices.Contains(connectionStatuses, status) {
		return pactwire.FieldErrorf("status", "status is one of requested, pending, accepted, declined, ended")
	}
	items, more, err := a.ports.People.Connections(r.Context(), id, status, pactwire.UserID(q.Get("after")), limit)
	if err != nil {
		return err
	}
	if items == nil {
		items = []pactwire.Connection{}
	}
	writeJSON(w, http.StatusOK, list[pactwire.Connection]{Items: items, HasMore: more})
	return nil
}
