// Package workspace stores archives of projects' code, by content.
//
// An archive is a tar, kept compressed with zstd as <digest>.tar.zst, where the
// digest is the SHA-256 of the uncompressed tar in lower-case hexadecimal. What
// people upload is hostile: an archive is read through and checked before it is
// kept, see [Store.Put].
package workspace

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

const (
	maxName     = 4096 // bytes of a path, as Linux has it
	maxDepth    = 128  // parts of a path
	maxReadFile = 1 << 20
	maxWindow   = 128 << 20 // memory that decompressing may take
)

// Store keeps archives in one directory. It is safe for concurrent use, also by
// several processes.
type Store struct {
	dir    string
	limits nixspace.CodeLimits
}

// Open returns the store in dir, which it makes if needed. It deletes what an
// upload that was interrupted left behind.
func Open(dir string, limits nixspace.CodeLimits) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the workspace store: %w", err)
	}
	s := &Store{dir: dir, limits: limits.WithDefaults()}
	return s, s.clean()
}

// partPattern names uploads under way. Each is locked by its writer.
const partPattern = ".upload-*"

func (s *Store) clean() error {
	parts, err := filepath.Glob(filepath.Join(s.dir, partPattern))
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	for _, p := range parts {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at an upload: %w", err)
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = os.Remove(p)
		}
		_ = f.Close() // opened for reading
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete an interrupted upload: %w", err)
		}
	}
	return nil
}

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (s *Store) file(digest string) string { return filepath.Join(s.dir, digest+".tar.zst") }

// Path returns the host path of a stored archive. It fails with kind not_found
// where there is none.
func (s *Store) Path(digest string) (string, error) {
	unknown := nixspace.Errorf(nixspace.KindNotFound, "workspace_unknown", "there is no stored code %.80q", digest).
		WithHint("upload it again")
	if !digestPattern.MatchString(digest) {
		return "", unknown
	}
	p := s.file(digest)
	// Whoever asks is about to use it: it must not be collected just now.
	now := time.Now()
	if err := os.Chtimes(p, now, now); errors.Is(err, fs.ErrNotExist) {
		return "", unknown
	} else if err != nil {
		return "", fmt.Errorf("find stored code: %w", err)
	}
	return p, nil
}

// Put stores a tar (plain, gzip or zstd) and returns its digest. It refuses, with
// kind invalid or limit, what is no tar, is too large, or would reach out of its
// own tree: absolute names, "..", links that leave, names below a link, devices.
func (s *Store) Put(ctx context.Context, r io.Reader) (_ nixspace.Workspace, err error) {
	plain, closePlain, err := Decompress(&contextReader{ctx, r})
	if err != nil {
		return nixspace.Workspace{}, err
	}
	defer closePlain()

	f, err := os.CreateTemp(s.dir, partPattern)
	if err != nil {
		return nixspace.Workspace{}, diskError(fmt.Errorf("begin an upload: %w", err))
	}
	defer func() {
		_ = f.Close()           // closed before, where it counts
		_ = os.Remove(f.Name()) // gone already when all went well
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nixspace.Workspace{}, fmt.Errorf("lock an upload: %w", err)
	}
	w, err := s.copy(f, plain)
	if err != nil {
		return nixspace.Workspace{}, err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return nixspace.Workspace{}, diskError(fmt.Errorf("write an upload: %w", err))
	}
	if err := s.check(ctx, f.Name(), w); err != nil {
		return nixspace.Workspace{}, err
	}
	if err := os.Rename(f.Name(), s.file(w.Digest)); err != nil {
		return nixspace.Workspace{}, fmt.Errorf("keep an upload: %w", err)
	}
	return w, syncDir(s.dir)
}

// copy checks the tar and writes it compressed.
func (s *Store) copy(dst io.Writer, plain io.Reader) (nixspace.Workspace, error) {
	enc, err := zstd.NewWriter(dst, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nixspace.Workspace{}, fmt.Errorf("compress an upload: %w", err)
	}
	defer func() { _ = enc.Close() }() // again, after a failure: frees it
	sum := sha256.New()
	limited := &limitReader{r: plain, limit: s.limits.Archive(), files: s.limits.Bytes}
	tee := io.TeeReader(limited, io.MultiWriter(sum, enc))
	files, err := checkTar(tee, s.limits.Files)
	if err != nil {
		return nixspace.Workspace{}, readError(limited, err)
	}
	// The tar ends before the stream does: padding belongs to the digest.
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return nixspace.Workspace{}, readError(limited, err)
	}
	if err := enc.Close(); err != nil {
		return nixspace.Workspace{}, diskError(fmt.Errorf("write an upload: %w", err))
	}
	return nixspace.Workspace{Digest: hex.EncodeToString(sum.Sum(nil)), Size: limited.n, Files: files}, nil
}

// check reads what was written once more.
func (s *Store) check(ctx context.Context, name string, w nixspace.Workspace) error {
	sum := sha256.New()
	n, err := readStored(ctx, name, func(r io.Reader) (int64, error) { return io.Copy(sum, r) })
	if err != nil {
		return err
	}
	if digest(sum) != w.Digest || n != w.Size {
		return fmt.Errorf("an upload was not stored as it came: %d bytes with digest %s instead of %d with %s", n, digest(sum), w.Size, w.Digest)
	}
	return nil
}

func digest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// ReadFile returns one small file, of 1 MiB at most, of a stored archive. It
// fails with kind not_found where the archive has no such file.
func (s *Store) ReadFile(ctx context.Context, digest, name string) ([]byte, error) {
	p, err := s.Path(digest)
	if err != nil {
		return nil, err
	}
	var content []byte
	found := false
	_, err = readStored(ctx, p, func(r io.Reader) (int64, error) {
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return 0, nil
			}
			if err != nil {
				return 0, err
			}
			if path.Clean(h.Name) != path.Clean(name) {
				continue
			}
			if found = h.Typeflag == tar.TypeReg; !found {
				continue
			}
			if h.Size > maxReadFile {
				return 0, nixspace.Errorf(nixspace.KindLimit, "file_too_large", "%s is too large: %d bytes, of %d allowed", name, h.Size, maxReadFile)
			}
			// A later entry of the same name is the one that counts.
			if content, err = io.ReadAll(tr); err != nil {
				return 0, err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "file_unknown", "the code has no file %s", name)
	}
	return content, nil
}

// WriteTar writes a stored archive as the tar that its digest is of, uncompressed,
// and returns its size in bytes. It fails with kind not_found where there is none.
func (s *Store) WriteTar(ctx context.Context, digest string, w io.Writer) (int64, error) {
	p, err := s.Path(digest)
	if err != nil {
		return 0, err
	}
	return readStored(ctx, p, func(r io.Reader) (int64, error) { return io.Copy(w, r) })
}

// readStored opens an archive that this package wrote.
func readStored(ctx context.Context, name string, fn func(io.Reader) (int64, error)) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, fmt.Errorf("open stored code: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	dec, err := zstd.NewReader(&contextReader{ctx, f}, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("read stored code: %w", err)
	}
	defer dec.Close()
	n, err := fn(dec)
	var known *nixspace.Error
	if err != nil && !errors.As(err, &known) {
		err = fmt.Errorf("read stored code: %w", err)
	}
	return n, err
}

// Decompress tells plain, gzip and zstd archives apart by how they begin, and
// returns what is in them and how to free what that takes. What comes out has no
// bound: the caller sets one.
func Decompress(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, uploadError(err)
	}
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b: // RFC 1952
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, uploadError(err)
		}
		return z, func() { _ = z.Close() }, nil
	case len(head) == 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd: // RFC 8878
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, uploadError(err)
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}
