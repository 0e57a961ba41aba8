package workspace

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// keptDepth is how deep below the root files are that can be read from a [Tree].
const keptDepth = 8

// Tree is a stored archive as a file system, to look into. Links are listed and
// not followed. Files of more than 1 MiB, or that are nested deeply, are listed and
// cannot be read. It is safe for concurrent use; Close frees it.
type Tree struct {
	nodes map[string]*node
	files *os.File // contents, without a name
}

var _ fs.ReadDirFS = (*Tree)(nil)

type node struct {
	name     string // the last part
	mode     fs.FileMode
	size     int64
	offset   int64 // in files; -1 where it is not kept
	children map[string]*node
}

// Tree opens a stored archive. It fails with kind not_found where there is none.
func (s *Store) Tree(ctx context.Context, digest string) (_ *Tree, err error) {
	p, err := s.Path(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.dir, partPattern)
	if err != nil {
		return nil, diskError(fmt.Errorf("open stored code: %w", err))
	}
	t := &Tree{nodes: map[string]*node{}, files: f}
	t.nodes["."] = &node{name: ".", mode: fs.ModeDir | 0o755, offset: -1, children: map[string]*node{}}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("open stored code: %w", err), f.Close())
	}
	if _, err := readStored(ctx, p, t.read); err != nil {
		return nil, errors.Join(diskError(err), f.Close())
	}
	return t, nil
}

// Close frees the tree.
func (t *Tree) Close() error { return t.files.Close() }

func (t *Tree) read(r io.Reader) (int64, error) {
	in := tar.NewReader(r)
	var end int64
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		name := path.Clean(h.Name)
		if name == "." || !fs.ValidPath(name) {
			continue
		}
		n := &node{mode: fs.FileMode(h.Mode).Perm(), size: h.Size, offset: -1}
		switch h.Typeflag {
		case tar.TypeReg:
			if h.Size <= maxReadFile && strings.Count(name, "/") < keptDepth {
				n.offset = end
				if _, err := io.Copy(t.files, in); err != nil {
					return 0, err
				}
				end += h.Size
			}
		case tar.TypeDir:
			if old := t.nodes[name]; old != nil && old.mode.IsDir() {
				continue
			}
			n.mode, n.children, n.size = n.mode|fs.ModeDir, map[string]*node{}, 0
		case tar.TypeSymlink:
			n.mode |= fs.ModeSymlink
		default: // another name of a file: it is listed where it is
			continue
		}
		t.add(name, n)
	}
}

// add puts a node into its folder, which it makes if needed. A later entry of the
// same name is the one that counts.
func (t *Tree) add(name string, n *node) {
	n.name = path.Base(name)
	dir := path.Dir(name)
	parent := t.nodes[dir]
	if parent == nil || !parent.mode.IsDir() {
		parent = &node{mode: fs.ModeDir | 0o755, offset: -1, children: map[string]*node{}}
		t.add(dir, parent)
	}
	parent.children[n.name] = n
	t.nodes[name] = n
}

// Open implements fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	n := t.nodes[name]
	if !fs.ValidPath(name) || n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if n.mode&fs.ModeSymlink != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("links are not followed")}
	}
	o := &opened{node: n, path: name}
	if n.offset >= 0 {
		o.r = io.NewSectionReader(t.files, n.offset, n.size)
	}
	return o, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	return f.(*opened).ReadDir(-1)
}

// opened is an open file or folder.
type opened struct {
	*node
	path string
	r    *io.SectionReader // nil for a folder, and for what is not kept
	rest []fs.DirEntry
	read bool
}

func (o *opened) Stat() (fs.FileInfo, error) { return info{o.node}, nil }
func (o *opened) Close() error               { return nil }

func (o *opened) Read(p []byte) (int, error) {
	if o.r == nil {
		return 0, &fs.PathError{Op: "read", Path: o.path, Err: fs.ErrInvalid}
	}
	return o.r.Read(p)
}

// ReadDir implements fs.ReadDirFile.
func (o *opened) ReadDir(n int) ([]fs.DirEntry, error) {
	if !o.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: o.path, Err: errors.New("it is no folder")}
	}
	if !o.read {
		o.read = true
		for _, c := range o.children {
			o.rest = append(o.rest, fs.FileInfoToDirEntry(info{c}))
		}
		slices.SortFunc(o.rest, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	if n <= 0 {
		out := o.rest
		o.rest = nil
		return out, nil
	}
	if len(o.rest) == 0 {
		return nil, io.EOF
	}
	out := o.rest[:min(n, len(o.rest))]
	o.rest = o.rest[len(out):]
	return out, nil
}

// info describes a node.
type info struct{ *node }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Unix(1, 0) }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
