package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/registry"
	"github.com/nixspace/nixspace/nix/daemon"
)

// take checks a file, puts it into the store and removes it.
func (f *fetch) take(ctx context.Context, key string, src Source, file string) error {
	if err := f.verify(src, file); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	if err := f.keep(src, file); err != nil {
		f.log.Warn("cannot keep a download in the cache", "name", src.Name, "error", err)
	}
	if err := f.importFile(ctx, key, src, file); err != nil {
		return err
	}
	f.mu.Lock()
	f.done += src.Size
	f.mu.Unlock()
	f.progress("", 0)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove an imported download: %w", err)
	}
	return nil
}

// verify compares a file with its pin.
func (f *fetch) verify(src Source, file string) error {
	r, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("check %s: %w", src.Name, err)
	}
	defer r.Close()
	h := newHash(src.Algo)
	n, err := io.Copy(h, r)
	if err != nil {
		return fmt.Errorf("check %s: %w", src.Name, err)
	}
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case got == src.Hash:
		return nil
	case n < src.Size:
		return nixspace.Errorf(nixspace.KindUnavailable, CodeTruncated, "the download of %s is cut short: %d of %d bytes came", src.Name, n, src.Size).
			WithHint("try again; if it goes on, look at the proxy or mirror in between")
	default:
		return nixspace.Errorf(nixspace.KindUnavailable, CodeHashMismatch, "the download of %s is not what the catalog pins: its %s is %s, not %s",
			src.Name, src.Algo, got, src.Hash).
			WithHint("nothing of it was used; try again, and if it goes on, look at the proxy or mirror in between")
	}
}

func newHash(algo string) hash.Hash {
	if algo == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// importFile puts a verified file into the store, and sees that it became the
// path that derivations expect.
func (f *fetch) importFile(ctx context.Context, key string, src Source, file string) error {
	want, name, method, algo := src.StorePath(), src.Name, daemon.Flat, src.Algo
	var content io.Reader
	if key == seedKey {
		nar, err := seedNar(file)
		if err != nil {
			return err
		}
		want, name, method, algo = f.lock.Seed.StorePath(), seedName, daemon.Recursive, "sha256"
		content = bytes.NewReader(nar)
	} else {
		r, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		defer r.Close()
		content = r
	}
	info, err := f.cfg.Engine.Store().AddFixed(ctx, name, method, algo, content)
	if err != nil {
		return fmt.Errorf("import %s: %w", name, diskFull(err, "the Nix store"))
	}
	if info.Path != want {
		return nixspace.Errorf(nixspace.KindInternal, CodeHashMismatch, "%s became %s in the store, not %s", name, info.Path, want)
	}
	return nil
}

// fromCache imports a source from the cache of verified downloads.
func (f *fetch) fromCache(ctx context.Context, key string, src Source) (bool, error) {
	if f.cfg.Cache == "" {
		return false, nil
	}
	file := filepath.Join(f.cfg.Cache, src.Algo+"-"+src.Hash)
	if _, err := os.Stat(file); err != nil || f.verify(src, file) != nil {
		return false, nil
	}
	if err := f.importFile(ctx, key, src, file); err != nil {
		return false, err
	}
	f.mu.Lock()
	f.done += src.Size
	f.mu.Unlock()
	f.progress("", 0)
	return true, nil
}

// keep copies a verified file into the cache.
func (f *fetch) keep(src Source, file string) error {
	if f.cfg.Cache == "" {
		return nil
	}
	if err := os.MkdirAll(f.cfg.Cache, 0o755); err != nil {
		return err
	}
	to := filepath.Join(f.cfg.Cache, src.Algo+"-"+src.Hash)
	if err := os.Link(file, to); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.CreateTemp(f.cfg.Cache, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(w.Name())
	_, err = io.Copy(w, r)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return os.Rename(w.Name(), to)
}

// diskFull makes a clear error of a full disk, and leaves others as they are.
func diskFull(err error, what string) error {
	var refused *daemon.Error
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if errors.As(err, &refused) {
		full = full || bytes.Contains(bytes.ToLower([]byte(refused.Message)), []byte("no space left on device"))
	}
	if !full {
		return err
	}
	e := nixspace.Errorf(nixspace.KindLimit, registry.CodeDiskFull, "the disk is full: there is no space for %s", what).
		WithHint("free some space, then try again; what was fetched so far is kept")
	e.Err = err
	return e
}
