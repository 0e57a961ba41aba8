package evalbox_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/nix/nixtest"
)

const system = "x86_64-linux"

// packages is a package source as the catalog is one, as small as can be.
const packages = `{
  outputs = { self }: let
    make = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/${name}"; script = ./builder.sh; };
  in {
    legacyPackages.x86_64-linux = rec {
      hello = make "hello";
      world = make "world";
      mkShell = { buildInputs, ... }@args: derivation (args // { name = "shell"; system = "x86_64-linux"; builder = "/bin/sh"; inherit buildInputs; });
    };
  };
}`

func program(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("nix")
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// strict fails a test when a box says that it left something behind.
type strict struct {
	slog.Handler
	t testing.TB
}

func (s *strict) Enabled(context.Context, slog.Level) bool { return true }

func (s *strict) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "cannot remove") {
		s.t.Error(r.Message)
	}
	return nil
}

func newBox(t testing.TB, change func(*evalbox.Config)) *evalbox.Box {
	t.Helper()
	cfg := evalbox.Config{Nix: program(t), Log: slog.New(&strict{slog.DiscardHandler, t})}
	if change != nil {
		change(&cfg)
	}
	if cfg.Limits.Wall == 0 {
		cfg.Limits.Wall = 2 * nixtest.Patience // the machine may be busy with much else
	}
	return evalbox.New(cfg)
}

// addTree puts files into the store as the source of a flake.
func addTree(t testing.TB, files map[string]string) evalbox.Tree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	path := nixtest.Nix(t, "nix-store", "--add-fixed", "sha256", "--recursive", dir)
	size, err := strconv.ParseInt(nixtest.Nix(t, "nix-store", "-q", "--size", path), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	_, hash, _ := strings.Cut(nixtest.Nix(t, "nix-store", "-q", "--hash", path), ":")
	sum, err := nixbase32.DecodeString(hash)
	if err != nil {
		t.Fatal(err)
	}
	return evalbox.Tree{Path: path, NARHash: hex.EncodeToString(sum), NARSize: size}
}

func catalog(t testing.TB) evalbox.Tree {
	return addTree(t, map[string]string{"flake.nix": packages, "builder.sh": "echo\n"})
}

// request is for a flake with the small package source as nixpkgs.
func request(t testing.TB, flake string, more map[string]string) evalbox.Request {
	t.Helper()
	tree := catalog(t)
	files := map[string][]byte{"flake.nix": []byte(flake)}
	for name, content := range more {
		files[name] = []byte(content)
	}
	return evalbox.Request{Files: files, System: system, Trees: []evalbox.Tree{tree}, Names: map[string]string{"nixpkgs": tree.Path}}
}

const shell = `{
  description = "a shop";
  inputs.nixpkgs.url = "nixpkgs";
  outputs = { self, nixpkgs }: let pkgs = nixpkgs.legacyPackages.x86_64-linux; in {
    devShells.x86_64-linux.default = pkgs.mkShell { buildInputs = [ pkgs.hello pkgs.world ]; GREETING = "hi"; conf = ./conf; };
  };
}`

func TestShell(t *testing.T) {
	r := request(t, shell, map[string]string{"conf/a.txt": "a"})
	got, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got.Attr != "devShells.x86_64-linux.default" || !got.Shell || got.Description != "a shop" || got.Output != "out" {
		t.Errorf("found %+v", got)
	}
	if n := len(got.Derivations); n != 3 {
		t.Errorf("%d derivations, want 3", n)
	}
	if !strings.Contains(string(got.Derivations[got.DrvPath]), "GREETING") {
		t.Errorf("the derivation is %s", got.Derivations[got.DrvPath])
	}
	if n := len(got.Sources); n != 2 { // the flake's conf and the packages' builder
		t.Errorf("%d sources, want 2", n)
	}
	if !strings.Contains(string(got.Lock), strings.TrimPrefix(r.Trees[0].Path, "/nix/store/")) {
		t.Errorf("the lock does not name the tree: %s", got.Lock)
	}
	// Nothing of it is in the store.
	if _, err := os.Lstat(got.DrvPath); !os.IsNotExist(err) {
		t.Errorf("the derivation is in the store: %v", err)
	}

	// With its lock it comes to the same, byte by byte, also when a name now means
	// something else; and without a user namespace.
	r.Files["flake.lock"] = got.Lock
	r.Names = map[string]string{"nixpkgs": addTree(t, map[string]string{"flake.nix": "{ }"}).Path}
	changes := map[string]func(*evalbox.Config){"locked": nil}
	if os.Geteuid() == 0 {
		changes["no user namespace"] = func(c *evalbox.Config) { c.NoUserNamespace = true }
	}
	for name, change := range changes {
		again, err := newBox(t, change).Evaluate(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again.DrvPath != got.DrvPath || string(again.Lock) != string(got.Lock) {
			t.Errorf("%s: %s, before %s; lock\n%s", name, again.DrvPath, got.DrvPath, again.Lock)
		}
	}
}

// TestSameAsNix evaluates a flake by Nix itself, outside of any box.
func TestSameAsNix(t *testing.T) {
	r := request(t, shell, map[string]string{"conf/a.txt": "a"})
	got, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r.Files["flake.lock"] = got.Lock
	for name, content := range r.Files {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want := nixtest.Nix(t, "nix", "eval", "--raw", "--no-update-lock-file", "path:"+dir+"#devShells.x86_64-linux.default.drvPath")
	if got.DrvPath != want {
		t.Errorf("the box has %s, Nix has %s", got.DrvPath, want)
	}
}

func TestOutputs(t *testing.T) {
	drv := func(name string) string {
		return `derivation { name = "` + name + `"; system = "x86_64-linux"; builder = "/b"; }`
	}
	for name, c := range map[string]struct{ outputs, attr, code string }{
		"package":        {`packages.x86_64-linux.default = ` + drv("p") + `;`, "packages.x86_64-linux.default", ""},
		"old package":    {`defaultPackage.x86_64-linux = ` + drv("p") + `;`, "defaultPackage.x86_64-linux", ""},
		"old shell":      {`devShell.x86_64-linux = ` + drv("s") + `; defaultPackage.x86_64-linux = ` + drv("p") + `;`, "devShell.x86_64-linux", ""},
		"shell first":    {`devShells.x86_64-linux.default = ` + drv("s") + `; packages.x86_64-linux.default = ` + drv("p") + `;`, "devShells.x86_64-linux.default", ""},
		"none":           {`lib = 1;`, "", evalbox.CodeNoOutput},
		"other system":   {`packages.aarch64-linux.default = ` + drv("p") + `;`, "", evalbox.CodeNoOutput},
		"no derivation":  {`packages.x86_64-linux.default = 1;`, "", evalbox.CodeInvalid},
		"nothing thrown": {`packages.x86_64-linux.default = throw "not yet";`, "", evalbox.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newBox(t, nil).Evaluate(t.Context(), request(t, "{ outputs = { self }: { "+c.outputs+" }; }", nil))
			if c.code != "" {
				if nixspace.ErrorCode(err) != c.code {
					t.Fatalf("%v, want code %s", err, c.code)
				}
				return
			}
			if err != nil || got.Attr != c.attr || len(got.Lock) > 0 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestPlaces looks for the place of an error.
func TestPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		flake string
		more  map[string]string
		file  string
		line  int
		text  string
	}{
		"syntax":    {"{\n  outputs = { self }:\n    { x = ; };\n}", nil, "flake.nix", 3, "syntax error"},
		"undefined": {"{\n  outputs = { self }: {\n    packages.x86_64-linux.default = nope;\n  };\n}", nil, "flake.nix", 3, "undefined variable 'nope'"},
		"elsewhere": {"{\n  outputs = { self }: {\n    packages.x86_64-linux.default = import ./nix/p.nix;\n  };\n}", map[string]string{"nix/p.nix": "\n\n(1 + \"a\")"}, "nix/p.nix", 3, "integer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newBox(t, nil).Evaluate(t.Context(), request(t, c.flake, c.more))
			var e *nixspace.Error
			if !errors.As(err, &e) || e.Code != evalbox.CodeInvalid {
				t.Fatalf("%v, want %s", err, evalbox.CodeInvalid)
			}
			if e.Details["file"] != c.file || e.Details["line"] != c.line || !strings.Contains(e.Message, c.text) {
				t.Errorf("%s (%v), want %s:%d and %q", e.Message, e.Details, c.file, c.line, c.text)
			}
			if strings.Contains(err.Error(), "/nix/store") {
				t.Errorf("it names the store: %v", err)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	flake := strings.Replace(shell, `"nixpkgs"`, `"github:NixOS/nixpkgs/nixos-24.05"`, 1)
	r := request(t, flake, map[string]string{"conf/a.txt": "a"})
	_, err := newBox(t, nil).Evaluate(t.Context(), r)
	if nixspace.ErrorCode(err) != evalbox.CodeMissing || !strings.Contains(err.Error(), "--override-input nixpkgs=catalog") {
		t.Fatalf("%v, want code %s with the way out", err, evalbox.CodeMissing)
	}
	r.Overrides = map[string]string{"nixpkgs": r.Trees[0].Path}
	got, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	// The lock says what was used, and holds without the override.
	r.Overrides, r.Files["flake.lock"] = nil, got.Lock
	again, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil || again.DrvPath != got.DrvPath {
		t.Errorf("with its lock alone: %v", err)
	}
}

// TestOverrideBelow replaces an input of an input.
func TestOverrideBelow(t *testing.T) {
	r := request(t, `{
	  inputs.sub.url = "path:./sub";
	  outputs = { self, sub }: { packages.x86_64-linux.default = sub.it; };
	}`, map[string]string{"sub/flake.nix": `{
	  inputs.far.url = "github:a/b";
	  outputs = { self, far }: { it = far.legacyPackages.x86_64-linux.hello; };
	}`})
	if _, err := newBox(t, nil).Evaluate(t.Context(), r); nixspace.ErrorCode(err) != evalbox.CodeMissing {
		t.Errorf("without it: %v, want code %s", err, evalbox.CodeMissing)
	}
	r.Overrides = map[string]string{"sub.far": r.Trees[0].Path}
	got, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil || !strings.HasSuffix(got.OutPath, "-hello") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPresent uses an input from elsewhere whose tree is in the store, by its lock.
func TestPresent(t *testing.T) {
	flake := strings.Replace(shell, `"nixpkgs"`, `"github:NixOS/nixpkgs/nixos-24.05"`, 1)
	r := request(t, flake, map[string]string{"conf/a.txt": "a"})
	r.Files["flake.lock"] = []byte(githubLock(t, r.Trees[0]))
	trees, err := evalbox.LockedInputs(r.Files["flake.lock"], nil)
	if err != nil || len(trees) != 1 || trees[0].Path != r.Trees[0].Path || !trees[0].Remote || trees[0].Text("owner") != "NixOS" {
		t.Fatalf("the lock's trees are %v, %v; want %s", trees, err, r.Trees[0].Path)
	}
	if _, err := newBox(t, nil).Evaluate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Trees = nil
	r.Names = nil
	if _, err := newBox(t, nil).Evaluate(t.Context(), r); nixspace.ErrorCode(err) != evalbox.CodeMissing {
		t.Errorf("without the tree: %v, want code %s", err, evalbox.CodeMissing)
	}
}

// TestLocalInput has an input that is a folder of the flake.
func TestLocalInput(t *testing.T) {
	r := request(t, `{
	  inputs.sub.url = "path:./sub";
	  outputs = { self, sub }: { packages.x86_64-linux.default = sub.make "x"; };
	}`, map[string]string{"sub/flake.nix": `{ outputs = _: { make = name: derivation { inherit name; system = "x86_64-linux"; builder = "/b"; }; }; }`})
	got, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r.Files["flake.lock"] = got.Lock
	again, err := newBox(t, nil).Evaluate(t.Context(), r)
	if err != nil || again.DrvPath != got.DrvPath {
		t.Errorf("with its lock: %v", err)
	}
	if string(again.Lock) != string(got.Lock) {
		t.Errorf("its lock changed: %s, before %s", again.Lock, got.Lock)
	}
	// What is in the folder counts, not what was locked.
	r.Files["sub/flake.nix"] = []byte(`{ outputs = _: { make = name: derivation { name = "other"; system = "x86_64-linux"; builder = "/b"; }; }; }`)
	if again, err = newBox(t, nil).Evaluate(t.Context(), r); err != nil || again.DrvPath == got.DrvPath {
		t.Errorf("with another folder: %v", err)
	}
}
