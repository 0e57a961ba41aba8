package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/pack"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/source"
)

type createCmd struct {
	Name     string `arg:"" help:"The project's name, and that of its first environment; or PROJECT/NAME, for another environment in a project that there is."`
	Source   string `arg:"" optional:"" default:"." help:"Where the code is: a folder (in a git work tree, without what git ignores), an archive or flake.nix, the address of a repository, or template:NAME."`
	Manifest string `xor:"definition" placeholder:"FILE" help:"The manifest (- for standard input). Without it, the nixspace.toml of the code, or else one made of what its other files say."`
	Flake    string `xor:"definition" placeholder:"DIR" help:"Make the environment of a flake: a folder, or its flake.nix; of code from elsewhere, a folder in it (. for its root). A nixspace.toml beside it comes on top."`
	flakeFlags
	OverrideInput []string `sep:"none" placeholder:"NAME=catalog" help:"With --flake, use the catalog in place of an input."`
	NoCode        bool     `help:"Send no code; needs --manifest or --flake."`
	sourceFlags
	Set    []string `sep:"none" placeholder:"KEY=VALUE" help:"Decide something yourself: a package's version, or any key of the manifest."`
	Remove []string `sep:"none" placeholder:"PACKAGE" help:"Leave a package out, or any key of the manifest."`
	DryRun bool     `help:"Make nothing; print what the environment would be, and why."`
	codeLimit
	NoSetup bool `help:"Do not prepare the setup of the environment's manifest (nixspace prebuild does it later)."`
	Detach  bool `short:"d" help:"Do not wait for the build and the setup."`
}

// Help says more than one line about the verb.
func (*createCmd) Help() string {
	return "The code goes to /workspace in every session. Code with a nixspace.toml has the environment that it says; for other code the files that say " +
		"what it needs for other tools are read, and each choice is printed with its reason. Then the environment is built, and where it has a script setup, that is run once for all sessions (see nixspace prebuild).\n\nExamples:\n" +
		"  nixspace create shop ./shop\n  nixspace create shop https://github.com/acme/shop/tree/main/api\n" +
		"  nixspace create shop github:acme/shop --ref v2 --set nodejs=22\n  nixspace create shop --template node-postgres\n" +
		"  nixspace create tools --flake ./tools\n  nixspace create tools --flake flake.nix --override-input nixpkgs=catalog\n  nixspace create shop github:acme/shop --flake ."
}

// codeLimit is the flag for how large a project's code may be, the same for who
// sends it and for who takes it.
type codeLimit struct {
	MaxCode int64 `env:"NIXSPACE_MAX_CODE" default:"1024" placeholder:"MIB" help:"How many MiB the files of a project's code may have (${default}). The server has this limit too."`
}

func (l codeLimit) limits() nixspace.CodeLimits {
	return nixspace.CodeLimits{Bytes: max(l.MaxCode, 1) << 20}
}

// Run makes a project.
func (c *createCmd) Run(ctx context.Context, g *globals, std streams) error {
	slug, name, within := strings.Cut(c.Name, "/")
	if err := nixspace.CheckName("a project", slug); err != nil {
		return err
	}
	if within {
		if err := nixspace.CheckName("an environment", name); err != nil {
			return err
		}
	}
	text, err := "", error(nil)
	elsewhere := c.Flake != "" && c.elsewhere()
	if !elsewhere {
		text, err = c.definition(std)
	}
	if err != nil {
		return err
	}
	set, err1 := setEdits(c.Set)
	remove, err2 := removeEdits(c.Remove)
	if err := cmp.Or(err1, err2); err != nil {
		return err
	}
	edits := manifestEdits(append(set, remove...))
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()

	from := origin{source: "manifest"}
	if c.Flake != "" {
		from.source = "flake"
	}
	if !c.NoCode {
		if from, err = c.get(ctx, api, d, std, c.Source, c.limits()); err != nil {
			return err
		}
		for _, n := range from.notes {
			d.Printf("note: %s", term.Clean(n))
		}
	}
	if elsewhere {
		if text, err = c.flakeOf(ctx, api, from.workspace, c.Flake); err != nil {
			return err
		}
	}
	var found *client.Detection
	if text == "" && from.workspace != "" {
		if found, err = api.Detect(ctx, from.workspace, slug); err != nil {
			return err
		}
		if found.Own || len(found.Choices) > 0 || len(edits) > 0 {
			text = found.Manifest
		} else if found.Has("Nix flake") { // it is all that the code says
			if text, err = c.flakeOf(ctx, api, from.workspace, ""); err != nil {
				return err
			}
			d.Printf("the environment is that of the code's flake.nix")
		}
	}
	if text != "" && len(edits) > 0 {
		if text, err = manifest.Apply(text, edits); err != nil {
			return err
		}
	}
	if found != nil && !g.JSON {
		d.Close()
		printDetection(pick(c.DryRun, std.Err, std.Out), found)
		d = g.display(std)
		defer d.Close()
	}
	if c.DryRun {
		d.Close()
		if g.JSON {
			return printJSON(std.Out, map[string]any{"source": from.source, "workspace": from.workspace, "manifest": text, "detection": found})
		}
		_, err := io.WriteString(std.Out, text)
		return err
	}
	create := func() (*client.Project, *client.Environment, *client.Build, error) {
		if within {
			return api.AddEnvironment(ctx, slug, name, from.source, from.workspace, text, "")
		}
		return api.CreateProject(ctx, slug, from.source, from.workspace, text, "")
	}
	project, environment, build, err := create()
	if err != nil {
		return err
	}
	if !c.Detach {
		if build, err = followBuild(ctx, api, d, build, false); err != nil {
			return err
		}
	}
	setup, setupErr := (*client.Prebuild)(nil), error(nil)
	if !c.NoSetup {
		setup, setupErr = prepare(ctx, api, d, environment.Ref, c.Detach)
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"project": project, "environment": environment, "build": build, "detection": found, "prebuild": setup})
	}
	if setupErr != nil { // the environment is there, and can be used
		report(std.Err, false, setupErr)
	}
	return printHead(std.Out, environment, build, time.Since(begin))
}

// prepare runs the setup of an environment, if it has one.
func prepare(ctx context.Context, api *client.Client, d *term.Display, ref string, detach bool) (*client.Prebuild, error) {
	p, err := api.RequestPrebuild(ctx, ref, false)
	if nixspace.ErrorCode(err) == "setup_missing" || nixspace.ErrorCode(err) == "prebuilds_unavailable" {
		return nil, nil
	}
	if err != nil || detach {
		return p, err
	}
	return followPrebuild(ctx, api, d, p, false)
}

// elsewhere reports whether the code is no folder of this machine: a repository, a
// template or an archive.
func (c *createCmd) elsewhere() bool {
	if c.Template != "" || isFile(c.Source) {
		return true
	}
	_, err := os.Stat(c.Source)
	return err != nil && source.Is(c.Source)
}

// flakeOf returns the manifest that is made of the flake of code on the server.
func (c *createCmd) flakeOf(ctx context.Context, api *client.Client, workspace, dir string) (string, error) {
	by, err := overrides(c.OverrideInput)
	if err != nil {
		return "", err
	}
	return api.FlakeManifest(ctx, workspace, dir, c.Include, by)
}

// definition returns the manifest to send, with the flake in it if there is one.
func (c *createCmd) definition(std streams) (string, error) {
	if c.Flake == "" {
		return c.readManifest(std)
	}
	files, err := c.read(c.Flake)
	if err != nil {
		return "", err
	}
	by, err := overrides(c.OverrideInput)
	if err != nil {
		return "", err
	}
	beside := c.Flake
	if isFile(c.Flake) {
		beside = filepath.Dir(c.Flake)
	}
	if c.Source == "." { // not said otherwise: the code is where the flake is, and a flake.nix alone has none
		if c.Source = beside; isFile(c.Flake) {
			c.NoCode = true
		}
	}
	return compose(beside, files, by)
}

// pick returns one of two.
func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func (c *createCmd) readManifest(std streams) (string, error) {
	const most = 1 << 20
	var b []byte
	var err error
	switch c.Manifest {
	case "":
		if c.NoCode {
			return "", nixspace.Errorf(nixspace.KindInvalid, "manifest_missing", "without code there is no manifest").WithHint("give it with --manifest FILE")
		}
		return "", nil
	case "-":
		b, err = io.ReadAll(io.LimitReader(std.In, most+1))
	default:
		b, err = os.ReadFile(c.Manifest)
	}
	if err != nil {
		return "", nixspace.Errorf(nixspace.KindInvalid, "manifest_unreadable", "the manifest cannot be read: %w", err)
	}
	if len(b) > most {
		return "", nixspace.Errorf(nixspace.KindLimit, "manifest_too_large", "the manifest is larger than 1 MiB")
	}
	return string(b), nil
}

func sourceName(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder: %w", err)
	}
	return filepath.Base(abs), nil
}

// upload packs a folder, with the last commits of its git repository if they are
// wanted, and sends it while it packs.
func upload(ctx context.Context, api *client.Client, d *term.Display, dir string, history bool, limits nixspace.CodeLimits) (client.Workspace, error) {
	r, w := io.Pipe()
	var stats pack.Stats
	done := make(chan error, 1)
	go func() {
		packed := pack.Dir
		if history {
			packed = pack.Repository
		}
		st, err := packed(ctx, dir, &counter{w: w, d: d}, limits)
		stats = st
		w.CloseWithError(err)
		done <- err
	}()
	ws, err := api.PutWorkspace(ctx, r)
	r.Close()
	packErr := <-done
	d.Forget("code")
	if packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) {
		return ws, packErr
	}
	if err != nil {
		return ws, err
	}
	for i, name := range stats.Skipped {
		if i == 5 {
			d.Printf("left out: %d more", len(stats.Skipped)-i)
			break
		}
		d.Printf("left out: %s (not a file, or a link out of the folder)", term.Clean(name))
	}
	if stats.Note != "" {
		d.Printf("note: %s", term.Clean(stats.Note))
	}
	if stats.History {
		d.Printf("code: %d files and the last commits, %s", stats.Files, term.Bytes(ws.Size))
		return ws, nil
	}
	d.Printf("code: %d files, %s", ws.Files, term.Bytes(ws.Size))
	return ws, nil
}

// counter shows how much was sent.
type counter struct {
	w io.Writer
	d *term.Display
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.d.Report(nixspace.Progress{Job: "code", Phase: "upload", Done: c.n, Unit: "B"})
	return n, err
}

// printHead prints an environment and how its head stands.
func printHead(w io.Writer, e *client.Environment, b *client.Build, took time.Duration) error {
	for _, p := range e.Head.Packages {
		fmt.Fprintf(w, "  %s %s\n", term.Clean(p.Name), term.Clean(p.Version))
	}
	return printReady(w, e.Ref, e.Head.Hash, b, took)
}

func printReady(w io.Writer, ref, hash string, b *client.Build, took time.Duration) error {
	state := "ready in " + term.Duration(took)
	switch {
	case b != nil && !b.Final():
		state = "builds"
	case b != nil && b.Is(nixspace.BuildFailed):
		state = "committed, but it does not build"
	}
	_, err := fmt.Fprintf(w, "environment %s  %s  %s\n", ref, short(hash), state)
	return err
}
