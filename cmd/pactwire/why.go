package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/pactwire/pactwire/httpapi"
)

// whyCmd explains a permission.
type whyCmd struct {
	clientFlags
	Who  string `arg:"" help:"The user."`
	Pact string `arg:"" help:"Id of the pact."`
}

// Run implements the command. Without a token of its own it asks as an operator, signed with the configured secret.
func (c *whyCmd) Run(ctx context.Context, g *globals, out *output) error {
	server, err := c.operator(ctx, g)
	if err != nil {
		return err
	}
	query := url.Values{"pact": {c.Pact}, "user": {c.Who}}
	var e httpapi.Explanation
	if err := server.get(ctx, "/v1/why?"+query.Encode(), &e); err != nil {
		return err
	}
	may := "may neither read nor send commands"
	switch {
	case e.CanRead && e.CanCommand:
		may = "may read and send commands"
	case e.CanRead:
		may = "may read, and not send commands"
	}
	return c.print(out, e, fmt.Sprintf("%s %s: %s", e.UserID, may, oneLine(e.Because)))
}
