package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type tagCmd struct {
	Version string `arg:"" optional:"" help:"The version to name. Without one, the tags are listed."`
	Name    string `arg:"" optional:"" help:"The name."`
	Message string `short:"m" help:"Say why."`
	Force   bool   `short:"f" help:"Take the name from the version that has it."`
	Project string `placeholder:"PROJECT" help:"List only tags of this project."`
}

// Help says more than one line about the verb.
func (*tagCmd) Help() string {
	return "Examples:\n  nixspace tag shop v1\n  nixspace tag shop~3 before-the-upgrade\n  nixspace tag"
}

// Run names a version, or lists tags.
func (c *tagCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.Version != "" && c.Name == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "a name for %s is missing", c.Version).WithHint("nixspace tag %s NAME", c.Version)
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if c.Version == "" {
		tags, err := api.Tags(ctx, c.Project)
		if err != nil {
			return err
		}
		return printTags(g, std, tags)
	}
	t, err := api.CreateTag(ctx, c.Name, c.Version, c.Message, c.Force)
	if err != nil {
		return err
	}
	return printTag(g, std, t, "is")
}

func printTags(g *globals, std streams, tags []client.Tag) error {
	if g.JSON {
		return printJSON(std.Out, map[string]any{"tags": tags})
	}
	rows := make([][]string, len(tags))
	for i, t := range tags {
		why := t.Message
		if why == "" {
			why = t.Version.Message
		}
		rows[i] = []string{t.Ref, short(t.Version.Hash), ago(t.CreatedAt), t.Author, oneLine(why)}
	}
	return table(std.Out, []string{"TAG", "VERSION", "SINCE", "BY", "WHY"}, rows)
}

func printTag(g *globals, std streams, t *client.Tag, verb string) error {
	if g.JSON {
		return printJSON(std.Out, map[string]any{"tag": t})
	}
	fmt.Fprintf(std.Out, "tag %s %s version %s\n", t.Ref, verb, short(t.Version.Hash))
	return nil
}

type untagCmd struct {
	Tags []string `arg:"" name:"tag" help:"The tags."`
}

// Run takes tags away. Their versions stay.
func (c *untagCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	for _, ref := range c.Tags {
		t, err := api.DeleteTag(ctx, ref)
		if err != nil {
			return err
		}
		if err := printTag(g, std, t, "was"); err != nil {
			return err
		}
	}
	return nil
}
