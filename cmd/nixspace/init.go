package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
	"github.com/nixspace/nixspace/nix/catalog"
)

type initCmd struct {
	Dir    string   `arg:"" optional:"" default:"." help:"The folder with the code."`
	Set    []string `sep:"none" placeholder:"KEY=VALUE" help:"Decide something yourself: a package's version, or any key of the manifest."`
	Remove []string `sep:"none" placeholder:"PACKAGE" help:"Leave a package out, or any key of the manifest."`
	DryRun bool     `help:"Write no file; print the manifest."`
	Force  bool     `help:"Replace a nixspace.toml that is there."`
}

// Help says more than one line about the verb.
func (*initCmd) Help() string {
	return "It reads the files that say for other tools what the code needs (versions, dependencies, compose.yaml, …) and writes a nixspace.toml " +
		"that has the same, each choice with its reason. It asks a server for what there is when one runs, and else takes the catalog of this program.\n\n" +
		"Examples: nixspace init; nixspace init shop --dry-run; nixspace init --set nodejs=22 --remove services.redis"
}

// Run writes a manifest for a folder.
func (c *initCmd) Run(ctx context.Context, g *globals, std streams) error {
	file := filepath.Join(c.Dir, manifest.FileName)
	if _, err := os.Lstat(file); err == nil && !c.Force && !c.DryRun {
		return nixspace.Errorf(nixspace.KindExists, "file_exists", "%s is there already", file).
			WithHint("see what would be written with --dry-run, or replace it with --force")
	}
	report, err := detectDir(c.Dir)
	if err != nil {
		return err
	}
	offers, err := g.offers(ctx)
	if err != nil {
		return err
	}
	name, err := sourceName(c.Dir)
	if err != nil {
		return err
	}
	options, edits, err := c.decided(name)
	if err != nil {
		return err
	}
	p, err := plan.Make(report, offers, options)
	if err != nil {
		return err
	}
	if p.Text, err = manifest.Apply(p.Text, edits); err != nil {
		return err
	}
	if !c.DryRun {
		if err := writeText(file, p.Text); err != nil {
			return err
		}
	}
	switch {
	case g.JSON:
		return printJSON(std.Out, map[string]any{"file": file, "written": !c.DryRun, "plan": p})
	case c.DryRun:
		printPlan(std.Err, p)
		_, err = io.WriteString(std.Out, p.Text)
		return err
	}
	printPlan(std.Out, p)
	_, err = fmt.Fprintf(std.Out, "%s\n", file)
	return err
}

// decided sorts what somebody decided into packages, which the plan is made with,
// and other keys, which are edited in its text.
func (c *initCmd) decided(name string) (plan.Options, []manifest.Edit, error) {
	o := plan.Options{Name: name, Packages: map[string]string{}}
	set, err1 := setEdits(c.Set)
	remove, err2 := removeEdits(c.Remove)
	if err := cmp.Or(err1, err2); err != nil {
		return o, nil, err
	}
	var rest []client.Edit
	for _, e := range append(set, remove...) {
		key, isPackage := strings.TrimPrefix(e.Key, "packages."), strings.HasPrefix(e.Key, "packages.") || !strings.Contains(e.Key, ".")
		switch {
		case isPackage && e.Op == "SET":
			o.Packages[key] = cmp.Or(e.Value, "*")
		case isPackage && e.Op == "REMOVE":
			o.Without = append(o.Without, key)
		default:
			rest = append(rest, e)
		}
	}
	return o, manifestEdits(rest), nil
}

func manifestEdits(edits []client.Edit) []manifest.Edit {
	out := make([]manifest.Edit, len(edits))
	for i, e := range edits {
		out[i] = manifest.Edit{Op: nixspace.ChangeOp(strings.ToLower(e.Op)), Key: e.Key, Value: e.Value}
	}
	return out
}

// detectDir says what the code in a folder needs. Nothing outside of the folder is
// read, wherever its links go.
func detectDir(dir string) (stack.Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return stack.Report{}, unreadable(dir, err)
	}
	defer root.Close()
	if info, err := root.Stat("."); err == nil && !info.IsDir() {
		return stack.Report{}, unreadable(dir, errors.New("it is no folder"))
	}
	return stack.Detect(root.FS())
}

func unreadable(dir string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return nixspace.Errorf(nixspace.KindInvalid, "folder_unreadable", "the folder %s cannot be read: %w", dir, err)
}

// offers are the packages that a server has, where one runs, and else those of the
// catalog in this program.
func (g *globals) offers(ctx context.Context) ([]nixspace.Package, error) {
	api, err := g.connect()
	if err != nil {
		if g.URL != "" || nixspace.ErrorCode(err) != "server_not_running" {
			return nil, err
		}
		return catalog.Listed()
	}
	defer api.Close()
	ps, err := api.Packages(ctx, "", 500)
	if err != nil {
		return nil, err
	}
	out := make([]nixspace.Package, len(ps))
	for i, p := range ps {
		out[i] = nixspace.Package{Attr: p.Attr, Family: p.Family, Version: p.Version, Default: p.Default, Description: p.Description}
	}
	return out, nil
}

// writeText writes a file as a whole: a reader sees the old text or the new one.
func writeText(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".nixspace-*")
	if err != nil {
		return cannotWrite(name, err)
	}
	defer func() {
		_ = f.Close()           // closed before, where it counts
		_ = os.Remove(f.Name()) // gone already when all went well
	}()
	if _, err := io.WriteString(f, text); err != nil {
		return cannotWrite(name, err)
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return cannotWrite(name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return cannotWrite(name, err)
	}
	return nil
}

// printPlan prints what was chosen and why, what was decided, and what there is
// not.
func printPlan(w io.Writer, p *plan.Plan) {
	paint := term.PaintFor(w, os.Getenv)
	names := make([]string, len(p.Choices))
	width := 0
	for i, c := range p.Choices {
		kind, name, _ := strings.Cut(c.Path, ".")
		switch kind {
		case "packages":
			names[i] = name + " " + c.Value
		case "services":
			names[i] = "service " + name
		case "ports":
			names[i] = "port " + c.Value
		default:
			names[i] = "script " + name
		}
		names[i] = term.Clean(names[i])
		width = max(width, min(len(names[i]), 24))
	}
	for i, c := range p.Choices {
		fmt.Fprintf(w, "  %-*s  %s\n", width, names[i], paint.Faint(term.Clean(plain(c.Reason))))
	}
	for _, d := range p.Defined {
		fmt.Fprintf(w, "  %s\n", term.Clean(fmt.Sprintf("there is a %s, too: %s", d.Tool, d.File)))
	}
	for _, c := range p.Conflicts {
		fmt.Fprintf(w, "%s %s\n", paint.Changed("conflict:"), term.Clean(plain(c.String())))
	}
	for _, l := range p.Lacks {
		fmt.Fprintf(w, "%s %s\n", paint.Removed("missing:"), term.Clean(plain(l.String())))
	}
	for _, n := range p.Notes {
		fmt.Fprintf(w, "%s %s\n", paint.Changed("note:"), term.Clean(plain(n)))
	}
	if len(p.Choices)+len(p.Lacks) == 0 {
		fmt.Fprintln(w, "no file says what the code needs; name packages with nixspace init --set, or write them into the manifest")
	}
}

// plain is a reason without the marks that names of files have in Markdown.
func plain(s string) string { return strings.ReplaceAll(s, "`", "") }
