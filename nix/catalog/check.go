package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/registry"
)

// checkEvery is how long Debian's mirror is not asked again whether it still has
// what is pinned.
const checkEvery = 24 * time.Hour

// Check asks Debian's mirror, once a day, whether it still has what the catalog
// pins and this machine lacks, and pins anew what it has not. Doing so before
// environments are made spares them from being resolved twice. It asks nobody
// where that was done today, or where everything is here.
//
// It may take as long as the network makes it wait; give it a context that ends.
func (c *Catalog) Check(ctx context.Context, progress nixspace.ProgressFunc) error {
	lock, x, err := c.current(ctx)
	if err != nil {
		return err
	}
	stamp := filepath.Join(c.cfg.Dir, "checked")
	sum := sha256.Sum256([]byte(c.cfg.Mirror + "\n" + c.pinned.Digest()))
	want := hex.EncodeToString(sum[:])
	if recent(stamp, want) {
		return nil
	}
	bySuite, err := c.lacking(ctx, lock, x)
	if err != nil {
		return err
	}
	unlock, err := c.lockDir(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var gone []string
	for _, suite := range slices.Sorted(maps.Keys(bySuite)) {
		progress.Report(nixspace.Progress{Job: "Debian " + suite, Phase: "fetch"})
		apt := registry.NewApt(filepath.Join(c.cfg.Dir, "apt", suite), suite, c.cfg.Mirror)
		lost, err := apt.Lost(ctx, slices.Collect(maps.Keys(bySuite[suite])))
		if err != nil {
			return err
		}
		for _, d := range lost {
			gone = append(gone, bySuite[suite][d])
		}
		progress.Report(nixspace.Progress{Job: "Debian " + suite, Phase: "fetch", Final: true})
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		if err := c.repin(ctx, gone, progress); err != nil {
			return err
		}
	}
	if err := writeFile(stamp, []byte(want)); err != nil {
		return fmt.Errorf("note that the pins were checked: %w", diskFull(err, "the catalog"))
	}
	return nil
}

// recent reports whether a stamp says what is wanted, and is of today.
func recent(stamp, want string) bool {
	b, err := os.ReadFile(stamp)
	info, statErr := os.Stat(stamp)
	if errors.Join(err, statErr) != nil || string(b) != want {
		return false
	}
	age := time.Since(info.ModTime())
	return age >= 0 && age < checkEvery
}

// lacking returns the debs that some package needs and that are not here, with
// the keys of their sources, by suite.
func (c *Catalog) lacking(ctx context.Context, lock *Lock, x *index) (map[string]map[registry.Deb]string, error) {
	valid, err := c.valid(ctx, x)
	if err != nil {
		return nil, err
	}
	var drvs []string
	for _, e := range x.all() {
		drvs = append(drvs, e.Drv)
	}
	bySuite := map[string]map[registry.Deb]string{}
	for _, key := range x.missing(valid, drvs...) {
		s := lock.Sources[key]
		if key == seedKey {
			s = lock.Sources[lock.Seed.Source]
		}
		if s.Kind != SourceDeb {
			continue
		}
		if bySuite[s.Suite] == nil {
			bySuite[s.Suite] = map[registry.Deb]string{}
		}
		bySuite[s.Suite][registry.Deb{Package: s.Package, Version: s.Version, Arch: s.Arch}] = key
	}
	return bySuite, nil
}
