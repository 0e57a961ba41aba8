package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/transfer"
	"github.com/nixspace/nixspace/env/source"
	"github.com/nixspace/nixspace/examples/templates"
	"github.com/nixspace/nixspace/internal/dial"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/catalog"
	"github.com/nixspace/nixspace/nix/flakes"
	"github.com/nixspace/nixspace/state/fetch"
	"github.com/nixspace/nixspace/state/workspace"
	"github.com/nixspace/nixspace/vm/fleet"
)

// Settings of the real parts.
type Settings struct {
	Accel  string // "auto", "kvm" or "tcg"
	Mirror string // address of a Debian mirror, where apt names none
	// PrivateNetworks lets sessions reach private networks.
	PrivateNetworks bool
	// Reach says what code may be fetched from; see [dial.Policy].
	Reach dial.Policy
}

// Real returns the parts of which a server for people is made.
func Real(set Settings) Parts {
	return Parts{
		Packages: set.packages,
		Machines: set.machines,
		Workspaces: func(_ context.Context, s Site) (environments.Workspaces, error) {
			return workspace.Open(s.Dir.Path("workspaces"), s.Code)
		},
		Sources: func(_ context.Context, s Site, w environments.Workspaces) (fetches.Parts, error) {
			return Sources(s.Dir.Path("fetch"), s.Code, set.Reach, w, s.Log)
		},
	}
}

// Sources returns what fetches code into a store of workspaces, with its work in
// dir.
func Sources(dir string, limits nixspace.CodeLimits, reach dial.Policy, w environments.Workspaces, log *slog.Logger) (fetches.Parts, error) {
	store, ok := w.(*workspace.Store)
	if !ok {
		return fetches.Parts{}, fmt.Errorf("fetch code: %T is no store of workspaces", w)
	}
	f, err := fetch.Open(fetch.Config{
		Dir: dir, Store: store, Policy: reach, Parse: func(address string) (nixspace.CodeSource, error) { return source.Parse(address, "", "") },
		Templates: templates.Files(), Limits: limits, Log: log, CAFile: os.Getenv("SSL_CERT_FILE"),
	})
	if err != nil {
		return fetches.Parts{}, err
	}
	return fetches.Parts{Fetcher: f, Trees: trees{store}, Templates: templates.List()}, nil
}

// trees opens stored archives.
type trees struct{ *workspace.Store }

// Tree implements fetches.Trees.
func (t trees) Tree(ctx context.Context, digest string) (fetches.Tree, error) {
	tree, err := t.Store.Tree(ctx, digest)
	if err != nil {
		return nil, err
	}
	return tree, nil
}

// packages are the catalog, with a Nix behind it.
type packages struct {
	*catalog.Catalog
	*flakes.Flakes
	engine *nix.Engine
	offers int
}

// Describe says what there is, in a few words.
func (p packages) Describe() string {
	daemon := ""
	if !p.engine.OwnDaemon() {
		daemon = " of this machine"
	}
	return fmt.Sprintf("Nix %s%s, %d packages", p.engine.Version(), daemon, p.offers)
}

// Offers returns what the catalog offers and, for the use cases, the base system
// of the guests, which it does not show to people.
func (p packages) Offers(ctx context.Context) ([]nixspace.Package, error) {
	offers, err := p.Catalog.Offers(ctx)
	if err != nil {
		return nil, err
	}
	base, err := p.Base(ctx)
	if err != nil {
		return nil, err
	}
	valid, err := p.engine.Store().ValidPaths(ctx, []string{base.OutPath})
	if err != nil {
		return nil, fmt.Errorf("ask the store for the base system: %w", err)
	}
	base.Present = len(valid) == 1
	i, _ := slices.BinarySearchFunc(offers, base, func(a, b nixspace.Package) int { return cmp.Compare(a.Attr, b.Attr) })
	return slices.Insert(offers, i, base), nil
}

// WriteNAR writes a valid path in Nix's archive format.
func (p packages) WriteNAR(ctx context.Context, path string, w io.Writer) error {
	return p.engine.Store().WriteNAR(ctx, path, w)
}

// AddNAR makes a path valid.
func (p packages) AddNAR(ctx context.Context, info nixspace.PathInfo, nar io.Reader) error {
	return p.engine.Store().AddNAR(ctx, info, nar)
}

// ValidPaths returns those of the paths that are valid.
func (p packages) ValidPaths(ctx context.Context, paths []string) ([]string, error) {
	return p.engine.Store().ValidPaths(ctx, paths)
}

// Root keeps a path from the garbage collector.
func (p packages) Root(ctx context.Context, name, path string) error {
	return p.engine.Root(ctx, name, path)
}

// Seed makes a tree for the first start of a service.
func (p packages) Seed(ctx context.Context, r builds.SeedRequest, progress nixspace.ProgressFunc) (string, error) {
	return p.engine.Make(ctx, nix.Script{Name: r.Name, Base: r.Base, Uses: r.Uses, Text: r.Script, Args: r.Args}, r.Root, progress)
}

var (
	_ transfer.StorePaths = packages{}
	_ builds.Flakes       = packages{}
	_ builds.Seeder       = packages{}
)

// RootsBefore returns what is rooted by links that were made before a time.
func (p packages) RootsBefore(ctx context.Context, before time.Time) (map[string]string, error) {
	return p.engine.RootsBefore(ctx, before)
}

// UnrootBefore removes such a link.
func (p packages) UnrootBefore(ctx context.Context, name string, before time.Time) error {
	return p.engine.UnrootBefore(ctx, name, before)
}

// Ping checks that the Nix daemon answers.
func (p packages) Ping(ctx context.Context) error {
	if _, err := p.engine.Store().Info(ctx); err != nil {
		return nixspace.Errorf(nixspace.KindUnavailable, "nix_daemon", "the Nix daemon does not answer: %w", err)
	}
	return nil
}

// inputTime is how long one input of a flake may take to be fetched: somebody waits.
const inputTime = 3 * time.Minute

// packages opens the catalog and evaluates it, so that no request waits for that.
func (set Settings) packages(ctx context.Context, s Site) (_ builds.Packages, _ Stop, err error) {
	e, err := nix.Open(ctx, nix.Config{StateDir: s.Dir.Path(), RuntimeDir: filepath.Join(s.Dir.Runtime(), "nix"), Log: s.Log})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	c, err := catalog.Open(ctx, catalog.Config{
		Dir: s.Dir.Path("catalog"), Engine: e, Mirror: set.Mirror, Cache: os.Getenv("NIXSPACE_DOWNLOAD_CACHE"), Log: s.Log,
	})
	if err != nil {
		return nil, nil, err
	}
	checked := checkPins(ctx, c, pinPatience, s)
	defer func() {
		if err != nil {
			checked()
		}
	}()
	offers, err := c.Offers(ctx)
	if err != nil {
		return nil, nil, err
	}
	inputs, err := fetch.Open(fetch.Config{
		Dir: filepath.Join(s.Dir.Path("fetch"), "inputs"), Policy: set.Reach, Limits: s.Code, Log: s.Log, Time: inputTime, CAFile: os.Getenv("SSL_CERT_FILE"),
	})
	if err != nil {
		return nil, nil, err
	}
	users, err := flakes.New(ctx, flakes.Config{Engine: e, Catalog: c, Inputs: inputs, Log: s.Log})
	if err != nil {
		return nil, nil, err
	}
	return packages{c, users, e, len(offers)}, func(context.Context) error {
		checked()
		return e.Close()
	}, nil
}

// machines are processes of this host.
func (set Settings) machines(_ context.Context, s Site) (nixspace.Machines, Stop, error) {
	f, err := fleet.NewLocal(fleet.Config{
		StateDir: s.Dir.Path(), RunDir: filepath.Join(s.Dir.Runtime(), "vm"), Log: s.Log, Accel: set.Accel,
		PrivateNetworks: set.PrivateNetworks,
	})
	if err != nil {
		return nil, nil, err
	}
	return f, func(context.Context) error { return f.Close() }, nil
}
