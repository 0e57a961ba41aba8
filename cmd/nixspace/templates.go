package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type templatesCmd struct{}

// Help says more than one line about the verb.
func (*templatesCmd) Help() string {
	return "A template is a project to begin with: a manifest, a small program and its tests.\n\nExample: nixspace create shop --template node-postgres"
}

// Run lists the templates.
func (c *templatesCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	ts, err := api.Templates(ctx)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, ts)
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TEMPLATE\tWHAT IT IS")
	for _, t := range ts {
		fmt.Fprintf(w, "%s\t%s\n", term.Clean(t.Name), term.Clean(t.Description))
	}
	return w.Flush()
}
