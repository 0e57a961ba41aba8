package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/manifest"
)

// Paths of the closures that Diff compares.
const (
	pg15 = nixspace.StoreDir + "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-postgresql-15.18"
	pg13 = nixspace.StoreDir + "/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-postgresql-13.23"
	env1 = nixspace.StoreDir + "/cccccccccccccccccccccccccccccccc-shop-env"
	env2 = nixspace.StoreDir + "/dddddddddddddddddddddddddddddddd-shop-env"
)

func sideOf(env, pg string, size int64) closure.Side {
	g, err := closure.New([]nixspace.PathInfo{
		{Path: env, NarHash: "sha256:" + env, NarSize: 100, References: []string{pg}},
		{Path: pg, NarHash: "sha256:" + pg, NarSize: size},
	})
	if err != nil {
		panic(err)
	}
	return closure.Side{Graph: g, Env: env, Roots: []closure.Root{{Name: "postgresql", Attr: "postgresql", Path: pg}}}
}

// Diff implements graph.App: PostgreSQL 15 of shop was replaced by 13.
func (a *App) Diff(ctx context.Context, in inspect.DiffQuery) (*inspect.Difference, error) {
	unlock, err := a.enter(ctx, "Diff")
	if err != nil {
		return nil, err
	}
	defer unlock()
	to, err := a.versionOf(in.To)
	if err != nil {
		return nil, err
	}
	d := &inspect.Difference{
		To: to, ToRef: in.To, FromRef: in.From,
		Changes: []nixspace.Change{{Op: nixspace.ChangeSet, Path: "packages.postgresql", From: "15 (15.18)", To: "13 (13.23)"}},
		Edits:   []manifest.Edit{{Op: nixspace.ChangeSet, Key: "packages.postgresql", Value: `"13"`}},
	}
	if in.From != "" {
		if d.From, err = a.versionOf(in.From); err != nil {
			return nil, err
		}
	}
	switch {
	case in.ManifestOnly:
	case d.From == nil:
		d.Unbuilt = []string{in.To}
	default:
		d.Closure = closure.Compare(sideOf(env1, pg15, 5000), sideOf(env2, pg13, 4000))
	}
	return d, nil
}

// Why implements graph.App.
func (a *App) Why(ctx context.Context, in inspect.WhyQuery) (*inspect.Reasons, error) {
	unlock, err := a.enter(ctx, "Why")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(in.Ref)
	if err != nil {
		return nil, err
	}
	if in.What != "postgresql" {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "package_absent", "%q is not in %s", in.What, in.Ref)
	}
	return &inspect.Reasons{Ref: in.Ref, Version: v, Reasons: []inspect.Reason{{
		Path: pg15, Name: "postgresql", PathVersion: "15.18", Size: 5000, ClosureSize: 5000, Paths: 1,
		Steps: []closure.Step{{Path: env1, Size: 100}, {Depth: 1, Path: pg15, Size: 5000, Target: true}},
	}}}, nil
}
