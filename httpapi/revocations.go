package httpapi

import (
	"net/http"

	"github.com/pactwire/pactwire"
)

// logout revokes the token that the request came with, or all of the caller's that were issued so far.
func (a *API) logout(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in struct {
		Everywhere bool `json:"everywhere"`
	}
	if err := decode(w, r, &in, true); err != nil {
		return err
	}
	rev := pactwire.RevocationInput{TokenID: id.TokenID, ExpiresAt: &id.ExpiresAt}
	switch {
	case in.Everywhere:
		rev = pactwire.RevocationInput{UserID: id.UserID}
	case id.TokenID == "":
		return pactwire.FieldErrorf("everywhere", `this token has no id (jti) to revoke it by; send {"everywhere":true}`)
	}
	if _, err := a.ports.Revocations.Revoke(r.Context(), id.UserID, rev); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) listRevocations(w http.ResponseWriter, r *http.Request, _ pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	revocations, err := a.ports.Revocations.Revocations(r.Context())
	if err != nil {
		return err
	}
	if revocations, err = behind(revocations, r, func(v pactwire.Revocation) string { return v.ID }); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page(revocations, limit))
	return nil
}

func (a *API) revoke(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in pactwire.RevocationInput
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	rev, err := a.ports.Revocations.Revoke(r.Context(), id.UserID, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, rev)
	return nil
}
