package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type templatesCmd struct {
	List templatesListCmd `cmd:"" default:"1" help:"List the projects to begin with."`
	Save templatesSaveCmd `cmd:"" help:"Make a template of an environment: the project's code, with its manifest."`
	Rm   templatesRmCmd   `cmd:"" help:"Delete a template that somebody saved."`
}

// Help says more than one line about the verb.
func (*templatesCmd) Help() string {
	return "A template is a project to begin with: a manifest, and mostly a small program with its tests.\n\n" +
		"Examples: nixspace create shop --template node-postgres; nixspace templates save our-web shop/main"
}

type templatesListCmd struct{}

// Run lists the templates.
func (c *templatesListCmd) Run(ctx context.Context, g *globals, std streams) error {
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
	fmt.Fprintln(w, "TEMPLATE\tWHAT IT IS\tSAVED FROM")
	for _, t := range ts {
		fmt.Fprintf(w, "%s\t%s\t%s\n", term.Clean(t.Name), term.Clean(t.Description), term.Clean(t.From))
	}
	return w.Flush()
}

type templatesSaveCmd struct {
	Name        string `arg:"" help:"The template's name."`
	Ref         string `arg:"" help:"The environment or version."`
	Description string `short:"m" placeholder:"TEXT" help:"What it is, in one line."`
}

// Run saves a template.
func (c *templatesSaveCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	t, err := api.SaveTemplate(ctx, c.Name, c.Ref, c.Description)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, t)
	}
	_, err = fmt.Fprintf(std.Out, "template %s, of %s: nixspace create NAME --template %[1]s\n", term.Clean(t.Name), term.Clean(t.From))
	return err
}

type templatesRmCmd struct {
	Name string `arg:"" help:"The template."`
}

// Run deletes a template.
func (c *templatesRmCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	t, err := api.DeleteTemplate(ctx, c.Name)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, t)
	}
	_, err = fmt.Fprintf(std.Out, "deleted the template %s\n", term.Clean(t.Name))
	return err
}
