// Package difftext writes differences and reasons as text for people.
package difftext

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// Depths are the parts of a difference to write.
type Depths struct {
	Manifest, Packages, Closure bool
	Brief                       bool // of packages that no manifest names, only the largest
	Paths                       bool // in the closure, every path
}

// Write writes d.
func Write(w io.Writer, d *client.Diff, depths Depths, p term.Paint) error {
	var b strings.Builder
	from := "nothing"
	if d.From != nil {
		from = term.Clean(d.FromRef) + " " + p.Faint(short(d.From.Hash))
	}
	fmt.Fprintf(&b, "%s → %s %s\n", from, term.Clean(d.ToRef), p.Faint(short(d.To.Hash)))
	if depths.Manifest {
		manifest(&b, d, p)
	}
	switch c := d.Closure; {
	case c != nil:
		if depths.Packages {
			packages(&b, c, depths.Brief, p)
		}
		if depths.Closure {
			closure(&b, c, depths.Paths, p)
		}
	case depths.Packages || depths.Closure:
		b.WriteString("\n" + p.Bold("packages and closure") + "  not known: " + term.Clean(strings.Join(d.Unbuilt, " and ")) + " must be built first (--build does it)\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func short(hash string) string { return hash[:min(len(hash), 8)] }

func manifest(b *strings.Builder, d *client.Diff, p term.Paint) {
	title(b, p, "manifest")
	if len(d.Changes) == 0 {
		b.WriteString("  no difference\n")
		return
	}
	var rows [][]cell
	for _, c := range d.Changes {
		mark, text := p.Changed("~"), term.Clean(c.From)+" → "+term.Clean(c.To)
		switch c.Op {
		case "add":
			mark, text = p.Added("+"), term.Clean(c.To)
		case "remove":
			mark, text = p.Removed("-"), term.Clean(c.From)
		}
		rows = append(rows, []cell{plain(mark, "~"), left(c.Path), left(text)})
	}
	columns(b, rows)
	for _, t := range d.Texts {
		title(b, p, term.Clean(t.Path))
		for line := range strings.Lines(t.Diff) {
			line = strings.TrimSuffix(line, "\n")
			switch text := "  " + term.Clean(line); {
			case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
			case strings.HasPrefix(line, "+"):
				b.WriteString(p.Added(text) + "\n")
			case strings.HasPrefix(line, "-"):
				b.WriteString(p.Removed(text) + "\n")
			default:
				b.WriteString(text + "\n")
			}
		}
	}
}

// kinds are how the kinds of change are marked and counted, in this order.
var kinds = []struct {
	kind, mark string
	paint      func(term.Paint, string) string
}{
	{"upgraded", "↑", term.Paint.Changed},
	{"downgraded", "↓", term.Paint.Changed},
	{"added", "+", term.Paint.Added},
	{"removed", "-", term.Paint.Removed},
	{"rebuilt", "·", term.Paint.Faint},
}

func mark(kind string, p term.Paint) cell {
	for _, k := range kinds {
		if k.kind == kind {
			return plain(k.paint(p, k.mark), k.mark)
		}
	}
	return left("?")
}

// brief is how many packages that no manifest names are shown at most, where it
// shall be short.
const brief = 8

// shownPackages returns the packages to show, by their place in the list.
func shownPackages(c *client.ClosureDiff, short bool) map[int]bool {
	shown := map[int]bool{}
	var others []int
	for i, x := range c.Packages {
		if shown[i] = x.Asked || !short; !shown[i] {
			others = append(others, i)
		}
	}
	growth := func(i int) int64 { return abs(c.Packages[i].ToSize - c.Packages[i].FromSize) }
	slices.SortStableFunc(others, func(i, j int) int { return cmp.Compare(growth(j), growth(i)) })
	for n, i := range others {
		shown[i] = n < brief
	}
	return shown
}

func packages(b *strings.Builder, c *client.ClosureDiff, short bool, p term.Paint) {
	title(b, p, "packages")
	var counts []string
	for _, k := range kinds {
		n := 0
		for _, x := range c.Packages {
			if string(x.Kind) == k.kind {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, k.kind))
		}
	}
	if len(counts) == 0 {
		b.WriteString("  no difference\n")
		return
	}
	var rows [][]cell
	shown := shownPackages(c, short)
	for _, k := range kinds {
		for i, x := range c.Packages {
			if string(x.Kind) != k.kind || !shown[i] {
				continue
			}
			name := left(x.Name)
			if x.Asked {
				name = plain(p.Bold(term.Clean(x.Name)), term.Clean(x.Name))
			}
			rows = append(rows, []cell{mark(k.kind, p), name, left(versions(x)), size(x.ToSize-x.FromSize, p)})
		}
	}
	columns(b, rows)
	total := strings.Join(counts, ", ")
	if left := len(c.Packages) - len(rows); left > 0 {
		total += fmt.Sprintf("; %d of them not shown (--packages)", left)
	}
	b.WriteString("  " + p.Faint(total) + "\n")
}

func versions(x client.PackageDiff) string {
	from, to := join(x.From), join(x.To)
	switch {
	case len(x.From) == 0:
		return to
	case len(x.To) == 0, from == to:
		return from
	}
	return from + " → " + to
}

// join writes the versions that a closure has of one package; a path without a
// version has none to show.
func join(vs []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(vs), func(v string) bool { return v == "" }), ", ")
}

func closure(b *strings.Builder, c *client.ClosureDiff, all bool, p term.Paint) {
	title(b, p, "closure")
	if len(c.Paths) == 0 {
		fmt.Fprintf(b, "  no difference: %d paths, %s\n", c.To.Paths, term.Bytes(c.To.Size))
		return
	}
	fmt.Fprintf(b, "  %d → %d paths, %s → %s: %s\n", c.From.Paths, c.To.Paths, term.Bytes(c.From.Size), term.Bytes(c.To.Size),
		size(c.Growth, p).shown)
	var rows [][]cell
	for _, x := range c.Causes {
		if x.Growth == 0 {
			continue
		}
		who := "the environment itself"
		if len(x.Roots) > 0 {
			who = strings.Join(x.Roots, ", ")
			if len(x.Roots) > 3 {
				who = fmt.Sprintf("%s and %d more", strings.Join(x.Roots[:2], ", "), len(x.Roots)-2)
			}
		}
		rows = append(rows, []cell{size(x.Growth, p), left(who), plain(p.Faint(because(c, x)), because(c, x))})
	}
	columns(b, rows)
	if !all {
		return
	}
	b.WriteString("\n")
	rows = nil
	for _, x := range c.Paths {
		version := x.ToVersion
		if x.To == "" {
			version = x.FromVersion
		} else if x.From != "" && x.FromVersion != x.ToVersion {
			version = x.FromVersion + " → " + x.ToVersion
		}
		rows = append(rows, []cell{mark(string(x.Kind), p), left(x.Name), left(version), right(term.Bytes(max(x.FromSize, x.ToSize))), size(x.Growth, p), left(strings.Join(x.Via, ", "))})
	}
	columns(b, rows)
}

// because names the paths that a cause is mostly about.
func because(c *client.ClosureDiff, x client.DiffCause) string {
	ps := slices.Clone(x.Paths)
	slices.SortStableFunc(ps, func(i, j int) int { return cmp.Compare(abs(c.Paths[j].Growth), abs(c.Paths[i].Growth)) })
	const most = 3
	var parts []string
	for _, i := range ps[:min(len(ps), most)] {
		path := c.Paths[i]
		parts = append(parts, term.Clean(path.Name)+" "+term.SignedBytes(path.Growth))
	}
	if len(ps) > most {
		parts = append(parts, fmt.Sprintf("%d more", len(ps)-most))
	}
	return strings.Join(parts, ", ")
}

func abs(n int64) int64 { return max(n, -n) }

func title(b *strings.Builder, p term.Paint, text string) { b.WriteString("\n" + p.Bold(text) + "\n") }

// cell is a text as it is shown, and how wide it is.
type cell struct {
	shown string
	width int
	right bool
}

func left(s string) cell {
	s = term.Clean(s)
	return cell{shown: s, width: utf8.RuneCountInString(s)}
}

func right(s string) cell {
	c := left(s)
	c.right = true
	return c
}

// plain is a painted text with the text that it is without paint.
func plain(painted, text string) cell {
	return cell{shown: painted, width: utf8.RuneCountInString(text)}
}

// size is a difference of sizes, in the colour that says which way it went.
func size(n int64, p term.Paint) cell {
	text := term.SignedBytes(n)
	c := cell{shown: text, width: utf8.RuneCountInString(text), right: true}
	switch {
	case n == 0:
		c.shown = p.Faint(text)
	case n > 0:
		c.shown = p.Added(text)
	case n < 0:
		c.shown = p.Removed(text)
	}
	return c
}

// columns writes rows of cells below each other.
func columns(b *strings.Builder, rows [][]cell) {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], c.width)
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-c.width)
			line.WriteString("  ")
			if c.right {
				line.WriteString(pad + c.shown)
			} else {
				line.WriteString(c.shown + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
