// Package erofs writes EROFS file systems: the read-only images that guests mount
// as their Nix store.
//
// The images are plain (nothing is compressed, so that machines share the host's
// page cache), and the bytes follow from the names, permissions and contents of
// the files alone: equal trees give equal images on every host, whatever links
// and times the host's store has. The format is that of the Linux kernel's
// fs/erofs/erofs_fs.h; kernels since 5.4 read it.
package erofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is one entry of an image's top directory.
type Root struct {
	Name string // its name in the image
	Path string // the file, folder or symbolic link on the host; never followed
}

// Options are the settings of an image.
type Options struct {
	UUID [16]byte // of the file system; part of the image's bytes
	// Progress is called with the bytes written and their total. It may be nil.
	Progress func(done, total int64)
}

// ErrUnsupported is in the error of a tree that holds what a store cannot hold:
// a device, a socket or a pipe.
var ErrUnsupported = errors.New("not a file, folder or symbolic link")

// Limits of one image. The format allows more; a store layer never has as much.
const (
	maxNodes = 4 << 20
	maxDepth = 256
	maxName  = 255
)

// Write writes an image of roots to w. Files become readable by everybody and
// executable where their owner may execute them, all of root and at time 1, as
// Nix keeps its store. It stops with an error when ctx ends or when a file
// changes while it is read.
func Write(ctx context.Context, w io.Writer, roots []Root, opts Options) error {
	top := &node{kind: kindDir, perm: 0o555}
	for _, r := range roots {
		if r.Name == "" || r.Name == "." || r.Name == ".." || strings.ContainsAny(r.Name, "/\x00") {
			return fmt.Errorf("erofs: %q cannot be the name of an entry", r.Name)
		}
		child, err := scan(ctx, r.Path, 1)
		if err != nil {
			return err
		}
		child.name = r.Name
		top.children = append(top.children, child)
	}
	if err := top.sortChildren(); err != nil {
		return err
	}
	l, err := arrange(top)
	if err != nil {
		return err
	}
	return l.write(ctx, w, opts)
}

type kind uint8

// The kinds of nodes, with the numbers that the format gives them.
const (
	kindFile    kind = 1
	kindDir     kind = 2
	kindSymlink kind = 7
)

// node is a file, folder or link that goes into an image.
type node struct {
	name     string
	path     string // on the host
	kind     kind
	perm     uint16
	size     int64  // of what the inode holds
	data     []byte // of a link or folder; a file's is read when it is written
	parent   *node
	children []*node // sorted by name

	meta     int64  // position of its inode in the image
	block    uint32 // its first data block
	tail     int    // bytes of its content that follow the inode
	extended bool   // its inode takes 64 bytes instead of 32
}

// scan reads the tree at path, without what files hold.
func scan(ctx context.Context, path string, depth int) (*node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("erofs: %s is nested too deeply", path)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n := &node{name: filepath.Base(path), path: path}
	if len(n.name) > maxName {
		return nil, fmt.Errorf("erofs: the name of %s is too long", path)
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		n.kind, n.perm, n.size = kindFile, 0o444, info.Size()
		if mode&0o100 != 0 {
			n.perm = 0o555
		}
	case mode.Type() == os.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		n.kind, n.perm, n.data, n.size = kindSymlink, 0o777, []byte(target), int64(len(target))
	case mode.IsDir():
		n.kind, n.perm = kindDir, 0o555
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			child, err := scan(ctx, filepath.Join(path, e.Name()), depth+1)
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, child)
		}
		if err := n.sortChildren(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("erofs: %s: %w", path, ErrUnsupported)
	}
	return n, nil
}

// sortChildren orders children as the format wants them, by the bytes of their
// names, and refuses equal names.
func (n *node) sortChildren() error {
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for i, c := range n.children {
		c.parent = n
		if i > 0 && n.children[i-1].name == c.name {
			return fmt.Errorf("erofs: two entries have the name %q", c.name)
		}
	}
	return nil
}

// open opens a node's file without following a link that took its place.
func (n *node) open() (*os.File, error) {
	fd, err := unix.Open(n.path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", n.path, err)
	}
	f := os.NewFile(uintptr(fd), n.path)
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != n.size) {
		err = fmt.Errorf("%s changed while its image was made", n.path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
