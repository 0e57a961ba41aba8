package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/catalog/registry"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// The tests run with a real Nix and a store of their own, and ask the real
// registries. NIXSPACE_TEST_CACHE names a directory in which they keep downloads
// from one run to the next.
func TestMain(m *testing.M) { os.Exit(nixtest.Main(m)) }

func open(t *testing.T, change ...func(*Config)) *Catalog {
	t.Helper()
	now := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, now) })
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	engine, err := nix.Open(t.Context(), nix.Config{StateDir: t.TempDir(), RuntimeDir: filepath.Dir(nixtest.Socket(t)), Settings: nixtest.Settings(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := Config{Dir: filepath.Join(t.TempDir(), "catalog"), Engine: engine, Log: log}
	if cache := os.Getenv("NIXSPACE_TEST_CACHE"); cache != "" {
		cfg.Cache = filepath.Join(cache, "sources")
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noCache(c *Config) { c.Cache = "" }

func offer(t *testing.T, c *Catalog, attr string) nixspace.Package {
	t.Helper()
	offers, err := c.Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i, ok := slices.BinarySearchFunc(offers, attr, func(p nixspace.Package, a string) int { return strings.Compare(p.Attr, a) })
	if !ok {
		t.Fatalf("%s is not offered", attr)
	}
	return offers[i]
}

// TestEnvironment takes a chain of Debian packages from the registries to an
// environment that runs, by itself and through the flake.
func TestEnvironment(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	attrs := []string{"bash", "gnugrep"}
	for _, a := range attrs {
		if p := offer(t, c, a); p.Present && p.Download != 0 || !p.Present && p.Download == 0 {
			t.Errorf("before: %+v", p)
		}
	}
	drv, out, err := c.Instantiate(ctx, "shop-env", attrs)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Realise(ctx, drv, attrs, "version/1", nil); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(out+"/bin/bash", "-c", "echo abc | "+out+"/bin/grep -P 'a(?=b)'").CombinedOutput()
	if err != nil || string(said) != "abc\n" {
		t.Errorf("the environment says %q, %v", said, err)
	}
	if p := offer(t, c, "gnugrep"); !p.Present || p.Download != 0 || p.Version == "" || !p.Default {
		t.Errorf("after: %+v", p)
	}
	closure, err := c.Closure(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(closure, func(p nixspace.PathInfo) bool { return strings.Contains(p.Path, "-glibc-") }) {
		t.Errorf("the closure has no C library: %v", closure)
	}
	for _, p := range closure {
		if strings.Contains(p.Path, "busybox") || strings.HasSuffix(p.Path, ".deb") {
			t.Errorf("what was only needed for building is in the closure: %s", p.Path)
		}
	}

	t.Run("again", func(t *testing.T) {
		t.Setenv("PATH", "") // nothing may be started
		if err := c.Realise(ctx, drv, attrs, "version/1", func(p nixspace.Progress) { t.Errorf("something was done: %+v", p) }); err != nil {
			t.Error(err)
		}
	})
	t.Run("flake", func(t *testing.T) { checkFlake(t, c, drv) })
	t.Run("downloads", func(t *testing.T) {
		err := filepath.WalkDir(c.downloads(), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				t.Errorf("%s is left", path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("roots", func(t *testing.T) {
		if _, err := c.cfg.Engine.Run(ctx, nix.Command{Args: []string{"store", "gc"}}); err != nil {
			t.Fatal(err)
		}
		for _, a := range attrs {
			if p := offer(t, c, a); !p.Present {
				t.Errorf("%s was collected", a)
			}
		}
		source, err := c.Source(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{out, drv, strings.TrimPrefix(source.URL, "path:")} {
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
		}
		// Another environment of the same packages needs no source.
		again, _, err := c.Instantiate(ctx, "other-env", attrs)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Realise(ctx, again, attrs, "version/2", nil); err != nil {
			t.Error(err)
		}
	})
}

// checkFlake builds the environment with nix itself, from a flake that names the
// catalog as its input. It returns the flake's directory.
func checkFlake(t *testing.T, c *Catalog, drv string) (dir string) {
	ctx := t.Context()
	src, err := c.Source(ctx)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	flake := fmt.Sprintf(`{
  inputs.nixpkgs.url = %q;
  outputs = { self, nixpkgs }: let pkgs = nixpkgs.legacyPackages.x86_64-linux; in {
    packages.x86_64-linux.default = pkgs.buildEnv { name = "shop-env"; paths = [ pkgs.bash pkgs.gnugrep ]; };
    devShells.x86_64-linux.default = pkgs.mkShell { packages = [ pkgs.bash pkgs.gnugrep ]; env = { SHOP = "open now"; }; };
  };
}
`, src.URL)
	lock, err := json.Marshal(map[string]any{"version": 7, "root": "root", "nodes": map[string]any{
		"root":    map[string]any{"inputs": map[string]any{"nixpkgs": "nixpkgs"}},
		"nixpkgs": map[string]any{"locked": src.Locked, "original": src.Original},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"flake.nix": flake, "flake.lock": string(lock)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := c.cfg.Engine.Run(ctx, nix.Command{Args: append(args, "--no-update-lock-file"), Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := run("eval", "--raw", "path:"+dir+"#packages.x86_64-linux.default.drvPath"); got != drv {
		t.Errorf("nix instantiates %s, the catalog %s", got, drv)
	}
	run("build", "--no-link", "path:"+dir)
	return dir
}

func TestUnknownPackage(t *testing.T) {
	c := open(t)
	err := c.Fetch(t.Context(), []string{"bash", "bach"}, nil)
	if nixspace.ErrorCode(err) != CodePackageUnknown || !strings.Contains(err.Error(), "bach") {
		t.Errorf("got %v", err)
	}
}

func TestSearch(t *testing.T) {
	c := open(t)
	for query, want := range map[string]string{"postgresql": "postgresql_17", "Node.js": "nodejs_18", "go": "go_1_27", "json": "jq", "ripgrep": "ripgrep"} {
		found, err := c.Search(t.Context(), query, 3)
		if err != nil || len(found) == 0 || len(found) > 3 || found[0].Attr != want {
			t.Errorf("search for %q: %v, %v", query, found, err)
		}
	}
	if found, err := c.Search(t.Context(), "no such thing", 0); err != nil || len(found) != 0 {
		t.Errorf("search for nothing: %v, %v", found, err)
	}
}

// TestDroppedPins lets the catalog pin versions that Debian does not have, as it
// is when the mirror has moved on, and a Debian package that it never had.
func TestDroppedPins(t *testing.T) {
	c := open(t)
	stale(t, c, "deb:trixie:hostname")
	before := offer(t, c, "hostname")
	bash := offer(t, c, "bash")
	source, err := c.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	drv, _, err := c.Instantiate(t.Context(), "shop-env", []string{"hostname"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var notices []string
	progress := func(p nixspace.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(p.Log, "NOTICE") {
			notices = append(notices, p.Log)
		}
	}
	// The derivation that is asked for cannot be built any more.
	err = c.Realise(t.Context(), drv, []string{"hostname"}, "version/1", progress)
	if nixspace.ErrorCode(err) != CodeRepinned {
		t.Fatalf("got %v", err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "hostname 0.1-1 → ") {
		t.Errorf("notices: %q", notices)
	}
	after := offer(t, c, "hostname")
	if after.OutPath == before.OutPath || offer(t, c, "bash").OutPath != bash.OutPath {
		t.Errorf("pinned anew: %+v, before %+v", after, before)
	}
	if err := c.Build(t.Context(), []string{"hostname"}, nil); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.Source(t.Context()); err != nil || changed.Digest == source.Digest || changed.URL == source.URL {
		t.Errorf("the flake source is still %v, %v", changed, err)
	}

	// It lasts, for this lock, and for this lock only.
	again, err := Open(t.Context(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(again.overlayFile() + ".old"); err != nil {
		t.Errorf("the overlay of another lock was not set aside: %v", err)
	}
	stale(t, again, "deb:trixie:hostname")
	if err := os.Rename(again.overlayFile()+".old", again.overlayFile()); err != nil {
		t.Fatal(err)
	}
	lock, err := again.overlaid()
	if err != nil || lock.Digest() != c.tree.lock.Digest() {
		t.Errorf("the overlay was not read again: %v", err)
	}

	// Check finds such pins before anything is asked for.
	early := open(t)
	stale(t, early, "deb:trixie:tree")
	if err := early.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if v := early.tree.lock.Sources["deb:trixie:tree"].Version; v == "0.1-1" {
		t.Error("Check left a pin that Debian does not have")
	}
}

// stale makes the catalog pin a version that Debian does not have.
func stale(t *testing.T, c *Catalog, key string) {
	t.Helper()
	lock := c.pinned.clone()
	s := lock.Sources[key]
	s.Version, s.Name, s.Hash = "0.1-1", "stale.deb", strings.Repeat("0", 64)
	lock.Sources[key] = s
	c.pinned = lock
	if err := c.setLock(lock); err != nil {
		t.Fatal(err)
	}
}

// TestOldIndex lets the index at hand list a version that the mirror has dropped
// since, as it is some days after the index was fetched.
func TestOldIndex(t *testing.T) {
	c := open(t)
	stale(t, c, "deb:trixie:hostname")
	apt := registry.NewApt(filepath.Join(c.cfg.Dir, "apt", "trixie"), "trixie", "")
	if err := apt.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	behind := func(name, script string) {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		client(t, name, script+"\nexec "+real+` "$@"`)
	}
	behind("apt-cache", `if [ "$1" = madison ] && [ ! -e `+fresh+` ]; then echo "hostname | 0.1-1 | somewhere"; exit; fi`)
	behind("apt-get", `case $1 in
update) : >`+fresh+` ;;
download) [ -e `+fresh+` ] || { echo "E: Failed to fetch hostname: 404 Not Found" >&2; exit 100; } ;;
esac`)
	if err := c.Fetch(t.Context(), []string{"hostname"}, nil); err != nil {
		t.Fatal(err)
	}
	if v := c.tree.lock.Sources["deb:trixie:hostname"].Version; v == "0.1-1" {
		t.Error("the pin that Debian dropped is still there")
	}
}

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
