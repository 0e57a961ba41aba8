package builds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// SeedRequest says what tree to make for the first start of a service.
type SeedRequest struct {
	Name   string // of the store path: "postgresql-15.18-cluster"
	Base   string // store path of the base system
	Uses   []string
	Script string
	Args   []string
	// Root is the name under which the tree is kept from the garbage collector.
	Root string
}

// Seeder is a [Packages] that can make such trees, in a sandbox and by a user
// without rights. One that was made is not made again.
type Seeder interface {
	Seed(ctx context.Context, r SeedRequest, progress nixspace.ProgressFunc) (path string, err error)
}

// SeedRoots is what the names of the roots of seeds begin with.
const SeedRoots = "seed-"

// Seed makes what the services' first start would make, for those where that can be
// done outside of a machine, and returns the services with it. What cannot be made
// is left to the machine.
func (a *UseCases) Seed(ctx context.Context, c manifest.Canonical, services []nixspace.Service, progress nixspace.ProgressFunc) []nixspace.Service {
	seeder, ok := a.packages.(Seeder)
	if !ok {
		return services
	}
	services = slices.Clone(services)
	for i, s := range services {
		if s.Seed == nil {
			continue
		}
		seed := *s.Seed
		p, ok := ofFamily(c, seed.Family)
		if !ok {
			continue
		}
		h := sha256.New()
		for _, text := range append([]string{c.Base, p.Path, seed.Script}, seed.Args...) {
			h.Write([]byte(text + "\x00"))
		}
		var err error
		seed.Path, err = seeder.Seed(ctx, SeedRequest{
			Name: seed.Family + "-" + p.Version + "-seed", Base: c.Base, Uses: []string{p.Path}, Script: seed.Script, Args: seed.Args,
			Root: SeedRoots + hex.EncodeToString(h.Sum(nil)[:16]),
		}, progress)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("a service's data cannot be made beforehand; its first start will take longer", "service", s.Name, "error", err)
			}
			continue
		}
		services[i].Seed = &seed
	}
	return services
}

// ofFamily returns an environment's package of a family.
func ofFamily(c manifest.Canonical, family string) (manifest.CanonicalPackage, bool) {
	for _, attr := range c.Attrs() {
		if p := c.Packages[attr]; p.Family == family {
			return p, true
		}
	}
	return manifest.CanonicalPackage{}, false
}
