//go:build system

package system

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const readyManifest = `schema = 1

[packages]
git = "2"
nodejs = "22"
postgresql = "15"

[services.postgresql]
databases = ["shop"]

[scripts]
setup = "mkdir -p node_modules/dep && cp dep.js node_modules/dep/index.js && psql -qc 'create table if not exists t(x int)' && psql -qc 'insert into t values (42)' && echo set up"
`

// TestReady prepares the setup of a repository, begins sessions from it, and from the
// last good one when there is a later commit. The database that the setup made is part
// of it, and so are modules that it installed.
func TestReady(t *testing.T) {
	forge, git := serveGit(t)
	commitFiles(t, git, "first", map[string]string{
		"nixspace.toml": readyManifest, "dep.js": "module.exports = 'dep 1'\n", "main.js": "console.log('first ' + require('dep'))\n", "old.txt": "goes\n",
	})
	state := stateDir(t)
	up(t, state, "--no-quickstart", "--allow-network", "127.0.0.1")
	ok(t, state, "create", "shop", forge)
	if out := ok(t, state, "prebuild", "log", "shop"); !strings.Contains(out, "set up") {
		t.Errorf("the log is %q", out)
	}
	const look = "node main.js && psql -Atc 'select x from t' && hostname && git log -1 --format=%s && ls old.txt new.txt 2>/dev/null; true"
	see := func(session, want string) {
		t.Helper()
		if out := ok(t, state, "exec", session, "--", "sh", "-c", look); out != want {
			t.Errorf("%s prints\n%s\nwant\n%s", session, out, want)
		}
	}
	ok(t, state, "start", "shop")
	see("shop/1", "first dep 1\n42\nshop-1\nfirst\nold.txt\n")
	if out := ok(t, state, "show", "shop/1"); !strings.Contains(out, "began prepared") || !strings.Contains(out, "came up by   snapshot") {
		t.Errorf("it began so:\n%s", out)
	}

	commitFiles(t, git, "second", map[string]string{
		"dep.js": "module.exports = 'dep 2'\n", "main.js": "console.log('second ' + require('dep'))\n", "old.txt": "", "new.txt": "new\n",
	})
	ok(t, state, "pull", "shop", "--no-setup")
	r := cli(t, state, "start", "shop")
	if r.code != 0 || !strings.Contains(r.stderr, "earlier prebuild") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	see("shop/2", "second dep 1\n42\nshop-2\nsecond\nnew.txt\n")
	see("shop/1", "first dep 1\n42\nshop-1\nfirst\nold.txt\n")
	ok(t, state, "prebuild", "shop")
	ok(t, state, "start", "shop")
	see("shop/3", "second dep 2\n42\nshop-3\nsecond\nnew.txt\n")

	// One that fails leaves the environment usable, and nothing behind.
	ok(t, state, "branch", "shop", "bad", "--set", "scripts.setup=echo about to fail; exit 9")
	if r := cli(t, state, "prebuild", "bad"); r.code == 0 || !strings.Contains(r.stderr, "exit code 9") || !strings.Contains(r.stderr, "about to fail") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	ok(t, state, "start", "bad")
	see("bad/1", "second dep 2\n42\nbad-1\nsecond\nnew.txt\n")
	if out := ok(t, state, "gc", "--dry-run", "--older-than", "0s", "--keep-sessions"); strings.Contains(out, "stray") {
		t.Errorf("left behind:\n%s", out)
	}
	ok(t, state, "prebuild", "rm", "shop")
	see("shop/3", "second dep 2\n42\nshop-3\nsecond\nnew.txt\n")
}

// TestFlakeInput makes an environment of a flake with an input from a repository,
// which the server fetches where it may.
func TestFlakeInput(t *testing.T) {
	forge, git := serveGit(t)
	rev := commitFiles(t, git, "lib", map[string]string{
		"flake.nix": `{ outputs = _: { greeting = "hello from afar"; data = ./data; }; }`, "data/a.txt": "some data\n",
		"nonce": rand.Text(), // so that no store has it already
	})
	tree := filepath.Join(t.TempDir(), "tree")
	git("worktree", "add", "-q", tree, rev)
	if err := os.Remove(filepath.Join(tree, ".git")); err != nil {
		t.Fatal(err)
	}
	nar, err := exec.Command("nix-store", "--dump", tree).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(hash [32]byte) {
		t.Helper()
		for name, text := range map[string]string{
			"flake.nix": `{
  inputs.nixpkgs.url = "nixpkgs";
  inputs.lib.url = "git+` + forge + `";
  outputs = { self, nixpkgs, lib }: let pkgs = nixpkgs.legacyPackages.x86_64-linux; in {
    devShells.x86_64-linux.default = pkgs.mkShell { packages = [ pkgs.jq ]; GREETING = lib.greeting; DATA = lib.data; };
  };
}
`,
			"flake.lock": fmt.Sprintf(`{"nodes":{"lib":{"locked":{"type":"git","url":%q,"ref":"refs/heads/main","rev":%q,"revCount":1,"lastModified":1,"narHash":"sha256-%s"},"original":{"type":"git","url":%[1]q}},"root":{"inputs":{"lib":"lib"}}},"root":"root","version":7}`,
				forge, rev, base64.StdEncoding.EncodeToString(hash[:])),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	state := stateDir(t)
	s := up(t, state, "--no-quickstart")
	write(sha256.Sum256(nar))
	if r := cli(t, state, "--json", "create", "tools", "--flake", dir); r.code == 0 || !strings.Contains(r.stderr, "source_scheme") && !strings.Contains(r.stderr, "address_refused") {
		t.Errorf("a private address: exit code %d, %s", r.code, r.stderr)
	}
	s.interrupt()
	up(t, state, "--no-quickstart", "--allow-network", "127.0.0.1")
	write(sha256.Sum256([]byte("something else")))
	if r := cli(t, state, "--json", "create", "tools", "--flake", dir); r.code == 0 || !strings.Contains(r.stderr, "flake_input_changed") {
		t.Errorf("other content: exit code %d, %s", r.code, r.stderr)
	}
	write(sha256.Sum256(nar))
	ok(t, state, "create", "tools", "--flake", dir)
	if out := ok(t, state, "run", "tools", "--", "sh", "-c", `echo "$GREETING"; cat "$DATA/a.txt"`); out != "hello from afar\nsome data\n" {
		t.Errorf("a session prints %q", out)
	}
}
