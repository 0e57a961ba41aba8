package fetch

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/nixspace/nixspace/state/workspace"
)

// epoch is the time of every file: equal trees make equal archives.
var epoch = time.Unix(1, 0)

// tree writes a tree of code as a tar. Files keep whether they are executable, and
// nothing else of their owner, mode or time.
type tree struct {
	tw      *tar.Writer
	room    int64    // bytes that files may still have
	full    error    // where they have more
	skipped []string // links that lead out of the tree
	lfs     bool     // Git LFS keeps files elsewhere
	modules bool     // git keeps other repositories in folders
	fetched bool     // these are fetched, too
}

// notes say what a person should know of the tree.
func (t *tree) notes() []string {
	var out []string
	if n := len(t.skipped); n > 0 {
		shown := t.skipped[:min(n, 3)]
		out = append(out, fmt.Sprintf("left out: %s (links that lead out of the code; %d in all)", strings.Join(shown, ", "), n))
	}
	if t.modules && !t.fetched {
		out = append(out, "submodules are not fetched: their folders are empty (--submodules fetches them)")
	}
	if t.lfs {
		out = append(out, "files that Git LFS keeps are not fetched: there is a pointer in place of each")
	}
	return out
}

// file writes a regular file.
func (t *tree) file(name string, size int64, executable bool, r io.Reader) error {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: size, Mode: 0o644, ModTime: epoch, Format: tar.FormatPAX}
	if executable {
		h.Mode = 0o755
	}
	if t.room -= max(size, 0); t.room < 0 {
		return t.full
	}
	if err := t.tw.WriteHeader(h); err != nil {
		return err
	}
	switch path.Base(name) {
	case ".gitmodules":
		t.modules = true
	case ".gitattributes":
		var head bytes.Buffer
		r = io.TeeReader(r, &limitedBuffer{&head, 64 << 10})
		defer func() { t.lfs = t.lfs || bytes.Contains(head.Bytes(), []byte("filter=lfs")) }()
	}
	n, err := io.Copy(t.tw, io.LimitReader(r, size+1))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct {
	b    *bytes.Buffer
	room int
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.b.Write(p[:n])
	l.room -= n
	return len(p), nil
}

func (t *tree) dir(name string) error {
	return t.tw.WriteHeader(&tar.Header{Name: strings.TrimSuffix(name, "/") + "/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX})
}

func (t *tree) link(name, target string) error {
	return t.tw.WriteHeader(&tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777, ModTime: epoch, Format: tar.FormatPAX})
}

// addFS writes the files of fsys, those of a template: a name that ends in
// ".template" loses that.
func (t *tree) addFS(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		// An embedded file has no mode; a program says by its first bytes what it is.
		return t.file(strings.TrimSuffix(name, ".template"), int64(len(b)), bytes.HasPrefix(b, []byte("#!")), bytes.NewReader(b))
	})
}

// addTar writes the entries of a tar under the names that rename gives them, those
// with an empty name excepted. Where lenient, links that lead out are left out;
// otherwise whoever checks the archive refuses it.
func (t *tree) addTar(r io.Reader, lenient bool, rename func(string) string) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // git's own, with the commit
		}
		name := rename(h.Name)
		if name == "" {
			continue
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = t.file(name, h.Size, h.Mode&0o111 != 0, in)
		case tar.TypeDir:
			err = t.dir(name)
		case tar.TypeSymlink:
			if lenient && !workspace.LinkStays(name, h.Linkname) {
				t.skipped = append(t.skipped, name)
				continue
			}
			err = t.link(name, h.Linkname)
		case tar.TypeLink:
			c := *h
			c.Name, c.Linkname, c.ModTime = name, rename(h.Linkname), epoch
			err = t.tw.WriteHeader(&c)
		default: // refused where it is checked
			c := *h
			c.Name = name
			err = t.tw.WriteHeader(&c)
		}
		if err != nil {
			return err
		}
	}
}
