package graph

//go:generate go tool -modfile=../../tools/go.mod gqlgen generate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/graph/model"
)

// logLinesMax is how many lines of a build's log one query may ask for.
const logLinesMax = 10_000

// Resolver is the root of all resolvers.
type Resolver struct {
	app     App
	version string // of the server
}

// pump passes what in sends on, as pointers, until in is closed or ctx ends.
func pump[T any](ctx context.Context, in <-chan T) <-chan *T {
	out := make(chan *T)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case v, ok := <-in:
				if !ok {
					return
				}
				select {
				case out <- &v:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

// orNil turns "not found" into nothing.
func orNil[T any](v *T, err error) (*T, error) {
	if err != nil && nixspace.ErrorKind(err) == nixspace.KindNotFound {
		return nil, nil
	}
	return v, err
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// environments returns one page of the environments of a project, or of all.
func (r *Resolver) environments(ctx context.Context, project string, first *int, after *string) (*model.EnvironmentConnection, error) {
	all, err := r.app.Environments(ctx, project)
	if err != nil {
		return nil, err
	}
	nodes, info, err := page(all, first, after, func(e *nixspace.Environment) nixspace.ID { return e.ID })
	if err != nil {
		return nil, err
	}
	return &model.EnvironmentConnection{Nodes: nodes, PageInfo: info, TotalCount: len(all)}, nil
}

// resolvedPackages reads a version's packages out of its canonical form, sorted
// by attribute.
func resolvedPackages(v *nixspace.Version) ([]model.ResolvedPackage, error) {
	var canonical struct {
		Packages map[string]struct {
			Family  string `json:"family"`
			Version string `json:"version"`
			Path    string `json:"path"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(v.Canonical, &canonical); err != nil {
		return nil, fmt.Errorf("read the canonical form of version %s: %w", v.VersionHash, err)
	}
	packages := make([]model.ResolvedPackage, 0, len(canonical.Packages))
	for attr, p := range canonical.Packages {
		packages = append(packages, model.ResolvedPackage{Name: p.Family, Attr: attr, Version: p.Version, StorePath: p.Path})
	}
	slices.SortFunc(packages, func(a, b model.ResolvedPackage) int { return cmp.Compare(a.Attr, b.Attr) })
	return packages, nil
}
