package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/nixspace/nixspace"
)

// Listed returns what the catalog in this program offers, sorted by attribute, as
// far as that is known without Nix: attributes, families and versions, and no store
// paths. Where Debian has dropped a version, [Catalog.Offers] has a newer one.
func Listed() ([]nixspace.Package, error) {
	b, err := embedded.ReadFile("flake/catalog.json")
	if err != nil {
		return nil, fmt.Errorf("list the catalog: %w", err)
	}
	wanted, err := ParseWanted(b)
	if err != nil {
		return nil, err
	}
	lock, err := pinned()
	if err != nil {
		return nil, err
	}
	out := make([]nixspace.Package, 0, len(wanted.Packages))
	for _, attr := range slices.Sorted(maps.Keys(wanted.Packages)) {
		u := wanted.Packages[attr]
		out = append(out, nixspace.Package{
			Attr: attr, Family: cmp.Or(u.Family, attr), Version: lock.Units[attr].Version, Description: u.Description,
			Default: u.Default || u.Family == "",
		})
	}
	return out, nil
}
