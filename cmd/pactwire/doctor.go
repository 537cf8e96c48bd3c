package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pactwire/pactwire/internal/config"
)

// doctorCmd looks whether a server can run with these settings on this machine, and changes nothing.
type doctorCmd struct {
	JSON bool `help:"Print a line of JSON for each finding."`
}

// doctorTime bounds each thing that the doctor asks another machine.
const doctorTime = 5 * time.Second

// grade is how good a finding is.
type grade string

const (
	fine    grade = "ok"
	warning grade = "warn"
	failure grade = "fail"
)

// finding is one thing that was looked at, and what to do about it when it is not as it should be.
type finding struct {
	Check  string `json:"check"`
	Result grade  `json:"result"`
	Found  string `json:"found"`
	Do     string `json:"do,omitempty"`
}

// doctor collects findings.
type doctor struct {
	cfg     config.Config
	running bool // a server answers on http.addr
	list    []finding
}

func (d *doctor) say(check string, g grade, do, format string, args ...any) {
	d.list = append(d.list, finding{check, g, fmt.Sprintf(format, args...), do})
}

func (d *doctor) ok(check, format string, args ...any) { d.say(check, fine, "", format, args...) }

var errUnwell = errors.New("something has to be done first, see above")

// Run implements the command.
func (c *doctorCmd) Run(ctx context.Context, g *globals, out *output) error {
	d := &doctor{}
	loaded, err := g.load()
	if err != nil {
		d.say("settings", failure, "correct them; config.yaml says what each means", "%s", err)
	} else {
		d.cfg = loaded.Config
		d.ok("settings", "they can be read")
		d.examine(ctx)
	}
	bad := false
	for _, f := range d.list {
		bad = bad || f.Result == failure
		if err := c.print(out.stdout, f); err != nil {
			return err
		}
	}
	if bad {
		return errUnwell
	}
	return nil
}

func (d *doctor) examine(ctx context.Context) {
	d.server(ctx)
	d.ports()
	d.certificate()
	d.files()
	d.store(ctx)
	d.tokens(ctx)
	d.habits(ctx)
	d.redis(ctx)
	d.clock()
}

func (c *doctorCmd) print(w io.Writer, f finding) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(f)
	}
	if _, err := fmt.Fprintf(w, "%-4s  %-9s %s\n", f.Result, f.Check, f.Found); err != nil || f.Do == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "                → %s\n", f.Do)
	return err
}
