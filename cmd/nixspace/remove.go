package main

import (
	"context"
)

type removeCmd struct {
	Ref      string   `arg:"" help:"The environment."`
	Packages []string `arg:"" name:"package" sep:"none" help:"What to remove: packages, or any keys of the manifest."`
	changeFlags
}

// Run removes packages from an environment.
func (c *removeCmd) Run(ctx context.Context, g *globals, std streams) error {
	edits, err := removeEdits(c.Packages)
	if err != nil {
		return err
	}
	return c.change(ctx, g, std, c.Ref, edits)
}
