package main

import (
	"context"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type hibernateCmd struct {
	Sessions []string `arg:"" name:"session" help:"The sessions."`
}

// Help says more than one line about the verb.
func (*hibernateCmd) Help() string {
	return "A hibernated session has its memory in files and uses neither processor nor memory. `resume` continues it, and so does whatever needs it: exec, shell, a connection to one of its ports."
}

// Run hibernates sessions.
func (c *hibernateCmd) Run(ctx context.Context, g *globals, std streams) error {
	return eachSession(ctx, g, std, c.Sessions, "hibernated", func(api *client.Client, ref string) (*client.Session, error) {
		return api.HibernateSession(ctx, ref)
	})
}
