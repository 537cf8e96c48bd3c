package httpapi

import (
	"net/http"

	"github.com/pactwire/pactwire"
)

func (a *API) listDevices(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	devices, err := a.ports.Devices.Devices(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page(devices, limit))
	return nil
}

func (a *API) addDevice(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	var in pactwire.DeviceInput
	if err := decode(w, r, &in, false); err != nil {
		return err
	}
	secret, err := a.ports.Devices.AddDevice(r.Context(), id, in)
	if err != nil {
		return sameNotFound(err)
	}
	writeJSON(w, http.StatusCreated, secret)
	return nil
}

func (a *API) removeDevice(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	device := pactwire.DeviceID(r.PathValue("id"))
	if !pactwire.ValidID(device) {
		return pactwire.Errorf(pactwire.NotFound, "you have no such device")
	}
	if err := a.ports.Devices.RemoveDevice(r.Context(), id, device); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
