package exptext

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// table is rows under a title. Values are as programs want them and as people do.
type table struct {
	title     string
	header    []string
	rows      [][]string
	raw       [][]string // for CSV; rows when nil
	rawHeader []string
}

func (t table) text(w io.Writer) error {
	if t.title != "" {
		fmt.Fprintln(w, term.Clean(t.title))
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(t.header, "\t"))
	for _, r := range t.rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = term.Clean(c)
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return tw.Flush()
}

func (t table) csv(w io.Writer) error {
	c := csv.NewWriter(w)
	header, rows := t.header, t.rows
	if t.raw != nil {
		header, rows = t.rawHeader, t.raw
	}
	_ = c.Write(header)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, cell := range r {
			// A spreadsheet takes what begins so for a formula.
			if cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) {
				if _, err := strconv.ParseFloat(cell, 64); err != nil {
					cell = "'" + cell
				}
			}
			cells[i] = cell
		}
		_ = c.Write(cells)
	}
	c.Flush()
	return c.Error()
}

var markdownEscape = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`)

func (t table) markdown(w io.Writer) error {
	line := func(cells []string) {
		out := make([]string, len(cells))
		for i, c := range cells {
			out[i] = markdownEscape.Replace(term.Clean(c))
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(out, " | "))
	}
	if t.title != "" {
		fmt.Fprintf(w, "**%s**\n\n", markdownEscape.Replace(term.Clean(t.title)))
	}
	line(t.header)
	fmt.Fprintf(w, "|%s\n", strings.Repeat(" --- |", len(t.header)))
	for _, r := range t.rows {
		line(r)
	}
	return nil
}

// Value writes a measurement with its unit, for people.
func Value(v float64, unit string) string {
	switch unit {
	case "s":
		switch a := math.Abs(v); {
		case a == 0:
			return "0 s"
		case a < 1e-3:
			return fmt.Sprintf("%.1f µs", v*1e6)
		case a < 1:
			return fmt.Sprintf("%.1f ms", v*1e3)
		case a < 100:
			return fmt.Sprintf("%.3f s", v)
		}
		return time.Duration(v * 1e9).Round(100 * time.Millisecond).String()
	case "B":
		return term.Bytes(int64(v))
	case "":
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	return strconv.FormatFloat(v, 'g', 6, 64) + " " + unit
}
