package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type pullCmd struct {
	Environment string `arg:"" name:"environment" help:"The environment."`
	Source      string `arg:"" optional:"" help:"Where the code is, as for create. Without it, what its code was fetched from, as that is now."`
	sourceFlags
	codeLimit
	NoSetup bool `help:"Do not prepare its setup now."`
	Detach  bool `short:"d" help:"Do not wait for the setup."`
}

// Help says more than one line about the verb.
func (*pullCmd) Help() string {
	return "Sessions that are started from then on have the new code; those that there are keep theirs, and so do other environments. " +
		"The manifest stays as it is. Where it has a script setup, that is run for the new code; until it has ended, sessions begin from the last good one.\n\n" +
		"Examples: nixspace pull shop; nixspace pull shop --ref v2; nixspace pull shop ./shop"
}

// Run gives an environment other code.
func (c *pullCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	name, had, err := api.EnvironmentCode(ctx, c.Environment)
	if err != nil {
		return err
	}
	path, err := c.from(name, had)
	if err != nil {
		return err
	}
	from, err := c.get(ctx, api, d, std, path, c.limits())
	if err != nil {
		return err
	}
	for _, n := range from.notes {
		d.Printf("note: %s", term.Clean(n))
	}
	code := had
	if from.workspace != had.Workspace {
		if code, err = api.ChangeCode(ctx, c.Environment, from.workspace, from.source); err != nil {
			return err
		}
	}
	var setup *client.Prebuild
	var failed error
	if !c.NoSetup {
		setup, failed = prepare(ctx, api, d, name, c.Detach)
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"environment": name, "code": code, "changed": from.workspace != had.Workspace, "prebuild": setup})
	}
	if failed != nil { // the code is there, and can be used
		report(std.Err, false, failed)
	}
	what := "has its code already: "
	if from.workspace != had.Workspace {
		what = "has the code of "
	}
	_, err = fmt.Fprintf(std.Out, "environment %s  %s%s\n", name, what, term.Clean(code.Source))
	return err
}

// from returns where the code comes from, and fills in the flags that say so.
func (c *pullCmd) from(name string, had *client.Code) (string, error) {
	if c.Source != "" || c.Template != "" {
		return c.Source, nil
	}
	if had.Origin == nil {
		return "", nixspace.Errorf(nixspace.KindInvalid, "source_missing", "the code of %s was sent by somebody, and is nowhere to be fetched from", name).
			WithHint("say where it is: nixspace pull %s ./FOLDER", name)
	}
	if c.Ref == "" {
		c.Ref = had.Origin.Ref
	}
	if c.Dir == "" {
		c.Dir = had.Origin.Dir
	}
	c.Submodules = c.Submodules || had.Origin.Submodules
	return had.Origin.Source, nil
}
