package builds

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// Present reports whether nothing must be fetched or built for a version, but
// the environment itself.
func (a *UseCases) Present(ctx context.Context, v *nixspace.Version) (bool, error) {
	c, err := records.Canonical(v)
	if err != nil {
		return false, err
	}
	offers, err := a.packages.Offers(ctx)
	if err != nil {
		return false, err
	}
	if !AllPresent(offers, c.Attrs()) {
		return false, nil
	}
	return a.flakePresent(ctx, c)
}

// AllPresent reports whether the store has every package of attrs, the base system
// included.
func AllPresent(offers []nixspace.Package, attrs []string) bool {
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

// EnsureBase makes the base system of a version valid.
func (a *UseCases) EnsureBase(ctx context.Context, base string, progress nixspace.ProgressFunc) error {
	offers, err := a.packages.Offers(ctx)
	if err != nil {
		return err
	}
	if p, ok := offered(offers, manifest.BaseAttr); ok && p.OutPath == base {
		if p.Present {
			return nil
		}
		return a.packages.Realise(ctx, p.DrvPath, []string{manifest.BaseAttr}, "base-"+StoreHash(base), progress)
	}
	if _, err := a.packages.Closure(ctx, base); records.NotFound(err) {
		return nixspace.Errorf(nixspace.KindBuild, "source_changed", "the package source no longer offers the base system of this version (%s)", nixspace.StorePathName(base)).
			WithHint("make a new version from today's packages, for example by setting one of its packages again")
	} else if err != nil {
		return err
	}
	return nil
}

// StoreHash is the hash part of a store path.
func StoreHash(path string) string {
	base := strings.TrimPrefix(path, nixspace.StoreDir+"/")
	return base[:min(len(base), 32)]
}

// Packages is the package source and the Nix engine behind it.
type Packages interface {
	// Offers returns every package of the source, sorted by attribute: the base
	// system (manifest.BaseAttr) among them, without which no manifest can be
	// resolved. The result is shared: do not change it. It is quick when the
	// index is cached.
	Offers(ctx context.Context) ([]nixspace.Package, error)
	// Source returns what a flake must name as its nixpkgs input.
	Source(ctx context.Context) (nixspace.FlakeSource, error)
	// Instantiate writes the derivation of an environment of these packages and
	// returns where it will be. It builds nothing and starts no process.
	Instantiate(ctx context.Context, name string, attrs []string) (drvPath, outPath string, err error)
	// Realise makes a derivation's output valid: it fetches and builds the named
	// packages as needed, then the derivation, checks every output, and roots the
	// result under the name root.
	Realise(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error
	// Closure returns the closure of paths, sorted by path.
	Closure(ctx context.Context, paths ...string) ([]nixspace.PathInfo, error)
	// Unroot lets the garbage collector have what was rooted under the name.
	Unroot(ctx context.Context, root string) error
}
