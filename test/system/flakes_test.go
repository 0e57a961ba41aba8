//go:build system

package system

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const systemFlake = `{
  description = "Tools of a shop";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";
  outputs = { self, nixpkgs }:
    let pkgs = nixpkgs.legacyPackages.x86_64-linux;
    in {
      devShells.x86_64-linux.default = pkgs.mkShell {
        packages = [ pkgs.jq ];
        # what it says
        GREETING = "hello from a flake";
        # where things are
        CONF = ./conf;
        ZONES = "${pkgs.tzdata}/share/zoneinfo";
        shellHook = "echo the hook runs";
      };
    };
}
`

// TestUserFlake makes an environment of a flake, runs it, changes its text on two
// branches and merges them; and tries what a flake must not do.
func TestUserFlake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	write := func(name, text string) string {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		return at
	}
	write("flake.nix", systemFlake)
	write("conf/a.json", `{"answer": 42}`)
	state := stateDir(t)
	up(t, state, "--no-quickstart")

	if r := cli(t, state, "create", "shop", "--flake", dir, "--include", "conf"); r.code != 2 || !strings.Contains(r.stderr, "--override-input nixpkgs=catalog") {
		t.Errorf("without nixpkgs: exit code %d, %s", r.code, r.stderr)
	}
	for name, flake := range map[string]string{
		"flake_input_refused":      strings.Replace(systemFlake, "github:NixOS/nixpkgs/nixos-24.05", "path:/etc", 1),
		"flake_config_refused":     strings.Replace(systemFlake, "outputs", "nixConfig.sandbox = false; outputs", 1),
		"flake_invalid":            `{ outputs = _: { packages.x86_64-linux.default = builtins.readFile "/etc/passwd"; }; }`,
		"flake_derivation_refused": `{ outputs = _: { packages.x86_64-linux.default = derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000000"; }; }; }`,
	} {
		bad := filepath.Join(t.TempDir(), "flake.nix")
		if err := os.WriteFile(bad, []byte(flake), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := cli(t, state, "--json", "create", "bad", "--flake", bad); r.code != 2 || !strings.Contains(r.stderr, `"`+name+`"`) {
			t.Errorf("%s: exit code %d, %s", name, r.code, r.stderr)
		}
	}

	ok(t, state, "create", "shop", "--flake", dir, "--include", "conf", "--override-input", "nixpkgs=catalog")
	const script = `jq --version; echo "$GREETING"; jq .answer "$CONF/a.json"; test -d "$ZONES/Europe" && echo zones; git --version 2>/dev/null; true`
	if out := ok(t, state, "run", "shop", "--", "sh", "-c", script); !strings.Contains(out, "jq-1") || !strings.Contains(out, "hello from a flake\n42\nzones\n") || strings.Contains(out, "git version") || strings.Contains(out, "hook") {
		t.Errorf("a session printed %q", out)
	}

	// Two branches, of which one has something on top.
	for name, text := range map[string]string{
		"one": strings.Replace(systemFlake, "hello from a flake", "hello from one", 1),
		"two": strings.Replace(systemFlake, "hello from a flake", "hello from two", 1),
	} {
		ok(t, state, "branch", "shop", name)
		ok(t, state, "flake", "set", name, write("other/"+name+".nix", text))
	}
	ok(t, state, "add", "one", "git")
	r := cli(t, state, "merge", "one", "--into", "two")
	if r.code != 4 || !strings.Contains(r.stdout, "<<<<<<< ours") || !strings.Contains(r.stdout, "hello from one") {
		t.Errorf("a conflict: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	ok(t, state, "merge", "one", "--into", "two", "--resolved", write("other/both.nix", strings.Replace(systemFlake, "hello from a flake", "hello from both", 1)))
	if out := ok(t, state, "run", "two", "--", "sh", "-c", script); !strings.Contains(out, "hello from both\n42\n") || !strings.Contains(out, "git version") {
		t.Errorf("a session of the merge printed %q", out)
	}
	if left := cli(t, state, "list", "sessions"); strings.Contains(left.stdout, "running") {
		t.Errorf("sessions are left: %s", left.stdout)
	}
}
