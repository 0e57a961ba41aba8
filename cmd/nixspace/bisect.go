package main

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type bisectCmd struct {
	Good   []string `sep:"none" placeholder:"VERSION" help:"A version on which the command succeeds; there may be several."`
	Bad    string   `placeholder:"VERSION" help:"A version on which it fails."`
	Verify bool     `help:"Run the command on both first."`
	Env    []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Set a variable for the command."`
	Dir    string   `short:"w" placeholder:"DIR" help:"Run it in this folder (/workspace)."`
	Script string   `placeholder:"NAME" help:"Run this script of the bad version's manifest."`
	limitFlags

	argv []string
}

// Help says more than one line about the verb.
func (*bisectCmd) Help() string {
	return "Finds the first version on which the command fails, and then the smallest part of what that version changed that breaks it. Each version is built and run in a machine of its own. " +
		"Exit code 0 is good, 125 and what a signal ended say nothing, every other code is bad.\n\n" +
		"Example: nixspace bisect --good shop~20 --bad shop -- npm test"
}

func (c *bisectCmd) setCommand(argv []string) { c.argv = argv }

// Run searches.
func (c *bisectCmd) Run(ctx context.Context, g *globals, std streams) error {
	if err := needCommand(c.argv, c.Script, c.Resume); err != nil {
		return err
	}
	if (len(c.Good) == 0 || c.Bad == "") && c.Resume == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "bisect_ends_missing", "a bisection needs a good version and a bad one").
			WithHint("nixspace bisect --good shop~20 --bad shop -- COMMAND")
	}
	x := &experiment{g: g, std: std, form: "text"}
	return x.start(ctx, client.StartExperiment{
		Kind: "BISECT", Good: c.Good, Bad: c.Bad, Verify: c.Verify, Command: c.argv, Script: c.Script, Env: c.Env, Dir: c.Dir,
	}, c.limitFlags)
}
