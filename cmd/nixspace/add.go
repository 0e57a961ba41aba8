package main

import (
	"context"
)

type addCmd struct {
	Ref      string   `arg:"" help:"The environment."`
	Packages []string `arg:"" name:"package[@version]" sep:"none" help:"What to add."`
	changeFlags
}

// Run adds packages to an environment.
func (c *addCmd) Run(ctx context.Context, g *globals, std streams) error {
	edits, err := addEdits(c.Packages)
	if err != nil {
		return err
	}
	return c.change(ctx, g, std, c.Ref, edits)
}
