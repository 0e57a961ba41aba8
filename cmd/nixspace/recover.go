package main

import (
	"context"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type recoverCmd struct {
	Sessions []string `arg:"" name:"session" help:"The sessions."`
	Force    bool     `short:"f" help:"Also where nothing seems wrong: a machine that answers is ended at once, and the memory of a hibernated session is dropped."`
}

// Help says more than one line about the verb.
func (*recoverCmd) Help() string {
	return "The way out of every state: whatever is left of the session's machine is ended by force, and the session can be started again from its disk."
}

// Run recovers sessions.
func (c *recoverCmd) Run(ctx context.Context, g *globals, std streams) error {
	return eachSession(ctx, g, std, c.Sessions, "recovered", func(api *client.Client, ref string) (*client.Session, error) {
		return api.RecoverSession(ctx, ref, c.Force)
	})
}
