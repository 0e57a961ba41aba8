package catalog

import (
	"slices"
	"testing"

	"github.com/nixspace/nixspace"
)

// TestListed holds that what is listed without Nix is complete: each package with
// its version, and for each family one that is meant by its name.
func TestListed(t *testing.T) {
	ps, err := Listed()
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]int{}
	for _, p := range ps {
		if p.Version == "" || p.Family == "" {
			t.Errorf("%s has family %q and version %q", p.Attr, p.Family, p.Version)
		}
		defaults[p.Family] += 0
		if p.Default {
			defaults[p.Family]++
		}
	}
	for family, n := range defaults {
		if n != 1 {
			t.Errorf("the family %s has %d defaults", family, n)
		}
	}
	for _, attr := range []string{"nodejs_22", "postgresql_15", "python313", "redis", "git"} {
		if !slices.ContainsFunc(ps, func(p nixspace.Package) bool { return p.Attr == attr }) {
			t.Errorf("%s is not listed", attr)
		}
	}
}
