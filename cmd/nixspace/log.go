package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/history"
)

type logCmd struct {
	Refs    []string `arg:"" optional:"" name:"ref" help:"Where to begin: environments, tags or versions. Without any, every environment."`
	Graph   bool     `help:"Draw how versions hang together."`
	Oneline bool     `help:"One line for each version."`
	Number  int      `short:"n" default:"0" placeholder:"N" help:"Print so many versions at most."`
	Project string   `placeholder:"PROJECT" help:"Without references: only environments of this project."`
}

// Help says more than one line about the verb.
func (*logCmd) Help() string {
	return "A reference is an environment, a tag or at least 6 digits of a hash, and what git has for the rest: shop~2 is the version before the one before, shop^2 the one that was merged, shop@{1} where shop was before it last moved, shop@{yesterday} or shop@{2026-11-01} where it was then (UTC).\n\nExample: nixspace log shop pg13 --graph --oneline"
}

// Run prints versions, newest first.
func (c *logCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if g.JSON {
		entries := []client.LogEntry{}
		err := api.Log(ctx, c.Project, c.Refs, c.Number, func(e client.LogEntry) error {
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			return err
		}
		return printJSON(std.Out, map[string]any{"log": entries})
	}
	p := &logPrinter{w: std.Out, oneline: c.Oneline}
	if c.Graph {
		p.drawing = &history.Drawing{}
	}
	return api.Log(ctx, c.Project, c.Refs, c.Number, p.print)
}

// logPrinter prints entries as they come.
type logPrinter struct {
	w       io.Writer
	oneline bool
	drawing *history.Drawing // nil without a graph
}

func (p *logPrinter) print(e client.LogEntry) error {
	mark, rest, below := "", "", []string(nil)
	if p.drawing != nil {
		mark, rest, below = p.drawing.Add(e.Hash, e.Parents)
	}
	lines := logLines(e, p.oneline)
	var b strings.Builder
	for i, line := range lines {
		prefix := rest
		if i == 0 {
			prefix = mark
		}
		b.WriteString(strings.TrimRight(prefix+term.Clean(line), " ") + "\n")
	}
	for _, row := range below {
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

func logLines(e client.LogEntry, oneline bool) []string {
	names := ""
	at := slices.Clone(e.Environments)
	for _, name := range e.Tags {
		at = append(at, "tag: "+name)
	}
	if len(at) > 0 {
		names = "  (" + strings.Join(at, ", ") + ")"
	}
	message := strings.Split(strings.TrimRight(e.Message, "\n"), "\n")
	if oneline {
		return []string{short(e.Hash) + names + "  " + message[0]}
	}
	lines := []string{
		"version " + short(e.Hash) + names,
		fmt.Sprintf("%s, %s", e.Author, e.CreatedAt.Local().Format("2006-01-02 15:04:05")),
	}
	if len(e.Parents) > 1 {
		lines = append(lines, "merge of "+short(e.Parents[0])+" and "+short(e.Parents[1]))
	}
	for _, m := range message {
		lines = append(lines, "    "+m)
	}
	for _, ch := range e.Changes {
		lines = append(lines, "  "+changeLine(ch))
	}
	return append(lines, "")
}
