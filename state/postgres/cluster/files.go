package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nixspace/nixspace"
)

// writeFile writes a secret file, for the owner alone, so that it is whole or
// not there.
func writeFile(path string, content []byte, owner Owner) error {
	next := path + ".tmp"
	// What an interrupted run left may belong to somebody else.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = owner.chown(next)
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes renames in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// removeSockets removes the sockets that a killed server left. No server runs.
func removeSockets(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, ".s.PGSQL.*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove stale socket: %w", err)
		}
	}
	return nil
}

// owns reports whether the owner owns the file.
func (o Owner) owns(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == o.UID
}

// diskFull returns err, or what to do about it when a full disk is the cause.
func diskFull(err error) error {
	if err == nil {
		return nil
	}
	var pgerr *pgconn.PgError
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		(errors.As(err, &pgerr) && pgerr.Code == "53100") ||
		strings.Contains(err.Error(), "No space left on device") || strings.Contains(err.Error(), "Disk quota exceeded")
	if !full {
		return err
	}
	e := nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk that holds the state directory is full").
		WithHint("free some space, or choose another state directory with --state")
	e.Err = err
	return e
}
