package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type experimentsCmd struct {
	List   experimentsListCmd   `cmd:"" default:"withargs" help:"List experiments, newest first."`
	Show   experimentsShowCmd   `cmd:"" help:"Show what an experiment found, or one of its runs."`
	Cancel experimentsCancelCmd `cmd:"" help:"Interrupt an experiment. What it has learned stays."`
	Resume experimentsResumeCmd `cmd:"" help:"Go on with an experiment that was interrupted or failed."`
	Rm     experimentsRmCmd     `cmd:"" help:"Delete experiments that have ended, with what their runs printed and left."`
	Repeat experimentsRepeatCmd `cmd:"" help:"Make an experiment once more, over the very same versions."`
}

type experimentsListCmd struct {
	Kind  string `enum:"run,compare,bisect,check,upgrades,all" default:"all" help:"Only those of a kind: run, compare, bisect, check or upgrades."`
	Limit int    `short:"n" default:"30" help:"How many (${default})."`
}

// Run lists experiments.
func (c *experimentsListCmd) Run(ctx context.Context, g *globals, std streams) error {
	return listExperiments(ctx, g, std, c.Kind, c.Limit)
}

func listExperiments(ctx context.Context, g *globals, std streams, kind string, limit int) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if kind = strings.ToUpper(kind); kind == "ALL" {
		kind = ""
	}
	list, err := api.Experiments(ctx, kind, limit)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"experiments": list})
	}
	rows := make([][]string, len(list))
	for i, e := range list {
		var on []string
		for _, s := range e.Subjects {
			on = append(on, s.Label)
		}
		if len(on) > 4 {
			on = append(on[:3], fmt.Sprintf("%d more", len(on)-3))
		}
		state := string(e.Status)
		if e.Error != "" {
			state += ": " + firstLine(e.Error)
		}
		rows[i] = []string{fmt.Sprint(e.Number), string(e.Kind), state, ago(e.CreatedAt), strings.Join(on, ", "), strings.Join(e.Command, " ")}
	}
	return table(std.Out, []string{"NUMBER", "KIND", "STATUS", "BEGUN", "ON", "COMMAND"}, rows)
}

type experimentsShowCmd struct {
	Number string `arg:"" help:"The experiment's number."`
	Run_   int    `name:"run" placeholder:"N" help:"Print what this run of it printed."`
	Runs   bool   `help:"List its runs."`
	formFlags
}

// Run shows an experiment.
func (c *experimentsShowCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	switch {
	case c.Run_ > 0:
		r, err := api.ExperimentRun(ctx, c.Number, c.Run_)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, r)
		}
		fmt.Fprint(std.Out, r.Stdout)
		fmt.Fprint(std.Err, r.Stderr)
		if r.Error != "" {
			fmt.Fprintln(std.Err, term.Clean(r.Error))
		}
		return nil
	case c.Runs:
		e, err := api.Experiment(ctx, c.Number, false)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]any{"runs": e.Runs})
		}
		return table(std.Out, []string{"RUN", "ON", "FOR", "VERSION", "EXIT", "TIME"}, runRows(e.Runs))
	}
	x := &experiment{g: g, std: std, form: c.Format}
	return x.tell(ctx, api, c.Number)
}

func runRows(runs []client.ExperimentRun) [][]string {
	rows := make([][]string, len(runs))
	for i, r := range runs {
		exit, took := string(r.Status), "-"
		if r.ExitCode != nil {
			exit = fmt.Sprint(*r.ExitCode)
		} else if r.Error != "" {
			exit = firstLine(r.Error)
		}
		if r.Usage != nil {
			took = fmt.Sprintf("%.3f s", r.Usage.Wall)
		}
		rows[i] = []string{fmt.Sprint(r.Seq), r.Subject, r.Key, short(r.VersionHash), exit, took}
	}
	return rows
}

type experimentsCancelCmd struct {
	Number string `arg:"" help:"The experiment's number."`
}

// Run interrupts an experiment.
func (c *experimentsCancelCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	e, err := api.ChangeExperiment(ctx, "cancel", c.Number)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, e)
	}
	_, err = fmt.Fprintf(std.Out, "experiment %d is %s\n", e.Number, e.Status)
	return err
}

type experimentsRmCmd struct {
	Numbers []string `arg:"" name:"number" help:"The experiments' numbers."`
}

// Run deletes experiments.
func (c *experimentsRmCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	for _, n := range c.Numbers {
		e, err := api.RemoveExperiment(ctx, n)
		if err != nil {
			return err
		}
		if !g.JSON {
			fmt.Fprintf(std.Out, "deleted experiment %d\n", e.Number)
		}
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"deleted": c.Numbers})
	}
	return nil
}

type experimentsResumeCmd struct {
	Number string `arg:"" help:"The experiment's number."`
	formFlags
}

// Run goes on with an experiment.
func (c *experimentsResumeCmd) Run(ctx context.Context, g *globals, std streams) error {
	x := &experiment{g: g, std: std, form: c.Format, show: showPrefixed(std)}
	return x.start(ctx, client.StartExperiment{}, limitFlags{Resume: c.Number})
}

type experimentsRepeatCmd struct {
	Number string `arg:"" help:"The experiment's number."`
	formFlags
}

// Run makes an experiment once more.
func (c *experimentsRepeatCmd) Run(ctx context.Context, g *globals, std streams) error {
	return repeatExperiment(ctx, g, std, c.Number, c.Format)
}

func repeatExperiment(ctx context.Context, g *globals, std streams, ref, form string) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	e, err := api.ChangeExperiment(ctx, "repeat", ref)
	if err != nil {
		return err
	}
	x := &experiment{g: g, std: std, form: form}
	return x.follow(ctx, api, e)
}
