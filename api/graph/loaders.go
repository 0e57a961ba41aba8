package graph

import (
	"context"
	"errors"
	"time"

	"github.com/vikstrous/dataloadgen"

	"github.com/nixspace/nixspace"
)

// loaders gather the look-ups that one response makes, so that a list of a
// hundred environments asks for their heads once.
type loaders struct {
	projects     *dataloadgen.Loader[string, *nixspace.Project]
	environments *dataloadgen.Loader[nixspace.ID, *nixspace.Environment]
	versions     *dataloadgen.Loader[nixspace.ID, *nixspace.Version]
}

type loadersKey struct{}

// withLoaders returns a context with loaders of its own. They cache, so they
// must not outlive one response.
func withLoaders(ctx context.Context, a App) context.Context {
	wait := dataloadgen.WithWait(500 * time.Microsecond)
	return context.WithValue(ctx, loadersKey{}, &loaders{
		projects: dataloadgen.NewMappedLoader(func(ctx context.Context, slugs []string) (map[string]*nixspace.Project, error) {
			if len(slugs) == 1 {
				p, err := a.Project(ctx, slugs[0])
				return map[string]*nixspace.Project{slugs[0]: p}, err
			}
			all, err := a.Projects(ctx)
			return byKey(all, func(p *nixspace.Project) string { return p.Slug }), err
		}, wait),
		environments: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []nixspace.ID) (map[nixspace.ID]*nixspace.Environment, error) {
			es, err := a.EnvironmentsByID(ctx, ids)
			return byKey(es, func(e *nixspace.Environment) nixspace.ID { return e.ID }), err
		}, wait),
		versions: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []nixspace.ID) (map[nixspace.ID]*nixspace.Version, error) {
			vs, err := a.VersionsByID(ctx, ids)
			return byKey(vs, func(v *nixspace.Version) nixspace.ID { return v.ID }), err
		}, wait),
	})
}

func byKey[K comparable, V any](items []V, key func(*V) K) map[K]*V {
	m := make(map[K]*V, len(items))
	for i := range items {
		m[key(&items[i])] = &items[i]
	}
	return m
}

// load gets one item by way of a loader; nothing there is kind not_found.
func load[K comparable, V any](ctx context.Context, what string, pick func(*loaders) *dataloadgen.Loader[K, *V], key K) (*V, error) {
	v, err := pick(ctx.Value(loadersKey{}).(*loaders)).Load(ctx, key)
	if errors.Is(err, dataloadgen.ErrNotFound) || err == nil && v == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, what+"_not_found", "the %s is gone", what)
	}
	return v, err
}

func loadProject(ctx context.Context, slug string) (*nixspace.Project, error) {
	return load(ctx, "project", func(l *loaders) *dataloadgen.Loader[string, *nixspace.Project] { return l.projects }, slug)
}

func loadEnvironment(ctx context.Context, id nixspace.ID) (*nixspace.Environment, error) {
	return load(ctx, "environment", func(l *loaders) *dataloadgen.Loader[nixspace.ID, *nixspace.Environment] { return l.environments }, id)
}

func loadVersion(ctx context.Context, id nixspace.ID) (*nixspace.Version, error) {
	return load(ctx, "version", func(l *loaders) *dataloadgen.Loader[nixspace.ID, *nixspace.Version] { return l.versions }, id)
}
