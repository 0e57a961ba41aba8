package fetch

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/workspace"
)

// FetchTree fetches the tree of a repository or an archive, without history, and
// returns it as an archive in Nix's format (NAR) with the SHA-256 of that, in
// lower-case hex. Nothing of it is kept. It fails as [Fetcher.Fetch] does.
func (f *Fetcher) FetchTree(ctx context.Context, s nixspace.CodeSource) (_ io.ReadCloser, sum string, err error) {
	dir, remove, err := f.workDir()
	if err != nil {
		return nil, "", err
	}
	defer remove()
	alone := &Fetcher{cfg: f.cfg}
	alone.cfg.Depth, alone.cfg.History = 1, -1
	if alone.cfg.Store, err = workspace.Open(filepath.Join(dir, "store"), f.cfg.Limits); err != nil {
		return nil, "", err
	}
	code, err := alone.Fetch(ctx, s, nixspace.SourceCredentials{}, nil)
	if err != nil {
		return nil, "", err
	}
	stored, err := alone.cfg.Store.Path(code.Workspace.Digest)
	if err != nil {
		return nil, "", err
	}
	in, err := os.Open(stored)
	if err != nil {
		return nil, "", fmt.Errorf("read what was fetched: %w", err)
	}
	defer in.Close()
	plain, end, err := workspace.Decompress(&contextReader{ctx, in})
	if err != nil {
		return nil, "", err
	}
	defer end()
	contents, err := os.CreateTemp(dir, "contents-*")
	if err != nil {
		return nil, "", diskError(fmt.Errorf("read what was fetched: %w", err))
	}
	defer contents.Close()
	root, err := index(plain, contents)
	if err != nil {
		return nil, "", diskError(fmt.Errorf("read what was fetched: %w", err))
	}
	out, err := os.CreateTemp(dir, "nar-*")
	if err != nil {
		return nil, "", diskError(fmt.Errorf("write what was fetched: %w", err))
	}
	if sum, err = writeNAR(out, root, contents); err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, "", errors.Join(diskError(fmt.Errorf("write what was fetched: %w", err)), out.Close())
	}
	return out, sum, nil // its name goes with the directory
}

// narNode is a file, folder or link of a tree.
type narNode struct {
	children     map[string]*narNode // of a folder
	target       string              // of a link; empty for others
	executable   bool
	offset, size int64
}

// index reads a checked tar, and keeps what is in its files in contents.
func index(r io.Reader, contents io.Writer) (*narNode, error) {
	root := &narNode{children: map[string]*narNode{}}
	in := tar.NewReader(r)
	var end int64
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if name == "." || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		n := &narNode{}
		switch h.Typeflag {
		case tar.TypeReg:
			n.executable, n.offset, n.size = h.Mode&0o100 != 0, end, h.Size
			if _, err := io.Copy(contents, in); err != nil {
				return nil, err
			}
			end += h.Size
		case tar.TypeDir:
			n.children = map[string]*narNode{}
		case tar.TypeSymlink:
			n.target = h.Linkname
		case tar.TypeLink:
			if n = root.find(path.Clean(h.Linkname)); n == nil || n.children != nil {
				return nil, fmt.Errorf("%q is another name of nothing", h.Name)
			}
		default:
			return nil, fmt.Errorf("%q is neither a file nor a folder nor a link", h.Name)
		}
		if !root.put(name, n) {
			return nil, fmt.Errorf("%q lies below a file", h.Name)
		}
	}
}

func (n *narNode) find(name string) *narNode {
	for part := range strings.SplitSeq(name, "/") {
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}

// put puts a node into its folder, which is made if needed. It reports whether that
// is a folder.
func (n *narNode) put(name string, child *narNode) bool {
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		next := n.children[part]
		if next == nil {
			next = &narNode{children: map[string]*narNode{}}
			n.children[part] = next
		}
		if next.children == nil {
			return false
		}
		n = next
	}
	last := parts[len(parts)-1]
	if old := n.children[last]; old == nil || old.children == nil || child.children == nil {
		n.children[last] = child
	}
	return true
}

// writeNAR writes a tree in Nix's archive format, and returns the SHA-256 of what it
// wrote.
func writeNAR(out io.Writer, root *narNode, contents io.ReaderAt) (string, error) {
	h := sha256.New()
	w := &narWriter{w: bufio.NewWriterSize(io.MultiWriter(out, h), 64<<10), contents: contents}
	w.text("nix-archive-1")
	w.node(root)
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return hex.EncodeToString(h.Sum(nil)), w.err
}

// narWriter writes until its first error.
type narWriter struct {
	w        *bufio.Writer
	contents io.ReaderAt
	err      error
}

func (w *narWriter) text(texts ...string) {
	for _, s := range texts {
		w.bytes(int64(len(s)), strings.NewReader(s))
	}
}

// bytes writes a length, so many bytes, and zeros up to a multiple of eight.
func (w *narWriter) bytes(n int64, r io.Reader) {
	if w.err != nil {
		return
	}
	var length, zeros [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(n))
	if _, w.err = w.w.Write(length[:]); w.err != nil {
		return
	}
	if _, w.err = io.CopyN(w.w, r, n); w.err == nil {
		_, w.err = w.w.Write(zeros[:(8-n%8)%8])
	}
}

func (w *narWriter) node(n *narNode) {
	w.text("(", "type")
	switch {
	case n.children != nil:
		w.text("directory")
		for _, name := range slices.Sorted(maps.Keys(n.children)) {
			w.text("entry", "(", "name", name, "node")
			w.node(n.children[name])
			w.text(")")
		}
	case n.target != "":
		w.text("symlink", "target", n.target)
	default:
		w.text("regular")
		if n.executable {
			w.text("executable", "")
		}
		w.text("contents")
		w.bytes(n.size, io.NewSectionReader(w.contents, n.offset, n.size))
	}
	w.text(")")
}
