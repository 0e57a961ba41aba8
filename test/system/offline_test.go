//go:build system

package system

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestOfflineMove exports an environment with its closure and imports it on a
// machine that has an empty Nix store and no network: it runs there, and its
// versions have the hashes that they had.
func TestOfflineMove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can give a server an empty /nix and no network")
	}
	dir := t.TempDir()
	code := filepath.Join(dir, "tools")
	const manifest = "schema = 1\n\n[packages]\ngit = \"*\"\n\n[env]\nGREETING = \"hello\"\n"
	if err := errors.Join(os.Mkdir(code, 0o755), os.WriteFile(filepath.Join(code, "nixspace.toml"), []byte(manifest), 0o644),
		os.WriteFile(filepath.Join(code, "note.txt"), []byte("from afar\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "tools.nixspace")

	here := stateDir(t)
	first := up(t, here, "--no-quickstart")
	ok(t, here, "create", "tools", code)
	ok(t, here, "set", "tools", "env.GREETING=good day")
	ok(t, here, "export", "tools", "--closure", "-o", file)
	type shown struct {
		Environment struct {
			Head struct {
				Hash, ManifestHash string
				Realisation        struct{ ClosureDigest string }
			}
		}
	}
	was := okJSON[shown](t, here, "show", "tools")
	first.interrupt()

	// A machine of its own, as far as it can tell.
	there, store := stateDir(t), filepath.Join(dir, "nix")
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A store is read-only, and TempDir cannot delete what is.
		if out, err := exec.Command("chmod", "-R", "u+w", store).CombinedOutput(); err != nil {
			t.Logf("%v: %s", err, out)
		}
	})
	script := `mount --bind ` + store + ` /nix && ip link set lo up && exec "$@"`
	second := upBy(t, []string{"unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script, "sh"}, there, "--no-quickstart")
	enter := func(args ...string) result {
		t.Helper()
		cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(second.cmd.Process.Pid), "--mount", "--net", binary(t)}, args...)...)
		cmd.Env = append(os.Environ(), "NIXSPACE_STATE="+there, "NO_COLOR=1")
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}
	if r := enter("import", file); r.code != 2 || !strings.Contains(r.stderr, "--trust") {
		t.Errorf("without trust: %+v", r)
	}
	if r := enter("import", file, "--trust"); r.code != 0 {
		t.Fatalf("import: %+v", r)
	}
	if r := enter("import", file); r.code != 0 || !strings.Contains(r.stdout, "0 new versions, 0 new store paths") {
		t.Errorf("again: %+v", r)
	}
	r := enter("show", "tools", "--json")
	for _, want := range []string{was.Environment.Head.Hash, was.Environment.Head.ManifestHash, was.Environment.Head.Realisation.ClosureDigest} {
		if want == "" || !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in what it is now: %+v", want, r)
		}
	}
	if r := enter("why", "tools", "glibc"); r.code != 0 || !strings.Contains(r.stdout, "glibc") {
		t.Errorf("why: %+v", r)
	}
	r = enter("run", "tools", "--", "sh", "-c", "git --version && cat /workspace/note.txt && echo $GREETING")
	for _, want := range []string{"git version 2.", "from afar", "good day"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("run: no %q in %+v", want, r)
		}
	}
	second.interrupt()
}
