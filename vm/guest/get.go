package guest

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// stat describes a file.
func (a *Agent) stat(conn net.Conn, r wire.StatRequest) error {
	if err := checkPath(r.Path); err != nil {
		return err
	}
	var f nixspace.FileInfo
	err := a.asDev(func() error {
		info, err := os.Lstat(r.Path)
		if err != nil {
			return err
		}
		f, err = describe(r.Path, info)
		return err
	})
	if err != nil {
		return fileError("stat "+r.Path, err)
	}
	return wire.Reply(conn, f)
}

func describe(path string, info fs.FileInfo) (nixspace.FileInfo, error) {
	f := nixspace.FileInfo{Path: path, Size: info.Size(), Mode: uint32(info.Mode().Perm()), ModTime: info.ModTime()}
	var err error
	switch info.Mode().Type() {
	case 0:
		f.Type = "file"
	case fs.ModeDir:
		f.Type = "dir"
	case fs.ModeSymlink:
		f.Type = "symlink"
		f.Target, err = os.Readlink(path)
	default:
		f.Type = "other"
	}
	return f, err
}

// list describes what is in a directory, a line of JSON for each file.
func (a *Agent) list(conn net.Conn, r wire.ListRequest) error {
	if err := checkPath(r.Dir); err != nil {
		return err
	}
	var files []nixspace.FileInfo
	err := a.asDev(func() error {
		d, err := os.Open(r.Dir)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		entries, err := d.ReadDir(wire.ListMax)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(r.Dir, e.Name())
			info, err := os.Lstat(name)
			if err != nil {
				continue // it has gone meanwhile
			}
			f, _ := describe(name, info)
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		return fileError("list "+r.Dir, err)
	}
	slices.SortFunc(files, func(a, b nixspace.FileInfo) int { return strings.Compare(a.Path, b.Path) })
	if wire.Reply(conn, nil) != nil {
		return nil
	}
	w := wire.NewFrameWriter(conn)
	enc := json.NewEncoder(w.Stream(wire.FrameOut))
	for _, f := range files {
		if enc.Encode(f) != nil {
			return nil
		}
	}
	_ = w.WriteJSON(wire.FrameResult, struct{}{})
	return nil
}

// get sends an archive of a file or directory.
func (a *Agent) get(conn net.Conn, r wire.GetRequest) error {
	if err := checkPath(r.Path); err != nil {
		return err
	}
	if r.Compression != wire.Plain && r.Compression != wire.Zstd {
		return nixspace.Errorf(nixspace.KindInvalid, "compression_unknown", "the guest knows no compression %q", r.Compression)
	}
	name := filepath.Clean(r.Path)
	if name == "/" {
		return nixspace.Errorf(nixspace.KindInvalid, "path_invalid", "the whole machine cannot be archived").
			WithHint("name a directory, such as /workspace")
	}
	var root *os.Root
	var info fs.FileInfo
	err := a.asDev(func() (err error) {
		if root, err = os.OpenRoot(filepath.Dir(name)); err != nil {
			return err
		}
		info, err = root.Lstat(filepath.Base(name))
		return err
	})
	if root != nil {
		defer func() { _ = root.Close() }()
	}
	if err != nil {
		return fileError("open "+name, err)
	}
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	w := wire.NewFrameWriter(conn)
	err = a.asDev(func() error {
		return pack(w.Stream(wire.FrameOut), root, filepath.Base(name), info, r.Compression)
	})
	if err != nil {
		_ = w.WriteJSON(wire.FrameError, wire.EncodeError(err))
		return nil
	}
	_ = w.WriteJSON(wire.FrameResult, struct{}{})
	return nil
}

func pack(w io.Writer, root *os.Root, base string, info fs.FileInfo, c wire.Compression) error {
	var compressor io.WriteCloser
	if c == wire.Zstd {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		compressor, w = z, z
	}
	p := packer{root: root, archive: tar.NewWriter(w), buf: make([]byte, 64<<10)}
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
	buf     []byte
}

// add adds a file or a directory with what is in it. What disappears meanwhile,
// and what dev may not read, is left out; sockets and the like always are.
func (p *packer) add(name string, info fs.FileInfo, depth int) error {
	h := &tar.Header{
		Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(),
		Uname: devName, Gname: devName, Uid: devUID, Gid: devGID, Format: tar.FormatPAX,
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
			return fileError("read "+name, err)
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
		return fileError("read "+name, err)
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
		return fileError("read "+name, err)
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
	return fileError("read "+name, err)
}
