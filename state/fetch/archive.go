package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/workspace"
)

const (
	maxFlake     = 1 << 20  // bytes of a single flake.nix
	maxDirectory = 32 << 20 // bytes of a zip's directory
	maxTarget    = 4096     // bytes of what a link leads to
)

// Unpack stores what a person sent: a tar (plain, gzip or zstd) or a zip with
// code, or a flake.nix alone. Where everything in an archive is below one folder,
// as forges make them, that folder is the code.
func (f *Fetcher) Unpack(ctx context.Context, r io.Reader) (*nixspace.FetchedCode, error) {
	file, err := f.spool(ctx, r)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return f.unpack(ctx, file)
}

// spool keeps what is read in a file without a name.
func (f *Fetcher) spool(ctx context.Context, r io.Reader) (*os.File, error) {
	file, err := os.CreateTemp(f.cfg.Dir, "archive-*")
	if err != nil {
		return nil, diskError(fmt.Errorf("receive an archive: %w", err))
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("receive an archive: %w", err), file.Close())
	}
	limit := f.cfg.Limits.Bytes
	n, err := io.Copy(file, &contextReader{ctx, io.LimitReader(r, limit+1)})
	if err == nil && n > limit {
		err = f.tooLarge()
	}
	if err != nil {
		_ = file.Close() // it is of no use
		return nil, diskError(err)
	}
	return file, nil
}

func (f *Fetcher) tooLarge() *nixspace.Error {
	return nixspace.Errorf(nixspace.KindLimit, "source_too_large", "the code is larger than %d MiB", f.cfg.Limits.Bytes>>20).
		WithHint("choose a folder of it, or let the server take more: nixspace up --max-code MIB")
}

func (f *Fetcher) unpack(ctx context.Context, file *os.File) (*nixspace.FetchedCode, error) {
	head := make([]byte, 512)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read an archive: %w", err)
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return f.unzip(ctx, file)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}), bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) > 262 && string(head[257:262]) == "ustar":
		return f.untar(ctx, file)
	}
	return f.flake(ctx, file)
}

// flake stores a single flake.nix.
func (f *Fetcher) flake(ctx context.Context, file *os.File) (*nixspace.FetchedCode, error) {
	b, err := io.ReadAll(io.NewSectionReader(file, 0, maxFlake+1))
	if err != nil {
		return nil, fmt.Errorf("read a file: %w", err)
	}
	if len(b) > maxFlake || !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 || !bytes.Contains(b, []byte("outputs")) {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "archive_unknown", "the file is neither a tar, nor a zip, nor a flake.nix").
			WithHint("pack the code with: tar czf code.tar.gz FOLDER")
	}
	return f.store(ctx, func(t *tree) error { return t.file("flake.nix", int64(len(b)), false, bytes.NewReader(b)) })
}

// untar stores a tar. It is read twice: the first time to see what it is below.
func (f *Fetcher) untar(ctx context.Context, file *os.File) (*nixspace.FetchedCode, error) {
	read := func(use func(io.Reader) error) error {
		plain, end, err := workspace.Decompress(&contextReader{ctx, io.NewSectionReader(file, 0, 1<<62)})
		if err != nil {
			return err
		}
		defer end()
		return use(&limitReader{r: plain, room: f.cfg.Limits.Archive(), err: f.tooLarge()})
	}
	var top top
	err := read(func(r io.Reader) error {
		in := tar.NewReader(r)
		for {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return damaged(err)
			}
			if h.Typeflag != tar.TypeXGlobalHeader {
				top.see(h.Name, h.Typeflag == tar.TypeDir)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return f.store(ctx, func(t *tree) error {
		return read(func(r io.Reader) error { return t.addTar(r, false, top.strip) })
	})
}

// unzip stores a zip.
func (f *Fetcher) unzip(ctx context.Context, file *os.File) (*nixspace.FetchedCode, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read an archive: %w", err)
	}
	// A directory is read whole before anybody can see how much it is.
	counted := &countingReaderAt{r: file, room: maxDirectory}
	z, err := zip.NewReader(counted, info.Size())
	if err != nil && counted.room < 0 {
		return nil, f.tooLarge()
	}
	if err != nil {
		return nil, damaged(err)
	}
	counted.room = 1 << 62
	if len(z.File) > f.cfg.Limits.Files {
		return nil, nixspace.Errorf(nixspace.KindLimit, "workspace_too_large", "the code has more than %d files", f.cfg.Limits.Files)
	}
	var top top
	for _, e := range z.File {
		if strings.Contains(e.Name, "\\") {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "workspace_invalid", "the archive of the code is refused: %q has a backslash in its name", e.Name)
		}
		if e.Flags&1 != 0 {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "workspace_invalid", "the archive of the code is refused: it is encrypted")
		}
		top.see(e.Name, strings.HasSuffix(e.Name, "/"))
	}
	return f.store(ctx, func(t *tree) error {
		for _, e := range z.File {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f.zipEntry(t, e, top.strip(e.Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// zipEntry adds one entry. What a zip says of sizes is not believed: a tar needs
// to know them before, so that more or less than was said ends it.
func (f *Fetcher) zipEntry(t *tree, e *zip.File, name string) error {
	mode := e.Mode()
	switch {
	case name == "":
		return nil
	case mode.IsDir():
		return t.dir(name)
	case mode.IsRegular(), mode&fs.ModeSymlink != 0:
	default:
		return nixspace.Errorf(nixspace.KindInvalid, "workspace_invalid", "the archive of the code is refused: %q is neither a file nor a directory nor a link", e.Name)
	}
	if e.UncompressedSize64 > uint64(f.cfg.Limits.Bytes) {
		return f.tooLarge()
	}
	r, err := e.Open()
	if err != nil {
		return damaged(err)
	}
	defer r.Close()
	if mode&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(r, maxTarget+1))
		if err != nil || len(target) > maxTarget {
			return damaged(errors.Join(err, errors.New("a link is too long")))
		}
		return t.link(name, string(target))
	}
	if err := t.file(name, int64(e.UncompressedSize64), mode&0o111 != 0, r); err != nil {
		if errors.Is(err, errStored) {
			return err
		}
		return damaged(err)
	}
	return nil
}

// top finds the one folder that everything in an archive is below.
type top struct {
	name string
	many bool
}

func (t *top) see(name string, dir bool) {
	clean := path.Clean(name)
	first, _, below := strings.Cut(clean, "/")
	switch {
	case clean == "." && dir:
	case first == "" || first == ".." || !below && !dir, t.name != "" && t.name != first:
		t.many = true
	default:
		t.name = first
	}
}

// strip returns a name as it is below that folder; "" for the folder itself.
func (t *top) strip(name string) string {
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	if t.many || t.name == "" {
		if name == "." {
			return ""
		}
		return name
	}
	rest := strings.TrimPrefix(name, t.name)
	if rest == name || strings.Trim(rest, "/") == "" {
		return ""
	}
	return strings.TrimLeft(rest, "/")
}

func damaged(err error) error {
	var known *nixspace.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nixspace.Errorf(nixspace.KindInvalid, "workspace_invalid", "the archive of the code is refused: it is damaged: %w", err)
}

// limitReader fails, instead of ending, once there is more than room.
type limitReader struct {
	r    io.Reader
	room int64
	err  error
}

func (l *limitReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.room -= int64(n); l.room < 0 {
		return 0, l.err
	}
	return n, err
}

// countingReaderAt fails once more than room was read.
type countingReaderAt struct {
	r    io.ReaderAt
	room int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if c.room -= int64(len(p)); c.room < 0 {
		return 0, errors.New("the directory of the archive is too large")
	}
	return c.r.ReadAt(p, off)
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
