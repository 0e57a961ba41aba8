package main

import (
	"context"
	"fmt"
	"io"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/manifest"
)

type flakeCmd struct {
	Show   flakeShowCmd   `cmd:"" help:"Show the flake of an environment, or one of its files."`
	Set    flakeSetCmd    `cmd:"" help:"Replace the texts of an environment's flake."`
	Update flakeUpdateCmd `cmd:"" help:"Lock the inputs of an environment's flake anew."`
}

// Help says more than one line about the verb.
func (*flakeCmd) Help() string {
	return "A flake that you bring is made an environment with nixspace create NAME --flake DIR."
}

// userFlake returns the flake of an environment, and its version's hash.
func userFlake(ctx context.Context, api *client.Client, ref string) (*client.UserFlake, string, error) {
	f, hash, err := api.UserFlake(ctx, ref)
	if err == nil && f == nil {
		err = nixspace.Errorf(nixspace.KindNotFound, "flake_none", "%s is not made of a flake that somebody brought", ref).
			WithHint("see what its nixspace.toml renders with: nixspace show %s --flake", ref)
	}
	return f, hash, err
}

type flakeShowCmd struct {
	Ref  string `arg:"" help:"The environment or version."`
	File string `arg:"" optional:"" help:"One of its files, to print and nothing else."`
}

// Run shows a flake.
func (c *flakeShowCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	f, _, err := userFlake(ctx, api, c.Ref)
	if err != nil {
		return err
	}
	if c.File != "" {
		text, ok := f.Texts()[c.File]
		if !ok {
			return nixspace.Errorf(nixspace.KindNotFound, "file_unknown", "the flake has no file %s", c.File).
				WithHint("list its files with: nixspace flake show %s", c.Ref)
		}
		_, err := io.WriteString(std.Out, text)
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"flake": f})
	}
	fmt.Fprintf(std.Out, "output    %s\n", term.Clean(f.Attr))
	for _, o := range f.Overrides {
		fmt.Fprintf(std.Out, "input     %s is the %s\n", term.Clean(o.Input), term.Clean(o.By))
	}
	for _, file := range f.Files {
		fmt.Fprintf(std.Out, "file      %s  %d bytes\n", term.Clean(file.Path), len(file.Text))
	}
	for _, p := range f.Packages {
		fmt.Fprintf(std.Out, "package   %s %s\n", term.Clean(p.Name), term.Clean(p.Version))
	}
	for _, v := range f.Env {
		fmt.Fprintf(std.Out, "variable  %s=%s\n", term.Clean(v.Name), term.Clean(v.Value))
	}
	for _, name := range f.Skipped {
		fmt.Fprintf(std.Out, "left out  %s\n", term.Clean(name))
	}
	return nil
}

type flakeSetCmd struct {
	Ref  string `arg:"" help:"The environment."`
	Path string `arg:"" type:"path" help:"The flake's folder, or its flake.nix."`
	flakeFlags
	OverrideInput []string `sep:"none" placeholder:"NAME=catalog" help:"Use the catalog in place of an input."`
	changeFlags
}

// Help says more than one line about the verb.
func (*flakeSetCmd) Help() string {
	return "What the folder has becomes a new version; files that it does not have any more go. A flake.nix alone leaves the other files as they are. The change fails where somebody else changed the environment meanwhile, unless --rebase merges the two.\n\nExample: nixspace flake set shop ."
}

// Run makes a version with other texts.
func (c *flakeSetCmd) Run(ctx context.Context, g *globals, std streams) error {
	files, err := c.read(c.Path)
	if err != nil {
		return err
	}
	edits, err := overrideEdits(c.OverrideInput)
	if err != nil {
		return err
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	f, head, err := userFlake(ctx, api, c.Ref)
	if err != nil {
		return err
	}
	from := f.Texts()
	if isFile(c.Path) {
		for name, text := range from {
			if _, ok := files[name]; !ok {
				files[name] = text
			}
		}
	}
	if c.Onto == "" {
		c.Onto = head // what was compared with
	}
	edits = append(edits, flakeEdits(from, files)...)
	if len(edits) == 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "nothing_changed", "%s is already so", c.Ref)
	}
	return c.change(ctx, g, std, c.Ref, edits)
}

type flakeUpdateCmd struct {
	Ref string `arg:"" help:"The environment."`
	changeFlags
}

// Run makes a version whose inputs are locked as they are today.
func (c *flakeUpdateCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.Message == "" {
		c.Message = "Lock the flake's inputs anew"
	}
	return c.change(ctx, g, std, c.Ref, []client.Edit{{Op: "REMOVE", Key: manifest.FilePath("flake.lock")}})
}
