package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/pactwire/pactwire"
)

// checkinCmd checks in.
type checkinCmd struct {
	clientFlags
	Pact   string `arg:"" help:"Id of the pact."`
	Status string `arg:"" optional:"" help:"done, partial or skipped." enum:"done,completed,partial,skipped,1" default:"done"`
	Notes  string `help:"A word about it."`
	Date   string `help:"The day it is for, when that is not today." placeholder:"YYYY-MM-DD"`
	ID     string `help:"Your own id for it: sent twice, it happens once."`
}

// Run implements the command.
func (c *checkinCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	in := map[string]string{"status": c.Status}
	if c.Status == "done" || c.Status == "1" {
		in["status"] = string(pactwire.StatusCompleted)
	}
	for key, value := range map[string]string{"notes": c.Notes, "scheduledDate": c.Date, "id": c.ID} {
		if value != "" {
			in[key] = value
		}
	}
	var answer json.RawMessage
	status, err := server.do(ctx, http.MethodPost, pactPath(c.Pact, "/checkins"), in, &answer)
	if err != nil {
		return err
	}
	if status == http.StatusAccepted {
		fmt.Fprintln(out.stderr, "kept; the answer will come to your inbox")
		if c.JSON {
			return c.print(out, answer, "")
		}
		return nil
	}
	var done pactwire.CheckinLogged
	if err := json.Unmarshal(answer, &done); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if isTerminal(out.stderr) && !c.JSON {
		fmt.Fprintln(out.stderr, congratulate(done))
	}
	return c.print(out, answer, done.Checkin.ID)
}

// congratulate says in a line what the check-in did.
func congratulate(done pactwire.CheckinLogged) string {
	if done.Duplicate {
		return "You had said so already."
	}
	if done.Checkin.Status != pactwire.StatusCompleted {
		return "Noted: " + string(done.Checkin.Status) + "."
	}
	var b strings.Builder
	b.WriteString("✅ Done")
	if s := done.StreakUpdate; s != nil {
		fmt.Fprintf(&b, ", day %d", s.After)
		if s.IsNewRecord {
			b.WriteString(", a new record 🔥")
		}
	}
	b.WriteString(".")
	return b.String()
}
