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
// What is known of a path never changes while the path exists, so it is remembered.
// The paths that are asked for are looked up each time, which says that the rest is
// there too: the store keeps whatever a valid path refers to.
func (e *Engine) Closure(ctx context.Context, paths ...string) ([]nixspace.PathInfo, error) {
	seen := map[string]bool{}
	var out []nixspace.PathInfo
	next := slices.Compact(slices.Sorted(slices.Values(paths)))
	for _, p := range next {
		seen[p] = true
	}
	for first := true; len(next) > 0; first = false {
		infos, err := e.lookup(ctx, next, !first)
		if err != nil {
			return nil, err
		}
		next = nil
		for _, info := range infos {
			out = append(out, info)
			for _, ref := range info.References {
				if !seen[ref] {
					seen[ref] = true
					next = append(next, ref)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b nixspace.PathInfo) int { return strings.Compare(a.Path, b.Path) })
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
			return nil, nixspace.Errorf(nixspace.KindNotFound, "path_missing", "the Nix store does not have %w", err).
				WithHint("build the environment again")
		}
		return nil, fmt.Errorf("read a closure: %w", e.explain(err))
	}
	return out, nil
}

// maxCached bounds the cache; a closure of a large environment has 2,000 paths.
const maxCached = 50_000

// pathCache remembers path infos. A path that was collected as garbage and built
// again may have other content, if its build is not reproducible; it is then another
// file, which the file's identity tells.
type pathCache struct {
	mu sync.RWMutex
	m  map[string]cachedPath
}

type cachedPath struct {
	info nixspace.PathInfo
	id   fileID
}

type fileID struct {
	inode uint64
	ctime syscall.Timespec
}

func newPathCache() *pathCache { return &pathCache{m: map[string]cachedPath{}} }

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
