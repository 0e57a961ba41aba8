package catalog

import (
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
	"testing"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
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
