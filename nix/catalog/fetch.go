package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/filelock"
	"github.com/nixspace/nixspace/nix/catalog/registry"
)

// How many downloads of a kind go on at the same time; apt arranges its own.
const (
	parallelNpm = 3
	parallelGo  = 2
)

// Fetch puts the sources that the packages still need into the store. What is
// there, or was built, is not fetched. Each file is checked against its pin before
// it is imported. When it is given up or fails, what arrived is kept, and the next
// call goes on from there.
//
// Errors that people can act on have the codes catalog_hash_mismatch,
// catalog_truncated, disk_full, fetch_failed, client_missing, debian_not_known,
// source_not_offered and package_unknown.
func (c *Catalog) Fetch(ctx context.Context, attrs []string, progress nixspace.ProgressFunc) error {
	return c.fetch(ctx, progress, func(ctx context.Context, x *index) ([]string, error) { return c.needed(ctx, x, attrs) })
}

// fetch puts sources into the store: those that needed returns.
func (c *Catalog) fetch(ctx context.Context, progress nixspace.ProgressFunc, needed func(context.Context, *index) ([]string, error)) error {
	for range 2 {
		again, err := c.fetchOnce(ctx, progress, needed)
		if err != nil || !again {
			return err
		}
	}
	return nixspace.Errorf(nixspace.KindUnavailable, registry.CodeNotOffered, "Debian's mirror changed twice while packages were fetched").
		WithHint("try again")
}

// fetchOnce does one round. It asks for another one where pins were replaced.
func (c *Catalog) fetchOnce(ctx context.Context, progress nixspace.ProgressFunc, needed func(context.Context, *index) ([]string, error)) (again bool, err error) {
	lock, x, err := c.current(ctx)
	if err != nil {
		return false, err
	}
	keys, err := needed(ctx, x)
	if err != nil || len(keys) == 0 {
		return false, err
	}
	unlock, err := c.lockDir(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	// Another process may have fetched meanwhile.
	if keys, err = needed(ctx, x); err != nil || len(keys) == 0 {
		return false, err
	}
	f := &fetch{Catalog: c, lock: lock, report: progress}
	repinned, err := f.run(ctx, keys)
	return repinned, err
}

// needed returns the sources to fetch for packages and their smoke runs.
func (c *Catalog) needed(ctx context.Context, x *index, attrs []string) ([]string, error) {
	var drvs []string
	for _, a := range attrs {
		e, err := x.entry(a)
		if err != nil {
			return nil, err
		}
		drvs = append(drvs, e.Drv)
		if e.SmokeDrv != "" {
			drvs = append(drvs, e.SmokeDrv)
		}
	}
	valid, err := c.valid(ctx, x)
	if err != nil {
		return nil, err
	}
	return x.missing(valid, drvs...), nil
}

// lockDir makes sure that one process at a time fetches into the directory.
func (c *Catalog) lockDir(ctx context.Context) (unlock func(), err error) {
	l, err := filelock.Wait(ctx, filepath.Join(c.cfg.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("lock the catalog: %w", err)
	}
	return func() { _ = l.Unlock() }, nil
}

// fetch is one run.
type fetch struct {
	*Catalog
	lock   *Lock
	report nixspace.ProgressFunc

	mu    sync.Mutex
	done  int64 // bytes of files that are in the store
	part  map[string]int64
	total int64
}

// downloads is where files wait for their import.
func (c *Catalog) downloads() string { return filepath.Join(c.cfg.Dir, "downloads") }

func (f *fetch) run(ctx context.Context, keys []string) (repinned bool, err error) {
	f.part = map[string]int64{}
	if err := f.cleanUp(); err != nil {
		return false, err
	}
	for _, k := range keys {
		f.total += f.lock.size(k)
	}
	if err := f.checkSpace(); err != nil {
		return false, err
	}
	debs := map[string][]string{} // by suite
	g, gctx := errgroup.WithContext(ctx)
	npm, golang := make(chan struct{}, parallelNpm), make(chan struct{}, parallelGo)
	for _, key := range keys {
		src := f.lock.Sources[key]
		if key == seedKey {
			src = f.lock.Sources[f.lock.Seed.Source]
		}
		if ok, err := f.fromCache(gctx, key, src); err != nil {
			return false, errors.Join(err, g.Wait())
		} else if ok {
			continue
		}
		slots := npm
		switch src.Kind {
		case SourceDeb:
			debs[src.Suite] = append(debs[src.Suite], key)
			continue
		case SourceGo:
			slots = golang
		}
		g.Go(func() error {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-gctx.Done():
				return context.Cause(gctx)
			}
			return f.archive(gctx, key, src)
		})
	}
	var gone []string
	var mu sync.Mutex
	for suite, keys := range debs {
		g.Go(func() error {
			lost, err := f.debs(gctx, suite, keys)
			mu.Lock()
			gone = append(gone, lost...)
			mu.Unlock()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	f.report.Report(nixspace.Progress{Job: "packages", Phase: "fetch", Done: f.total, Total: f.total, Unit: "B", Final: true})
	if len(gone) == 0 {
		return false, nil
	}
	slices.Sort(gone)
	return true, f.repin(ctx, gone, f.report)
}

// cleanUp removes what an earlier run left half done. Debs stay: each is complete
// or is found out by its hash.
func (f *fetch) cleanUp() error {
	old, err := filepath.Glob(filepath.Join(f.downloads(), "tmp-*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove an old download: %w", err)
		}
	}
	if err := os.MkdirAll(f.downloads(), 0o755); err != nil {
		return fmt.Errorf("prepare to download: %w", diskFull(err, "downloads"))
	}
	return nil
}

// checkSpace refuses to begin what cannot end well.
func (f *fetch) checkSpace() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(f.downloads(), &s); err != nil {
		return fmt.Errorf("look for free space: %w", err)
	}
	if free := int64(s.Bavail) * s.Bsize; free < f.total {
		return nixspace.Errorf(nixspace.KindLimit, registry.CodeDiskFull,
			"%d MB must be fetched, and %s has only %d MB free", (f.total+999_999)/1_000_000, f.cfg.Dir, free/1_000_000).
			WithHint("free some space, or choose another state directory with --state")
	}
	return nil
}

// progress notes how much of a job is there, and reports the sum.
func (f *fetch) progress(job string, bytes int64) {
	f.mu.Lock()
	f.part[job] = bytes
	done := f.done
	for _, n := range f.part {
		done += n
	}
	f.mu.Unlock()
	f.report.Report(nixspace.Progress{Job: "packages", Phase: "fetch", Done: min(done, f.total), Total: f.total, Unit: "B"})
}

// archive fetches one npm package or Go module and imports it.
func (f *fetch) archive(ctx context.Context, key string, src Source) error {
	dir, err := os.MkdirTemp(f.downloads(), "tmp-")
	if err != nil {
		return fmt.Errorf("fetch %s: %w", src.Name, diskFull(err, src.Name))
	}
	defer os.RemoveAll(dir)
	var file string
	if src.Kind == SourceNpm {
		into := filepath.Join(dir, "into")
		if err := os.Mkdir(into, 0o755); err != nil {
			return fmt.Errorf("fetch %s: %w", src.Name, diskFull(err, src.Name))
		}
		file, err = registry.NewNpm(dir).Pack(ctx, into, src.Package, src.Version)
	} else {
		file, _, err = registry.NewGo(filepath.Join(dir, "go")).Download(ctx, src.Package, src.Version)
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", src.Name, err)
	}
	return f.take(ctx, key, src, file)
}

// debs fetches debs of one suite and imports them. It returns those that the
// mirror no longer has.
func (f *fetch) debs(ctx context.Context, suite string, keys []string) (gone []string, err error) {
	dir := filepath.Join(f.downloads(), suite)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("fetch debs: %w", diskFull(err, "downloads"))
	}
	var want []registry.Deb
	byDeb := map[registry.Deb]string{}
	var bytes int64
	for _, key := range keys {
		src := f.debSource(key)
		d := registry.Deb{Package: src.Package, Version: src.Version, Arch: src.Arch}
		file := filepath.Join(dir, d.FileName())
		if _, err := os.Lstat(file); err == nil {
			if f.verify(src, file) == nil {
				if err := f.take(ctx, key, src, file); err != nil {
					return nil, err
				}
				continue
			}
			if err := os.Remove(file); err != nil {
				return nil, fmt.Errorf("remove an incomplete download: %w", err)
			}
		}
		want = append(want, d)
		byDeb[d] = key
		bytes += src.Size
	}
	if len(want) == 0 {
		return nil, nil
	}
	apt := registry.NewApt(filepath.Join(f.cfg.Dir, "apt", suite), suite, f.cfg.Mirror)
	lost, err := apt.Gone(ctx, want)
	if err != nil {
		return nil, err
	}
	for _, d := range lost {
		gone = append(gone, byDeb[d])
		want = slices.DeleteFunc(want, func(w registry.Deb) bool { return w == d })
	}
	if len(want) == 0 {
		return gone, nil
	}
	job := "debs of " + suite
	err = apt.Download(ctx, dir, want, func(part float64) { f.progress(job, int64(part*float64(bytes))) })
	f.progress(job, 0)
	if nixspace.ErrorCode(err) == registry.CodeFetchFailed {
		// The index at hand may list what the mirror has dropped since.
		lost, lookErr := apt.Lost(ctx, want)
		if lookErr == nil && len(lost) > 0 {
			for _, d := range lost {
				gone = append(gone, byDeb[d])
			}
			return gone, nil // the next round fetches the rest
		}
	}
	if err != nil {
		return nil, err
	}
	for _, d := range want {
		if err := f.take(ctx, byDeb[d], f.debSource(byDeb[d]), filepath.Join(dir, d.FileName())); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

func (f *fetch) debSource(key string) Source {
	if key == seedKey {
		key = f.lock.Seed.Source
	}
	return f.lock.Sources[key]
}
