package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/internal/statedir"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/catalog"
)

type catalogCmd struct {
	List   catalogListCmd   `cmd:"" help:"List the packages that there are."`
	Search catalogSearchCmd `cmd:"" help:"Search for packages."`
	Fetch  catalogFetchCmd  `cmd:"" help:"Fetch and build packages now, so that they are here when an environment needs them."`
	Update catalogUpdateCmd `cmd:"" help:"Pin the newest versions of all packages."`
}

// Help says more than one line about the verb.
func (*catalogCmd) Help() string {
	return "The catalog is where packages come from. These verbs work without a server, too."
}

type catalogListCmd struct {
	Present bool `help:"Only packages that are here already."`
}

// Run lists the catalog.
func (c *catalogListCmd) Run(ctx context.Context, g *globals, std streams) error {
	ps, err := g.packages(ctx, std, "", 500)
	if err != nil {
		return err
	}
	if c.Present {
		kept := ps[:0]
		for _, p := range ps {
			if p.Present {
				kept = append(kept, p)
			}
		}
		ps = kept
	}
	return printPackages(g, std.Out, ps)
}

type catalogSearchCmd struct {
	Words []string `arg:"" name:"word" help:"Words that the name or description has, all of them."`
	Limit int      `default:"50" help:"How many to show at most."`
}

// Run searches the catalog.
func (c *catalogSearchCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.Limit < 1 || c.Limit > 500 {
		return nixspace.Errorf(nixspace.KindInvalid, "limit_invalid", "%d packages cannot be shown", c.Limit).WithHint("give --limit from 1 to 500")
	}
	ps, err := g.packages(ctx, std, strings.Join(c.Words, " "), c.Limit)
	if err != nil {
		return err
	}
	return printPackages(g, std.Out, ps)
}

type catalogFetchCmd struct {
	Packages []string `arg:"" name:"package" help:"Attributes, or families for their default: postgresql_15, nodejs."`
}

// Run fetches and builds packages.
func (c *catalogFetchCmd) Run(ctx context.Context, g *globals, std streams) error {
	d := g.display(std)
	defer d.Close()
	return g.withCatalog(ctx, func(cat *catalog.Catalog) error {
		checkPins(ctx, cat, d)
		offers, err := cat.Offers(ctx)
		if err != nil {
			return err
		}
		var attrs []string
		for _, name := range c.Packages {
			attrs = append(attrs, attrOf(offers, name))
		}
		if err := cat.Fetch(ctx, attrs, d.Report); err != nil {
			return err
		}
		if err := cat.Build(ctx, attrs, d.Report); err != nil {
			return err
		}
		d.Close()
		if g.JSON {
			return printJSON(std.Out, map[string]any{"packages": attrs})
		}
		_, err = fmt.Fprintf(std.Out, "%s: here and working\n", strings.Join(attrs, ", "))
		return err
	})
}

// pinPatience is how long these verbs wait to hear whether the mirrors still have
// what the catalog pins.
const pinPatience = 15 * time.Second

// checkPins lets the catalog pin anew what Debian has dropped. That it cannot ask
// is told and no more: much works without a network.
func checkPins(ctx context.Context, cat *catalog.Catalog, d *term.Display) {
	ctx, cancel := context.WithTimeoutCause(ctx, pinPatience, fmt.Errorf("no answer after %v", pinPatience))
	defer cancel()
	err := cat.Check(ctx, func(p nixspace.Progress) {
		if p.Log != "" {
			d.Printf("%s", p.Log)
			return
		}
		d.Report(p)
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		d.Printf("cannot ask whether what the catalog pins is still offered: %v", err)
	}
}

// attrOf returns the attribute that a name means. An unknown one is returned as
// it is: the catalog says what is like it.
func attrOf(offers []nixspace.Package, name string) string {
	attr := name
	for _, p := range offers {
		if p.Attr == name {
			return name
		}
		if p.Family == name && p.Default {
			attr = p.Attr
		}
	}
	return attr
}

type catalogUpdateCmd struct{}

// Run pins the newest versions.
func (*catalogUpdateCmd) Run(ctx context.Context, g *globals, std streams) error {
	d := g.display(std)
	defer d.Close()
	return g.withCatalog(ctx, func(cat *catalog.Catalog) error {
		if err := cat.Update(ctx, d.Report); err != nil {
			return err
		}
		d.Close()
		dir, err := g.stateDir()
		if err != nil {
			return err
		}
		_, err = statedir.FindServer(dir)
		running := err == nil
		if g.JSON {
			return printJSON(std.Out, map[string]any{"updated": true, "serverRestartNeeded": running})
		}
		fmt.Fprintln(std.Out, "the newest versions are pinned; environments that exist keep theirs")
		if running {
			fmt.Fprintln(std.Out, "the running server uses them once it is started again")
		}
		return nil
	})
}

// packages asks the server, where one runs, and else the catalog itself.
func (g *globals) packages(ctx context.Context, std streams, query string, limit int) ([]client.Package, error) {
	api, err := g.connect()
	if err == nil {
		defer api.Close()
		return api.Packages(ctx, query, limit)
	}
	if g.URL != "" || nixspace.ErrorCode(err) != "server_not_running" {
		return nil, err
	}
	var ps []client.Package
	d := g.display(std)
	defer d.Close()
	err = g.withCatalog(ctx, func(cat *catalog.Catalog) error {
		checkPins(ctx, cat, d)
		found, err := cat.Search(ctx, query, limit)
		for _, p := range found {
			ps = append(ps, client.Package{
				Attr: p.Attr, Family: p.Family, Version: p.Version, Description: p.Description,
				Default: p.Default, Download: p.Download, Present: p.Present,
			})
		}
		return err
	})
	return ps, err
}

// withCatalog opens the catalog of the state directory, beside a server that may
// be using it: the catalog lets one at a time fetch.
func (g *globals) withCatalog(ctx context.Context, f func(*catalog.Catalog) error) (err error) {
	path, err := g.stateDir()
	if err != nil {
		return err
	}
	// Opening makes the directory as a server would. Whether one has it is all one.
	switch dir, err := statedir.Open(path); {
	case err == nil:
		if err := dir.Close(); err != nil {
			return err
		}
	case nixspace.ErrorCode(err) != "state_locked":
		return err
	}
	// The socket of a Nix daemon of our own, should we need one, must not be that
	// of the server's.
	run, err := os.MkdirTemp("", "nixspace-")
	if err != nil {
		return fmt.Errorf("make a directory for the Nix daemon: %w", err)
	}
	defer os.RemoveAll(run)
	log := slog.New(slog.DiscardHandler)
	engine, err := nix.Open(ctx, nix.Config{StateDir: path, RuntimeDir: run, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	cat, err := catalog.Open(ctx, catalog.Config{
		Dir: filepath.Join(path, "catalog"), Engine: engine, Cache: os.Getenv("NIXSPACE_DOWNLOAD_CACHE"), Log: log,
	})
	if err != nil {
		return err
	}
	return f(cat)
}

func printPackages(g *globals, w io.Writer, ps []client.Package) error {
	if g.JSON {
		if ps == nil {
			ps = []client.Package{}
		}
		return printJSON(w, map[string]any{"packages": ps})
	}
	rows := make([][]string, len(ps))
	for i, p := range ps {
		state := "here"
		if !p.Present {
			state = cmp.Or(download(p.Download), "to build")
		}
		name := p.Attr
		if p.Default && p.Family != p.Attr {
			name += " (" + p.Family + ")"
		}
		rows[i] = []string{name, p.Version, state, p.Description}
	}
	return table(w, []string{"PACKAGE", "VERSION", "STATE", "DESCRIPTION"}, rows)
}

func download(n int64) string {
	if n == 0 {
		return ""
	}
	return term.Bytes(n)
}
