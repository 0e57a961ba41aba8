package apitest

import (
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Version returns one.
func (a *App) Version(ctx context.Context, ref string) (*nixspace.Version, error) {
	unlock, err := a.enter(ctx, "Version")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.versionOf(ref)
}

func (a *App) versionOf(ref string) (*nixspace.Version, error) {
	if e, err := a.environment(ref); err == nil {
		return copied(a.versionByID(e.Head)), nil
	}
	v := find(a.versions, func(v *nixspace.Version) bool { return len(ref) >= 6 && strings.HasPrefix(v.VersionHash, ref) })
	if v == nil {
		return nil, notFound("version", ref)
	}
	return copied(v), nil
}

// VersionsByID returns those that exist.
func (a *App) VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error) {
	unlock, err := a.enter(ctx, "VersionsByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var vs []nixspace.Version
	for _, v := range a.versions {
		if slices.Contains(ids, v.ID) {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

// Versions lists an environment's versions, newest first.
func (a *App) Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error) {
	unlock, err := a.enter(ctx, "Versions")
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, err := a.environment(ref)
	if err != nil {
		return nil, err
	}
	vs := []nixspace.Version{}
	for _, v := range slices.Backward(a.versions) {
		if v.EnvironmentID == e.ID && (before == 0 || v.Seq < before) && len(vs) < limit {
			vs = append(vs, v)
		}
	}
	return vs, nil
}
