package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/filelock"
)

// Collect finds the images that were not used since before unused and that none of
// needed is; with remove, it removes them. Machines may start meanwhile, by other
// processes too: needed is only for those that have their images already.
//
// An image that somebody looks up is noted as used before it is handed out, in its
// record. Collect takes the record away first, so that nobody finds the image any
// more, and looks at it once more then.
func (l *Layers) Collect(ctx context.Context, needed []nixspace.StoreLayer, unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	keep := map[string]bool{}
	for _, layer := range needed {
		keep[key(sortedPaths(layer.Paths))] = true
	}
	images, err := filepath.Glob(filepath.Join(globQuote(l.dir), "*.erofs"))
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, path := range images {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		k := strings.TrimSuffix(filepath.Base(path), ".erofs")
		if keep[k] || len(k) != 64 {
			continue
		}
		g, ok := l.garbage(k, unused)
		if !ok {
			continue
		}
		if remove {
			switch gone, err := l.remove(k, unused); {
			case err != nil:
				g.Error = err.Error()
			case !gone:
				continue
			}
			g.Removed = g.Error == ""
		}
		out = append(out, g)
	}
	return out, nil
}

// garbage describes an image, and reports whether it is old enough.
func (l *Layers) garbage(k string, unused time.Time) (nixspace.Garbage, bool) {
	image, err := os.Stat(l.path(k, ".erofs"))
	if err != nil {
		return nixspace.Garbage{}, false
	}
	used := image.ModTime() // one without a record was never completed
	if record, err := os.Stat(l.path(k, ".json")); err == nil {
		used = record.ModTime()
	}
	return nixspace.Garbage{
		Kind: nixspace.GarbageLayer, Name: k[:12], Size: image.Size(), LastUsed: used,
		Reason: "no session needs it, and none was started with it since " + used.Format(time.DateOnly),
	}, used.Before(unused)
}

// remove reports false where the image is in use after all.
func (l *Layers) remove(k string, unused time.Time) (bool, error) {
	lock, err := filelock.Try(l.path(k, ".lock"))
	if errors.Is(err, filelock.ErrLocked) {
		return false, nil // it is being made
	}
	if err != nil {
		return false, err
	}
	// The lock's file stays: others may wait for it.
	defer func() { _ = lock.Unlock() }()
	record, hidden := l.path(k, ".json"), l.path(k, ".gone")
	switch err := os.Rename(record, hidden); {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(l.path(k, ".erofs")); err != nil || !info.ModTime().Before(unused) {
			return false, nil
		}
	case err != nil:
		return false, err
	default:
		if info, err := os.Stat(hidden); err != nil || !info.ModTime().Before(unused) {
			return false, errors.Join(err, os.Rename(hidden, record))
		}
	}
	if err := os.Remove(l.path(k, ".erofs")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, errors.Join(err, os.Rename(hidden, record))
	}
	if err := os.Remove(hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, nil
}

// CollectBoot finds the kernels and first root file systems in dir that machines
// are no longer started with, since before unused; with remove, it removes them.
// Machines that run have them open.
func CollectBoot(ctx context.Context, dir string, unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("wait for the boot files: %w", err)
	}
	defer unlock()
	present, _ := lastBoot(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		kernel := strings.HasPrefix(e.Name(), "vmlinux-")
		if !kernel && !strings.HasPrefix(e.Name(), "initramfs-") || path == present.Kernel || path == present.Initramfs {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(unused) {
			continue
		}
		g := nixspace.Garbage{
			Kind: nixspace.GarbageBoot, Name: e.Name()[:min(len(e.Name()), 24)], Size: info.Size(), LastUsed: info.ModTime(),
			Reason: "machines are started with another one",
		}
		if remove {
			if err := os.Remove(path); err != nil {
				g.Error = err.Error()
			}
			g.Removed = g.Error == ""
		}
		out = append(out, g)
	}
	return out, nil
}
