// Package catalog is a package source that works without a public Nix cache: a
// flake with nixpkgs' attribute names whose packages are made of upstream's own
// binaries, as they come from npm, Debian and Go's module proxy.
//
// The flake is embedded in the program. catalog.json says what there is and
// catalog.lock.json pins it, by package, version and hash and without a host: the
// machine's own npm, apt and go know where to ask. What an environment needs is
// fetched, checked, put into the store as fixed-output paths, built by Nix in its
// sandbox, and run once.
//
// The state directory holds, all of it replaceable but the overlay:
//
//	apt/<suite>/        index and configuration of a Debian suite
//	downloads/          files on their way into the store
//	index-<hash>.json   the evaluated catalog, by its hash
//	overlay.lock.json   pins that replace those which Debian dropped
//	lock                held while something is fetched
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
)

// BaseAttr is the attribute of the guest's base system. It can be fetched and
// built like a package, but is not offered.
const BaseAttr = "nixspaceBase"

// Config says what a catalog works with. Dir and Engine are required.
type Config struct {
	Dir    string // the catalog's own directory; made when missing
	Engine *nix.Engine
	// Mirror is the address of a Debian mirror, for machines whose apt sources
	// name none.
	Mirror string
	// Cache, when not empty, is a directory in which verified downloads are kept
	// and looked for before a registry is asked, named "<algorithm>-<hash>".
	Cache string
	Log   *slog.Logger
}

// Catalog is the package source. It is safe for concurrent use.
type Catalog struct {
	cfg    Config
	log    *slog.Logger
	wanted *Wanted
	pinned *Lock // as embedded

	mu    sync.Mutex // guards what follows, and evaluation
	tree  *tree
	added bool // the tree is in the store
	index *index
}

// Open returns the catalog of this program. It starts no process.
func Open(_ context.Context, cfg Config) (*Catalog, error) {
	c := &Catalog{cfg: cfg, log: cfg.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	if err := os.MkdirAll(c.cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	b, err := embedded.ReadFile("flake/catalog.json")
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	if c.wanted, err = ParseWanted(b); err != nil {
		return nil, err
	}
	if c.pinned, err = pinned(); err != nil {
		return nil, err
	}
	lock, err := c.overlaid()
	if err != nil {
		return nil, err
	}
	if c.tree, err = newTree(lock); err != nil {
		return nil, err
	}
	return c, nil
}

// Source returns how a flake names the catalog as its input, and makes sure that
// it is in the store.
func (c *Catalog) Source(ctx context.Context) (nixspace.FlakeSource, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ensureTree(ctx); err != nil {
		return nixspace.FlakeSource{}, err
	}
	return c.tree.flakeSource()
}

// ensureTree puts the flake into the store and roots it. c.mu is held.
func (c *Catalog) ensureTree(ctx context.Context) error {
	if c.added {
		if _, err := os.Lstat(c.tree.path); err == nil {
			return nil
		}
	}
	if err := c.tree.add(ctx, c.cfg.Engine.Store()); err != nil {
		return err
	}
	// Older trees stay rooted: versions of environments name them.
	if err := c.cfg.Engine.Root(ctx, "catalog/source/"+filepath.Base(c.tree.path)[:32], c.tree.path); err != nil {
		return err
	}
	c.added = true
	return nil
}

// setLock makes a lock the current one. c.mu is held.
func (c *Catalog) setLock(lock *Lock) error {
	t, err := newTree(lock)
	if err != nil {
		return err
	}
	if t.path != c.tree.path {
		c.tree, c.added, c.index = t, false, nil
	}
	return nil
}

// current returns the lock in force and the evaluated index.
func (c *Catalog) current(ctx context.Context) (*Lock, *index, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ensureIndex(ctx); err != nil {
		return nil, nil, err
	}
	return c.tree.lock, c.index, nil
}

// Update pins the newest versions of everything into the overlay, as they are
// today. Environments that exist keep what they have.
func (c *Catalog) Update(ctx context.Context, progress nixspace.ProgressFunc) error {
	unlock, err := c.lockDir(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c.mu.Lock()
	old := c.tree.lock
	c.mu.Unlock()
	r := &Resolver{Dir: c.cfg.Dir, Mirror: c.cfg.Mirror, Log: c.log}
	progress.Report(nixspace.Progress{Job: "catalog", Phase: "resolve"})
	lock, err := r.Resolve(ctx, c.wanted, old)
	if err != nil {
		return err
	}
	if err := c.saveOverlay(lock); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	progress.Report(nixspace.Progress{Job: "catalog", Phase: "resolve", Final: true})
	return c.setLock(lock)
}

// writeFile replaces a file as a whole and makes it durable.
func writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it was renamed
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
