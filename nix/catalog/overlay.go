package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/debian"
	"github.com/nixspace/nixspace/nix/catalog/registry"
)

// overlay is overlay.lock.json: what differs from the pinned lock on this machine.
type overlay struct {
	Base    string            `json:"base"` // digest of the pinned lock that it was made for
	Seed    Seed              `json:"seed"`
	Sources map[string]Source `json:"sources"`
	Units   map[string]Unit   `json:"units"`
}

func (c *Catalog) overlayFile() string { return filepath.Join(c.cfg.Dir, "overlay.lock.json") }

// overlaid returns the pinned lock with the overlay on it. An overlay of another
// pinned lock, or one that cannot be read, is set aside: the new pins may do.
func (c *Catalog) overlaid() (*Lock, error) {
	b, err := os.ReadFile(c.overlayFile())
	if errors.Is(err, fs.ErrNotExist) {
		return c.pinned, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the catalog's overlay: %w", err)
	}
	var o overlay
	if err := json.Unmarshal(b, &o); err != nil {
		c.log.Warn("the catalog's overlay is damaged, so what this machine pinned anew no longer counts; it was set aside",
			"file", c.overlayFile()+".old", "error", err)
		return c.pinned, os.Rename(c.overlayFile(), c.overlayFile()+".old")
	}
	if o.Base != c.pinned.Digest() {
		c.log.Info("the catalog has new pins, so those of the overlay no longer count", "file", c.overlayFile())
		return c.pinned, os.Rename(c.overlayFile(), c.overlayFile()+".old")
	}
	lock := c.pinned.clone()
	lock.Seed = o.Seed
	maps.Copy(lock.Sources, o.Sources)
	maps.Copy(lock.Units, o.Units)
	if err := lock.check(); err != nil {
		return nil, fmt.Errorf("read the catalog's overlay %s: %w", c.overlayFile(), err)
	}
	return lock, nil
}

// saveOverlay writes what differs between the pinned lock and another one.
func (c *Catalog) saveOverlay(lock *Lock) error {
	o := overlay{Base: c.pinned.Digest(), Seed: lock.Seed, Sources: map[string]Source{}, Units: map[string]Unit{}}
	for k, s := range lock.Sources {
		if c.pinned.Sources[k] != s {
			o.Sources[k] = s
		}
	}
	for k, u := range lock.Units {
		if old, ok := c.pinned.Units[k]; !ok || !reflect.DeepEqual(old, u) {
			o.Units[k] = u
		}
	}
	b, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return fmt.Errorf("write the catalog's overlay: %w", err)
	}
	if err := writeFile(c.overlayFile(), append(b, '\n')); err != nil {
		return fmt.Errorf("write the catalog's overlay: %w", diskFull(err, "the catalog's overlay"))
	}
	return nil
}

func (l *Lock) clone() *Lock {
	n := *l
	n.Sources = maps.Clone(l.Sources)
	n.Units = maps.Clone(l.Units)
	return &n
}

// repin replaces pins of debs that the mirror no longer has by what it has now,
// and no others. The directory's lock is held.
func (c *Catalog) repin(ctx context.Context, gone []string, report nixspace.ProgressFunc) error {
	c.mu.Lock()
	old := c.tree.lock
	c.mu.Unlock()
	x := &resolution{
		Resolver: &Resolver{Dir: c.cfg.Dir, Mirror: c.cfg.Mirror, Log: c.log},
		wanted:   c.wanted, old: old, indexes: map[string]*debian.Index{}, lock: old.clone(),
	}
	seed := false
	for i, key := range gone {
		if key == seedKey {
			seed, gone[i] = true, old.Seed.Source
		}
		suite := old.Sources[gone[i]].Suite
		if x.indexes[suite] != nil {
			continue
		}
		index, err := registry.NewApt(filepath.Join(c.cfg.Dir, "apt", suite), suite, c.cfg.Mirror).Index(ctx)
		if err != nil {
			return err
		}
		x.indexes[suite] = index
	}
	if err := x.replace(gone); err != nil {
		return err
	}
	if seed {
		if err := x.seed(ctx); err != nil {
			return err
		}
	}
	if err := x.lock.check(); err != nil {
		return fmt.Errorf("pin packages anew: %w", err)
	}
	var changes []string
	for _, key := range gone {
		changes = append(changes, fmt.Sprintf("%s %s → %s", old.Sources[key].Package, old.Sources[key].Version, x.lock.Sources[key].Version))
	}
	c.log.Warn("Debian's mirror no longer has packages that the catalog pins, so this machine pins newer ones: store paths differ from those of other machines",
		"changes", changes, "overlay", c.overlayFile())
	report.Report(nixspace.Progress{Job: "catalog", Log: fmt.Sprintf(
		"NOTICE: Debian's mirror no longer has %d packages that the catalog pins; newer ones are used on this machine: %s",
		len(changes), strings.Join(changes, ", "))})
	if err := c.saveOverlay(x.lock); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setLock(x.lock)
}

// replace pins debs anew, and the libraries that their new versions need.
func (x *resolution) replace(gone []string) error {
	for _, key := range gone {
		s := x.lock.Sources[key]
		if _, err := x.deb(s.Suite, s.Package); err != nil {
			return err
		}
	}
	names := slices.Sorted(maps.Keys(x.lock.Units))
	for _, name := range names {
		u := x.lock.Units[name]
		if !slices.ContainsFunc(u.Srcs, func(s string) bool { return slices.Contains(gone, s) }) {
			continue
		}
		index := x.indexes[u.Suite]
		var debs []string
		for _, s := range u.Srcs {
			debs = append(debs, x.lock.Sources[s].Package)
		}
		u.Version = debian.Upstream(x.lock.Sources[u.Srcs[0]].Version)
		extra := x.wanted.all()[name].Libs
		libs, err := x.libraries(u.Suite, append(slices.Clone(extra), index.Libraries(append(debs, extra...)...)...))
		if err != nil {
			return err
		}
		u.Libs = libs
		x.lock.Units[name] = u
	}
	return nil
}
