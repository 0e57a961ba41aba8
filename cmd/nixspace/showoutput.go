package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// prefixes shows each line with its subject before it.
type prefixes struct {
	out, err func(subject string) io.Writer
	open     map[string]io.Writer
}

// showPrefixed returns how output is shown line by line.
func showPrefixed(std streams) func(*term.Display, []string) outputShower {
	return func(d *term.Display, subjects []string) outputShower {
		width := 0
		for _, s := range subjects {
			width = max(width, len(s))
		}
		to := func(w io.Writer) func(string) io.Writer {
			w = d.Through(w)
			return func(subject string) io.Writer {
				return term.NewPrefixed(w, fmt.Sprintf("%-*s │ ", width, term.Clean(subject)))
			}
		}
		return &prefixes{out: to(std.Out), err: to(std.Err), open: map[string]io.Writer{}}
	}
}

func (p *prefixes) Output(key, subject string, stderr bool, text string) {
	id, open := key+"/out", p.out
	if stderr {
		id, open = key+"/err", p.err
	}
	w := p.open[id]
	if w == nil {
		w = open(subject)
		p.open[id] = w
	}
	_, _ = io.WriteString(w, text)
}

func (p *prefixes) Ended(key, _ string) {
	for _, id := range []string{key + "/out", key + "/err"} {
		if c, ok := p.open[id].(io.Closer); ok {
			_ = c.Close()
		}
		delete(p.open, id)
	}
}

// groups shows the output of a run once it has ended, under a title.
type groups struct {
	w    io.Writer
	text map[string]*strings.Builder
}

func showGrouped(std streams) func(*term.Display, []string) outputShower {
	return func(d *term.Display, _ []string) outputShower {
		return &groups{d.Through(std.Out), map[string]*strings.Builder{}}
	}
}

func (g *groups) Output(key, _ string, _ bool, text string) {
	if g.text[key] == nil {
		g.text[key] = &strings.Builder{}
	}
	g.text[key].WriteString(text)
}

func (g *groups) Ended(key, subject string) {
	text := ""
	if b := g.text[key]; b != nil {
		text = strings.TrimRight(b.String(), "\n")
	}
	delete(g.text, key)
	var out strings.Builder
	fmt.Fprintf(&out, "── %s ──\n", term.Clean(subject))
	for line := range strings.Lines(text) {
		out.WriteString(term.Clean(strings.TrimRight(line, "\n")) + "\n")
	}
	_, _ = io.WriteString(g.w, out.String())
}

// columns shows each subject's lines in a column of its own.
type columns struct {
	w      io.Writer
	width  int
	column map[string]int
	rest   map[string]string // the last line of a run, which has no end yet
}

// leastColumn is how narrow a column may be.
const leastColumn = 20

// showColumns returns how output is shown in columns, or line by line where these do
// not fit.
func showColumns(std streams) func(*term.Display, []string) outputShower {
	return func(d *term.Display, subjects []string) outputShower {
		size := 120
		if f, ok := std.Out.(*os.File); ok {
			if w, _, err := xterm.GetSize(int(f.Fd())); err == nil {
				size = w
			}
		}
		c := &columns{w: d.Through(std.Out), width: size/max(1, len(subjects)) - 1, column: map[string]int{}, rest: map[string]string{}}
		if c.width < leastColumn {
			return showPrefixed(std)(d, subjects)
		}
		var head strings.Builder
		for i, s := range subjects {
			c.column[s] = i
			head.WriteString(fit(s, c.width) + "│")
		}
		_, _ = io.WriteString(c.w, strings.TrimSuffix(head.String(), "│")+"\n")
		return c
	}
}

// fit makes text exactly as wide as a column.
func fit(s string, width int) string {
	r := []rune(term.Clean(strings.ReplaceAll(s, "\t", "    ")))
	if len(r) > width {
		r = append(r[:width-1], '…')
	}
	return string(r) + strings.Repeat(" ", width-len(r))
}

func (c *columns) Output(key, subject string, _ bool, text string) {
	text = c.rest[key] + text
	for {
		line, rest, found := strings.Cut(text, "\n")
		if !found {
			break
		}
		c.line(subject, line)
		text = rest
	}
	c.rest[key] = text
}

func (c *columns) line(subject, text string) {
	at := c.column[subject]
	row := strings.Repeat(strings.Repeat(" ", c.width)+"│", at) + fit(strings.TrimRight(text, "\r"), c.width)
	_, _ = io.WriteString(c.w, strings.TrimRight(row, " ")+"\n")
}

func (c *columns) Ended(key, subject string) {
	if rest := c.rest[key]; rest != "" {
		c.line(subject, rest)
	}
	delete(c.rest, key)
}
