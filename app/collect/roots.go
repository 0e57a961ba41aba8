package collect

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
)

const leastRootAge = 24 * time.Hour

// roots finds the links of environments of which there is no version: of builds
// whose version was never committed, for example; and those of services' seeds that
// no session was started with. What else is rooted (the base
// system, the catalog's own, imports) stays.
func (c *collection) roots(ctx context.Context) ([]nixspace.Garbage, error) {
	store, ok := c.cfg.Records.Store.(nixspace.ReachableStore)
	if c.cfg.Roots == nil || !ok {
		return nil, nil
	}
	// A merge is built before it is a version, so links of the last day are left
	// alone in any case.
	before := c.before
	if day := time.Now().Add(-leastRootAge); before.After(day) {
		before = day
	}
	links, err := c.cfg.Roots.RootsBefore(ctx, before)
	if err != nil {
		return nil, err
	}
	r, err := store.Reachable(ctx)
	if err != nil {
		return nil, err
	}
	keep := map[string]bool{}
	for drv := range r.Derivations {
		keep[builds.RootName(&nixspace.Version{DrvPath: drv})] = true
	}
	prefix := strings.TrimSuffix(builds.RootName(&nixspace.Version{}), builds.StoreHash(""))
	var out []nixspace.Garbage
	for _, name := range slices.Sorted(maps.Keys(links)) {
		why := "no version of an environment has it"
		switch {
		case strings.HasPrefix(name, builds.SeedRoots):
			why = "no session was started with it since" // its link is made anew then
		case !strings.HasPrefix(name, prefix) || keep[name]:
			continue
		}
		g := nixspace.Garbage{Kind: nixspace.GarbageRoot, Name: name, Reason: why + "; the store's own collector may take " + links[name]}
		if g, ok := c.remove(g, func() error { return c.cfg.Roots.UnrootBefore(ctx, name, before) }); ok {
			out = append(out, g)
		}
	}
	return out, nil
}
