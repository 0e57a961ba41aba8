package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/registry"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// client puts a program in place of a registry's client.
func client(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// npmSource is a source that only npm is asked for.
func npmSource(t *testing.T, c *Catalog) (key string, src Source) {
	t.Helper()
	lock, _, err := c.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key = lock.Units["npm_10"].Srcs[0]
	return key, lock.Sources[key]
}

func (c *Catalog) fetchSource(ctx context.Context, key string) error {
	f := &fetch{Catalog: c, lock: c.tree.lock}
	_, err := f.run(ctx, []string{key})
	return err
}

func TestFetchFailures(t *testing.T) {
	c := open(t, noCache)
	key, src := npmSource(t, c)
	for name, test := range map[string]struct{ script, code string }{
		"cut short":   {"head -c 100 /dev/zero >npm.tgz", CodeTruncated},
		"other bytes": {fmt.Sprintf("head -c %d /dev/zero >npm.tgz", src.Size), CodeHashMismatch},
		"disk full":   {"echo 'npm error code ENOSPC' >&2; exit 1", registry.CodeDiskFull},
		"no network":  {"echo 'npm error network timed out' >&2; exit 1", registry.CodeFetchFailed},
	} {
		t.Run(name, func(t *testing.T) {
			client(t, "npm", test.script)
			err := c.fetchSource(t.Context(), key)
			var e *nixspace.Error
			if !errors.As(err, &e) || e.Code != test.code || e.Hint == "" {
				t.Errorf("got %v", err)
			}
			if ok, err := c.cfg.Engine.Store().IsValidPath(t.Context(), src.StorePath()); ok || err != nil {
				t.Errorf("it is in the store: %v, %v", ok, err)
			}
			if left, err := os.ReadDir(c.downloads()); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Run("no client", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		err := c.fetchSource(t.Context(), key)
		if nixspace.ErrorCode(err) != registry.CodeClientMissing || !strings.Contains(err.Error(), "npm") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("small disk", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED: only root can mount a small file system")
		}
		small := t.TempDir()
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(small, 0); err != nil {
				t.Error(err)
			}
		})
		cfg := c.cfg
		cfg.Dir = small
		full, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = full.fetchSource(t.Context(), key)
		if nixspace.ErrorCode(err) != registry.CodeDiskFull || nixspace.ErrorKind(err) != nixspace.KindLimit {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a real client", func(t *testing.T) {
		if err := c.fetchSource(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if ok, err := c.cfg.Engine.Store().IsValidPath(t.Context(), src.StorePath()); !ok || err != nil {
			t.Errorf("it is not in the store: %v", err)
		}
	})
}

// TestGiveUp cancels a download that would never end.
func TestGiveUp(t *testing.T) {
	c := open(t, noCache)
	key, _ := npmSource(t, c)
	fifo := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	client(t, "npm", "echo $$ >"+fifo+"; exec sleep 1000000")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- c.fetchSource(ctx, key) }()
	pid, err := os.ReadFile(fifo) // waits for the client
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	cancel(enough)
	select {
	case err := <-done:
		if !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	case <-time.After(nixtest.Patience):
		t.Fatal("it goes on")
	}
	if _, err := os.Stat("/proc/" + string(bytes.TrimSpace(pid))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the client still runs: %v", err)
	}
	if left, err := os.ReadDir(c.downloads()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestResume puts a complete and a broken download where a killed run leaves
// them: the first is used as it is, the second fetched again.
func TestResume(t *testing.T) {
	c := open(t, noCache)
	lock, _, err := c.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"deb:trixie:hostname", "deb:trixie:tree"}
	file := func(key string) string {
		s := lock.Sources[key]
		return filepath.Join(c.downloads(), s.Suite, registry.Deb{Package: s.Package, Version: s.Version, Arch: s.Arch}.FileName())
	}
	if err := os.MkdirAll(filepath.Dir(file(keys[0])), 0o755); err != nil {
		t.Fatal(err)
	}
	s := lock.Sources[keys[0]]
	apt := registry.NewApt(filepath.Join(c.cfg.Dir, "apt", s.Suite), s.Suite, "")
	if err := apt.Download(t.Context(), filepath.Dir(file(keys[0])), []registry.Deb{{Package: s.Package, Version: s.Version, Arch: s.Arch}}, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file(keys[1]), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.downloads(), "tmp-1", "into"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := &fetch{Catalog: c, lock: lock}
	if again, err := f.run(t.Context(), keys); again || err != nil {
		t.Fatalf("%v, %v", again, err)
	}
	valid, err := c.cfg.Engine.Store().ValidPaths(t.Context(), []string{lock.Sources[keys[0]].StorePath(), lock.Sources[keys[1]].StorePath()})
	if err != nil || len(valid) != 2 {
		t.Errorf("in the store: %v, %v", valid, err)
	}
	if _, err := os.Stat(filepath.Join(c.downloads(), "tmp-1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old download is left: %v", err)
	}
}
