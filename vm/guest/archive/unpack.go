// Package archive packs and unpacks directories as their owner would, and never leaves
// them.
package archive

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

const (
	maxMembers = 2_000_000 // of an archive
	maxDepth   = 128       // of a path in it
	// maxWindow bounds what an archive can make the agent hold in memory.
	maxWindow = 32 << 20
)

// Unpack unpacks an archive in dir. Every path is resolved by [os.Root], which
// follows no symbolic link out of dir, also not one that appears meanwhile.
func Unpack(dir *os.Root, body io.Reader, c wire.Compression) (nixspace.FilesWritten, error) {
	var result nixspace.FilesWritten
	if c == wire.Zstd {
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return result, Error("%w", err)
		}
		defer z.Close()
		body = z
	}
	u := unpacker{dir: dir, made: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
	archive := tar.NewReader(body)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return result, Error("%w", err)
		}
		if result.Files++; result.Files > maxMembers {
			return result, Error("it has more than %d members", maxMembers)
		}
		n, err := u.member(h, archive)
		result.Bytes += n
		if err != nil {
			return result, err
		}
	}
	// What follows the archive's end belongs to it: its padding, and a checksum
	// that says whether all came through.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return result, Error("%w", err)
	}
	return result, nil
}

type unpacker struct {
	dir  *os.Root
	made map[string]bool // directories that are known to exist
	buf  []byte
}

// memberName returns the path of a member below the directory.
func memberName(name string) (string, error) {
	if name == "" || path.IsAbs(name) || strings.Contains(name, "\x00") {
		return "", Error("%q is not a relative path", name)
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", Error("%q leaves the directory", name)
		}
	}
	name = path.Clean(name)
	if len(name) > 4096 || strings.Count(name, "/") > maxDepth {
		return "", Error("the path %.80q… is too long", name)
	}
	return name, nil
}

func (u *unpacker) member(h *tar.Header, data io.Reader) (int64, error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return 0, nil // git archive writes one with the commit
	}
	name, err := memberName(h.Name)
	if err != nil {
		return 0, err
	}
	n, err := u.write(name, h, data)
	if err == nil {
		return n, nil
	}
	var known *nixspace.Error
	if errors.As(err, &known) {
		return n, err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrPermission) {
		return n, FileError("unpack "+name, err)
	}
	return n, Error("%s: %w", name, err)
}

func (u *unpacker) write(name string, h *tar.Header, data io.Reader) (int64, error) {
	if h.Typeflag == tar.TypeDir {
		return 0, u.mkdir(name, h.FileInfo().Mode().Perm())
	}
	if name == "." {
		return 0, Error("its first directory is no directory")
	}
	if err := u.mkdir(path.Dir(name), 0o755); err != nil {
		return 0, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(name, h, data)
	case tar.TypeSymlink:
		if h.Linkname == "" || strings.Contains(h.Linkname, "\x00") {
			return 0, Error("the symbolic link %q points nowhere", name)
		}
		if err := u.clear(name); err != nil {
			return 0, err
		}
		return 0, u.dir.Symlink(h.Linkname, name)
	case tar.TypeLink:
		target, err := memberName(h.Linkname)
		if err != nil {
			return 0, err
		}
		if target == name {
			return 0, nil
		}
		if err := u.clear(name); err != nil {
			return 0, err
		}
		return 0, u.dir.Link(target, name)
	}
	return 0, Error("%q is neither a file, a directory nor a link", name)
}

func (u *unpacker) file(name string, h *tar.Header, data io.Reader) (int64, error) {
	if err := u.clear(name); err != nil {
		return 0, err
	}
	perm := h.FileInfo().Mode().Perm() | 0o200 // its owner must be able to write it now
	f, err := u.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(onlyWriter{f}, data, u.buf)
	if err == nil {
		err = f.Chmod(h.FileInfo().Mode().Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && !h.ModTime.IsZero() {
		err = u.dir.Chtimes(name, h.ModTime, h.ModTime)
	}
	return n, err
}

// mkdir makes a directory and those above it. One that is there already gets the
// mode, except for the directory itself that the archive is unpacked in.
func (u *unpacker) mkdir(name string, perm fs.FileMode) error {
	if u.made[name] {
		return nil
	}
	if err := u.dir.MkdirAll(name, perm|0o700); err != nil {
		return err
	}
	u.made[name] = true
	return u.dir.Chmod(name, perm|0o700)
}

// clear makes way for a new member. A directory stays, and then fails what comes.
func (u *unpacker) clear(name string) error {
	err := u.dir.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(u.made, name)
		return nil
	}
	return err
}

// onlyWriter keeps io.Copy from shortcuts around the buffer.
type onlyWriter struct{ io.Writer }
