package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// copyFile copies from to a new file, by sharing blocks where that is possible,
// lets finish change it, unless that is nil, and leaves nothing when it fails.
func (p *Pool) copyFile(ctx context.Context, from, to string, finish func(*os.File) error) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.CreateTemp(p.dir, ".new-*")
	if err != nil {
		return diskFull(err, p.dir)
	}
	defer func() { _ = os.Remove(dst.Name()) }()
	defer dst.Close()
	if p.reflink {
		err = unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	} else {
		err = copySparse(ctx, dst, src)
	}
	if err == nil && finish != nil {
		err = finish(dst)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err != nil {
		return diskFull(err, p.dir)
	}
	// Link and not rename: a disk that is there already is never replaced.
	return os.Link(dst.Name(), to)
}

// CloneFile makes a copy of a file, by sharing blocks where that is possible, and
// leaves nothing when it fails. Unlike a disk from [Pool.Create] it is not yet
// sure to survive a crash of the host. The source must not change meanwhile. Both
// must lie in the pool.
func (p *Pool) CloneFile(ctx context.Context, from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diskFull(err, p.dir)
	}
	defer dst.Close()
	if p.reflink {
		err = unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	} else {
		err = copySparse(ctx, dst, src)
	}
	if err != nil {
		_ = os.Remove(to)
		return diskFull(fmt.Errorf("copy %s: %w", from, err), p.dir)
	}
	return nil
}

// WriteBack writes what was changed in a file to the disk below, without waiting
// for the disk to make it last: what is written before a copy need not be written
// while something stands still for the copy.
func WriteBack(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return os.NewSyscallError("sync_file_range", unix.SyncFileRange(int(f.Fd()), 0, 0, all))
}

// Room fails with code "disk_full" where the pool has less than so many MiB left.
func (p *Pool) Room(mib int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(p.dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize >> 20; free < mib {
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk that holds %s has %d MiB left, %d are needed", p.dir, free, mib).
			WithHint("remove sessions and snapshots that are not needed, or free space there")
	}
	return nil
}

// copySparse copies the parts of src that hold data.
func copySparse(ctx context.Context, dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	for pos := int64(0); pos < info.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		start, err := unix.Seek(int(src.Fd()), pos, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(src.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		end = min(end, start+64<<20) // look at ctx now and then
		if _, err := dst.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(dst, io.NewSectionReader(src, start, end-start)); err != nil {
			return err
		}
		pos = end
	}
	return nil
}

// canReflink tries whether files in dir can share blocks.
func canReflink(dir string) bool {
	a, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(a.Name()) }()
	defer a.Close()
	b, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(b.Name()) }()
	defer b.Close()
	if _, err := a.Write(make([]byte, 4096)); err != nil {
		return false
	}
	return unix.IoctlFileClone(int(b.Fd()), int(a.Fd())) == nil
}
