package difftext

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// WriteWhy writes the reasons as trees.
func WriteWhy(w io.Writer, rs *client.Reasons, p term.Paint) error {
	var b strings.Builder
	for i, r := range rs.Reasons {
		if i > 0 {
			b.WriteString("\n")
		}
		tree(&b, r, p)
		name := strings.TrimSpace(r.Name + " " + r.Version)
		fmt.Fprintf(&b, "%s\n%s\n", term.Clean(r.Path), p.Faint(fmt.Sprintf("%s needs %d paths, itself included: %s", term.Clean(name), r.Paths, term.Bytes(r.ClosureSize))))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func tree(b *strings.Builder, r client.Reason, p term.Paint) {
	names := make([]string, len(r.Steps))
	lines := make([]string, len(r.Steps))
	width := 0
	for i, s := range r.Steps {
		names[i] = term.Clean(strings.TrimSpace(s.Name + " " + s.Version))
		lines[i] = indent(r.Steps, i) + names[i]
		width = max(width, utf8.RuneCountInString(lines[i]))
	}
	for i, s := range r.Steps {
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(lines[i]))
		note := fmt.Sprintf("%10s", term.Bytes(s.Size))
		if s.Repeated {
			note = "     above"
		}
		line := lines[i]
		if s.Target {
			line = strings.TrimSuffix(line, names[i]) + p.Bold(names[i])
		}
		fmt.Fprintf(b, "%s%s  %s\n", line, pad, p.Faint(note))
	}
	if r.Truncated {
		b.WriteString("… and more\n")
	}
}

// indent draws the branches before a line of a tree.
func indent(steps []client.ReasonStep, i int) string {
	depth := steps[i].Depth
	if depth == 0 {
		return ""
	}
	parts := make([]string, depth)
	for d := 1; d <= depth; d++ {
		more := false // whether another line follows in this branch at depth d
		for _, s := range steps[i+1:] {
			if s.Depth < d {
				break
			}
			if s.Depth == d {
				more = true
				break
			}
		}
		switch {
		case d == depth && more:
			parts[d-1] = "├─ "
		case d == depth:
			parts[d-1] = "└─ "
		case more:
			parts[d-1] = "│  "
		default:
			parts[d-1] = "   "
		}
	}
	return strings.Join(parts, "")
}
