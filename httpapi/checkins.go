package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// pending is the answer about a check-in that the habits-service has not answered within 2 s.
type pending struct {
	CommandID string `json:"commandId"`
	Status    string `json:"status"` // pending
}

// command is the handler of what MQTT clients publish to a topic.
func (a *API) command(about func(*http.Request, pactwire.Identity) (topics.Topic, error)) handler {
	return func(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
		t, err := about(r, id)
		if err != nil {
			return err
		}
		return a.do(w, r, id, t)
	}
}

func (a *API) do(w http.ResponseWriter, r *http.Request, id pactwire.Identity, t topics.Topic) error {
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	cmds, err := a.ports.Parse(t, r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	batch := cmds[0].Index != nil // never empty
	for i := range cmds {
		c := &cmds[i]
		c.Sender, c.Pact, c.User, c.Topic, c.ReceivedAt = id, t.Pact, t.User, "", time.Now()
		c.Answer = pactwire.Answer{Silent: true}
		switch {
		case c.ID != "" && key != "" && c.ID != key && !batch:
			return pactwire.FieldErrorf("id", "the body's id and the header Idempotency-Key differ; send one of them")
		case c.ID == "" && key != "" && batch:
			if c.ID = key + ":" + strconv.Itoa(i); utf8.RuneCountInString(c.ID) > pactwire.MaxCommandIDLength {
				return pactwire.FieldErrorf("Idempotency-Key", "the header Idempotency-Key is too long for a batch of %d: each item's number comes behind it, "+
					"as in :%d, and together they have at most %d characters", len(cmds), i, pactwire.MaxCommandIDLength)
			}
		case c.ID == "" && key != "":
			c.ID = key
		case c.ID == "":
			c.ID = uuid.Must(uuid.NewV7()).String() // by which a late answer can be told in the inbox
		}
	}
	outcomes, err := a.ports.Commands.Do(r.Context(), cmds)
	switch {
	case t.Pact != "" && pactwire.CodeOf(err) == pactwire.Denied && pactwire.AsError(err).Field == "":
		return noPact() // who may not send commands here is told no more than a stranger
	case err != nil:
		return err
	case batch:
		return writeBatch(w, cmds, outcomes)
	}
	status, answer, err := answerOf(cmds[0], outcomes[0])
	if err != nil {
		return err
	}
	writeJSON(w, status, answer)
	return nil
}

// idempotencyKey reads the header. In a batch it goes to the items that have no id of their own, each with its number.
func idempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if !utf8.ValidString(key) || utf8.RuneCountInString(key) > pactwire.MaxCommandIDLength {
		return "", pactwire.FieldErrorf("Idempotency-Key", "the header Idempotency-Key has at most %d characters", pactwire.MaxCommandIDLength)
	}
	return key, nil
}

// answerOf is the status and body that tell what became of one check-in.
func answerOf(c pactwire.Command, o Outcome) (int, any, error) {
	if o.Pending {
		return http.StatusAccepted, pending{CommandID: c.ID, Status: "pending"}, nil
	}
	if o.Answer.Type == pactwire.EventError {
		return 0, nil, errorOf(o.Answer)
	}
	var said struct {
		Duplicate bool `json:"duplicate"`
	}
	if err := json.Unmarshal(o.Answer.Data, &said); err != nil {
		return 0, nil, err
	}
	if said.Duplicate {
		return http.StatusOK, o.Answer.Data, nil
	}
	return http.StatusCreated, o.Answer.Data, nil
}

// errorOf reads a SERVER:ERROR back.
func errorOf(e pactwire.Event) error {
	var d pactwire.ErrorData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	if d.Code == pactwire.Denied {
		return noPact()
	}
	return &pactwire.Error{Code: d.Code, Message: d.Message, Field: d.Field}
}

// writeBatch answers a batch: an item for each, the refused ones as error payloads. When none was taken, the answer is
// the first item's refusal.
func writeBatch(w http.ResponseWriter, cmds []pactwire.Command, outcomes []Outcome) error {
	items := make([]any, len(outcomes))
	var first error
	taken := false
	for i, o := range outcomes {
		_, answer, err := answerOf(cmds[i], o)
		if err != nil {
			answer = pactwire.AsError(err).Data("")
			if first == nil {
				first = err
			}
		}
		taken = taken || err == nil
		items[i] = answer
	}
	if !taken && first != nil {
		return first
	}
	writeJSON(w, http.StatusOK, struct {
		Items []any `json:"items"`
	}{items})
	return nil
}

func (a *API) deleteCheckin(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
	checkin := r.PathValue("id")
	if !pactwire.ValidID(checkin) {
		return pactwire.Errorf(pactwire.NotFound, "there is no such check-in, or it is not yours")
	}
	res, err := a.ports.Checkins.DeleteCheckin(r.Context(), id, checkin)
	if err != nil {
		return err
	}
	if slices.Contains(r.Header.Values("Prefer"), "return=representation") {
		w.Header().Set("Preference-Applied", "return=representation")
		writeJSON(w, http.StatusOK, deletedOf(res))
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deletedCheckin tells another node, which asked for it, what came of taking a check-in back.
type deletedCheckin struct {
	ID             string                 `json:"id"`
	HabitGoalID    pactwire.GoalID        `json:"habitGoalId"`
	Status         pactwire.CheckinStatus `json:"status"`
	PreviousStatus pactwire.CheckinStatus `json:"previousStatus"`
	ScheduledDate  pactwire.LocalDate     `json:"scheduledDate"`
	HabitGoal      struct {
		ID   pactwire.GoalID `json:"id"`
		Name string          `json:"name"`
	} `json:"habitGoal"`
	StreakUpdate *pactwire.StreakUpdate `json:"streakUpdate"`
}

func deletedOf(res pactwire.CheckinResult) deletedCheckin {
	c := res.Checkin
	d := deletedCheckin{ID: c.ID, HabitGoalID: c.HabitGoalID, Status: c.Status, PreviousStatus: res.PreviousStatus,
		ScheduledDate: c.LocalDate, StreakUpdate: res.Streak}
	d.HabitGoal.ID, d.HabitGoal.Name = c.HabitGoalID, res.HabitName
	return d
}
