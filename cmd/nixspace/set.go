package main

import (
	"context"
)

type setCmd struct {
	Ref    string   `arg:"" help:"The environment."`
	Values []string `arg:"" name:"key=value" sep:"none" help:"A package and its version, or any key of the manifest and its value."`
	changeFlags
}

// Run changes values of an environment's manifest.
func (c *setCmd) Run(ctx context.Context, g *globals, std streams) error {
	edits, err := setEdits(c.Values)
	if err != nil {
		return err
	}
	return c.change(ctx, g, std, c.Ref, edits)
}
