package graph

//go:generate go tool -modfile=../../tools/go.mod gqlgen generate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/graph/model"
	"github.com/nixspace/nixspace/env/manifest"
)

// logLinesMax is how many lines of a build's log one query may ask for.
const logLinesMax = 10_000

// maxAge is the longest age that something may be asked to have: what is longer
// overflows.
const maxAge = 100 * 365 * 24 * time.Hour

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

// origin says what to fetch to get code anew; nil for what somebody sent.
func origin(c *nixspace.EnvironmentCode) *model.CodeOrigin {
	if c.Fetch == nil || c.Fetch.Code == nil || c.Fetch.Source.Kind == nixspace.SourceTemplate {
		return nil
	}
	s := c.Fetch.Source
	o := &model.CodeOrigin{Source: s.URL, Ref: s.Ref, Dir: s.Dir, Submodules: s.Submodules}
	if s.Path != "" { // which part of it is the reference was found by the fetch
		o.Ref, o.Dir = cmp.Or(c.Fetch.Code.Ref, c.Fetch.Code.Commit), c.Fetch.Code.Dir
	}
	return o
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
	n, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	var last nixspace.ID
	if after != nil && *after != "" {
		id, err := readCursor(*after)
		if err != nil {
			return nil, err
		}
		last = nixspace.ID(id)
	}
	// One more than asked for tells whether there is a next page.
	es, total, err := r.app.EnvironmentsPage(ctx, project, last, n+1)
	if last != "" && nixspace.ErrorCode(err) == "environment_unknown" {
		return nil, errCursor()
	}
	if err != nil {
		return nil, err
	}
	info := &model.PageInfo{HasNextPage: len(es) > n}
	es = es[:min(len(es), n)]
	if len(es) > 0 {
		info.EndCursor = writeCursor(string(es[len(es)-1].ID))
	}
	if es == nil {
		es = []nixspace.Environment{}
	}
	return &model.EnvironmentConnection{Nodes: es, PageInfo: info, TotalCount: total}, nil
}

// resolvedPackages returns what the packages of a version were resolved to when
// it was made, sorted by attribute.
func resolvedPackages(v *nixspace.Version) ([]model.ResolvedPackage, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, fmt.Errorf("read the manifest of version %s: %w", v.VersionHash, stored{err})
	}
	r, err := manifest.Restore(m, v.Canonical)
	if err != nil {
		return nil, fmt.Errorf("read version %s: %w", v.VersionHash, err)
	}
	packages := make([]model.ResolvedPackage, len(r.Packages))
	for i, p := range r.Packages {
		packages[i] = model.ResolvedPackage{Name: p.Key, Constraint: p.Constraint.String(), Attr: p.Attr, Version: p.Version, StorePath: p.OutPath}
	}
	for name, p := range r.Flake.Named() {
		packages = append(packages, model.ResolvedPackage{Name: name, Constraint: "flake", Attr: "flake." + name, Version: p.Version, StorePath: p.Path})
	}
	slices.SortFunc(packages, func(a, b model.ResolvedPackage) int { return strings.Compare(a.Attr, b.Attr) })
	return packages, nil
}

// userFlake returns the flake that a version is made of; nil where it is none of a
// user.
func userFlake(v *nixspace.Version) (*model.UserFlake, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, fmt.Errorf("read the manifest of version %s: %w", v.VersionHash, stored{err})
	}
	c, err := manifest.ReadCanonical(v.Canonical)
	if err != nil {
		return nil, fmt.Errorf("read version %s: %w", v.VersionHash, err)
	}
	if m.Flake == nil || c.Flake == nil {
		return nil, nil
	}
	out := &model.UserFlake{Attr: c.Flake.Attr, Skipped: append([]string{}, c.Flake.Skipped...)}
	for _, k := range slices.Sorted(maps.Keys(m.Flake.Files)) {
		out.Files = append(out.Files, model.FlakeFile{Path: k, Text: m.Flake.Files[k]})
	}
	for _, k := range slices.Sorted(maps.Keys(m.Flake.Inputs)) {
		out.Overrides = append(out.Overrides, model.FlakeOverride{Input: k, By: m.Flake.Inputs[k]})
	}
	for _, p := range c.Flake.Packages {
		out.Packages = append(out.Packages, model.FlakeProgram{Name: p.Name, Version: p.Version, StorePath: p.Path})
	}
	for _, k := range slices.Sorted(maps.Keys(c.Flake.Env)) {
		out.Env = append(out.Env, model.FlakeVariable{Name: k, Value: c.Flake.Env[k]})
	}
	return out, nil
}

// stored hides the kind of an error: that a version which was stored cannot be
// read is no fault of who asks for it.
type stored struct{ err error }

func (s stored) Error() string { return s.err.Error() }
