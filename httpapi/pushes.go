package httpapi

import (
	"net/http"

	"github.com/pactwire/pactwire"
)

func (a *API) registerPushToken(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in pactwire.PushTokenInput
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	t, err := a.ports.PushTokens.Register(r.Context(), id, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, t)
	return nil
}

func (a *API) listPushTokens(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	tokens, err := a.ports.PushTokens.Tokens(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		list[pactwire.PushToken]
		WebPushPublicKey string `json:"webpushPublicKey,omitempty"`
	}{page(tokens, maxLimit), a.ports.WebPushKey})
	return nil
}

func (a *API) dropPushToken(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	if err := a.ports.PushTokens.Unregister(r.Context(), id, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Push is a push as operators see it. What it says is not theirs to read.
type Push struct {
	ID        string          `json:"id"`
	UserID    pactwire.UserID `json:"userId"`
	Channel   string          `json:"channel"`
	CreatedAt pactwire.Time   `json:"createdAt"`
	Attempts  int             `json:"attempts"`
	NextAt    *pactwire.Time  `json:"nextAt"` // null when it was given up
	Error     string          `json:"error"`  // of the last attempt
}

func (a *API) listPushes(w http.ResponseWriter, r *http.Request, _ pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	dead := q.Get("dead")
	if dead != "" && dead != "true" && dead != "false" {
		return pactwire.FieldErrorf("dead", "dead is true or false")
	}
	pushes, err := a.ports.Pushes.Pending(r.Context(), dead == "true", q.Get("after"), limit+1)
	if err != nil {
		return err
	}
	views := make([]Push, len(pushes))
	for i, p := range pushes {
		views[i] = Push{ID: p.ID, UserID: p.User, Channel: p.Channel, CreatedAt: pactwire.Time(p.CreatedAt), Attempts: p.Attempts, Error: p.Error}
		if !p.Dead {
			next := pactwire.Time(p.NextAt)
			views[i].NextAt = &next
		}
	}
	writeJSON(w, http.StatusOK, page(views, limit))
	return nil
}

func (a *API) retryPush(w http.ResponseWriter, r *http.Request, _ pactwire.Identity) error {
	if err := a.ports.Pushes.Retry(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
