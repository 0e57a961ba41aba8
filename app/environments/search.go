package environments

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// SearchPackages finds packages whose attribute, family or description contains
// every word of query, best first.
func (a *UseCases) SearchPackages(ctx context.Context, query string, limit int) ([]nixspace.Package, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	if err := records.CheckText("the query", query, 1<<10); err != nil {
		return nil, err
	}
	offers, err := a.packages.Offers(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
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
