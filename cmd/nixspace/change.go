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
	Onto    string `placeholder:"HASH" aliases:"expect" help:"Fail if the environment's head is not this version any more."`
	Rebase  bool   `help:"With --onto: where the head moved, make the change on top of it unless both changed the same."`
	Detach  bool   `short:"d" help:"Do not wait for the build."`
}

// change makes a new version and shows what it is.
func (c *changeFlags) change(ctx context.Context, g *globals, std streams, ref string, edits []client.Edit) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	begin := time.Now()
	v, build, err := api.Change(ctx, ref, edits, c.Onto, c.Rebase, c.Message)
	if err != nil {
		return err
	}
	return g.printVersionMade(ctx, std, api, v, build, c.Detach, begin)
}

// printVersionMade follows the build of a version that was made, and shows what
// it changed.
func (g *globals) printVersionMade(ctx context.Context, std streams, api *client.Client, v *client.Version, build *client.Build, detach bool, begin time.Time) error {
	d := g.display(std)
	defer d.Close()
	if !detach {
		var err error
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
	name := ""
	if v.Environment != nil {
		name = v.Environment.Ref
	}
	return printReady(std.Out, name, v.Hash, build, time.Since(begin))
}
