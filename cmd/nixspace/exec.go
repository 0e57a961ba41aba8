package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type execCmd struct {
	Session string   `arg:"" help:"The session."`
	TTY     bool     `name:"tty" short:"t" help:"Run the command on a terminal."`
	Env     []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Set a variable for the command."`
	Dir     string   `short:"w" placeholder:"DIR" help:"Run it in this folder (/workspace)."`
	scriptFlag

	argv []string
}

// Help says more than one line about the verb.
func (*execCmd) Help() string {
	return "The command stands after --. Its input, output and exit code are passed through.\n\nExample: nixspace exec shop/1 -- psql -c 'select version()'; nixspace exec shop/1 --script setup"
}

func (c *execCmd) setCommand(argv []string) { c.argv = argv }

// Run executes a command in a session.
func (c *execCmd) Run(ctx context.Context, g *globals, std streams) error {
	if len(c.argv) == 0 && c.Script == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "command_missing", "there is no command").
			WithHint("put it after --: nixspace exec %s -- psql --version", c.Session)
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
	argv, err := c.command(ctx, api, c.Session, c.argv)
	if err != nil {
		return failedThere(err)
	}
	cmd := nixspace.Command{Argv: argv, Env: env, Dir: c.Dir, TTY: c.TTY}
	if c.TTY {
		return onTerminal(ctx, std, cmd, func(ctx context.Context, cmd nixspace.Command) (*client.Process, error) {
			return api.Exec(ctx, c.Session, cmd)
		})
	}
	// An interrupt is for the command. A second one ends this program.
	p, err := api.Exec(context.WithoutCancel(ctx), c.Session, cmd)
	if err != nil {
		return failedThere(err)
	}
	defer context.AfterFunc(ctx, func() { _ = p.Signal("SIGINT") })()
	code, err := p.Run(std.In, std.Out, std.Err)
	return ended(code, err)
}

// ended turns the end of a command into that of this program.
func ended(code int, err error) error {
	if err != nil {
		return failedThere(err)
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// failedError is a failure of NixSpace where a command's exit code was expected.
type failedError struct{ error }

// Unwrap returns the failure.
func (e failedError) Unwrap() error { return e.error }

func failedThere(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return failedError{err}
}

func variables(args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	env := make(map[string]string, len(args))
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok || k == "" {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "variable_invalid", "%q sets no variable", a).WithHint("write KEY=VALUE")
		}
		env[k] = v
	}
	return env, nil
}

// onTerminal runs a command on a terminal there, joined with the one here: every
// key goes through, and the size follows.
func onTerminal(ctx context.Context, std streams, cmd nixspace.Command, start func(context.Context, nixspace.Command) (*client.Process, error)) error {
	in, inOK := std.In.(*os.File)
	out, outOK := std.Out.(*os.File)
	local := inOK && outOK && xterm.IsTerminal(int(in.Fd())) && xterm.IsTerminal(int(out.Fd()))
	cmd.TTY, cmd.Cols, cmd.Rows, cmd.Term = true, 80, 24, "xterm-256color"
	if local {
		if t := os.Getenv("TERM"); t != "" {
			cmd.Term = t
		}
		if cols, rows, err := xterm.GetSize(int(out.Fd())); err == nil {
			cmd.Cols, cmd.Rows = uint16(cols), uint16(rows)
		}
	}
	p, err := start(ctx, cmd)
	if err != nil {
		return failedThere(err)
	}
	if !local {
		code, err := p.Run(std.In, std.Out, std.Err)
		return ended(code, err)
	}
	old, err := xterm.MakeRaw(int(in.Fd()))
	if err != nil {
		p.Close()
		return nixspace.Errorf(nixspace.KindInternal, "terminal", "the terminal cannot be set up: %w", err)
	}
	defer func() { _ = xterm.Restore(int(in.Fd()), old) }()
	defer followSize(out, func(cols, rows uint16) { _ = p.Resize(cols, rows) })()
	code, err := p.Run(in, out, io.Discard)
	return ended(code, err)
}

// followSize calls resize whenever the terminal has another size, until stop is
// called.
func followSize(terminal *os.File, resize func(cols, rows uint16)) (stop func()) {
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-sizes:
				if cols, rows, err := xterm.GetSize(int(terminal.Fd())); err == nil {
					resize(uint16(cols), uint16(rows))
				}
			}
		}
	}()
	return func() {
		signal.Stop(sizes)
		close(done)
	}
}
