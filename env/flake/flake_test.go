package flake

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const shop = `
[packages]
nodejs = "22"
postgresql = "15"
[services.postgresql]
databases = ["shop"]
[services.web]
command = "node server.js"
[env]
GREETING = "say \"hi\" to ${USER}\tand C:\\temp"
NODE_ENV = "development"
name = "it's me"
`

func parse(t testing.TB, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse(manifest.FileName, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// resolved is a manifest with made-up packages.
func resolved(m *manifest.Manifest) *manifest.Resolved {
	return &manifest.Resolved{Manifest: m, System: "x86_64-linux", Packages: []manifest.Package{
		{Key: "nodejs", Attr: "nodejs_22", Family: "nodejs", Version: "22.23.3"},
		{Key: "postgresql", Attr: "postgresql_15", Family: "postgresql", Version: "15.18"},
	}}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", file, diff)
	}
}

func TestRender(t *testing.T) {
	source := nixspace.FlakeSource{
		URL:      "path:/nix/store/00000000000000000000000000000000-source",
		Locked:   map[string]any{"type": "path", "path": "/nix/store/00000000000000000000000000000000-source", "narHash": "sha256-AAAA", "lastModified": 1},
		Original: map[string]any{"type": "path", "path": "/nix/store/00000000000000000000000000000000-source"},
	}
	nix, lock, err := Render("shop-env", resolved(parse(t, shop)), source)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "shop.nix", nix)
	golden(t, "shop.lock", lock)
	nix, _, err = Render("empty-env", &manifest.Resolved{Manifest: &manifest.Manifest{}, System: "x86_64-linux"}, source)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.nix", nix)
	if _, _, err := Render("x", resolved(parse(t, shop)), nixspace.FlakeSource{Locked: map[string]any{"x": func() {}}}); err == nil {
		t.Error("a lock that is no JSON was written")
	}
}

func TestNixpkgs(t *testing.T) {
	const source = "source = \"nixpkgs@0123456789abcdef0123456789abcdef01234567\"\n"
	got, err := Nixpkgs("shop-env", "x86_64-linux", parse(t, source+shop+`
[scripts]
x = "y"
`))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "nixpkgs.nix", got)
	for packages, want := range map[string]string{
		`git = "*"`:                "pkgs.git",
		`go = "1.27.4"`:            "pkgs.go_1_27 # go 1.27.4",
		`python3 = "3.13"`:         "pkgs.python313 # python3 3.13",
		`postgresql = "*"`:         "pkgs.postgresql",
		`postgresql_15 = "*"`:      "pkgs.postgresql_15",
		`"let" = "*"`:              `pkgs."let"`,
		`git = "2"`:                "error: nixpkgs has no name for version 2 of git",
		`go = "1"`:                 "error: nixpkgs has no name for version 1 of go",
		`nodejs = ">=20 <23"`:      "error: nixpkgs has no name for version >=20 <23 of nodejs",
		`nodejs = "latest"`:        "error: nixpkgs has no name for version latest of nodejs",
		`postgresql_15 = "15.999"`: "error: nixpkgs has no name for version 15.999 of postgresql_15",
	} {
		got, err := Nixpkgs("x", "x86_64-linux", parse(t, source+"[packages]\n"+packages+"\n"))
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s gave\n%s\nwithout %q", packages, got, want)
		}
	}
	if _, err := Nixpkgs("x", "x86_64-linux", parse(t, shop)); nixspace.ErrorCode(err) != "source_invalid" {
		t.Errorf("a catalog's manifest as nixpkgs: %v", err)
	}
}

// store is a Nix store in a directory of its own.
type store struct {
	t   testing.TB
	dir string
}

func newStore(t testing.TB) store {
	t.Helper()
	if _, err := exec.LookPath("nix"); err != nil {
		t.Skip("NOT TESTED WITH NIX: there is none on this machine")
	}
	return store{t, t.TempDir()}
}

func (s store) nix(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s store) try(args ...string) (string, error) {
	cmd := exec.Command("nix", append([]string{"--store", s.dir}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_CACHE_HOME="+s.dir+"/cache", "NIX_REMOTE=", "NIX_CONFIG="+
		"experimental-features = nix-command flakes\nsubstituters =\nbuild-users-group =\nflake-registry = "+s.dir+"/registry.json\n")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("nix %.80q: %w\n%s", args, err, stderr.String())
	}
	return string(out), nil
}

// packageSet stands in for nixpkgs: its functions return what they were given.
const packageSet = `{
  outputs = { self }: {
    legacyPackages.x86_64-linux = rec {
      fake = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; };
      nodejs_22 = fake "nodejs";
      postgresql_15 = fake "postgresql";
      buildEnv = args: derivation (args // { system = "x86_64-linux"; builder = "/bin/sh"; });
      mkShell = args: { type = "derivation"; inherit args; };
    };
  };
}
`

// source adds packageSet to the store, as NixSpace adds its catalog.
func (s store) source() nixspace.FlakeSource {
	s.t.Helper()
	dir := filepath.Join(s.dir, "tree")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(packageSet), 0o644),
		os.WriteFile(filepath.Join(s.dir, "registry.json"), []byte(`{"flakes":[],"version":2}`), 0o644)); err != nil {
		s.t.Fatal(err)
	}
	path := strings.TrimSpace(s.nix("store", "add-path", "--name", "source", dir))
	var infos []struct {
		NarHash string `json:"narHash"`
	}
	if err := json.Unmarshal([]byte(s.nix("path-info", "--json", path)), &infos); err != nil || len(infos) != 1 {
		s.t.Fatalf("path-info of %s: %v", path, err)
	}
	return nixspace.FlakeSource{
		URL:      "path:" + path,
		Locked:   map[string]any{"type": "path", "path": path, "narHash": infos[0].NarHash, "lastModified": 1},
		Original: map[string]any{"type": "path", "path": path},
	}
}

// write puts a flake into a directory.
func (s store) write(name, nix, lock string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(nix), 0o644),
		os.WriteFile(filepath.Join(dir, "flake.lock"), []byte(lock), 0o644)); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// TestWithNix has real Nix read the flake, and write its lock.
func TestWithNix(t *testing.T) {
	s := newStore(t)
	source := s.source()
	m := parse(t, shop)
	nix, lock, err := Render("shop-env", resolved(m), source)
	if err != nil {
		t.Fatal(err)
	}
	dir := s.write("shop", nix, lock)

	s.nix("flake", "metadata", "path:"+dir, "--no-update-lock-file")
	s.nix("flake", "lock", "path:"+dir)
	after, err := os.ReadFile(filepath.Join(dir, "flake.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lock, string(after)); diff != "" {
		t.Errorf("Nix changed the lock (-ours +its):\n%s", diff)
	}

	var names []string
	if err := json.Unmarshal([]byte(s.nix("eval", "--json", "path:"+dir+"#packages.x86_64-linux.default.paths", "--apply", "map (p: p.name)")), &names); err != nil {
		t.Fatal(err)
	}
	if want := []string{"nodejs", "postgresql"}; !cmp.Equal(names, want) {
		t.Errorf("packages %v, want %v", names, want)
	}
	if got := s.nix("eval", "--raw", "path:"+dir+"#packages.x86_64-linux.default.name"); got != "shop-env" {
		t.Errorf("name %q", got)
	}
	var shell struct {
		Env       map[string]string `json:"env"`
		ShellHook string            `json:"shellHook"`
	}
	if err := json.Unmarshal([]byte(s.nix("eval", "--json", "path:"+dir+"#devShells.x86_64-linux.default.args", "--apply", "a: { inherit (a) env shellHook; }")), &shell); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"GREETING": m.Env["GREETING"], "NODE_ENV": "development"}; !cmp.Equal(shell.Env, want) {
		t.Errorf("variables %q, want %q", shell.Env, want)
	}
	out, err := exec.Command("sh", "-c", shell.ShellHook+"printf %s \"$name\"").Output()
	if err != nil || string(out) != m.Env["name"] {
		t.Errorf("the shell exports name as %q, %v", out, err)
	}
}

// TestStringsWithNix has real Nix read many strings that were written as
// literals. They are evaluated together, because each start of Nix takes time.
func TestStringsWithNix(t *testing.T) {
	s := newStore(t)
	chars := rapid.OneOf(
		rapid.SampledFrom([]rune("\"\\$${}'\n\r\t; #/*`!@%&")),
		rapid.Rune().Filter(func(r rune) bool { return r != 0 && (r < 0xd800 || r > 0xdfff) }),
	)
	want := []string{"", "$", "$$", "${", "$${x}", "$$${x}", "\\${x}", "''${x}''", "\\", "\\\\", "\"", "\r\n", "a\nb"}
	rapid.Check(t, func(t *rapid.T) {
		want = append(want, rapid.StringOfN(chars, 0, 30, -1).Draw(t, "string"))
	})
	var b strings.Builder
	for _, w := range want {
		b.WriteString(nixString(w) + "\n")
	}
	file := filepath.Join(s.dir, "strings.nix")
	if err := os.WriteFile(file, []byte("["+b.String()+"]"), 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal([]byte(s.nix("eval", "--json", "--file", file)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("strings (-want +got):\n%s", diff)
	}
}

// FuzzNixString checks the literal by the rules of Nix's lexer.
func FuzzNixString(f *testing.F) {
	for _, s := range []string{"", "$${x}", "\\", "\"; x = \"", "\r\n\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lit := nixString(s)
		if len(lit) < 2 || lit[0] != '"' || lit[len(lit)-1] != '"' {
			t.Fatalf("%q is written as %s", s, lit)
		}
		var b strings.Builder
		for in := lit[1 : len(lit)-1]; in != ""; {
			switch {
			case in[0] == '\\' && len(in) > 1:
				c := in[1]
				if i := strings.IndexByte("nrt", c); i >= 0 {
					c = "\n\r\t"[i]
				}
				b.WriteByte(c)
				in = in[2:]
			case in[0] == '"', in[0] == '\\', strings.HasPrefix(in, "${"), strings.HasPrefix(in, "$$") && strings.HasPrefix(in, "$${"):
				t.Fatalf("%q is written as %s, which ends or interpolates", s, lit)
			default:
				b.WriteByte(in[0])
				in = in[1:]
			}
		}
		if b.String() != s {
			t.Fatalf("%q is written as %s, which reads as %q", s, lit, b.String())
		}
	})
}
