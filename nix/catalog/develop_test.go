//go:build catalog

package catalog

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/env/flake"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// TestExportedFlake enters the development shell of the flake that NixSpace writes
// for an environment, with the installed Nix and with the newest one: every command
// that a session has is there, and is the same file of the store.
func TestExportedFlake(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	offers, err := c.Offers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	base, err := c.Base(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(manifest.FileName, []byte(`
[packages]
postgresql = "15"
git = "*"
[env]
GREETING = "say \"hi\" to ${USER}"
name = "it's me"
`))
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := manifest.Resolve(m, "x86_64-linux", append(slices.Clone(offers), base))
	if err != nil {
		t.Fatal(err)
	}
	source, err := c.Source(ctx)
	if err != nil {
		t.Fatal(err)
	}
	text, lock, err := flake.Render("shop-env", resolved, source)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o644), os.WriteFile(filepath.Join(dir, "flake.lock"), []byte(lock), 0o644)); err != nil {
		t.Fatal(err)
	}

	attrs := resolved.Attrs()
	drv, out, err := c.Instantiate(ctx, "shop-env", attrs)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Realise(ctx, drv, attrs, "version/1", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Fetch(ctx, []string{BaseAttr}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Build(ctx, []string{BaseAttr}, nil); err != nil {
		t.Fatal(err)
	}

	// What comes first in a session's PATH counts: the environment's, then the base's.
	want := map[string]string{}
	for _, dir := range []string{base.OutPath, out} {
		entries, err := os.ReadDir(filepath.Join(dir, "bin"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if want[e.Name()], err = filepath.EvalSymlinks(filepath.Join(dir, "bin", e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want["ls"] == "" || want["postgres"] == "" || want["psql"] == "" || want["git"] == "" {
		t.Fatalf("there is no more than %v", want)
	}

	nixtest.NeedDevelop(t)
	programs := map[string]string{"installed": "nix"}
	if newest := os.Getenv("NIXSPACE_NEW_NIX"); newest != "" {
		programs["newest"] = filepath.Join(newest, "bin", "nix")
	} else {
		t.Log("NOT TESTED WITH THE NEWEST NIX: set NIXSPACE_NEW_NIX to what scripts/newest-nix prints")
	}
	for name, nix := range programs {
		t.Run(name, func(t *testing.T) {
			got := develop(t, nix, name == "newest", dir, `for c in "$@"; do echo "$c=$(realpath "$(type -P "$c")")"; done; echo "GREETING=$GREETING"; echo "name=$name"`, want)
			for c, path := range want {
				if got[c] != path {
					t.Errorf("%s is %s in the shell, and %s in a session", c, got[c], path)
				}
			}
			if got["GREETING"] != m.Env["GREETING"] || got["name"] != m.Env["name"] {
				t.Errorf("variables: %q, %q", got["GREETING"], got["name"])
			}
		})
	}
}

// develop runs a script in the development shell of a flake, with commands as its
// arguments, and returns the lines NAME=VALUE that it prints.
func develop(t *testing.T, nix string, newest bool, dir, script string, commands map[string]string) map[string]string {
	t.Helper()
	args := []string{"develop", "--no-update-lock-file", "--no-write-lock-file", "path:" + dir, "-c", "bash", "-c", script, "bash"}
	for c := range commands {
		args = append(args, c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*nixtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, nix, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "USER=me")
	if newest {
		// This Nix runs through its own dynamic linker; see nixtest.Settings.
		cmd.Env = append(cmd.Env, "NIX_CONFIG="+os.Getenv("NIX_CONFIG")+"\nbuild-hook =\nsandbox-paths =\nflake-registry =\n")
	} else {
		registry := filepath.Join(t.TempDir(), "registry.json")
		if err := os.WriteFile(registry, []byte(`{"flakes":[],"version":2}`), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "NIX_CONFIG="+os.Getenv("NIX_CONFIG")+"\nflake-registry = "+registry+"\n")
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s develop: %v\n%s", nix, err, stderr.String())
	}
	out := map[string]string{}
	for line := range strings.Lines(string(stdout)) {
		if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			out[k] = v
		}
	}
	return out
}
