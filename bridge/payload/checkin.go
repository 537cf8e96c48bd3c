package payload

import (
	"bytes"
	"math"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
)

type checkinWire struct {
	ID            *string     `json:"id"`
	HabitGoalID   *string     `json:"habitGoalId"`
	Status        *string     `json:"status"`
	Notes         *string     `json:"notes"`
	ProofMedia    []mediaWire `json:"proofMedia"`
	ScheduledDate *string     `json:"scheduledDate"`
	AgeMs         *float64    `json:"ageMs"`
	OccurredAt    *string     `json:"occurredAt"`
	Battery       *float64    `json:"battery"`
}

type mediaWire struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// maxPath is the longest reference to a picture or film, in code points.
const maxPath = 1024

// maxAge is the greatest age that is read at all; the rules of the habits-service are much stricter.
const maxAge = 100 * 365 * 24 * time.Hour

func parseCheckins(p pactwire.PactID, c codec, payload []byte) ([]pactwire.Command, error) {
	if c == jsonCodec {
		payload = bytes.TrimSpace(payload)
	}
	if err := c.check(payload); err != nil {
		if len(payload) == 0 {
			err = pactwire.FieldErrorf("payload", `the payload is empty; say done, or send {"status":"completed"}`)
		}
		return []pactwire.Command{{Kind: pactwire.CommandCheckin, Pact: p}}, err
	}
	if c.shape(payload) != array {
		cmds := make([]pactwire.Command, 1)
		return cmds, parseCheckin(&cmds[0], p, c, payload)
	}
	items, err := c.items(payload)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, pactwire.FieldErrorf("payload", "this batch is empty; put a check-in into it, or say done")
	}
	if len(items) > pactwire.MaxBatch {
		return nil, pactwire.FieldErrorf("payload", "a batch holds 1 to %d check-ins, this one %d; send the rest in another", pactwire.MaxBatch, len(items))
	}
	cmds := make([]pactwire.Command, len(items))
	index := make([]int, len(items))
	for i, item := range items {
		cmd := &cmds[i]
		if err := parseCheckin(cmd, p, c, item); err != nil {
			cmd.Refused = pactwire.AsError(err)
		}
		index[i] = i
		cmd.Index = &index[i]
	}
	return cmds, nil
}

// parseCheckin reads one check-in: an object or a word. It is not empty.
func parseCheckin(cmd *pactwire.Command, p pactwire.PactID, c codec, payload []byte) error {
	cmd.Kind, cmd.Pact = pactwire.CommandCheckin, p
	if c.shape(payload) != object {
		w, err := c.word(payload)
		if err != nil {
			return err
		}
		status := wordStatus(w)
		if status == "" {
			return pactwire.FieldErrorf("status", `this says nothing known; say done, partial or skipped, or send {"status":"completed"}`)
		}
		cmd.Checkin = &pactwire.CheckinCommand{Status: status}
		return nil
	}
	var w checkinWire
	decodeErr := c.decode(payload, &w)
	var err error
	if cmd.ID, err = readID(w.ID); err != nil {
		return err
	}
	if decodeErr != nil {
		return decodeErr
	}
	in, err := w.command()
	if err != nil {
		return err
	}
	cmd.Checkin = in
	return nil
}

// wordStatus is the status that a bare word means, or "".
func wordStatus(w string) pactwire.CheckinStatus {
	w = strings.TrimSpace(w)
	switch {
	case w == "1", strings.EqualFold(w, "done"), strings.EqualFold(w, "completed"):
		return pactwire.StatusCompleted
	case strings.EqualFold(w, "partial"):
		return pactwire.StatusPartial
	case strings.EqualFold(w, "skipped"):
		return pactwire.StatusSkipped
	}
	return ""
}

func (w *checkinWire) command() (*pactwire.CheckinCommand, error) {
	if w.Status == nil {
		return nil, pactwire.FieldErrorf("status", "a check-in needs a status: completed, partial or skipped")
	}
	in := &pactwire.CheckinCommand{}
	switch s := pactwire.CheckinStatus(*w.Status); s {
	case pactwire.StatusCompleted, pactwire.StatusPartial, pactwire.StatusSkipped:
		in.Status = s
	default:
		return nil, pactwire.FieldErrorf("status", "status is completed, partial or skipped, written just so")
	}
	if w.HabitGoalID != nil && *w.HabitGoalID != "" {
		if !pactwire.ValidID(*w.HabitGoalID) {
			return nil, pactwire.FieldErrorf("habitGoalId", "this is no habit's id; leave it out to mean the pact's habit")
		}
		in.HabitGoalID = pactwire.GoalID(*w.HabitGoalID)
	}
	if w.Notes != nil {
		if err := text("notes", *w.Notes, pactwire.MaxNotes); err != nil {
			return nil, err
		}
		in.Notes = *w.Notes
	}
	if err := w.media(in); err != nil {
		return nil, err
	}
	if err := w.times(in); err != nil {
		return nil, err
	}
	if w.Battery != nil && !math.IsNaN(*w.Battery) {
		// A sensor that is a little off must not cost a check-in.
		percent := int(math.Round(min(max(*w.Battery, 0), 100)))
		in.Battery = &percent
	}
	return in, nil
}

func (w *checkinWire) media(in *pactwire.CheckinCommand) error {
	if len(w.ProofMedia) == 0 {
		return nil
	}
	if len(w.ProofMedia) > pactwire.MaxProofMedia {
		return pactwire.FieldErrorf("proofMedia", "a check-in takes at most %d pictures or films", pactwire.MaxProofMedia)
	}
	in.ProofMedia = make([]pactwire.Media, len(w.ProofMedia))
	for i, m := range w.ProofMedia {
		if m.Type != "image" && m.Type != "video" {
			return pactwire.FieldErrorf("proofMedia", "the type of a proof is image or video")
		}
		if m.Path == "" {
			return pactwire.FieldErrorf("proofMedia", "a proof needs the path of its picture or film")
		}
		if err := text("proofMedia", m.Path, maxPath); err != nil {
			return pactwire.FieldErrorf("proofMedia", "the path of a proof has at most %d characters and no NUL", maxPath)
		}
		in.ProofMedia[i] = pactwire.Media{Path: m.Path, Type: m.Type}
	}
	return nil
}

func (w *checkinWire) times(in *pactwire.CheckinCommand) error {
	if w.ScheduledDate != nil && *w.ScheduledDate != "" {
		d := *w.ScheduledDate
		if _, err := time.Parse(time.DateOnly, d); err != nil || len(d) != len(time.DateOnly) {
			return pactwire.FieldErrorf("scheduledDate", "a date is written YYYY-MM-DD, such as 2026-01-31, and must exist")
		}
		in.ScheduledDate = pactwire.LocalDate(d)
	}
	if w.AgeMs != nil {
		ms := *w.AgeMs
		if !(ms >= 0 && ms <= float64(maxAge/time.Millisecond)) { // written so that NaN is refused too
			return pactwire.FieldErrorf("ageMs", "ageMs tells how many milliseconds ago it happened: a number from 0 up")
		}
		age := time.Duration(ms) * time.Millisecond
		in.Age = &age
	}
	if w.OccurredAt != nil && *w.OccurredAt != "" {
		at, err := time.Parse(time.RFC3339Nano, *w.OccurredAt)
		if err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return pactwire.FieldErrorf("occurredAt", "a time is written as in RFC 3339, such as 2026-01-31T07:30:00Z")
		}
		in.OccurredAt = &at
	}
	return nil
}
