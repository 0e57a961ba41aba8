package term

import (
	"io"
	"os"

	"charm.land/lipgloss/v2"
	xterm "golang.org/x/term"
)

// Paint colours text that is printed once. Its zero value leaves text as it is.
type Paint struct{ on bool }

var (
	addedStyle   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	removedStyle = lipgloss.NewStyle().Foreground(lipgloss.Red)
	changedStyle = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	faintStyle   = lipgloss.NewStyle().Faint(true)
)

// PaintFor returns a Paint for w: one with colours where w is a terminal, unless
// NO_COLOR or CI is set or the terminal is a dumb one.
func PaintFor(w io.Writer, getenv func(string) string) Paint {
	f, ok := w.(*os.File)
	return Paint{ok && xterm.IsTerminal(int(f.Fd())) && getenv("TERM") != "dumb" && getenv("NO_COLOR") == "" && getenv("CI") == ""}
}

func (p Paint) render(s lipgloss.Style, text string) string {
	if !p.on {
		return text
	}
	return s.Render(text)
}

// Added colours what came.
func (p Paint) Added(s string) string { return p.render(addedStyle, s) }

// Removed colours what went.
func (p Paint) Removed(s string) string { return p.render(removedStyle, s) }

// Changed colours what is another now.
func (p Paint) Changed(s string) string { return p.render(changedStyle, s) }

// Faint sets back what matters less.
func (p Paint) Faint(s string) string { return p.render(faintStyle, s) }

// Bold emphasises.
func (p Paint) Bold(s string) string { return p.render(boldStyle, s) }

// SignedBytes is a difference of sizes for people: "+13.4 MiB", "-2 B", "±0 B".
func SignedBytes(n int64) string {
	switch {
	case n > 0:
		return "+" + Bytes(n)
	case n < 0:
		return "-" + Bytes(-n)
	}
	return "±0 B"
}
