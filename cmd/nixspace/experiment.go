package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/copyfiles"
	"github.com/nixspace/nixspace/cmd/nixspace/exptext"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// matrixFlags vary environments.
type matrixFlags struct {
	Matrix []string `sep:"none" placeholder:"KEY=VALUE,…" help:"Run on every combination of such values of a package or a key of the manifest. The versions that are lacking are made, and belong to no environment."`
}

func (f matrixFlags) axes() ([]client.ExperimentAxis, error) {
	var out []client.ExperimentAxis
	for _, m := range f.Matrix {
		key, values, ok := strings.Cut(m, "=")
		axis := client.ExperimentAxis{Key: strings.TrimSpace(key)}
		for v := range strings.SplitSeq(values, ",") {
			if v = strings.TrimSpace(v); v != "" {
				axis.Values = append(axis.Values, v)
			}
		}
		if !ok || axis.Key == "" || len(axis.Values) == 0 {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "axis_invalid", "%q varies nothing", m).WithHint("write KEY=VALUE,VALUE: --matrix postgresql=13,14,15")
		}
		out = append(out, axis)
	}
	return out, nil
}

// limitFlags bound an experiment.
type limitFlags struct {
	Parallel int           `short:"j" placeholder:"N" help:"How many machines run at a time; as many as the server has processors, or 1 for bisect."`
	Timeout  time.Duration `placeholder:"TIME" help:"How long one run may take (30m)."`
	Detach   bool          `short:"d" help:"Print the experiment's number and let it go on by itself."`
	Resume   string        `placeholder:"NUMBER" help:"Go on with an experiment that was interrupted. Runs that ended are not made again."`
}

// formFlags say how a result is printed.
type formFlags struct {
	Format string `enum:"text,csv,markdown" default:"text" help:"text, csv or markdown (${default}); --json for JSON."`
}

// experiment is an experiment that a verb starts, and how its end is told.
type experiment struct {
	g    *globals
	std  streams
	form string
	// show prints the output of commands while they run; nil for progress alone.
	show func(d *term.Display, subjects []string) outputShower
	save string // a folder for artefacts; empty for none
	// failed returns the error of an experiment that is complete, if it has one.
	failed func(*client.Experiment) error
}

// outputShower shows what the commands of several subjects print.
type outputShower interface {
	Output(key, subject string, stderr bool, text string)
	Ended(key, subject string)
}

// start starts an experiment or, with resume, goes on with one, and follows it. When
// ctx ends the experiment is interrupted: nothing of it runs on.
func (x *experiment) start(ctx context.Context, in client.StartExperiment, f limitFlags) error {
	api, err := x.g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var e *client.Experiment
	if f.Resume != "" {
		e, err = api.ChangeExperiment(ctx, "resume", f.Resume)
	} else {
		in.Parallel, in.Timeout = f.Parallel, int(f.Timeout.Seconds())
		e, err = api.StartExperiment(ctx, in)
	}
	if err != nil {
		return err
	}
	if f.Detach {
		if x.g.JSON {
			return printJSON(x.std.Out, e)
		}
		_, err := fmt.Fprintf(x.std.Out, "experiment %d goes on; see it with `nixspace experiments show %d`\n", e.Number, e.Number)
		return err
	}
	return x.follow(ctx, api, e)
}

// follow shows an experiment until it has ended, and then what it found.
func (x *experiment) follow(ctx context.Context, api *client.Client, e *client.Experiment) error {
	d := x.g.display(x.std)
	defer d.Close()
	ref := fmt.Sprint(e.Number)
	var shower outputShower
	if x.show != nil && !x.g.JSON {
		var labels []string
		for _, s := range e.Subjects {
			labels = append(labels, s.Label)
		}
		shower = x.show(d, labels)
	}
	name := fmt.Sprintf("%s %d", e.Kind, e.Number)
	d.Status(name, "starting")
	running, done, said := map[string]bool{}, 0, 0
	err := api.WatchExperiment(ctx, ref, func(u client.ExperimentUpdate) error {
		switch {
		case u.Output != nil && shower != nil:
			shower.Output(u.Output.Key, u.Output.Subject, u.Output.Stderr, u.Output.Text)
		case u.Run != nil:
			if u.Run.FinishedAt == nil {
				running[u.Run.Key] = true
				break
			}
			delete(running, u.Run.Key)
			done++
			if shower != nil {
				shower.Ended(u.Run.Key, u.Run.Subject)
			}
			if u.Run.Error != "" {
				d.Printf("%s: %s", term.Clean(u.Run.Subject), term.Clean(firstLine(u.Run.Error)))
			}
		case u.Experiment != nil:
			e = u.Experiment
			if log := exptext.Log(e); len(log) > said && !x.g.JSON {
				for _, line := range log[said:] {
					d.Printf("%s", term.Clean(line))
				}
				said = len(log)
			}
		}
		if d.Live() {
			d.Status(name, fmt.Sprintf("%d runs are done, %d are under way", done, len(running)))
		}
		return nil
	})
	if ctx.Err() != nil {
		return x.interrupt(ctx, api, d, ref)
	}
	if err != nil {
		return err
	}
	d.Forget(name)
	d.Close()
	return x.tell(ctx, api, ref)
}

// interrupt ends an experiment of which nobody waits for the end any more.
func (x *experiment) interrupt(ctx context.Context, api *client.Client, d *term.Display, ref string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	d.Printf("ending its machines")
	e, err := api.ChangeExperiment(ctx, "cancel", ref)
	if err != nil {
		return err
	}
	return nixspace.Errorf(nixspace.KindCanceled, "interrupted", "experiment %d was interrupted; nothing of it runs", e.Number).
		WithHint("go on with: nixspace experiments resume %d", e.Number)
}

// tell prints what an experiment found, and returns the error that it ended with.
func (x *experiment) tell(ctx context.Context, api *client.Client, ref string) error {
	e, err := api.Experiment(ctx, ref, x.g.JSON)
	if err != nil {
		return err
	}
	if x.save != "" {
		if err := saveArtifacts(ctx, api, e, x.save); err != nil {
			return err
		}
	}
	if x.g.JSON {
		err = printJSON(x.std.Out, e)
	} else {
		err = exptext.Write(x.std.Out, e, x.form)
	}
	if err != nil {
		return err
	}
	switch e.Status {
	case "failed":
		code := e.ErrorCode
		if code == "" {
			code = "experiment_failed"
		}
		return nixspace.Errorf(nixspace.KindUnavailable, code, "experiment %d failed: %s", e.Number, e.Error).
			WithHint("its runs are kept: nixspace experiments show %d; try again with nixspace experiments resume %d", e.Number, e.Number)
	case "canceled":
		return nixspace.Errorf(nixspace.KindCanceled, "canceled", "experiment %d was interrupted", e.Number).
			WithHint("go on with: nixspace experiments resume %d", e.Number)
	}
	if !x.g.JSON && x.form == "text" {
		fmt.Fprintf(x.std.Err, "this is experiment %d: nixspace experiments show %d\n", e.Number, e.Number)
	}
	if x.failed != nil {
		return x.failed(e)
	}
	return nil
}

// saveArtifacts writes what runs left into a folder of each.
func saveArtifacts(ctx context.Context, api *client.Client, e *client.Experiment, dir string) error {
	for _, r := range e.Runs {
		if !r.HasArtifact {
			continue
		}
		name := strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-=.", c) {
				return c
			}
			return '_'
		}, r.Subject)
		to := filepath.Join(dir, strings.TrimLeft(name, "."))
		if err := os.MkdirAll(to, 0o755); err != nil {
			return nixspace.Errorf(nixspace.KindInvalid, "artifacts_not_written", "the artefacts cannot be written: %w", err)
		}
		from, err := api.ExperimentArtifact(ctx, fmt.Sprint(e.Number), r.Seq)
		if err != nil {
			return err
		}
		_, err = copyfiles.Unpack(from, to, "")
		_ = from.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// firstExit is the exit code of the first run that failed, as an error.
func firstExit(e *client.Experiment) error {
	for _, s := range e.Subjects {
		for _, r := range e.Runs {
			switch {
			case r.Subject != s.Label:
			case r.ExitCode == nil:
				return exitError(exitFailed)
			case *r.ExitCode != 0:
				return exitError(*r.ExitCode)
			}
		}
	}
	return nil
}

// needCommand makes sure that there is something to run.
func needCommand(argv []string, script, resume string) error {
	if len(argv) == 0 && script == "" && resume == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "command_missing", "there is no command").WithHint("put it after --")
	}
	return nil
}
