// Package volume keeps the disks of sessions: raw ext4 images in one folder, made
// by cloning a formatted template.
//
// On a file system that shares blocks between files (XFS, btrfs) a clone takes
// milliseconds whatever its size. Where the state directory has none, [Open]
// makes one inside a sparse file and mounts it, if it may; else disks are sparse
// files, which works, and takes longer to clone.
package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// Pool is a folder of disks. It is safe for concurrent use, by several processes
// too.
type Pool struct {
	dir     string
	reflink bool
}

// At returns the pool in a folder that [Open] has prepared.
func At(dir string) *Pool { return &Pool{dir: dir, reflink: canReflink(dir)} }

// Dir returns the folder.
func (p *Pool) Dir() string { return p.dir }

// Reflink reports whether clones share blocks.
func (p *Pool) Reflink() bool { return p.reflink }

// Path returns where the disk of a session is, whether it exists or not.
func (p *Pool) Path(id nixspace.ID) string { return filepath.Join(p.dir, string(id)+suffix) }

const suffix = ".disk"

// The sizes that a disk may have, in MiB. Below the smallest, ext4's own
// structures take most of it.
const (
	minSize = 64
	maxSize = 16 << 20
)

// Create makes a session's disk of a size in MiB and returns its path and true,
// or false where the session has a disk already, which is left as it is. A new disk
// is empty, or begins with seed unless that is nil. It fails with code
// "disk_size_invalid", "disk_full" or, where only the seed cannot be put on a disk,
// "seed_failed".
func (p *Pool) Create(ctx context.Context, id nixspace.ID, size int64, seed *Seed) (path string, fresh bool, err error) {
	if !id.Valid() {
		return "", false, fmt.Errorf("create a disk: %q is no session", id)
	}
	path = p.Path(id)
	if _, err := os.Stat(path); err == nil {
		return path, false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	if size < minSize || size > maxSize {
		return "", false, nixspace.Errorf(nixspace.KindInvalid, "disk_size_invalid", "a disk of %d MiB is not possible", size).
			WithHint("ask for %d MiB to %d TiB in resources.disk", minSize, maxSize>>20)
	}
	if err := p.room(size); err != nil {
		return "", false, err
	}
	var finish func(*os.File) error
	if seed != nil && seed.Finish != nil {
		// Before anybody sees the disk: half of it may be worth nothing.
		finish = func(f *os.File) error { return seed.Finish(ctx, f) }
	}
	for range collectedMax {
		template, err := p.template(ctx, size, seed)
		if err != nil {
			return "", false, fmt.Errorf("format a disk: %w", err)
		}
		if err = p.copyFile(ctx, template, path, finish); err == nil {
			return path, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", false, fmt.Errorf("create a disk: %w", err)
		}
	}
	return "", false, errors.New("create a disk: what it is copied from is collected again and again")
}

// collectedMax is how often Create makes a template that Collect takes away before it
// was copied.
const collectedMax = 100

// Clone makes a copy of one session's disk for another. The disk must not be in
// use, or its machine must be paused.
func (p *Pool) Clone(ctx context.Context, from, to nixspace.ID) (path string, err error) {
	if !from.Valid() || !to.Valid() {
		return "", fmt.Errorf("clone a disk: %q or %q is no session", from, to)
	}
	path = p.Path(to)
	if err := p.copyFile(ctx, p.Path(from), path, nil); err != nil {
		return "", fmt.Errorf("clone a disk: %w", err)
	}
	return path, nil
}

// Delete removes a session's disk. It succeeds where there is none.
func (p *Pool) Delete(id nixspace.ID) error {
	if !id.Valid() {
		return fmt.Errorf("delete a disk: %q is no session", id)
	}
	if err := os.Remove(p.Path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a disk: %w", err)
	}
	return nil
}

// List returns the sessions that have a disk.
func (p *Pool) List() ([]nixspace.ID, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []nixspace.ID
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && nixspace.ID(name).Valid() {
			out = append(out, nixspace.ID(name))
		}
	}
	return out, nil
}

// Usage returns how many bytes a session's disk takes on the host; blocks that it
// shares with others count in each.
func (p *Pool) Usage(id nixspace.ID) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(p.Path(id), &st); err != nil {
		return 0, fmt.Errorf("stat the disk of %s: %w", id, err)
	}
	return st.Blocks * 512, nil
}

// room refuses a disk where the pool is nearly full: a guest whose writes fail
// loses more than one that never started.
func (p *Pool) room(size int64) error { return p.Room(min(size/4, 256)) }

// template returns a formatted disk of a size in MiB, which is empty but for a
// seed. It is made once.
func (p *Pool) template(ctx context.Context, size int64, seed *Seed) (string, error) {
	path := filepath.Join(p.dir, fmt.Sprintf("template-%d%s.ext4", size, seed.suffix()))
	if _, err := os.Stat(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // for Collect; only an order is lost
		return path, nil
	}
	f, err := os.CreateTemp(p.dir, ".template-*")
	if err != nil {
		return "", diskFull(err, p.dir)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer f.Close()
	if err := f.Truncate(size << 20); err != nil {
		return "", err
	}
	// The file is all zeros already, so nothing needs to be zeroed, now by mkfs or
	// later by the guest's kernel. Nothing is kept back for root.
	args := []string{"-q", "-F", "-m", "0", "-L", "nixspace", "-E", "assume_storage_prezeroed=1,nodiscard,root_owner=0:0"}
	if seed != nil {
		dir, err := seed.gather(ctx, p.dir)
		if err != nil {
			return "", seedFailed(diskFull(err, p.dir))
		}
		defer os.RemoveAll(dir)
		args = append(args, "-d", dir)
	}
	cmd := exec.CommandContext(ctx, "mkfs.ext4", append(args, f.Name())...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", nixspace.Errorf(nixspace.KindUnavailable, "mkfs_missing", "mkfs.ext4 is not installed: %w", err).
				WithHint("install e2fsprogs, or run make setup")
		}
		err = diskFull(fmt.Errorf("mkfs.ext4: %w: %s", err, strings.TrimSpace(string(out))), p.dir)
		if seed != nil {
			err = seedFailed(err)
		}
		return "", err
	}
	if seed != nil {
		if err := seed.own(ctx, f.Name()); err != nil {
			return "", seedFailed(err)
		}
	}
	if err := f.Sync(); err != nil {
		return "", diskFull(err, p.dir)
	}
	// Whoever is second replaces the template by an equal one.
	return path, os.Rename(f.Name(), path)
}

func diskFull(err error, dir string) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk that holds %s is full: %w", dir, err).
		WithHint("remove sessions that are not needed, or free space there")
}
