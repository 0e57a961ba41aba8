package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// changeFlags are what the verbs take that change an environment.
type changeFlags struct {
	Message string `short:"m" help:"Say why."`
	Expect  string `placeholder:"HASH" help:"Fail if the environment's head is not this version any more."`
	Detach  bool   `short:"d" help:"Do not wait for the build."`
}

// change makes a new version and shows what it is.
func (c *changeFlags) change(ctx context.Context, g *globals, std streams, ref string, edits []client.Edit) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	v, build, err := api.Change(ctx, ref, edits, c.Expect, c.Message)
	if err != nil {
		return err
	}
	if !c.Detach {
		if build, err = followBuild(ctx, api, d, build, false); err != nil {
			return err
		}
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"version": v, "build": build})
	}
	for _, ch := range v.Changes {
		fmt.Fprintln(std.Out, " ", term.Clean(changeLine(ch)))
	}
	name := ref
	if v.Environment != nil {
		name = v.Environment.Ref
	}
	return printReady(std.Out, name, v.Hash, build, time.Since(begin))
}
