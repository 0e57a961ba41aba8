package main

import (
	"context"
	"os"

	"github.com/nixspace/nixspace/cmd/nixspace/difftext"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type diffCmd struct {
	A        string `arg:"" help:"The environment or version to start from; without B, the one to look at."`
	B        string `arg:"" optional:"" help:"The environment or version to compare it with."`
	Manifest bool   `help:"Show what differs in the manifest."`
	Packages bool   `help:"Show which packages differ, by version and size."`
	Closure  bool   `help:"Show by how much the closure grew and why, with every store path."`
	Build    bool   `help:"Build what is not built yet, to compare packages and closures."`
}

// Help says more than one line about the verb.
func (*diffCmd) Help() string {
	return "The difference goes from A to B. Without B, an environment that was branched from another one is compared " +
		"with that one, and anything else with the version before it.\n\n" +
		"Without a depth, all three are shown in brief: packages that no manifest names only where they are large, and store paths one by one only with --closure.\n\n" +
		"Examples: nixspace diff shop pg14; nixspace diff pg14; nixspace diff shop --packages"
}

// Run compares.
func (c *diffCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	from, to := c.A, c.B
	if to == "" {
		from, to = "", c.A
	}
	depths := difftext.Depths{Manifest: c.Manifest, Packages: c.Packages, Closure: c.Closure, Paths: c.Closure}
	if !c.Manifest && !c.Packages && !c.Closure {
		depths = difftext.Depths{Manifest: true, Packages: true, Closure: true, Brief: true}
	}
	manifestOnly := !depths.Packages && !depths.Closure
	d, err := api.Diff(ctx, from, to, manifestOnly)
	if err != nil {
		return err
	}
	if c.Build && len(d.Unbuilt) > 0 {
		show := g.display(std)
		defer show.Close()
		for _, ref := range d.Unbuilt {
			build, err := api.Build(ctx, ref)
			if err != nil {
				return err
			}
			if _, err := followBuild(ctx, api, show, build, false); err != nil {
				return err
			}
		}
		show.Close()
		if d, err = api.Diff(ctx, from, to, manifestOnly); err != nil {
			return err
		}
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"diff": d})
	}
	return difftext.Write(std.Out, d, depths, term.PaintFor(std.Out, os.Getenv))
}
