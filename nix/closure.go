package nix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// Closure returns the closure of paths: themselves and everything that they refer
// to, directly or not, sorted by path. It fails with code "path_missing" when one
// of them is not in the store.
//
// What is known of a path never changes while the path exists, so it is remembered,
// and so are closures. The paths that are asked for are looked up each time, which
// says that the rest is there too: the store keeps whatever a valid path refers to.
func (e *Engine) Closure(ctx context.Context, paths ...string) ([]nixspace.PathInfo, error) {
	roots := slices.Compact(slices.Sorted(slices.Values(paths)))
	var closures [][]nixspace.PathInfo
	var ask, known []string
	for _, p := range roots {
		if infos, ok := e.paths.closure(p); ok {
			closures, known = append(closures, infos), append(known, p)
		} else {
			ask = append(ask, p)
		}
	}
	if err := e.stillValid(ctx, known); err != nil {
		return nil, err
	}
	infos, err := e.lookup(ctx, ask, false)
	if err != nil {
		return nil, err
	}
	for _, root := range infos {
		c, err := e.closureOf(ctx, root)
		if err != nil {
			return nil, err
		}
		closures = append(closures, c)
	}
	if len(closures) == 1 {
		return slices.Clone(closures[0]), nil
	}
	seen := map[string]bool{}
	var out []nixspace.PathInfo
	for _, c := range closures {
		for _, info := range c {
			if !seen[info.Path] {
				seen[info.Path] = true
				out = append(out, info)
			}
		}
	}
	sortPaths(out)
	return out, nil
}

// stillValid fails where the store does not have one of the paths.
func (e *Engine) stillValid(ctx context.Context, paths []string) error {
	valid, err := e.client.ValidPaths(ctx, paths)
	if err != nil {
		return fmt.Errorf("read a closure: %w", e.explain(err))
	}
	for _, p := range paths {
		if _, ok := slices.BinarySearch(valid, p); !ok {
			return pathMissing(fmt.Errorf("%s: %w", p, daemon.ErrNotValid))
		}
	}
	return nil
}

func pathMissing(err error) error {
	return nixspace.Errorf(nixspace.KindNotFound, "path_missing", "the Nix store does not have %w", err).
		WithHint("build the environment again")
}

func sortPaths(infos []nixspace.PathInfo) {
	slices.SortFunc(infos, func(a, b nixspace.PathInfo) int { return strings.Compare(a.Path, b.Path) })
}

// closureOf returns the closure of a path that was just seen to be valid, sorted,
// and remembers it. The caller must not change it.
func (e *Engine) closureOf(ctx context.Context, root nixspace.PathInfo) ([]nixspace.PathInfo, error) {
	seen := map[string]bool{root.Path: true}
	var out []nixspace.PathInfo
	for infos := []nixspace.PathInfo{root}; len(infos) > 0; {
		var next []string
		for _, info := range infos {
			out = append(out, info)
			for _, ref := range info.References {
				if !seen[ref] {
					seen[ref] = true
					next = append(next, ref)
				}
			}
		}
		var err error
		if infos, err = e.lookup(ctx, next, true); err != nil {
			return nil, err
		}
	}
	sortPaths(out)
	e.paths.putClosure(root.Path, out)
	return out, nil
}

// lookup returns what is known of paths, in any order.
func (e *Engine) lookup(ctx context.Context, paths []string, cached bool) ([]nixspace.PathInfo, error) {
	out := make([]nixspace.PathInfo, 0, len(paths))
	var ask []string
	for _, p := range paths {
		if info, ok := e.paths.get(p); cached && ok {
			out = append(out, info)
		} else {
			ask = append(ask, p)
		}
	}
	// Few connections: each is a process of the daemon, and they share the
	// processors with it.
	const perConn = 64
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for batch := range slices.Chunk(ask, perConn) {
		g.Go(func() error {
			infos, err := e.client.PathInfos(ctx, batch)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, i := range infos {
				e.paths.put(i.PathInfo)
				out = append(out, i.PathInfo)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		if errors.Is(err, daemon.ErrNotValid) {
			return nil, pathMissing(err)
		}
		return nil, fmt.Errorf("read a closure: %w", e.explain(err))
	}
	return out, nil
}

// The bounds of the cache: of paths, and of paths in closures. A closure of a large
// environment has 2,000 paths.
const (
	maxCached         = 50_000
	maxCachedClosures = 200_000
)

// pathCache remembers path infos. A path that was collected as garbage and built
// again may have other content, if its build is not reproducible; it is then another
// file, which the file's identity tells.
type pathCache struct {
	mu       sync.RWMutex
	m        map[string]cachedPath
	closures map[string]cachedClosure
	held     int // paths in closures
}

// cachedClosure is valid as long as its root is the same file.
type cachedClosure struct {
	infos []nixspace.PathInfo
	id    fileID
}

type cachedPath struct {
	info nixspace.PathInfo
	id   fileID
}

type fileID struct {
	inode uint64
	ctime syscall.Timespec
}

func newPathCache() *pathCache {
	return &pathCache{m: map[string]cachedPath{}, closures: map[string]cachedClosure{}}
}

func identify(path string) (fileID, bool) {
	fi, err := os.Lstat(path)
	if err != nil {
		return fileID{}, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, false
	}
	return fileID{inode: st.Ino, ctime: st.Ctim}, true
}

func (c *pathCache) get(path string) (nixspace.PathInfo, bool) {
	c.mu.RLock()
	e, ok := c.m[path]
	c.mu.RUnlock()
	if !ok {
		return nixspace.PathInfo{}, false
	}
	id, ok := identify(path)
	return e.info, ok && id == e.id
}

func (c *pathCache) put(info nixspace.PathInfo) {
	id, ok := identify(info.Path)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxCached {
		clear(c.m)
	}
	c.m[info.Path] = cachedPath{info, id}
}

func (c *pathCache) closure(root string) ([]nixspace.PathInfo, bool) {
	c.mu.RLock()
	e, ok := c.closures[root]
	c.mu.RUnlock()
	if !ok {
		return nil, false
	}
	id, ok := identify(root)
	return e.infos, ok && id == e.id
}

func (c *pathCache) putClosure(root string, infos []nixspace.PathInfo) {
	id, ok := identify(root)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held+len(infos) > maxCachedClosures {
		clear(c.closures)
		c.held = 0
	}
	c.held += len(infos) - len(c.closures[root].infos)
	c.closures[root] = cachedClosure{infos, id}
}
