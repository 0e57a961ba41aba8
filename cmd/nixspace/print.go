package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// printJSON writes v, indented, on w.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table writes rows in columns. What a cell shows may come from anywhere.
func table(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(header, "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = term.Clean(r[i])
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	return tw.Flush()
}

// short is the beginning of a hash.
func short(hash string) string { return hash[:min(len(hash), 12)] }

// firstLine is the beginning of what may have many lines.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// ago is how long ago t was, for people.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours())/24)
}

func packageList(ps []client.ResolvedPackage) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.Name + " " + p.Version
	}
	return strings.Join(names, ", ")
}

// changeLine is a change as people read it.
func changeLine(c client.Change) string {
	switch c.Op {
	case "add":
		return fmt.Sprintf("+ %s %s", c.Path, c.To)
	case "remove":
		return fmt.Sprintf("- %s %s", c.Path, c.From)
	}
	return fmt.Sprintf("~ %s %s → %s", c.Path, c.From, c.To)
}
