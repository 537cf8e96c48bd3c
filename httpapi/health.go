package httpapi

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/pactwire/pactwire"
)

// document is written by hand; a test holds it against the routes.
//
//go:embed openapi.json
var document []byte

func openAPI(w http.ResponseWriter, _ *http.Request, _ pactwire.Identity) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*") // any documentation page may show it
	_, _ = w.Write(document)
	return nil
}

// health is the answer of /livez and /readyz.
type health struct {
	Status string  `json:"status"` // ok, degraded, unavailable
	Causes []Cause `json:"causes"`
}

func live(w http.ResponseWriter, _ *http.Request, _ pactwire.Identity) error {
	writeJSON(w, http.StatusOK, health{"ok", []Cause{}})
	return nil
}

func (a *API) ready(w http.ResponseWriter, _ *http.Request, _ pactwire.Identity) error {
	h, status := health{"ok", []Cause{}}, http.StatusOK
	if a.ports.Ready != nil {
		h.Causes = append(h.Causes, a.ports.Ready()...)
	}
	var degraded, unavailable error
	for _, c := range h.Causes {
		err := fmt.Errorf("%s: %s", c.Name, c.Error)
		if c.Degraded {
			degraded = errors.Join(degraded, err)
		} else {
			unavailable = errors.Join(unavailable, err)
		}
	}
	switch {
	case unavailable != nil:
		h.Status, status = "unavailable", http.StatusServiceUnavailable
	case degraded != nil:
		h.Status = "degraded"
	}
	a.trouble.Change(a.log, "/readyz says that this node is unavailable", unavailable)
	a.trouble.Change(a.log, "/readyz says that this node is degraded", degraded)
	writeJSON(w, status, h)
	return nil
}
