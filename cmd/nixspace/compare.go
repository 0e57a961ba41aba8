package main

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type compareCmd struct {
	Measure compareMeasureCmd  `cmd:"" default:"withargs" help:"Measure a command across environments."`
	Show    experimentsShowCmd `cmd:"" help:"Show what a comparison found."`
	Repeat  compareRepeatCmd   `cmd:"" help:"Measure once more, over the very same versions."`
	List    compareListCmd     `cmd:"" help:"List comparisons, newest first."`
}

type compareMeasureCmd struct {
	Refs       []string `arg:"" optional:"" name:"environment" help:"Environments or versions; the first is what others are compared with."`
	Warmups    int      `default:"1" help:"Runs of each that do not count, at first (${default})."`
	Runs       int      `placeholder:"N" help:"The least number of runs of each (10)."`
	MaxRuns    int      `placeholder:"N" help:"The greatest number of runs of each (50)."`
	Precision  float64  `placeholder:"PART" help:"How sure the median must be to stop before: the half-width of its interval as a part of it (0.02)."`
	Confidence float64  `placeholder:"PART" help:"Of intervals and verdicts (0.99)."`
	Seed       int64    `placeholder:"N" help:"Of the random order of runs; it is recorded."`
	Setup      string   `placeholder:"COMMAND" help:"Run this (in a shell) once in each environment's machine, before it is copied for the runs."`
	Number     []string `sep:"none" placeholder:"NAME=PATTERN" help:"Measure what the command prints: NAME=/REGEXP/ or NAME=.path.in.json. The first decides how often is run."`
	Env        []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Set a variable for the command."`
	Dir        string   `short:"w" placeholder:"DIR" help:"Run it in this folder (/workspace)."`
	Script     string   `placeholder:"NAME" help:"Run this script of the first environment's manifest."`
	matrixFlags
	limitFlags
	formFlags

	argv []string
}

// Help says more than one line about the verb.
func (*compareMeasureCmd) Help() string {
	return "The command runs in copies of one machine of each environment, so that no run sees what another left, in random order, until the medians are sure enough. " +
		"What it found is stored with the hashes of the versions: `compare show`, `compare repeat`.\n\n" +
		"Examples: nixspace compare shop pg13 -- npm run bench; nixspace compare shop --matrix nodejs=20,22 --number 'rps=/([0-9.]+) req/' -- node bench.js"
}

func (c *compareMeasureCmd) setCommand(argv []string) { c.argv = argv }

// Run measures.
func (c *compareMeasureCmd) Run(ctx context.Context, g *globals, std streams) error {
	if err := needCommand(c.argv, c.Script, c.Resume); err != nil {
		return err
	}
	if len(c.Refs) == 0 && c.Resume == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "subject_missing", "there is nothing to compare").WithHint("nixspace compare shop pg13 -- COMMAND")
	}
	axes, err := c.axes()
	if err != nil {
		return err
	}
	in := client.StartExperiment{
		Kind: "COMPARE", Refs: c.Refs, Axes: axes, Command: c.argv, Script: c.Script, Env: c.Env, Dir: c.Dir, Numbers: c.Number,
		Warmups: c.Warmups, MinRuns: c.Runs, MaxRuns: c.MaxRuns, Precision: c.Precision, Confidence: c.Confidence, Seed: c.Seed,
	}
	if c.Setup != "" {
		in.Setup = []string{"sh", "-c", c.Setup}
	}
	x := &experiment{g: g, std: std, form: c.Format}
	return x.start(ctx, in, c.limitFlags)
}

type compareRepeatCmd struct {
	Number string `arg:"" help:"The comparison's number."`
	formFlags
}

// Run measures once more.
func (c *compareRepeatCmd) Run(ctx context.Context, g *globals, std streams) error {
	return repeatExperiment(ctx, g, std, c.Number, c.Format)
}

type compareListCmd struct {
	Limit int `short:"n" default:"30" help:"How many (${default})."`
}

// Run lists comparisons.
func (c *compareListCmd) Run(ctx context.Context, g *globals, std streams) error {
	return listExperiments(ctx, g, std, "compare", c.Limit)
}
