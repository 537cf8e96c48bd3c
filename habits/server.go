package habits

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

const (
	maxRequest = 64 << 10 // bytes of a body
	maxKey     = 200      // characters of an Idempotency-Key
)

// Handler serves the seed's dialect: POST /checkins, GET /pacts/{id} and GET /users/{id}/pacts, to who has the secret.
// Without a secret it serves nobody.
func (h *Host) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /checkins", h.postCheckin)
	mux.HandleFunc("GET /pacts/{id}", h.getPact)
	mux.HandleFunc("GET /users/{id}/pacts", h.getPactsOf)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, pactwire.Errorf(pactwire.Denied, "send habits.secret as bearer"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		mux.ServeHTTP(w, r)
	})
}

func (h *Host) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(h.secret))
	return h.secret != "" && strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// checkinBody is the body of POST /checkins as we read it.
type checkinBody struct {
	pactwire.CheckinRequest
	ScheduledDate *pactwire.LocalDate `json:"scheduledDate"` // may be missing here, or have a time of day
}

func (h *Host) postCheckin(w http.ResponseWriter, r *http.Request) {
	req, err := readCheckin(r)
	if err != nil {
		answerError(w, err)
		return
	}
	tell := r.Header.Get(receivedHeader) == ""
	req.ReceivedAt = h.receivedAt(r)
	body, first, err := h.Checkin(r.Context(), req, tell)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	status := http.StatusOK
	if first {
		status = http.StatusCreated
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nothing to do
}

// receivedAt is when the command arrived at the serving node, if that says so; it cannot lie ahead of us by more than
// clocks may differ.
func (h *Host) receivedAt(r *http.Request) time.Time {
	now := h.now()
	at, err := time.Parse(time.RFC3339Nano, r.Header.Get(receivedHeader))
	if err != nil || at.After(now.Add(pactwire.ClockLead)) {
		return now
	}
	return at
}

func readCheckin(r *http.Request) (pactwire.CheckinRequest, error) {
	var in checkinBody
	raw, err := io.ReadAll(r.Body)
	if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
		return in.CheckinRequest, pactwire.Errorf(pactwire.Invalid, "the body is larger than %d bytes", maxRequest)
	}
	if err != nil {
		return in.CheckinRequest, &pactwire.Error{Code: pactwire.Invalid, Message: "the body ends early", Cause: err}
	}
	if !utf8.Valid(raw) {
		return in.CheckinRequest, pactwire.Errorf(pactwire.Invalid, "the body is not UTF-8")
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		e := pactwire.Errorf(pactwire.Invalid, "the body is no JSON object of a check-in")
		if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
			e.Field = wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]
		}
		e.Cause = err
		return in.CheckinRequest, e
	}
	req := in.CheckinRequest
	if in.ScheduledDate != nil {
		req.ScheduledDate = *in.ScheduledDate
	}
	req.IdempotencyKey = r.Header.Get("Idempotency-Key")
	switch {
	case !pactwire.ValidID(req.UserID):
		return req, pactwire.FieldErrorf("userId", "userId is missing or no id")
	case !pactwire.ValidID(req.PactID):
		return req, pactwire.FieldErrorf("pactId", "pactId is missing or no id")
	case req.HabitGoalID != "" && !pactwire.ValidID(req.HabitGoalID):
		return req, pactwire.FieldErrorf("habitGoalId", "habitGoalId is no id")
	case !text(req.UserName, maxName):
		return req, pactwire.FieldErrorf("userName", "userName has at most %d characters", maxName)
	case !text(req.IdempotencyKey, maxKey):
		return req, pactwire.FieldErrorf("Idempotency-Key", "an Idempotency-Key has at most %d characters", maxKey)
	}
	for _, m := range req.ProofMedia {
		if m.Path == "" || !text(m.Path, 1024) || (m.Type != "image" && m.Type != "video") {
			return req, pactwire.FieldErrorf("proofMedia", "proof is a list of {path, type}, type image or video")
		}
	}
	if req.OccurredAt != nil && req.OccurredAt.Std().IsZero() {
		req.OccurredAt = nil
	}
	return req, nil
}

func (h *Host) getPact(w http.ResponseWriter, r *http.Request) {
	id := pactwire.PactID(r.PathValue("id"))
	if !pactwire.ValidID(id) {
		answerError(w, noSuchPact())
		return
	}
	p, err := h.engine.Pact(r.Context(), id)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	answer(w, p)
}

func (h *Host) getPactsOf(w http.ResponseWriter, r *http.Request) {
	u := pactwire.UserID(r.PathValue("id"))
	if !pactwire.ValidID(u) {
		answerError(w, pactwire.FieldErrorf("userId", "this is no user id"))
		return
	}
	of, err := h.engine.PactsOf(r.Context(), []pactwire.UserID{u})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	answer(w, map[string]any{"items": append([]pactwire.Pact{}, of[u]...), "hasMore": false})
}

// fail answers an error, and logs it when it is ours.
func (h *Host) fail(w http.ResponseWriter, r *http.Request, err error) {
	if pactwire.AsError(err).Retryable() && r.Context().Err() == nil {
		h.log.Error("request not done", "path", r.Pattern, "error", err)
	}
	answerError(w, err)
}

func answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		answerError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // the client is gone: nothing to do
}

func answerError(w http.ResponseWriter, err error) {
	e := pactwire.AsError(err)
	refuse(w, statusOf(e.Code), e)
}

func refuse(w http.ResponseWriter, status int, e *pactwire.Error) {
	b, err := json.Marshal(e.Data(""))
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"code":"internal","message":"something went wrong on our side"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone: nothing to do
}

func statusOf(c pactwire.Code) int {
	switch c {
	case pactwire.Invalid:
		return http.StatusBadRequest
	case pactwire.Denied:
		return http.StatusForbidden
	case pactwire.NotFound:
		return http.StatusNotFound
	case pactwire.Conflict:
		return http.StatusConflict
	case pactwire.TooMany:
		return http.StatusTooManyRequests
	case pactwire.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
