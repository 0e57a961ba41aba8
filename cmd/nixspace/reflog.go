package main

import (
	"context"
	"fmt"
)

type reflogCmd struct {
	Ref    string `arg:"" help:"The environment."`
	Number int    `short:"n" default:"50" placeholder:"N" help:"Print so many moves at most (${default})."`
}

// Run prints where an environment's head was.
func (c *reflogCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	moves, err := api.Reflog(ctx, c.Ref, c.Number)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"reflog": moves})
	}
	rows := make([][]string, len(moves))
	for i, m := range moves {
		rows[i] = []string{fmt.Sprintf("%s@{%d}", c.Ref, i), short(m.To.Hash), ago(m.At), m.Actor, m.Action, m.Message}
	}
	return table(std.Out, []string{"REFERENCE", "VERSION", "SINCE", "BY", "ACTION", "WHY"}, rows)
}
