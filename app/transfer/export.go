package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/bundle"
)

// StorePaths is what [Packages] can do besides, where its store can be moved.
type StorePaths interface {
	// WriteNAR writes a valid path in Nix's archive format.
	WriteNAR(ctx context.Context, path string, w io.Writer) error
	// AddNAR makes a path valid of which everything is known but its content, whose
	// archive nar reads. It compares the two; references must be valid.
	AddNAR(ctx context.Context, info nixspace.PathInfo, nar io.Reader) error
	// ValidPaths returns those of the paths that are valid, sorted.
	ValidPaths(ctx context.Context, paths []string) ([]string, error)
	// Root keeps a path from the garbage collector, under a name.
	Root(ctx context.Context, name, path string) error
}

// ExportQuery asks for an environment as a file.
type ExportQuery struct {
	Ref string // an environment, or a version, which becomes the head of what is imported
	// Closure puts in what it needs to run: the environment must be built.
	Closure bool
	// History bounds how many versions are in the file, newest first; 0 for all.
	// Where the file is imported, the others must be known.
	History int
	// NoCode leaves the project's code out.
	NoCode bool
}

// Export is a file that can be written.
type Export struct {
	app *UseCases
	// Ref is what people call what is exported, Version its head.
	Ref     string
	Version *nixspace.Version
	// Project and Environment are the names that the file has for it.
	Project, Environment string
	content              bundle.Export
}

// Export returns an environment as a file that is yet to be written: what can go
// wrong for whoever asked goes wrong here.
func (a *UseCases) Export(ctx context.Context, in ExportQuery) (*Export, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, v, err := records.FindVersion(ctx, tx, in.Ref)
	if err != nil {
		return nil, err
	}
	project, err := tx.Projects().ByID(ctx, env.ProjectID)
	if err != nil {
		return nil, err
	}
	x := &Export{app: a, Ref: inspect.RefOf(env, v, in.Ref), Version: v, Project: project.Slug, Environment: env.Name}
	x.content = bundle.Export{Project: project.Slug, Environment: env.Name}
	if x.content.Versions, err = ancestors(ctx, tx, v, in.History); err != nil {
		return nil, err
	}
	code, err := tx.Code().Of(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	x.content.Source = code.Source
	if code.Workspace != "" && !in.NoCode {
		x.content.Workspace = code.Workspace
		if x.content.WorkspaceSize, err = a.workspaces.WriteTar(ctx, code.Workspace, io.Discard); err != nil {
			return nil, err
		}
	}
	if in.Closure {
		err = a.exportClosure(ctx, tx, x)
	}
	return x, err
}

// ancestors returns a version and what led to it, parents before children: at most
// limit of them, or all when it is 0.
func ancestors(ctx context.Context, tx records.Tx, head *nixspace.Version, limit int) ([]*nixspace.Version, error) {
	seen := map[string]*nixspace.Version{head.VersionHash: head}
	for todo := []*nixspace.Version{head}; len(todo) > 0; todo = todo[1:] {
		at := todo[0]
		// The line of first parents comes in pages, what else was merged one by one.
		line, err := tx.Versions().History(ctx, at.ID, at.Seq, environments.MaxPage)
		if err != nil {
			return nil, err
		}
		for i := range line {
			v := &line[i]
			if seen[v.VersionHash] != nil {
				break
			}
			seen[v.VersionHash] = v
			if len(v.Parents) > 1 || i == environments.MaxPage-1 {
				todo = append(todo, v)
			}
		}
		for _, p := range at.Parents {
			if seen[p] != nil {
				continue
			}
			found, err := tx.Versions().ByHash(ctx, p, 1)
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				return nil, fmt.Errorf("version %s: its parent %s is not there", at.VersionHash, p)
			}
			seen[p] = &found[0]
			todo = append(todo, &found[0])
		}
	}
	out := make([]*nixspace.Version, 0, len(seen))
	for _, v := range seen {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *nixspace.Version) int {
		if a.Seq != b.Seq { // a version comes after its parents
			return int(min(max(a.Seq-b.Seq, -1), 1))
		}
		if a.VersionHash < b.VersionHash {
			return -1
		}
		return 1
	})
	if limit > 0 && len(out) > limit {
		// What follows a version comes later, so all but the head are parents of others.
		out = out[len(out)-limit:]
	}
	return out, nil
}

// exportClosure puts the store paths of an environment into its export, of the base
// system of its sessions, and of the package source that its flake names.
func (a *UseCases) exportClosure(ctx context.Context, tx records.Tx, x *Export) error {
	store, ok := a.packages.(StorePaths)
	if !ok {
		return noStore()
	}
	r, err := a.builds.Realised(ctx, tx, x.Version)
	if records.NotFound(err) {
		return inspect.NotBuilt(x.Ref)
	}
	if err != nil {
		return err
	}
	c, err := records.Canonical(x.Version)
	if err != nil {
		return err
	}
	roots := []bundle.Root{{Name: bundle.RootEnvironment, Path: r.OutPath}, {Name: bundle.RootBase, Path: c.Base}}
	if source := lockedSource(x.Version.FlakeLock); source != "" {
		valid, err := store.ValidPaths(ctx, []string{source})
		if err != nil {
			return err
		}
		if len(valid) == 1 {
			roots = append(roots, bundle.Root{Name: bundle.RootSource, Path: source})
		}
	}
	var paths []string
	for _, r := range roots {
		paths = append(paths, r.Path)
	}
	x.content.Roots = roots
	x.content.Paths, err = a.packages.Closure(ctx, paths...)
	return err
}

func noStore() error {
	return nixspace.Errorf(nixspace.KindUnavailable, "store_fixed", "the store paths of this server cannot be moved").
		WithHint("do it without --closure")
}

// lockedSource returns the store path that a flake's lock names as its package
// source; empty where it is no store path.
func lockedSource(lock string) string {
	var l struct {
		Nodes map[string]struct {
			Locked struct{ Type, Path string }
		}
	}
	if json.Unmarshal([]byte(lock), &l) != nil || l.Nodes["nixpkgs"].Locked.Type != "path" {
		return ""
	}
	path := l.Nodes["nixpkgs"].Locked.Path
	if nixspace.StorePathName(path) == path {
		return ""
	}
	return path
}

// Write writes the file. It keeps no more of it in memory than its versions. After
// an error, what was written is of no use.
func (x *Export) Write(ctx context.Context, w io.Writer) (*bundle.Index, error) {
	return bundle.Write(ctx, w, &x.content, exportContent{x.app})
}

type exportContent struct{ *UseCases }

// WriteWorkspace implements bundle.Content.
func (c exportContent) WriteWorkspace(ctx context.Context, digest string, w io.Writer) error {
	_, err := c.workspaces.WriteTar(ctx, digest, w)
	return err
}

// WriteNAR implements bundle.Content.
func (c exportContent) WriteNAR(ctx context.Context, path string, w io.Writer) error {
	store, ok := c.packages.(StorePaths)
	if !ok {
		return noStore()
	}
	return store.WriteNAR(ctx, path, w)
}
