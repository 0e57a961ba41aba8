package main

import (
	"context"
	"strings"

	"github.com/nixspace/nixspace"
)

type blameCmd struct {
	Ref string `arg:"" help:"An environment or version."`
	Key string `arg:"" optional:"" help:"Only this package or setting: postgresql, env.NODE_ENV."`
}

// Run prints which version brought each thing of a manifest.
func (c *blameCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	lines, err := api.Blame(ctx, c.Ref)
	if err != nil {
		return err
	}
	if c.Key != "" {
		kept := lines[:0]
		for _, l := range lines {
			if l.Path == c.Key || l.Path == "packages."+c.Key || strings.HasPrefix(l.Path, c.Key+".") {
				kept = append(kept, l)
			}
		}
		if lines = kept; len(lines) == 0 {
			return nixspace.Errorf(nixspace.KindNotFound, "key_unknown", "the manifest of %s does not have %s", c.Ref, c.Key).
				WithHint("nixspace blame %s shows what it has", c.Ref)
		}
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"blame": lines})
	}
	rows := make([][]string, len(lines))
	for i, l := range lines {
		message, _, _ := strings.Cut(l.Version.Message, "\n")
		rows[i] = []string{short(l.Version.Hash), ago(l.Version.CreatedAt), l.Version.Author, l.Path, oneLine(l.Value), message}
	}
	return table(std.Out, []string{"VERSION", "WHEN", "BY", "KEY", "VALUE", "WHY"}, rows)
}

// oneLine shortens a value to what a table has room for.
func oneLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if r := []rune(line); len(r) > 40 {
		line, more = string(r[:40]), true
	}
	if more {
		line += "…"
	}
	return line
}
