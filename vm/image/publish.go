package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/filelock"
)

// publish writes a file under its final name in one step: the content goes to a
// temporary file beside it, is synced, read again and compared, and is renamed
// last. It returns the SHA-256 and size of the content. When it fails nothing
// is left.
func publish(path string, write func(io.Writer) error) (digest string, size int64, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", 0, err
	}
	f, err := os.CreateTemp(dir, tempPrefix+filepath.Base(path)+"-*")
	if err != nil {
		return "", 0, err
	}
	defer func() {
		f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	sum := sha256.New()
	if err := write(io.MultiWriter(f, sum)); err != nil {
		return "", 0, diskFull(err, dir)
	}
	// Machines run without privileges and only read.
	if err := f.Chmod(0o444); err != nil {
		return "", 0, err
	}
	if err := f.Sync(); err != nil {
		return "", 0, diskFull(err, dir)
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	back := sha256.New()
	if size, err = io.Copy(back, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", 0, fmt.Errorf("read back %s: %w", path, err)
	}
	if hex.EncodeToString(back.Sum(nil)) != digest {
		return "", 0, fmt.Errorf("read back %s: the disk holds other bytes than were written", path)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", 0, err
	}
	return digest, size, syncDir(dir)
}

// tempPrefix marks files that a crash may have left half written.
const tempPrefix = ".tmp-"

// sweep removes what interrupted writers left of the file named base. The
// caller holds the lock under which that file is made.
func sweep(dir, base string) {
	left, _ := filepath.Glob(filepath.Join(dir, tempPrefix+globQuote(base)+"-*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

func globQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// diskFull turns "no space left" into an error that says where and what to do.
func diskFull(err error, dir string) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk that holds %s is full: %w", dir, err).
		WithHint("free some space there, or move the state directory with --state; nothing half-made was kept")
}

// lockFile takes the exclusive lock of path across processes, and waits for it
// until ctx ends. The returned function gives it back.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l, err := filelock.Wait(ctx, path)
	if err != nil {
		return nil, err
	}
	return func() { _ = l.Unlock() }, nil
}
