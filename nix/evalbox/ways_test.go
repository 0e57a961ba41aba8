package evalbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// wayVar has a process of the tests evaluate a flake and print what came of it.
const wayVar = "NIXSPACE_EVALBOX_WAY"

const plain = `{ outputs = _: { packages.x86_64-linux.default = derivation { name = "plain"; system = "x86_64-linux"; builder = "/b"; }; }; }`

func evaluateAndPrint() int {
	box := evalbox.New(evalbox.Config{Nix: os.Getenv(wayVar), NoUserNamespace: os.Getenv(wayVar+"_NO") != ""})
	r, err := box.Evaluate(context.Background(), evalbox.Request{Files: map[string][]byte{"flake.nix": []byte(plain)}, System: system})
	if err != nil {
		fmt.Println(nixspace.ErrorCode(err), err)
		return 0
	}
	fmt.Println("ok", r.DrvPath)
	return 0
}

// TestWays makes boxes as other users do, and where the system forbids something.
func TestWays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become others")
	}
	// The program must be where everybody may read it.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "evalbox-ways-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "evalbox.test")
	if err := os.WriteFile(bin, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, attr *syscall.SysProcAttr, env ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), bin)
		cmd.Dir = "/"
		cmd.Env = append(append(os.Environ(), wayVar+"="+program(t)), env...)
		cmd.SysProcAttr = attr
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	want := run(t, nil)
	if !strings.HasPrefix(want, "ok /nix/store/") {
		t.Fatalf("as root: %s", want)
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	reach := exec.Command("test", "-x", program(t))
	reach.SysProcAttr = nobody
	if err := reach.Run(); err != nil {
		t.Skipf("SKIPPED: nobody may not run %s, which lies in somebody's home", program(t))
	}
	t.Run("nobody", func(t *testing.T) {
		probe := exec.Command("unshare", "-U", "true")
		probe.SysProcAttr = nobody
		if out, err := probe.CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: this system lets nobody make a user namespace: %s", out)
		}
		if got := run(t, nobody); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("nobody without a user namespace", func(t *testing.T) {
		if got := run(t, nobody, wayVar+"_NO=1"); !strings.HasPrefix(got, evalbox.CodeUnavailable) {
			t.Errorf("%s, want code %s", got, evalbox.CodeUnavailable)
		}
	})
	t.Run("chroot", func(t *testing.T) {
		root := chroot(t, dir, bin)
		if err := exec.Command("chroot", root, "unshare", "-U", "true").Run(); err == nil {
			t.Fatal("user namespaces work in this chroot, so it shows nothing")
		}
		if got := run(t, &syscall.SysProcAttr{Chroot: root}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := run(t, &syscall.SysProcAttr{Chroot: root, Credential: nobody.Credential}); !strings.HasPrefix(got, evalbox.CodeUnavailable) {
			t.Errorf("as nobody: %s, want code %s", got, evalbox.CodeUnavailable)
		}
	})
}

// chroot makes a folder with the system's programs, whose root is no mount.
func chroot(t *testing.T, dir, bin string) string {
	t.Helper()
	root := filepath.Join(dir, "root")
	nix := filepath.Dir(filepath.Dir(program(t)))
	for _, p := range []string{"/usr", "/bin", "/lib", "/lib64", "/proc", "/dev", "/nix", nix} {
		at := root + p
		fi, err := os.Lstat(p)
		if os.IsNotExist(err) {
			continue
		}
		if _, err := os.Lstat(at); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if fi.Mode()&os.ModeSymlink != 0 {
			link, err := os.Readlink(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(link, at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount(p, at, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	at := root + bin
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(bin, at); err != nil {
		t.Fatal(err)
	}
	return root
}
