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
	"slices"
	"strings"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/bundle"
	"github.com/nixspace/nixspace/env/foreign"
	"github.com/nixspace/nixspace/env/manifest"
)

type exportCmd struct {
	Ref     string `arg:"" help:"The environment or version."`
	Output  string `short:"o" type:"path" placeholder:"FILE" help:"Where to write it; - for standard output, which is also the default where that is no terminal."`
	Closure bool   `help:"Also what it needs to run: the file is then enough for a machine without network."`
	History int    `placeholder:"N" help:"Only the newest N versions. Whoever imports it must have the others."`
	NoCode  bool   `help:"Leave the project's code out."`
	Flake   string `type:"path" placeholder:"DIR" xor:"what" help:"Instead, write flake.nix, flake.lock and nixspace.toml into a directory, for plain Nix."`
}

// Help says more than one line about the verb.
func (*exportCmd) Help() string {
	return "The file holds the environment with all of its history and the project's code, each part with its hash; " +
		"nixspace import reads it.\n\nExamples: nixspace export shop; nixspace export shop --closure | ssh other nixspace import - --trust; nixspace export shop --flake . && nix develop"
}

// Run writes an environment into a file.
func (c *exportCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if c.Flake != "" {
		return c.flake(ctx, api, g, std)
	}
	body, name, err := api.Export(ctx, c.Ref, client.ExportOptions{Closure: c.Closure, History: c.History, NoCode: c.NoCode})
	if err != nil {
		return err
	}
	defer body.Close()
	if c.Output == "" {
		if f, ok := std.Out.(*os.File); !ok || !xterm.IsTerminal(int(f.Fd())) {
			c.Output = "-"
		} else {
			c.Output = filepath.Base(cmp.Or(name, "environment.nixspace"))
		}
	}
	if c.Output == "-" {
		// What goes out is verified on its way: whoever reads it cannot be told more.
		_, err := bundle.Read(io.TeeReader(body, std.Out), exported, bundle.Visitor{})
		return err
	}
	d := g.display(std)
	idx, size, err := writeFile(c.Output, body, d, c.Ref)
	d.Close()
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"export": map[string]any{
			"file": c.Output, "size": size, "version": idx.Head, "versions": len(idx.Versions), "paths": len(idx.Paths),
		}})
	}
	_, err = fmt.Fprintf(std.Out, "%s  %s: version %s, %d in its history, %d store paths\n", c.Output, term.Bytes(size), short(idx.Head), len(idx.Versions), len(idx.Paths))
	return err
}

// exported are no limits: the server that wrote the file has its own.
var exported = bundle.Limits{Unpacked: 1 << 60, Versions: 1 << 30, Paths: 1 << 30}

// writeFile writes a file beside its final name, reads it again and verifies it
// before it gets that name. The display shows both, as phases of a job.
func writeFile(name string, body io.Reader, d *term.Display, job string) (idx *bundle.Index, size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*")
	if err != nil {
		return nil, 0, cannotWrite(name, err)
	}
	defer func() {
		_ = f.Close()           // closed before, where it counts
		_ = os.Remove(f.Name()) // gone already when all went well
	}()
	if size, err = io.Copy(f, d.Reader(body, job, "receive", 0)); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nixspace.Errorf(nixspace.KindUnavailable, "export_broken", "the server broke the export off").WithHint("its log says why")
		}
		return nil, 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, 0, cannotWrite(name, err)
	}
	if idx, err = bundle.Read(d.Reader(f, job, "verify", size), exported, bundle.Visitor{}); err != nil {
		return nil, 0, err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return nil, 0, cannotWrite(name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return nil, 0, cannotWrite(name, err)
	}
	return idx, size, nil
}

func cannotWrite(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return nixspace.Errorf(nixspace.KindInvalid, "file_unwritable", "cannot write %s: %w", name, err)
}

// flakeOf returns the files of a version that plain Nix reads, with its manifest: of a
// flake that a user brought all of them, as they were brought.
func flakeOf(ctx context.Context, api *client.Client, ref string, v *client.Version) ([]foreign.File, error) {
	user, _, err := api.UserFlake(ctx, ref)
	if err != nil {
		return nil, err
	}
	if user == nil {
		files := []foreign.File{{Path: "flake.nix", Text: v.Flake}, {Path: "flake.lock", Text: v.FlakeLock}, {Path: manifest.FileName, Text: v.Manifest}}
		return slices.DeleteFunc(files, func(f foreign.File) bool { return f.Text == "" }), nil
	}
	var files []foreign.File
	for _, f := range user.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			return nil, fmt.Errorf("the server names the file %q", f.Path)
		}
		files = append(files, foreign.File{Path: f.Path, Text: f.Text})
	}
	rest, err := manifest.Apply(v.Manifest, []manifest.Edit{{Op: nixspace.ChangeRemove, Key: "flake"}})
	if err != nil {
		return nil, err
	}
	if rest = strings.TrimSpace(rest); rest != "" {
		files = append(files, foreign.File{Path: manifest.FileName, Text: rest + "\n"})
	}
	return files, nil
}

// flake writes the files that plain Nix reads. It replaces none that says something
// else: a flake may be somebody's own.
func (c *exportCmd) flake(ctx context.Context, api *client.Client, g *globals, std streams) error {
	v, err := api.Version(ctx, c.Ref)
	if err != nil {
		return err
	}
	files, err := flakeOf(ctx, api, c.Ref, v)
	if err != nil {
		return err
	}
	for _, f := range files {
		old, err := os.ReadFile(filepath.Join(c.Flake, filepath.FromSlash(f.Path)))
		if err == nil && string(old) != f.Text {
			return nixspace.Errorf(nixspace.KindExists, "file_exists", "%s is there already, and says something else", filepath.Join(c.Flake, filepath.FromSlash(f.Path))).
				WithHint("move it away, or give another directory")
		}
	}
	if err := os.MkdirAll(c.Flake, 0o755); err != nil {
		return cannotWrite(c.Flake, err)
	}
	var written []string
	for _, f := range files {
		name := filepath.Join(c.Flake, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return cannotWrite(name, err)
		}
		if err := os.WriteFile(name, []byte(f.Text), 0o644); err != nil {
			return cannotWrite(name, err)
		}
		written = append(written, name)
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"files": written, "version": v.Hash})
	}
	for _, name := range written {
		fmt.Fprintln(std.Out, name)
	}
	return nil
}
