package archive

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// Owner is whom an archive says that its files belong to.
type Owner struct {
	Name     string
	UID, GID int
}

// Pack writes an archive of what is called base in root, and is what info says. What
// disappears meanwhile or may not be read is left out.
func Pack(w io.Writer, root *os.Root, base string, info fs.FileInfo, c wire.Compression, owner Owner) error {
	var compressor io.WriteCloser
	if c == wire.Zstd {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		compressor, w = z, z
	}
	p := packer{root: root, archive: tar.NewWriter(w), owner: owner, buf: make([]byte, 64<<10)}
	if err := p.add(base, info, 0); err != nil {
		return err
	}
	if err := p.archive.Close(); err != nil {
		return err
	}
	if compressor != nil {
		return compressor.Close()
	}
	return nil
}

type packer struct {
	root    *os.Root
	archive *tar.Writer
	owner   Owner
	buf     []byte
}

// add adds a file or a directory with what is in it. What disappears meanwhile,
// and what dev may not read, is left out; sockets and the like always are.
func (p *packer) add(name string, info fs.FileInfo, depth int) error {
	h := &tar.Header{
		Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(),
		Uname: p.owner.Name, Gname: p.owner.Name, Uid: p.owner.UID, Gid: p.owner.GID, Format: tar.FormatPAX,
	}
	switch info.Mode().Type() {
	case 0:
		return p.file(name, h)
	case fs.ModeSymlink:
		target, err := p.root.Readlink(name)
		if err != nil {
			return ignoreGone(name, err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return p.archive.WriteHeader(h)
	case fs.ModeDir:
		if depth > maxDepth {
			return nixspace.Errorf(nixspace.KindLimit, "archive_too_deep", "%s is nested too deeply", name)
		}
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if err := p.archive.WriteHeader(h); err != nil {
			return err
		}
		return p.dir(name, depth)
	}
	return nil
}

func (p *packer) dir(name string, depth int) error {
	d, err := p.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ignoreGone(name, err)
	}
	defer func() { _ = d.Close() }()
	for {
		// By and by, so that a directory of any size needs little memory.
		entries, err := d.ReadDir(256)
		for _, e := range entries {
			child := path.Join(name, e.Name())
			info, err := p.root.Lstat(child)
			if err != nil {
				if err := ignoreGone(child, err); err != nil {
					return err
				}
				continue
			}
			if err := p.add(child, info, depth+1); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return FileError("read "+name, err)
		}
	}
}

func (p *packer) file(name string, h *tar.Header) error {
	f, err := p.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ignoreGone(name, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return FileError("read "+name, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := p.archive.WriteHeader(h); err != nil {
		return err
	}
	// A file that grows is cut, and one that shrinks is filled up, so that the
	// archive stays whole.
	n, err := io.CopyBuffer(onlyWriter{p.archive}, io.LimitReader(f, h.Size), p.buf)
	if err != nil {
		return FileError("read "+name, err)
	}
	clear(p.buf)
	for n < h.Size {
		m, err := p.archive.Write(p.buf[:min(int64(len(p.buf)), h.Size-n)])
		if err != nil {
			return err
		}
		n += int64(m)
	}
	return nil
}

// ignoreGone lets through what no archive can do anything about.
func ignoreGone(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return FileError("read "+name, err)
}
