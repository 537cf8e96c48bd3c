package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/pactwire/pactwire"
)

// pactCmd is about pacts and who is in them.
type pactCmd struct {
	Create   pactCreateCmd `cmd:"" help:"Make a pact about a habit; prints its id."`
	Invite   pactInviteCmd `cmd:"" help:"Invite people, or print a code that lets its bearer in."`
	Claim    pactClaimCmd  `cmd:"" help:"Enter a pact with a code; prints its id."`
	Accept   pactActCmd    `cmd:"" help:"Accept an invitation."`
	Decline  pactActCmd    `cmd:"" help:"Decline an invitation."`
	Leave    pactActCmd    `cmd:"" help:"Leave a pact."`
	Abandon  pactActCmd    `cmd:"" help:"End a pact before its day."`
	Complete pactActCmd    `cmd:"" help:"Complete a pact."`
	Remove   pactRemoveCmd `cmd:"" help:"Remove a member; the creator may."`
	List     pactListCmd   `cmd:"" help:"List your pacts and invitations."`
	Show     pactShowCmd   `cmd:"" help:"Show one pact as JSON."`
}

type pactCreateCmd struct {
	clientFlags
	Goal    string   `arg:"" help:"Id of the habit; see goal create."`
	Partner []string `help:"Somebody to invite; may be repeated." placeholder:"USER"`
	Days    int      `help:"How many days it lasts: 7, 14, 30, 60 or 90; 30 when it is left out."`
	Type    string   `help:"accountability, challenge or support; accountability when it is left out." placeholder:"TYPE"`
}

// Run implements the command.
func (c *pactCreateCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	in := pactwire.PactInput{HabitGoalID: pactwire.GoalID(c.Goal), PartnerUserIDs: userIDs(c.Partner), DurationDays: c.Days, PactType: c.Type}
	var p pactwire.Pact
	if err := server.post(ctx, "/v1/pacts", in, &p); err != nil {
		return err
	}
	return c.print(out, p, string(p.ID))
}

func userIDs(names []string) []pactwire.UserID {
	ids := make([]pactwire.UserID, len(names))
	for i, n := range names {
		ids[i] = pactwire.UserID(n)
	}
	return ids
}

type pactInviteCmd struct {
	clientFlags
	Pact  string   `arg:"" help:"Id of the pact."`
	Users []string `arg:"" optional:"" help:"Whom to invite; nobody = make a code."`
}

// Run implements the command.
func (c *pactInviteCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	if len(c.Users) == 0 {
		var inv pactwire.Invitation
		if err := server.post(ctx, pactPath(c.Pact, "/invite"), struct{}{}, &inv); err != nil {
			return err
		}
		return c.print(out, inv, inv.Code)
	}
	var p pactwire.Pact
	if err := server.post(ctx, pactPath(c.Pact, "/invite"), map[string]any{"userIds": c.Users}, &p); err != nil {
		return err
	}
	return c.print(out, p, string(p.ID))
}

type pactClaimCmd struct {
	clientFlags
	Code string `arg:"" help:"The PACT-… code."`
}

// Run implements the command.
func (c *pactClaimCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	var p pactwire.Pact
	if err := server.post(ctx, "/v1/pacts/claim", map[string]string{"code": c.Code}, &p); err != nil {
		return err
	}
	return c.print(out, p, string(p.ID))
}

// pactActCmd takes the step that its own name says.
type pactActCmd struct {
	clientFlags
	Pact string `arg:"" help:"Id of the pact."`
}

// Run implements the commands accept, decline, leave, abandon and complete.
func (c *pactActCmd) Run(ctx context.Context, g *globals, out *output, step action) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	var p pactwire.Pact
	if err := server.post(ctx, pactPath(c.Pact, "/"+string(step)), nil, &p); err != nil {
		return err
	}
	return c.print(out, p, step.done(p))
}

// done says what the step did. The pact goes on without who declined or left, so its status would read as if nothing had happened.
func (a action) done(p pactwire.Pact) string {
	switch pactwire.PactAction(a) {
	case pactwire.ActDecline:
		return fmt.Sprintf("you declined %s", p.ID)
	case pactwire.ActLeave:
		return fmt.Sprintf("you left %s", p.ID)
	default:
		return fmt.Sprintf("%s is %s", p.ID, p.Status)
	}
}

// action is the last word of the command that is run.
type action string

type pactRemoveCmd struct {
	clientFlags
	Pact string `arg:"" help:"Id of the pact."`
	Who  string `arg:"" help:"The member."`
}

// Run implements the command.
func (c *pactRemoveCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	var p pactwire.Pact
	if err := server.post(ctx, pactPath(c.Pact, "/remove"), map[string]string{"userId": c.Who}, &p); err != nil {
		return err
	}
	return c.print(out, p, fmt.Sprintf("you removed %s from %s, which is %s", c.Who, p.ID, p.Status))
}

type pactListCmd struct {
	clientFlags
	Status string `help:"Only those that are pending, active, completed, abandoned or expired." enum:",pending,active,completed,abandoned,expired" default:""`
}

// Run implements the command.
func (c *pactListCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	pacts, err := server.pacts(ctx, c.Status)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.print(out, pacts, "")
	}
	t := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	for _, p := range pacts {
		var who []string
		for _, m := range p.Members {
			name := oneLine(m.UserName)
			if name == "" {
				name = string(m.UserID)
			}
			if m.Status != pactwire.MemberActive {
				name += " (" + string(m.Status) + ")"
			}
			who = append(who, name)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.ID, p.Status, oneLine(p.HabitName), strings.Join(who, ", "))
	}
	return t.Flush()
}

func (c *client) pacts(ctx context.Context, status string) ([]pactwire.Pact, error) {
	query := url.Values{}
	if status != "" {
		query.Set("status", status)
	}
	return all(ctx, c, "/v1/pacts", query, func(p pactwire.Pact) string { return string(p.ID) })
}

type pactShowCmd struct {
	clientFlags
	Pact string `arg:"" help:"Id of the pact."`
}

// Run implements the command.
func (c *pactShowCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.connect(ctx, g)
	if err != nil {
		return err
	}
	var p pactwire.Pact
	if err := server.get(ctx, pactPath(c.Pact, ""), &p); err != nil {
		return err
	}
	c.JSON = true
	return c.print(out, p, "")
}
