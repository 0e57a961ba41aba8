package main

import (
	"context"
	"os"

	"github.com/nixspace/nixspace/cmd/nixspace/difftext"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type whyCmd struct {
	Ref  string `arg:"" help:"The environment or version; it must be built."`
	What string `arg:"" help:"A package (openssl, openssl-3.0.1, postgresql_15) or a store path."`
	All  bool   `help:"Show every way there, not only the shortest."`
}

// Help says more than one line about the verb.
func (*whyCmd) Help() string {
	return "The tree begins with the environment, or with the base system of its sessions where only that needs it.\n\nExample: nixspace why shop openssl"
}

// Run says why something is in an environment.
func (c *whyCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	rs, err := api.Why(ctx, c.Ref, c.What, c.All)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"why": rs})
	}
	return difftext.WriteWhy(std.Out, rs, term.PaintFor(std.Out, os.Getenv))
}
