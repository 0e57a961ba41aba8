package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/volume"
)

// Store keeps saved machines in a pool. It is safe for concurrent use, by several
// processes too.
type Store struct{ pool *volume.Pool }

// In returns the store in a pool.
func In(pool *volume.Pool) *Store { return &Store{pool} }

// Session returns the files of a session's own machine: those that it runs with,
// and while it is hibernated those of the saved machine.
func (s *Store) Session(id nixspace.ID) Files {
	at := func(suffix string) string { return filepath.Join(s.pool.Dir(), string(id)+suffix) }
	return Files{Disk: s.pool.Path(id), Memory: at(".memory"), State: at(".state"), Meta: at(".saved")}
}

// Hibernated returns the description of what a session was hibernated to, and
// false where it is not hibernated.
func (s *Store) Hibernated(id nixspace.ID) (Meta, bool) {
	m, err := s.Session(id).Read()
	return m, err == nil
}

func (s *Store) snapshots() string { return filepath.Join(s.pool.Dir(), "snapshots") }
func (s *Store) templates() string { return filepath.Join(s.pool.Dir(), "templates") }

func in(dir string) Files {
	at := func(name string) string { return filepath.Join(dir, name) }
	return Files{Disk: at("disk"), Memory: at("memory"), State: at("state"), SharedMemory: at("memory.shared"), Meta: at("saved")}
}

// Snapshot returns the files of a snapshot.
func (s *Store) Snapshot(id nixspace.ID) Files { return in(filepath.Join(s.snapshots(), string(id))) }

// Template returns the files of the template with a key, a name without slashes.
func (s *Store) Template(key string) Files { return in(filepath.Join(s.templates(), key)) }

// Draft is a saved machine in the making. Nobody sees it before [Draft.Publish].
type Draft struct {
	Files
	dir, final string
}

// NewSnapshot begins a snapshot.
func (s *Store) NewSnapshot(id nixspace.ID) (*Draft, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("take a snapshot: %q is no name for one", id)
	}
	return draft(s.snapshots(), string(id))
}

// NewTemplate begins a template.
func (s *Store) NewTemplate(key string) (*Draft, error) { return draft(s.templates(), key) }

func draft(parent, name string) (*Draft, error) {
	final := filepath.Join(parent, name)
	if _, err := os.Lstat(final); err == nil {
		return nil, nixspace.Errorf(nixspace.KindConflict, "snapshot_exists", "there is a snapshot %s already", name)
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, ".new-*")
	if err != nil {
		return nil, err
	}
	return &Draft{Files: in(dir), dir: dir, final: final}, nil
}

// Publish checks what was written and makes it a saved machine.
func (d *Draft) Publish(m Meta) (Meta, error) {
	m, err := d.Files.Publish(m)
	if err != nil {
		return Meta{}, err
	}
	if err := os.Rename(d.dir, d.final); err != nil {
		if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
			return Meta{}, nixspace.Errorf(nixspace.KindConflict, "snapshot_exists", "there is a snapshot %s already", filepath.Base(d.final))
		}
		return Meta{}, err
	}
	d.Files = in(d.final)
	return m, nil
}

// Discard removes a draft that was not published; afterwards it does nothing.
func (d *Draft) Discard() { _ = os.RemoveAll(d.dir) }

// Copy copies a machine's disk and, if memory is set, its memory, while nothing
// changes them.
func (s *Store) Copy(ctx context.Context, from, to Files, memory bool) error {
	if memory {
		if err := s.pool.CloneFile(ctx, from.Memory, to.Memory); err != nil {
			return err
		}
	}
	return s.pool.CloneFile(ctx, from.Disk, to.Disk)
}

// Share makes the copy of the memory that machines may read together. Its
// folder is closed, so that only those can that are given the open file.
func (s *Store) Share(ctx context.Context, f Files) error {
	if _, err := os.Lstat(f.SharedMemory); err == nil {
		return nil
	}
	// Several forks may come here at once: the first of them makes the one that all use.
	tmp := f.SharedMemory + ".new-" + string(nixspace.NewID())
	defer func() { _ = os.Remove(tmp) }()
	if err := s.pool.CloneFile(ctx, f.Memory, tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o666); err != nil {
		return err
	}
	if err := os.Link(tmp, f.SharedMemory); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Describe returns what a host says of a snapshot, with its present sizes.
func (s *Store) Describe(f Files, m Meta) (nixspace.SnapshotInfo, error) {
	info := m.Info
	info.CompatKey = m.Key
	for _, path := range []string{f.Disk, f.Memory, f.State} {
		u, err := volume.FileUsage(path)
		if errors.Is(err, fs.ErrNotExist) && path != f.Disk && !info.Memory {
			continue
		}
		if err != nil {
			return nixspace.SnapshotInfo{}, err
		}
		info.Size += u.Size
		info.Shared += u.Shared
	}
	return info, nil
}

// List lists the snapshots, the oldest first. One that cannot be read is left out.
func (s *Store) List() ([]nixspace.SnapshotInfo, error) {
	entries, err := os.ReadDir(s.snapshots())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := []nixspace.SnapshotInfo{}
	for _, e := range entries {
		id := nixspace.ID(e.Name())
		if !id.Valid() {
			continue
		}
		f := s.Snapshot(id)
		m, err := f.Read()
		if err != nil {
			continue // removed meanwhile, or of another version
		}
		info, err := s.Describe(f, m)
		if err != nil {
			continue
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b nixspace.SnapshotInfo) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out, nil
}

// Remove deletes a snapshot. It succeeds when there is none. Machines that were
// started from it are not concerned.
func (s *Store) Remove(id nixspace.ID) error {
	if !id.Valid() {
		return fmt.Errorf("remove a snapshot: %q is no name of one", id)
	}
	return remove(s.snapshots(), string(id))
}

// RemoveTemplate deletes a template; it succeeds when there is none.
func (s *Store) RemoveTemplate(key string) error { return remove(s.templates(), key) }

// remove makes a folder invisible in one step and then deletes it.
func remove(parent, name string) error {
	gone, err := os.MkdirTemp(parent, ".gone-*")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.Rename(filepath.Join(parent, name), filepath.Join(gone, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(gone))
}

// Used notes that a template is of use, for [Store.Prune].
func (s *Store) Used(key string) {
	now := time.Now()
	_ = os.Chtimes(s.Template(key).Meta, now, now) // only an order is lost
}

// Prune deletes all templates but the keep that were used last.
func (s *Store) Prune(keep int) error {
	list, err := s.listTemplates()
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range list[min(keep, len(list)):] {
		errs = append(errs, s.RemoveTemplate(t.key))
	}
	return errors.Join(errs...)
}

// template is one of the store's, and when it was last of use.
type template struct {
	key  string
	used time.Time
}

// listTemplates returns them, the one that was used last first.
func (s *Store) listTemplates() ([]template, error) {
	entries, err := os.ReadDir(s.templates())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []template
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !e.IsDir() {
			continue
		}
		t := template{key: e.Name()}
		if info, err := os.Stat(s.Template(t.key).Meta); err == nil {
			t.used = info.ModTime()
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b template) int { return b.used.Compare(a.used) })
	return list, nil
}

// LockTemplate takes the right to make the template with a key, and returns false
// where somebody else has it.
func (s *Store) LockTemplate(key string) (unlock func(), ok bool, err error) {
	if err := os.MkdirAll(s.templates(), 0o700); err != nil {
		return nil, false, err
	}
	path := filepath.Join(s.templates(), "."+key+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("lock a template: %w", err)
	}
	return func() {
		_ = os.Remove(path) // whoever waits for it makes its own
		f.Close()
	}, true, nil
}

// abandoned is the age at which nobody works on a draft any more.
const abandoned = 10 * time.Minute

// Sweep removes what interrupted work left.
func (s *Store) Sweep() {
	for _, parent := range []string{s.snapshots(), s.templates()} {
		for _, pattern := range []string{".new-*", ".gone-*"} {
			left, _ := filepath.Glob(filepath.Join(parent, pattern))
			for _, path := range left {
				if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > abandoned {
					_ = os.RemoveAll(path)
				}
			}
		}
	}
}
