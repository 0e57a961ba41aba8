package volume

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyFile copies from to a new file, by sharing blocks where that is possible,
// and leaves nothing when it fails.
func (p *Pool) copyFile(ctx context.Context, from, to string) error {
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
	if err == nil {
		err = dst.Sync()
	}
	if err != nil {
		return diskFull(err, p.dir)
	}
	// Link and not rename: a disk that is there already is never replaced.
	return os.Link(dst.Name(), to)
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
