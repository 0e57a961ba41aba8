package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type branchCmd struct {
	From          string   `arg:"" help:"The environment or version to start from."`
	Name          string   `arg:"" help:"The new environment's name."`
	Set           []string `sep:"none" placeholder:"KEY=VALUE" help:"Change a package's version, or any key of the manifest."`
	Add           []string `sep:"none" placeholder:"PACKAGE[@VERSION]" help:"Add a package."`
	Remove        []string `sep:"none" placeholder:"PACKAGE" help:"Remove a package, or any key of the manifest."`
	OverrideInput []string `sep:"none" placeholder:"NAME=catalog" help:"Use the catalog in place of an input of the environment's flake."`
	Message       string   `short:"m" help:"Say why."`
	WithData      bool     `help:"Start the branch's first session on a copy of the disk of a session of its origin, with the database on it: of the newest that has one."`
	DataFrom      string   `placeholder:"SESSION" help:"The same, with the disk of this session."`
	Detach        bool     `short:"d" help:"Do not wait for the build."`
}

// Help says more than one line about the verb.
func (*branchCmd) Help() string {
	return "A branch costs nothing until it differs: it shares all that its origin has.\n\nExample: nixspace branch shop pg13 --set postgresql=13"
}

// Run makes an environment from another one.
func (c *branchCmd) Run(ctx context.Context, g *globals, std streams) error {
	if err := nixspace.CheckName("an environment", c.Name); err != nil {
		return err
	}
	set, err1 := setEdits(c.Set)
	add, err2 := addEdits(c.Add)
	remove, err3 := removeEdits(c.Remove)
	override, err4 := overrideEdits(c.OverrideInput)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return err
		}
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	edits := slices.Concat(set, add, remove, override)
	if c.WithData || c.DataFrom != "" {
		return c.withData(ctx, g, std, api, d, edits)
	}
	environment, build, err := api.Branch(ctx, c.From, c.Name, edits, c.Message)
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
		return printJSON(std.Out, map[string]any{"environment": environment, "build": build})
	}
	if len(edits) > 0 { // without any, the head is the origin's, and its changes are the origin's
		for _, ch := range environment.Head.Changes {
			fmt.Fprintln(std.Out, " ", term.Clean(changeLine(ch)))
		}
	}
	return printReady(std.Out, environment.Ref, environment.Head.Hash, build, time.Since(begin))
}
