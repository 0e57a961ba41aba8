package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type runCmd struct {
	Refs []string `arg:"" optional:"" name:"environment" help:"The environments or versions; a session is started for each, all at once."`
	Keep bool     `help:"Leave the sessions running."`
	TTY  bool     `name:"tty" short:"t" help:"Run the command on a terminal (one environment only)."`
	Env  []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Set a variable for the command."`
	Dir  string   `short:"w" placeholder:"DIR" help:"Run it in this folder (/workspace)."`
	scriptFlag
	matrixFlags
	Artifacts []string `placeholder:"PATH" help:"Collect this file or folder (from /workspace) of each run. Reports of tests in it are read."`
	Save      string   `type:"path" placeholder:"DIR" help:"Write what --artifacts collects into folders below this one."`
	Columns   bool     `help:"Show the output of each in a column of its own."`
	Grouped   bool     `help:"Show the output of each as a whole, once it has ended."`
	Tests     bool     `help:"Compare the results of tests that the output holds (JUnit, TAP, go test -json, jest --json), and keep them."`
	limitFlags
	formFlags

	argv []string
}

// recorded reports whether the runs are an experiment, which is kept.
func (c *runCmd) recorded() bool {
	return len(c.Matrix) > 0 || len(c.Artifacts) > 0 || c.Columns || c.Grouped || c.Tests || c.Resume != "" || c.Detach || c.Parallel > 0 || c.Timeout > 0
}

// experiment runs the command on all as an experiment.
func (c *runCmd) experiment(ctx context.Context, g *globals, std streams) error {
	if c.Keep || c.TTY {
		return nixspace.Errorf(nixspace.KindInvalid, "run_recorded", "the machines of a recorded run are gone afterwards, and have no terminal").WithHint("leave out --keep and --tty")
	}
	if len(c.Refs) == 0 && c.Resume == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "subject_missing", "there is nothing to run on").WithHint("name an environment")
	}
	axes, err := c.axes()
	if err != nil {
		return err
	}
	x := &experiment{g: g, std: std, form: c.Format, save: c.Save, failed: firstExit}
	switch {
	case c.Columns:
		x.show = showColumns(std)
	case c.Grouped:
		x.show = showGrouped(std)
	case !c.Tests:
		x.show = showPrefixed(std)
	}
	return x.start(ctx, client.StartExperiment{
		Kind: "RUN", Refs: c.Refs, Axes: axes, Command: c.argv, Script: c.Script, Env: c.Env, Dir: c.Dir, Artifacts: c.Artifacts,
	}, c.limitFlags)
}

// Help says more than one line about the verb.
func (*runCmd) Help() string {
	return "The command stands after --. It runs in a machine of its own for each environment, and the machines are gone afterwards. " +
		"With --matrix, all combinations are run, and their tests compared: see docs/compare.md. With several environments, each line of output begins with the environment's name, and the exit code is that of the first environment where the command failed.\n\n" +
		"Examples: nixspace run pg13 pg14 pg15 -- psql -Atc 'show server_version'; nixspace run shop pg13 --script test"
}

func (c *runCmd) setCommand(argv []string) { c.argv = argv }

// runResult is what came of one environment.
type runResult struct {
	Environment string  `json:"environment"`
	Session     string  `json:"session,omitempty"`
	ExitCode    *int    `json:"exitCode"` // null when the command did not run to its end
	Stdout      string  `json:"stdout"`
	Stderr      string  `json:"stderr"`
	Truncated   bool    `json:"truncated"` // output beyond 1 MiB was dropped
	Seconds     float64 `json:"seconds"`   // of the command
	Error       *failed `json:"error,omitempty"`

	err error
}

// failed is an error in JSON.
type failed struct {
	Kind    nixspace.Kind `json:"kind"`
	Code    string        `json:"code"`
	Message string        `json:"message"`
}

// Run executes a command in a session of each environment.
func (c *runCmd) Run(ctx context.Context, g *globals, std streams) error {
	if err := needCommand(c.argv, c.Script, c.Resume); err != nil {
		return err
	}
	if c.recorded() {
		return c.experiment(ctx, g, std)
	}
	if len(c.Refs) == 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "subject_missing", "there is nothing to run on").WithHint("name an environment: nixspace run shop -- npm test")
	}
	if c.TTY && (len(c.Refs) > 1 || g.JSON) {
		return nixspace.Errorf(nixspace.KindInvalid, "tty_shared", "a terminal is for one environment, and not for JSON").WithHint("leave out --tty")
	}
	env, err := variables(c.Env)
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

	out, errw := d.Through(std.Out), d.Through(std.Err)
	width := 0
	for _, ref := range c.Refs {
		width = max(width, len(ref))
	}
	results := make([]runResult, len(c.Refs))
	var wg sync.WaitGroup
	for i, ref := range c.Refs {
		wg.Go(func() {
			r := &results[i]
			r.Environment = ref
			r.err = c.one(ctx, api, d, env, r, func() (io.Reader, io.Writer, io.Writer, func()) {
				switch {
				case g.JSON:
					so, se := &capture{}, &capture{}
					return nil, so, se, func() {
						r.Stdout, r.Stderr, r.Truncated = so.text(), se.text(), so.over || se.over
					}
				case len(c.Refs) == 1:
					d.Close()
					return commandInput(std.In), std.Out, std.Err, func() {}
				}
				prefix := fmt.Sprintf("%-*s │ ", width, ref)
				so, se := term.NewPrefixed(out, prefix), term.NewPrefixed(errw, prefix)
				return nil, so, se, func() { so.Close(); se.Close() }
			}, std)
			if r.err != nil && !g.JSON && len(c.Refs) > 1 {
				var code exitError
				if !errors.As(r.err, &code) {
					d.Printf("%-*s │ error: %s", width, ref, r.err)
				}
			}
		})
	}
	wg.Wait()
	d.Close()
	return c.conclude(g, std, results)
}

// conclude prints the results, if that is asked for, and returns the first
// failure.
func (c *runCmd) conclude(g *globals, std streams, results []runResult) error {
	var first error
	for i := range results {
		r := &results[i]
		if r.err == nil {
			continue
		}
		if first == nil {
			first = r.err
		}
		var code exitError
		if !errors.As(r.err, &code) {
			r.Error = &failed{nixspace.ErrorKind(r.err), nixspace.ErrorCode(r.err), r.err.Error()}
		}
	}
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"results": results}); err != nil {
			return err
		}
	}
	var code exitError
	switch {
	case first == nil, errors.As(first, &code), errors.Is(first, context.Canceled):
		return first
	case g.JSON || len(results) > 1:
		return exitError(exitFailed) // the error is told already
	}
	return first
}

// one runs the command in a new session of one environment.
func (c *runCmd) one(ctx context.Context, api *client.Client, d *term.Display, env map[string]string, r *runResult,
	open func() (io.Reader, io.Writer, io.Writer, func()), std streams,
) error {
	s, err := api.StartSession(ctx, r.Environment, !c.Keep)
	if err != nil {
		return failedThere(err)
	}
	r.Session = s.Ref
	if c.Keep {
		defer func() { d.Printf("session %s goes on", s.Ref) }()
	} else {
		defer c.stop(ctx, api, d, s)
	}
	name := r.Environment
	if len(c.Refs) > 1 {
		name = s.Ref
	}
	if _, err := awaitSession(ctx, api, d, s, name); err != nil {
		return failedThere(err)
	}
	argv, err := c.command(ctx, api, string(s.ID), c.argv)
	if err != nil {
		return failedThere(err)
	}
	cmd := nixspace.Command{Argv: argv, Env: env, Dir: c.Dir}
	if c.TTY {
		d.Close()
		return onTerminal(ctx, std, cmd, func(ctx context.Context, cmd nixspace.Command) (*client.Process, error) {
			return api.Exec(ctx, string(s.ID), cmd)
		})
	}
	p, err := api.Exec(ctx, string(s.ID), cmd)
	if err != nil {
		return failedThere(err)
	}
	in, out, errw, done := open()
	begin := time.Now()
	code, err := p.Run(in, out, errw)
	r.Seconds = time.Since(begin).Seconds()
	done()
	if err == nil {
		r.ExitCode = &code
	}
	return ended(code, err)
}

// stop ends a session, also after an interrupt.
func (c *runCmd) stop(ctx context.Context, api *client.Client, d *term.Display, s *client.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), client.Timeout)
	defer cancel()
	if _, err := api.StopSession(ctx, string(s.ID)); err != nil && nixspace.ErrorKind(err) != nixspace.KindConflict {
		d.Printf("session %s could not be stopped: %v", s.Ref, err)
	}
}

// commandInput is what the command reads: this program's input, unless that is a
// terminal, which would wait for somebody to type.
func commandInput(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok && xterm.IsTerminal(int(f.Fd())) {
		return nil
	}
	return in
}

// captureMax is how many bytes of output a result holds.
const captureMax = 1 << 20

type capture struct {
	buf  []byte
	over bool
}

func (c *capture) Write(p []byte) (int, error) {
	n := min(len(p), captureMax-len(c.buf))
	c.buf = append(c.buf, p[:n]...)
	c.over = c.over || n < len(p)
	return len(p), nil
}

func (c *capture) text() string { return string(c.buf) }
