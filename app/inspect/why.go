package inspect

import (
	"context"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/closure"
)

// WhyQuery asks why something is in an environment.
type WhyQuery struct {
	Ref string // an environment or version, which must be built
	// What is a package by name ("openssl"), name and version, attribute
	// ("postgresql_15"), or a store path or the beginning of its hash.
	What string
	All  bool // every way there, not only the shortest
}

// Reasons say why something is in an environment.
type Reasons struct {
	Ref     string
	Version *nixspace.Version
	Reasons []Reason // one for each store path that was meant, sorted by path
}

// Reason says why one store path is in an environment.
type Reason struct {
	Path        string
	Name        string // of the package
	PathVersion string
	Size        int64 // bytes of its NAR
	ClosureSize int64 // bytes of its own closure
	Paths       int   // in its own closure
	// Steps lead from the environment, or from the base system of its sessions, to
	// the path; see [closure.Graph.Why].
	Steps []closure.Step
	// Truncated says that there are more steps than are shown.
	Truncated bool
}

// The limits of one answer.
const (
	maxReasons = 20
	maxSteps   = 2000
)

// Why returns why something is in the closure of a version, or in the base system
// of its sessions. It fails with code "not_built" where the version is not built,
// and "package_absent" where nothing of that name is in it.
func (a *UseCases) Why(ctx context.Context, in WhyQuery) (*Reasons, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := records.CheckText("the package", in.What, 1<<10); err != nil {
		return nil, err
	}
	env, v, err := records.FindVersion(ctx, tx, in.Ref)
	if err != nil {
		return nil, err
	}
	out := &Reasons{Ref: RefOf(env, v, in.Ref), Version: v}
	r, err := a.builds.Realised(ctx, tx, v)
	if records.NotFound(err) {
		return nil, NotBuilt(out.Ref)
	}
	if err != nil {
		return nil, err
	}
	c, err := records.Canonical(v)
	if err != nil {
		return nil, err
	}
	infos, err := a.packages.Closure(ctx, r.OutPath, c.Base)
	if err != nil {
		return nil, err
	}
	g, err := closure.New(infos)
	if err != nil {
		return nil, err
	}
	targets := g.Find(in.What)
	if p, ok := c.Packages[in.What]; ok && len(targets) == 0 {
		targets = []string{p.Path}
	}
	if len(targets) == 0 {
		return nil, absent(out.Ref, in.What, slices.Concat(g.Names(), c.Attrs()))
	}
	if len(targets) > maxReasons {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "package_ambiguous", "%q names %d store paths", in.What, len(targets)).
			WithHint("give a name with its version, or a store path")
	}
	for _, t := range targets {
		reason, err := reasonFor(g, t, in.All, r.OutPath, c.Base)
		if err != nil {
			return nil, err
		}
		out.Reasons = append(out.Reasons, reason)
	}
	return out, nil
}

// reasonFor explains one path: from the environment, or from the base system where
// only that needs it; with all, from both.
func reasonFor(g *closure.Graph, target string, all bool, env, base string) (Reason, error) {
	roots := []string{env}
	if all {
		roots = append(roots, base)
	}
	steps, err := g.Why(target, all, roots...)
	if err == nil && len(steps) == 0 {
		steps, err = g.Why(target, all, base)
	}
	if err != nil {
		return Reason{}, err
	}
	own, err := g.Closure(target)
	if err != nil {
		return Reason{}, err
	}
	n := closure.ParseName(target)
	out := Reason{Path: target, Name: n.String(), PathVersion: n.Version, ClosureSize: closure.Size(own), Paths: len(own), Steps: steps}
	for _, s := range steps {
		if s.Target {
			out.Size = s.Size
		}
	}
	if len(steps) > maxSteps {
		out.Steps, out.Truncated = steps[:maxSteps], true
	}
	return out, nil
}

// NotBuilt is the error of what needs a realisation that a version does not have.
func NotBuilt(ref string) error {
	return nixspace.Errorf(nixspace.KindInvalid, "not_built", "%s has not been built, so nobody knows what is in it", ref).
		WithHint("build it with `nixspace build %s`", ref)
}

func absent(ref, what string, names []string) error {
	e := nixspace.Errorf(nixspace.KindNotFound, "package_absent", "%.200q is not in %s", what, ref)
	if names := records.Nearest(closure.ParseName(what).Package, names); len(names) > 0 {
		return e.WithHint("did you mean %s?", records.ListOr(names)).WithDetail("suggestions", names)
	}
	return e.WithHint("`nixspace diff --packages` and `nixspace show` list packages by name")
}
