package httpapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/pactwire/pactwire"
)

func (a *API) createGoal(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in pactwire.GoalInput
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	g, err := a.ports.Goals.CreateGoal(r.Context(), id, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, g)
	return nil
}

func (a *API) listGoals(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	goals, err := a.ports.Goals.Goals(r.Context(), id)
	if err != nil {
		return err
	}
	if goals, err = behind(goals, r, func(g pactwire.Goal) string { return string(g.ID) }); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page(goals, limit))
	return nil
}

func (a *API) createPact(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in pactwire.PactInput
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	if in.HabitGoalID == "" {
		return pactwire.FieldErrorf("habitGoalId", "habitGoalId is needed: the habit that the pact is about")
	}
	return a.answerPact(w, r, http.StatusCreated)(a.ports.Pacts.CreatePact(r.Context(), id, in))
}

// pactStatuses are what ?status= may ask for.
var pactStatuses = []pactwire.PactStatus{pactwire.PactPending, pactwire.PactActive, pactwire.PactCompleted, pactwire.PactAbandoned, pactwire.PactExpired}

func (a *API) listPacts(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	status := q.Get("status")
	if status != "" && !slices.Contains(pactStatuses, pactwire.PactStatus(status)) {
		return pactwire.FieldErrorf("status", "status is one of pending, active, completed, abandoned, expired")
	}
	pacts, err := a.ports.Pacts.Pacts(r.Context(), id, status)
	if err != nil {
		return err
	}
	if pacts, err = behind(pacts, r, func(p pactwire.Pact) string { return string(p.ID) }); err != nil {
		return err
	}
	answer := page(pacts, limit)
	if answer.Items, err = a.withHeads(r.Context(), answer.Items); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (a *API) getPact(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	pact, err := pactOf(r)
	if err != nil {
		return err
	}
	return a.answerPact(w, r, http.StatusOK)(a.ports.Pacts.Pact(r.Context(), id, pact))
}

// invitation is the body of POST /v1/pacts/{id}/invite.
type invitation struct {
	UserIDs []pactwire.UserID `json:"userIds"`
}

func (a *API) invite(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	pact, err := pactOf(r)
	if err != nil {
		return err
	}
	var in invitation
	if err := decode(w, r, &in, true); err != nil {
		return err
	}
	if in.UserIDs != nil {
		return a.answerPact(w, r, http.StatusOK)(a.ports.Invitations.Invite(r.Context(), id, pact, in.UserIDs))
	}
	code, err := a.ports.Invitations.InviteCode(r.Context(), id, pact)
	if err != nil {
		return sameNotFound(err)
	}
	writeJSON(w, http.StatusOK, code)
	return nil
}

func (a *API) claim(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in struct {
		Code string `json:"code"`
	}
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	if in.Code == "" {
		return pactwire.FieldErrorf("code", "code is needed: the PACT-… code that you were given")
	}
	p, err := a.ports.Invitations.Claim(r.Context(), id, in.Code)
	if err != nil {
		return err
	}
	return a.answerPact(w, r, http.StatusOK)(p, nil)
}

func (a *API) act(action pactwire.PactAction) handler {
	return func(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
		pact, err := pactOf(r)
		if err != nil {
			return err
		}
		return a.answerPact(w, r, http.StatusOK)(a.ports.Membership.Act(r.Context(), id, pact, action))
	}
}

func (a *API) remove(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	pact, err := pactOf(r)
	if err != nil {
		return err
	}
	var in struct {
		UserID pactwire.UserID `json:"userId"`
	}
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	if !pactwire.ValidID(in.UserID) {
		return pactwire.FieldErrorf("userId", "userId is needed: the member to remove")
	}
	return a.answerPact(w, r, http.StatusOK)(a.ports.Membership.Remove(r.Context(), id, pact, in.UserID))
}

// answerPact writes a pact with its headSeq, or the refusal.
func (a *API) answerPact(w http.ResponseWriter, r *http.Request, status int) func(pactwire.Pact, error) error {
	return func(p pactwire.Pact, err error) error {
		if err != nil {
			return sameNotFound(err)
		}
		with, err := a.withHeads(r.Context(), []pactwire.Pact{p})
		if err != nil {
			return err
		}
		writeJSON(w, status, with[0])
		return nil
	}
}

// sameNotFound makes every "no such pact" the same. A NotFound with a field is about something else in the request.
func sameNotFound(err error) error {
	if e := pactwire.AsError(err); e.Code == pactwire.NotFound && e.Field == "" {
		return noPact()
	}
	return err
}

// withHeads returns the pacts with headSeq filled in. Pacts may be shared, so they are copied.
func (a *API) withHeads(ctx context.Context, pacts []pactwire.Pact) ([]pactwire.Pact, error) {
	if a.ports.Heads == nil || len(pacts) == 0 {
		return pacts, nil
	}
	ids := make([]pactwire.PactID, len(pacts))
	for i, p := range pacts {
		ids[i] = p.ID
	}
	heads, err := a.ports.Heads.Heads(ctx, ids)
	if err != nil {
		return nil, err
	}
	pacts = slices.Clone(pacts)
	for i := range pacts {
		pacts[i].HeadSeq = heads[i]
	}
	return pacts, nil
}
