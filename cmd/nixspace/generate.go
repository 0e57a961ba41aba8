package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/foreign"
	"github.com/nixspace/nixspace/env/manifest"
)

type generateCmd struct {
	Format string `arg:"" enum:"devcontainer,dockerfile,direnv" help:"What to write: ${enum}."`
	What   string `arg:"" optional:"" default:"." help:"A folder with a nixspace.toml (., ./shop, /src/shop), or an environment or version."`
	Output string `short:"o" type:"path" placeholder:"DIR" help:"Where to write; the folder itself, or for an environment the current one."`
	DryRun bool   `help:"Write no file; print them."`
	Force  bool   `help:"Replace files that are there and say something else."`
}

// Help says more than one line about the verb.
func (*generateCmd) Help() string {
	return "What the format cannot have is said. A Dev Container has services beside it, under the addresses that they have in a session; " +
		"direnv gets the flake of an environment.\n\nExamples: nixspace generate devcontainer; nixspace generate dockerfile shop -o build; nixspace generate direnv shop"
}

// Run writes an environment in the format of another tool.
func (c *generateCmd) Run(ctx context.Context, g *globals, std streams) error {
	e, files, err := c.environment(ctx, g)
	if err != nil {
		return err
	}
	var x foreign.Export
	switch c.Format {
	case "devcontainer":
		x = foreign.DevContainer(e)
	case "dockerfile":
		x = foreign.Dockerfile(e)
	case "direnv":
		x = foreign.Direnv(e)
		x.Files = append(x.Files, files...)
	}
	dir := c.Output
	if dir == "" && isFolder(c.What) {
		dir = c.What
	}
	if !c.DryRun {
		if err := c.write(dir, x.Files); err != nil {
			return err
		}
	}
	if g.JSON {
		if x.Left == nil {
			x.Left = []string{}
		}
		return printJSON(std.Out, map[string]any{"export": x, "written": !c.DryRun})
	}
	for _, f := range x.Files {
		if c.DryRun {
			fmt.Fprintf(std.Out, "==> %s\n%s\n", f.Path, f.Text)
			continue
		}
		fmt.Fprintln(std.Out, filepath.Join(dir, f.Path))
	}
	for _, l := range x.Left {
		fmt.Fprintln(std.Err, "left out:", term.Clean(l))
	}
	return nil
}

// environment is what is to be written, and what else belongs to it.
func (c *generateCmd) environment(ctx context.Context, g *globals) (e foreign.Environment, files []foreign.File, err error) {
	if !isFolder(c.What) {
		return c.remote(ctx, g)
	}
	_, m, err := readManifest(c.What)
	if err != nil {
		return e, nil, err
	}
	r, _, err := g.resolveDir(ctx, m)
	if err != nil {
		return e, nil, err
	}
	if e.Name, err = sourceName(c.What); err != nil {
		return e, nil, err
	}
	e.Manifest = m
	for _, p := range r.Packages {
		e.Packages = append(e.Packages, foreign.Package{Family: p.Family, Version: p.Version, Constraint: p.Constraint})
	}
	_, err = os.Stat(filepath.Join(c.What, "flake.nix"))
	e.Flake = err == nil
	return e, nil, nil
}

// remote is a version of an environment, with its flake.
func (c *generateCmd) remote(ctx context.Context, g *globals) (e foreign.Environment, files []foreign.File, err error) {
	api, err := g.connect()
	if err != nil {
		return e, nil, err
	}
	defer api.Close()
	v, err := api.Version(ctx, c.What)
	if err != nil {
		return e, nil, err
	}
	if e.Manifest, err = manifest.Parse(manifest.FileName, []byte(v.Manifest)); err != nil {
		return e, nil, err
	}
	offers, err := api.Packages(ctx, "", 500)
	if err != nil {
		return e, nil, err
	}
	families := map[string]string{}
	for _, p := range offers {
		families[p.Attr] = p.Family
	}
	for _, p := range v.Packages {
		family := families[p.Attr]
		if family == "" {
			family = p.Name // the source has it no longer
		}
		e.Packages = append(e.Packages, foreign.Package{Family: family, Version: p.Version, Constraint: e.Manifest.Packages[p.Name]})
	}
	e.Name = c.What
	if v.Environment != nil {
		e.Name = v.Environment.Ref
	}
	e.Flake = v.Flake != ""
	files, err = flakeOf(ctx, api, c.What, v)
	return e, files, err
}

// write writes files below a folder. All are looked at before the first is written.
func (c *generateCmd) write(dir string, files []foreign.File) error {
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		old, err := os.ReadFile(name)
		if err == nil && string(old) != f.Text && !c.Force {
			return nixspace.Errorf(nixspace.KindExists, "file_exists", "%s is there already, and says something else", name).
				WithHint("see what would be written with --dry-run, or replace it with --force")
		}
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return cannotWrite(name, err)
		}
		if err := writeText(name, f.Text); err != nil {
			return err
		}
	}
	return nil
}
