package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type mergeCmd struct {
	From    string `arg:"" help:"What is merged: an environment, a tag or a version."`
	Into    string `required:"" placeholder:"ENVIRONMENT" help:"The environment that gets it."`
	Message string `short:"m" help:"Say why."`
	NoFF    bool   `name:"no-ff" help:"Make a version also where the head could just move."`
	NoBuild bool   `name:"no-build" help:"Commit the result before it is built."`
	DryRun  bool   `short:"n" help:"Show what would come of it, and change nothing."`
	Check   bool   `help:"Run the checks of what is merged first, and merge only if they pass."`
	Onto    string `placeholder:"HASH" aliases:"expect" help:"Fail if the environment's head is not this version any more."`
	resolveFlags
}

// Help says more than one line about the verb.
func (*mergeCmd) Help() string {
	return "What changed on each side since their nearest common ancestor is put together by meaning. The result is resolved and built before the environment's head moves to it. Where both changed the same in different ways, they conflict: on a terminal you are asked, elsewhere nothing is changed and the exit code is 4.\n\nExamples:\n  nixspace merge pg14 --into shop\n  nixspace merge pg14 --into shop --take packages.postgresql=theirs --take env.NODE_ENV=test"
}

// Run merges.
func (c *mergeCmd) Run(ctx context.Context, g *globals, std streams) error {
	res, err := c.resolutions()
	if err != nil {
		return err
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	in := client.MergeInput{
		From: c.From, Into: c.Into, Message: c.Message, NoFastForward: c.NoFF, NoBuild: c.NoBuild, ExpectedHead: c.Onto, Resolutions: res,
	}
	if c.DryRun {
		return c.preview(ctx, g, std, api, in)
	}
	if c.Check {
		if err := checkMerge(ctx, g, std, c.From); err != nil {
			return err
		}
	}
	var out *client.Merged
	err = c.ask(g, std, &in.Resolutions, func() ([]client.Conflict, error) {
		var err error
		if out, err = api.Merge(ctx, in); err != nil {
			return nil, err
		}
		return out.Conflicts, nil
	})
	if err != nil {
		return err
	}
	if len(out.Conflicts) > 0 {
		return c.refuse(g, std, out, out.Conflicts)
	}
	if out.Merge != nil {
		if err := c.await(ctx, api, d, out); err != nil {
			return err
		}
	} else if out.Build != nil && !c.NoBuild {
		if out.Build, err = followBuild(ctx, api, d, out.Build, false); err != nil {
			return err
		}
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"merge": out})
	}
	if out.Outcome == "up_to_date" {
		fmt.Fprintf(std.Out, "%s has all of %s already\n", c.Into, c.From)
		return nil
	}
	for _, ch := range out.Changes {
		fmt.Fprintln(std.Out, " ", term.Clean(changeLine(ch)))
	}
	if out.FastForward {
		fmt.Fprintf(std.Out, "%s had no version of its own since: it moved to that of %s\n", c.Into, c.From)
	}
	return printReady(std.Out, c.Into, out.Version.Hash, out.Build, time.Since(begin))
}

// await follows the build of a merge's result and learns what came of the merge.
func (c *mergeCmd) await(ctx context.Context, api *client.Client, d *term.Display, out *client.Merged) error {
	b, buildErr := followBuild(ctx, api, d, out.Build, false)
	out.Build = b
	job, err := api.MergeJob(ctx, out.Merge.ID)
	if err != nil {
		return err
	}
	out.Merge = job
	switch {
	case string(job.Status) == string(nixspace.MergeDone):
		if out.Outcome = "merged"; out.FastForward {
			out.Outcome = "fast_forward"
		}
		return nil
	case job.ErrorCode == "head_moved":
		return nixspace.Errorf(nixspace.KindConflict, "head_moved", "%s", job.Error).WithHint("merge again: nixspace merge %s --into %s", c.From, c.Into)
	case job.Status == "building": // it was interrupted here, and goes on there
		return buildErr
	}
	return nixspace.Errorf(nixspace.KindBuild, "merge_not_built", "%s was not changed: %s", c.Into, job.Error).
		WithHint("merge what makes it build, or commit it all the same with --no-build").WithDetail("code", job.ErrorCode)
}

// preview prints what a merge would come to.
func (c *mergeCmd) preview(ctx context.Context, g *globals, std streams, api *client.Client, in client.MergeInput) error {
	out, err := api.MergePreview(ctx, in)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"merge": out})
	}
	for _, ch := range out.Changes {
		fmt.Fprintln(std.Out, " ", term.Clean(changeLine(ch)))
	}
	printConflicts(std.Out, out.Conflicts)
	switch {
	case out.Outcome == "up_to_date":
		fmt.Fprintf(std.Out, "%s has all of %s already\n", c.Into, c.From)
	case out.FastForward:
		fmt.Fprintf(std.Out, "%s would move to the version of %s\n", c.Into, c.From)
	case len(out.Conflicts) > 0:
		fmt.Fprintf(std.Out, "%d conflicts\n", len(out.Conflicts))
	default:
		fmt.Fprintln(std.Out, "it can be merged")
	}
	return nil
}
