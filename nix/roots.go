package nix

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// Roots are links <StateDir>/nix/roots/<name> to store paths. The daemon is told of
// each (Nix: indirect roots, in /nix/var/nix/gcroots/auto), so the garbage collector
// keeps what they point to for as long as they are there. This needs no rights that
// a user of the daemon does not have; and when the state directory is deleted, the
// roots are gone with it.

// Root keeps a valid store path, and everything that it refers to, from the garbage
// collector. An earlier root of the same name is replaced. It fails with code
// "path_missing" when the path is not in the store.
func (e *Engine) Root(ctx context.Context, name, path string) error {
	link, err := e.rootFile(name)
	if err != nil {
		return err
	}
	if err := daemon.CheckStorePath(path); err != nil {
		return err
	}
	e.rootsMu.Lock()
	defer e.rootsMu.Unlock()
	// First for the moment, so that the path cannot go before it is rooted.
	if err := e.client.AddTempRoot(ctx, path); err != nil {
		return fmt.Errorf("root %s: %w", path, e.explain(err))
	}
	tmp := link + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("root %s: %w", path, err)
	}
	if err := os.Symlink(path, tmp); err != nil {
		return fmt.Errorf("root %s: %w", path, err)
	}
	if err := errors.Join(os.Rename(tmp, link), syncDir(filepath.Dir(link))); err != nil {
		return fmt.Errorf("root %s: %w", path, err)
	}
	if err := e.client.AddIndirectRoot(ctx, link); err != nil {
		return fmt.Errorf("root %s: %w", path, e.explain(err))
	}
	ok, err := e.client.IsValidPath(ctx, path)
	if err != nil {
		return fmt.Errorf("root %s: %w", path, e.explain(err))
	}
	if !ok {
		return errors.Join(
			nixspace.Errorf(nixspace.KindNotFound, "path_missing", "the Nix store does not have %s", path).
				WithHint("build the environment again"),
			os.Remove(link))
	}
	return nil
}

// Unroot lets the garbage collector have what was rooted under a name. A name that
// is not there is no error.
func (e *Engine) Unroot(_ context.Context, name string) error {
	link, err := e.rootFile(name)
	if err != nil {
		return err
	}
	e.rootsMu.Lock()
	defer e.rootsMu.Unlock()
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unroot %s: %w", name, err)
	}
	return nil
}

// Roots returns what is rooted, by name.
func (e *Engine) Roots(context.Context) (map[string]string, error) {
	dir := filepath.Join(e.dir, "roots")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list roots: %w", err)
	}
	roots := map[string]string{}
	for _, entry := range entries {
		file, ok := strings.CutSuffix(entry.Name(), rootSuffix)
		if !ok {
			continue // a link that was not completed
		}
		name, err := url.PathUnescape(file)
		if err != nil {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("list roots: %w", err)
		}
		roots[name] = target
	}
	return roots, nil
}

// RootsBefore returns what is rooted by links that were made, or made again, before
// a time.
func (e *Engine) RootsBefore(ctx context.Context, before time.Time) (map[string]string, error) {
	roots, err := e.Roots(ctx)
	for name := range roots {
		if old, err := e.rootedBefore(name, before); err != nil || !old {
			delete(roots, name)
		}
	}
	return roots, err
}

// UnrootBefore is [Engine.Unroot] for a link that was made before a time; one that
// was made again since stays.
func (e *Engine) UnrootBefore(_ context.Context, name string, before time.Time) error {
	link, err := e.rootFile(name)
	if err != nil {
		return err
	}
	e.rootsMu.Lock()
	defer e.rootsMu.Unlock()
	if old, err := e.rootedBefore(name, before); err != nil || !old {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unroot %s: %w", name, err)
	}
	return nil
}

func (e *Engine) rootedBefore(name string, before time.Time) (bool, error) {
	link, err := e.rootFile(name)
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(link)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.ModTime().Before(before), err
}

const rootSuffix = ".root"

// rootFile returns the link of a root. Any name of up to 150 bytes will do.
func (e *Engine) rootFile(name string) (string, error) {
	file := url.PathEscape(name) + rootSuffix
	if name == "" || len(file) > 250 {
		return "", fmt.Errorf("%.80q cannot be the name of a root", name)
	}
	return filepath.Join(e.dir, "roots", file), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
