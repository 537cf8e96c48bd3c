package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/exactjson"
)

func (a *API) getMe(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	u, err := a.ports.Profile.Profile(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, u)
	return nil
}

func (a *API) patchMe(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	var in pactwire.UserPatch
	if err := parse(b, &in); err != nil {
		return err
	}
	var said struct { // null ends them, as an empty object does; not to speak of them does not
		QuietHours json.RawMessage `json:"quietHours"`
	}
	if exactjson.Unmarshal(b, &said) == nil && string(said.QuietHours) == "null" {
		in.QuietHours = &pactwire.QuietHours{}
	}
	u, err := a.ports.Profile.UpdateProfile(r.Context(), id, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, u)
	return nil
}

func (a *API) listStreaks(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	streaks, err := a.ports.Streaks.Streaks(r.Context(), id)
	if err != nil {
		return err
	}
	if streaks == nil {
		streaks = []pactwire.Streak{}
	}
	writeJSON(w, http.StatusOK, struct {
		Items []pactwire.Streak `json:"items"`
	}{streaks})
	return nil
}

// why explains to people what they may do themselves, and to operators what anyone may.
func (a *API) why(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	q := r.URL.Query()
	pact, user := pactwire.PactID(q.Get("pact")), id.UserID
	if !pactwire.ValidID(pact) {
		return pactwire.FieldErrorf("pact", "pact is needed: the pact to ask about")
	}
	operator := id.Is(pactwire.RoleOperator)
	if q.Has("user") {
		user = pactwire.UserID(q.Get("user"))
		if !pactwire.ValidID(user) {
			return pactwire.FieldErrorf("user", "user is no id")
		}
		if user != id.UserID && !operator {
			return pactwire.Errorf(pactwire.Denied, "only operators may ask about others")
		}
	}
	e, err := a.ports.Why.Why(r.Context(), user, pact)
	if err != nil {
		return sameNotFound(err)
	}
	if !operator && !e.Involved {
		return noPact()
	}
	writeJSON(w, http.StatusOK, e)
	return nil
}
