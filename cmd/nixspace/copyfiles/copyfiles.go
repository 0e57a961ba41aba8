// Package copyfiles turns files of this machine into archives and back, for copies
// to and from sessions.
package copyfiles

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
)

// Counted says what was copied.
type Counted struct {
	Files int // folders and links too
	Bytes int64
}

// Pack writes an archive of a file or a folder with all that is in it, under the name
// as. Symbolic links stay links; sockets and the like are left out.
func Pack(w io.Writer, source, as string) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if p == source && info.Mode()&fs.ModeSymlink != 0 {
			// What is named is meant, not the link to it.
			if info, err = os.Stat(p); err != nil {
				return err
			}
			if info.IsDir() {
				return fmt.Errorf("%s is a link to a folder; write %s/", p, p)
			}
		}
		return add(t, p, path.Join(as, filepath.ToSlash(rel)), info)
	})
	if err != nil {
		return err
	}
	return t.Close()
}

func add(t *tar.Writer, file, name string, info fs.FileInfo) error {
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch info.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return t.WriteHeader(h)
	case fs.ModeSymlink:
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return t.WriteHeader(h)
	case 0:
	default:
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(t, io.LimitReader(f, h.Size))
	if err == nil && n < h.Size {
		err = fmt.Errorf("%s became shorter while it was read", file)
	}
	return err
}

// Unpack writes what an archive holds into a folder. The first part of every name
// becomes as, unless that is empty. Names that leave the folder, or would be reached
// through a link out of it, fail with code "archive_invalid": what is in a session is
// not to be trusted.
func Unpack(archive io.Reader, dir, as string) (Counted, error) {
	var n Counted
	root, err := os.OpenRoot(dir)
	if err != nil {
		return n, err
	}
	defer root.Close()
	t := tar.NewReader(archive)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			// The rest says whether it was whole.
			_, err := io.Copy(io.Discard, archive)
			return n, err
		}
		if err != nil {
			return n, err
		}
		name := strings.TrimSuffix(h.Name, "/")
		if as != "" {
			_, rest, _ := strings.Cut(name, "/")
			name = path.Join(as, rest)
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return n, invalid("it has a file %q", h.Name)
		}
		if err := member(root, filepath.FromSlash(name), h, t, &n); err != nil {
			return n, err
		}
	}
}

func invalid(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "what the session sent cannot be written: "+format, args...)
}

func member(root *os.Root, name string, h *tar.Header, content io.Reader, n *Counted) error {
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.MkdirAll(name, mode|0o700); err != nil {
			return err
		}
		n.Files++
	case tar.TypeSymlink:
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		n.Files++
	case tar.TypeReg:
		// A link that is in the way goes; what it points to stays as it is.
		if info, err := root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if err := root.Remove(name); err != nil {
				return err
			}
		}
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
		if err != nil {
			return err
		}
		written, err := io.Copy(f, content)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		n.Files++
		n.Bytes += written
	}
	return nil
}
