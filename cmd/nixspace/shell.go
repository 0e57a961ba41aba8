package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"text/tabwriter"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type shellCmd struct {
	Session   string   `arg:"" help:"The session."`
	Terminal  string   `name:"terminal" placeholder:"NAME" help:"Open the session's terminal of this name, which others may be at too; one is started where there is none. Without it, a new one."`
	ReadOnly  bool     `name:"read-only" help:"Only watch."`
	List      bool     `name:"list" help:"List the session's terminals instead."`
	DetachKey string   `name:"detach-key" default:"ctrl-]" placeholder:"ctrl-X" help:"The key that leaves the terminal while it goes on (${default})."`
	Env       []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Set a variable in the shell."`
	Dir       string   `short:"w" placeholder:"DIR" help:"Start in this folder (/workspace)."`
}

// Help says more than one line about the verb.
func (*shellCmd) Help() string {
	return "The terminal outlives the connection: when that breaks, it connects again and goes on at the byte where it was. With input that is no terminal, and without --terminal, the shell ends with its input."
}

// Run opens a shell in a session.
func (c *shellCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.List {
		return c.list(ctx, g, std)
	}
	env, err := variables(c.Env)
	if err != nil {
		return err
	}
	detach, err := controlKey(c.DetachKey)
	if err != nil {
		return err
	}
	command := nixspace.Command{Env: env, Dir: c.Dir}
	in, isFile := std.In.(*os.File)
	onTTY := isFile && xterm.IsTerminal(int(in.Fd()))
	if c.Terminal == "" && !onTTY {
		if c.ReadOnly {
			return nixspace.Errorf(nixspace.KindInvalid, "usage", "--read-only needs --terminal NAME: a new terminal has nothing to watch")
		}
		api, err := g.connect()
		if err != nil {
			return err
		}
		defer api.Close()
		return onTerminal(ctx, std, command, func(ctx context.Context, cmd nixspace.Command) (*client.Process, error) {
			return api.Shell(ctx, c.Session, cmd)
		})
	}
	name := c.Terminal
	if name == "" {
		name = fmt.Sprintf("shell-%04x", rand.N(1<<16))
	}
	return (&lasting{session: c.Session, name: name, readOnly: c.ReadOnly, detach: detach, key: c.DetachKey, command: command}).run(ctx, g, std, onTTY)
}

// list prints the terminals of a session. It does not wake the session.
func (c *shellCmd) list(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	view, err := api.View(ctx, c.Session)
	if err != nil {
		return err
	}
	type row struct {
		Name    string `json:"name"`
		Process string `json:"process"`
		Viewers int    `json:"viewers"`
	}
	rows := []row{}
	if view != nil {
		for _, t := range view.Terminals {
			rows = append(rows, row{t.Name, t.Process, len(t.Viewers)})
		}
	}
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(std.Err, "no terminal is open")
		return err
	}
	t := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TERMINAL\tPROGRAM\tVIEWERS")
	for _, r := range rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\n", r.Name, r.Process, r.Viewers)
	}
	return t.Flush()
}

// controlKey returns the byte that a key with Ctrl sends.
func controlKey(s string) (byte, error) {
	key, ok := strings.CutPrefix(strings.ToLower(s), "ctrl-")
	if !ok || len(key) != 1 || !strings.Contains("abcdefghijklmnopqrstuvwxyz[\\]^_@", key) {
		return 0, nixspace.Errorf(nixspace.KindInvalid, "usage", "%q is no key to detach with", s).WithHint("write ctrl-] or another key with Ctrl")
	}
	return strings.ToUpper(key)[0] & 0x1f, nil
}

// lasting joins this console with a terminal that outlives it.
type lasting struct {
	session, name string
	readOnly      bool
	detach        byte
	key           string // as the user knows it
	command       nixspace.Command
}

// leaveModes ends what a program on the terminal may have switched on here.
const leaveModes = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?7h\x1b[?25h\x1b[0m"

func (l *lasting) run(ctx context.Context, g *globals, std streams, onTTY bool) error {
	r := nixspace.TerminalRequest{Name: l.name, ReadOnly: l.readOnly, Command: l.command, Cols: 80, Rows: 24}
	r.Command.Term = "xterm-256color"
	out, outOK := std.Out.(*os.File)
	local := onTTY && outOK && xterm.IsTerminal(int(out.Fd()))
	if local {
		if t := os.Getenv("TERM"); t != "" {
			r.Command.Term = t
		}
		if cols, rows, err := xterm.GetSize(int(out.Fd())); err == nil {
			r.Cols, r.Rows = uint16(cols), uint16(rows)
		}
	}
	screen := &altScreen{w: std.Out}
	t := client.NewTerminal(l.session, r, g.connect, func(text string) {
		_, _ = fmt.Fprintf(std.Err, "\r\n[%s]\r\n", text)
	})
	if local {
		_, _ = fmt.Fprintf(std.Err, "[terminal %s; %s leaves it while it goes on]\n", l.name, l.key)
		in := std.In.(*os.File)
		old, err := xterm.MakeRaw(int(in.Fd()))
		if err != nil {
			return nixspace.Errorf(nixspace.KindInternal, "terminal", "the terminal cannot be set up: %w", err)
		}
		defer func() {
			_, _ = io.WriteString(std.Out, screen.leave()+leaveModes)
			_ = xterm.Restore(int(in.Fd()), old)
		}()
		defer followSize(out, t.Resize)()
	}
	go l.typeIn(std.In, t, local)
	code, err := t.Run(ctx, screen)
	if errors.Is(err, client.ErrDetached) {
		_, _ = fmt.Fprintf(std.Err, "\r\n[detached; come back with: nixspace shell %s --terminal %s]\r\n", l.session, l.name)
		return nil
	}
	return ended(code, err)
}

// typeIn types what is read, up to the key that detaches. A read from a terminal
// cannot be given up, so it may outlive the verb.
func (l *lasting) typeIn(in io.Reader, t *client.Terminal, keys bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := in.Read(buf)
		b := buf[:n]
		if i := bytes.IndexByte(b, l.detach); keys && i >= 0 {
			if !l.readOnly {
				_, _ = t.Write(b[:i])
			}
			t.Detach()
			return
		}
		if n > 0 && !l.readOnly {
			if _, err := t.Write(b); err != nil {
				return
			}
		}
		if err != nil {
			if !keys && !l.readOnly {
				_, _ = t.Write([]byte{4}) // the end of a terminal's input is a key
			}
			return
		}
	}
}

// altScreen passes output through, and knows whether a program shows the other
// screen.
type altScreen struct {
	w  io.Writer
	on bool
}

func (a *altScreen) Write(b []byte) (int, error) {
	if on, off := bytes.LastIndex(b, []byte("\x1b[?1049h")), bytes.LastIndex(b, []byte("\x1b[?1049l")); on >= 0 || off >= 0 {
		a.on = on > off
	}
	return a.w.Write(b)
}

// leave returns what goes back to the first screen.
func (a *altScreen) leave() string {
	if a.on {
		return "\x1b[?1049l"
	}
	return ""
}
