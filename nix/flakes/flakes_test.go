package flakes_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/catalog"
	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/nix/flakes"
	"github.com/nixspace/nixspace/nix/nixtest"
)

func TestMain(m *testing.M) {
	evalbox.Main()
	os.Exit(nixtest.MainAll(m))
}

type parts struct {
	*flakes.Flakes
	catalog *catalog.Catalog
	engine  *nix.Engine
}

func open(t testing.TB) parts { return openWith(t, nil) }

func openWith(t testing.TB, inputs flakes.Fetcher) parts {
	t.Helper()
	runtime := filepath.Dir(nixtest.Socket(t))
	e, err := nix.Open(t.Context(), nix.Config{StateDir: t.TempDir(), RuntimeDir: runtime, OwnDaemon: true, Settings: nixtest.Settings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := catalog.Open(t.Context(), catalog.Config{Dir: t.TempDir(), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	f, err := flakes.New(t.Context(), flakes.Config{Engine: e, Catalog: c, Settings: nixtest.Settings(), Inputs: inputs, Limits: evalbox.Limits{Wall: 2 * nixtest.Patience}})
	if err != nil {
		t.Fatal(err)
	}
	return parts{f, c, e}
}

const shell = `{
  description = "a shop";
  inputs.nixpkgs.url = "nixpkgs";
  outputs = { self, nixpkgs }: let pkgs = nixpkgs.legacyPackages.x86_64-linux; in {
    devShells.x86_64-linux.default = pkgs.mkShell {
      packages = [ pkgs.git pkgs.jq ];
      buildInputs = [ pkgs.postgresql_15 ];
      GREETING = "it's me";
      CONFIG = ./conf;
      DATA = "${pkgs.tzdata}/share/zoneinfo";
      NOTE = builtins.toFile "note" "see ${./conf}";
      shellHook = "echo hello";
    };
  };
}`

func TestShell(t *testing.T) {
	p := open(t)
	in := nixspace.UserFlake{Files: map[string]string{"flake.nix": shell, "conf/a.txt": "a\n"}}
	out, err := p.EvaluateFlake(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pkg := range out.Packages {
		got = append(got, pkg.Name)
		if pkg.Version == "" || pkg.DrvPath == "" {
			t.Errorf("package %+v", pkg)
		}
	}
	if want := []string{"git", "jq", "postgresql"}; !slices.Equal(got, want) {
		t.Errorf("packages %v, want %v", got, want)
	}
	if out.Env["GREETING"] != "it's me" || !strings.HasSuffix(out.Env["DATA"], "/share/zoneinfo") || out.Env["shellHook"] != "" || out.Env["stdenv"] != "" {
		t.Errorf("variables %v", out.Env)
	}
	if len(out.Skipped) > 0 {
		t.Errorf("left out: %v", out.Skipped)
	}
	// The files are in the store, and what they say.
	if b, err := os.ReadFile(filepath.Join(out.Env["CONFIG"], "a.txt")); err != nil || string(b) != "a\n" {
		t.Errorf("CONFIG: %q, %v", b, err)
	}
	if b, err := os.ReadFile(out.Env["NOTE"]); err != nil || !strings.HasSuffix(strings.TrimSpace(string(b)), "-conf") {
		t.Errorf("NOTE: %q, %v", b, err)
	}
	for _, pkg := range out.Packages {
		if _, err := os.Stat(pkg.DrvPath); err != nil {
			t.Error(err)
		}
	}

	drv, path, err := p.InstantiateFlake(t.Context(), "shop-env", []string{"redis"}, out)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(drv)
	if err != nil || !strings.Contains(string(text), path) || !strings.Contains(string(text), out.Env["CONFIG"]) {
		t.Errorf("%v: %s", err, text)
	}
	redis, git := strings.Index(string(text), "-redis-"), strings.Index(string(text), out.Packages[0].OutPath)
	if redis < 0 || git < 0 || redis > git {
		t.Errorf("packages of the catalog do not come first: %s", text)
	}

	// The lock holds it.
	in.Files["flake.lock"] = out.Lock
	again, err := p.EvaluateFlake(t.Context(), in)
	if err != nil || again.Lock != out.Lock || again.Packages[0] != out.Packages[0] {
		t.Errorf("with its lock: %+v, %v", again, err)
	}
}

// TestCatalogByPath names the catalog as flakes that NixSpace wrote do.
func TestCatalogByPath(t *testing.T) {
	p := open(t)
	source, err := p.catalog.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flake := strings.Replace(shell, `"nixpkgs"`, `"`+source.URL+`"`, 1)
	in := nixspace.UserFlake{Files: map[string]string{"flake.nix": flake, "conf/a.txt": "a\n"}}
	if _, err := p.EvaluateFlake(t.Context(), in); err != nil {
		t.Error(err)
	}
	// What comes from elsewhere can be replaced.
	in.Files["flake.nix"] = strings.Replace(shell, `"nixpkgs"`, `"github:NixOS/nixpkgs"`, 1)
	if _, err := p.EvaluateFlake(t.Context(), in); nixspace.ErrorCode(err) != evalbox.CodeMissing {
		t.Errorf("%v, want code %s", err, evalbox.CodeMissing)
	}
	in.Overrides = map[string]string{"nixpkgs": "catalog"}
	out, err := p.EvaluateFlake(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.Files["flake.lock"] = out.Lock
	if again, err := p.EvaluateFlake(t.Context(), in); err != nil || again.Lock != out.Lock {
		t.Errorf("with its lock: %v", err)
	}
	in.Overrides = map[string]string{"nixpkgs": "path:/etc"}
	if _, err := p.EvaluateFlake(t.Context(), in); nixspace.ErrorCode(err) != evalbox.CodeInput {
		t.Errorf("%v, want code %s", err, evalbox.CodeInput)
	}
}

// TestRefused tries derivations that reach out of the sandbox of builds.
func TestRefused(t *testing.T) {
	p := open(t)
	if _, err := p.catalog.Derivations(t.Context()); err != nil { // puts the catalog's own into the store
		t.Fatal(err)
	}
	for name, attrs := range map[string]string{
		"fixed output":        `outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = "0000000000000000000000000000000000000000000000000000";`,
		"recursive output":    `outputHashMode = "recursive"; outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";`,
		"no chroot":           `__noChroot = true;`,
		"host files":          `__impureHostDeps = [ "/etc/shadow" ];`,
		"structured":          `__structuredAttrs = true; __noChroot = true;`,
		"hidden":              `__json = builtins.unsafeDiscardStringContext "{\"\\u005f_noChroot\":true}";`,
		"host variables":      `impureEnvVars = [ "HOME" ];`,
		"built-in fetchurl":   `builder = "builtin:fetchurl"; system = "builtin"; url = "file:///etc/shadow"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000000";`,
		"built-in unpack":     `builder = "builtin:unpack-channel"; system = "builtin"; src = "/etc";`,
		"another system":      `system = "aarch64-linux";`,
		"of another input":    `x = derivation { name = "deep"; system = "x86_64-linux"; builder = "/b"; __noChroot = true; };`,
		"fetched of an input": `x = derivation { name = "deep"; system = "x86_64-linux"; builder = "/b"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000000"; };`,
	} {
		t.Run(name, func(t *testing.T) {
			flake := `{ outputs = _: { packages.x86_64-linux.default = derivation ({ name = "bad"; system = "x86_64-linux"; builder = "/b"; } // { ` + attrs + ` }); }; }`
			before, err := filepath.Glob("/nix/store/*")
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.EvaluateFlake(t.Context(), nixspace.UserFlake{Files: map[string]string{"flake.nix": flake}})
			hidden := name == "hidden" && nixspace.ErrorCode(err) == evalbox.CodeInvalid // newer Nix makes no derivation of it
			if nixspace.ErrorCode(err) != flakes.CodeRefused && !hidden {
				t.Errorf("%v, want code %s", err, flakes.CodeRefused)
			}
			after, err := filepath.Glob("/nix/store/*")
			if err != nil || !slices.Equal(slices.DeleteFunc(after, func(s string) bool { return strings.HasSuffix(s, ".lock") }), slices.DeleteFunc(before, func(s string) bool { return strings.HasSuffix(s, ".lock") })) {
				t.Errorf("the store has more than before: %v", err)
			}
		})
	}
}

// TestBuild builds derivations of a flake's own.
func TestBuild(t *testing.T) {
	p := open(t)
	flake := `{ outputs = _: let
	  inner = derivation { name = "inner-1.5"; system = "builtin"; builder = "builtin:buildenv"; derivations = "true 1 1 ${./files}"; manifest = "/dev/null"; };
	in { packages.x86_64-linux.default = derivation { name = "outer-2"; system = "builtin"; builder = "builtin:buildenv"; derivations = "true 1 1 ${inner}"; manifest = "/dev/null"; }; }; }`
	in := nixspace.UserFlake{Files: map[string]string{"flake.nix": flake, "files/bin/hello": "#!/bin/sh\necho hello\n"}}
	out, err := p.EvaluateFlake(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Packages) != 1 || out.Packages[0].Name != "outer" || out.Packages[0].Version != "2" {
		t.Errorf("packages %+v", out.Packages)
	}
	drv, path, err := p.InstantiateFlake(t.Context(), "shop-env", nil, out)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RealiseFlake(t.Context(), drv, nil, "environment-x", nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path + "/bin/hello"); err != nil || !strings.Contains(string(b), "echo hello") {
		t.Errorf("%q, %v", b, err)
	}
	// What is no environment is not built, whoever says that it is one.
	if err := p.RealiseFlake(t.Context(), out.Packages[0].DrvPath, nil, "environment-y", nil); err != nil {
		t.Error("a link farm is an environment:", err)
	}
	tool := nixtest.Instantiate(t, `derivation { name = "x"; system = "x86_64-linux"; builder = "/x"; }`)[0]
	if err := p.RealiseFlake(t.Context(), tool, nil, "environment-z", nil); nixspace.ErrorCode(err) != "derivation_refused" {
		t.Errorf("%v, want code derivation_refused", err)
	}
	roots, err := p.engine.Roots(t.Context())
	if err != nil || roots["environment-x"] != path {
		t.Errorf("roots %v, %v", roots, err)
	}
}

func TestProbe(t *testing.T) {
	if err := open(t).Probe(t.Context()); err != nil {
		t.Error(err)
	}
}
