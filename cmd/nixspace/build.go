package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type buildCmd struct {
	Ref    string `arg:"" help:"The environment or version."`
	Log    bool   `help:"Show the build's log."`
	Detach bool   `short:"d" help:"Do not wait for the build."`
}

// Run builds a version.
func (c *buildCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	build, err := api.Build(ctx, c.Ref)
	if err != nil {
		return err
	}
	if c.Detach {
		d.Close()
		if g.JSON {
			return printJSON(std.Out, map[string]any{"build": build})
		}
		_, err = fmt.Fprintf(std.Out, "build %s  %s\n", build.ID, build.Status)
		return err
	}
	if build, err = followBuild(ctx, api, d, build, c.Log); err != nil {
		return err
	}
	v, err := api.Version(ctx, c.Ref)
	if err != nil {
		return err
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"build": build, "version": v})
	}
	if r := v.Realisation; r != nil {
		fmt.Fprintf(std.Out, "%s\nclosure %s  %d paths  %s\n", r.OutPath, short(r.ClosureDigest), r.Paths, term.Bytes(r.ClosureSize))
	}
	return nil
}
