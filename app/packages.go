package app

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// SearchPackages finds packages whose attribute, family or description contains
// every word of query, best first.
func (a *App) SearchPackages(ctx context.Context, query string, limit int) ([]nixspace.Package, error) {
	if _, err := ActorFrom(ctx); err != nil {
		return nil, err
	}
	if err := checkText("the query", query, 1<<10); err != nil {
		return nil, err
	}
	offers, err := a.cfg.Packages.Offers(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	words := strings.Fields(strings.ToLower(query))
	type hit struct {
		rank int
		pkg  nixspace.Package
	}
	var hits []hit
	for _, p := range offers {
		if p.Attr == manifest.BaseAttr {
			continue
		}
		if rank, ok := match(p, words); ok {
			hits = append(hits, hit{rank, p})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.pkg.Family, b.pkg.Family), preferred(a.pkg, b.pkg))
	})
	out := make([]nixspace.Package, 0, min(limit, len(hits)))
	for _, h := range hits[:min(limit, len(hits))] {
		out = append(out, h.pkg)
	}
	return out, nil
}

// preferred puts the default of a family first; the rest keep their order.
func preferred(a, b nixspace.Package) int {
	switch {
	case a.Default == b.Default:
		return 0
	case a.Default:
		return -1
	}
	return 1
}

// match ranks a package for the words of a query: 0 is the best.
func match(p nixspace.Package, words []string) (int, bool) {
	attr, family, description := strings.ToLower(p.Attr), strings.ToLower(p.Family), strings.ToLower(p.Description)
	rank := 0
	for _, w := range words {
		switch {
		case attr == w || family == w:
		case strings.HasPrefix(attr, w) || strings.HasPrefix(family, w):
			rank++
		case strings.Contains(attr, w) || strings.Contains(family, w):
			rank += 2
		case strings.Contains(description, w):
			rank += 3
		default:
			return 0, false
		}
	}
	return rank, true
}

// present reports whether nothing must be fetched or built for a version, but
// the environment itself.
func (a *App) present(ctx context.Context, v *nixspace.Version) (bool, error) {
	c, err := canonical(v)
	if err != nil {
		return false, err
	}
	offers, err := a.cfg.Packages.Offers(ctx)
	if err != nil {
		return false, err
	}
	return allPresent(offers, c.Attrs()), nil
}

func allPresent(offers []nixspace.Package, attrs []string) bool {
	for _, attr := range append([]string{manifest.BaseAttr}, attrs...) {
		p, ok := offered(offers, attr)
		if !ok || !p.Present {
			return false
		}
	}
	return true
}

// offered finds an attribute in offers, which are sorted by it.
func offered(offers []nixspace.Package, attr string) (nixspace.Package, bool) {
	i, ok := slices.BinarySearchFunc(offers, attr, func(p nixspace.Package, attr string) int { return cmp.Compare(p.Attr, attr) })
	if !ok {
		return nixspace.Package{}, false
	}
	return offers[i], true
}

// ensureBase makes the base system of a version valid.
func (a *App) ensureBase(ctx context.Context, base string, progress nixspace.ProgressFunc) error {
	offers, err := a.cfg.Packages.Offers(ctx)
	if err != nil {
		return err
	}
	if p, ok := offered(offers, manifest.BaseAttr); ok && p.OutPath == base {
		if p.Present {
			return nil
		}
		return a.cfg.Packages.Realise(ctx, p.DrvPath, []string{manifest.BaseAttr}, "base-"+storeHash(base), progress)
	}
	if _, err := a.cfg.Packages.Closure(ctx, base); notFound(err) {
		return nixspace.Errorf(nixspace.KindBuild, "source_changed", "the package source no longer offers the base system of this version (%s)", nixspace.StorePathName(base)).
			WithHint("make a new version from today's packages, for example by setting one of its packages again")
	} else if err != nil {
		return err
	}
	return nil
}

// storeHash is the hash part of a store path.
func storeHash(path string) string {
	base := strings.TrimPrefix(path, nixspace.StoreDir+"/")
	return base[:min(len(base), 32)]
}
