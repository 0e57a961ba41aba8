//go:build system

package system

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asRoot skips a test that must hide things from a process.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can mount; run the tests as root to cover this")
	}
}

// within returns a command line that runs another one after a script, with mounts
// of its own: the process is the same.
func within(script string, argv []string) []string {
	return append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-ec", script + "\nexec \"$@\"", "sh"}, argv...)
}

// without returns a command line that runs another one where programs cannot be
// run: /dev/null lies over each file that a pattern finds.
func without(t *testing.T, argv []string, patterns ...string) []string {
	t.Helper()
	asRoot(t)
	script := ""
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				continue
			}
			script += "mount --bind /dev/null '" + real + "'\n"
		}
	}
	if script == "" {
		t.Fatalf("nothing is found at %q, so nothing can be missing", patterns)
	}
	return within(script, argv)
}

// everywhere are the places where a program may be found.
func everywhere(program string, more ...string) []string {
	var patterns []string
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/usr/local/bin") {
		patterns = append(patterns, filepath.Join(dir, program))
	}
	return append(patterns, more...)
}

// refuse runs a server that must not start, and returns what it says.
func refuse(t *testing.T, code string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], append(argv[1:], "--no-quickstart", "--json")...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err == nil {
		t.Fatalf("it started and ended without an error:\n%s", out)
	}
	if !strings.Contains(out, `"code":"`+code+`"`) || !strings.Contains(out, `"hint":"`) || strings.Contains(out, "goroutine ") {
		t.Errorf("want one clear error (%s), got:\n%s", code, out)
	}
	return out
}

// TestUpRefuses starts servers that cannot start.
func TestUpRefuses(t *testing.T) {
	for _, c := range []struct {
		name, code string
		says       string // part of the message or hint
		argv       func(t *testing.T, state string) []string
	}{
		{"Nix is missing", "nix_missing", "nix-bin", func(t *testing.T, state string) []string {
			return without(t, upCommand(t, state), everywhere("nix", "/root/.nix-profile/bin/nix", "/nix/var/nix/profiles/default/bin/nix", "/run/current-system/sw/bin/nix")...)
		}},
		{"PostgreSQL is missing", "postgres_missing", "postgresql", func(t *testing.T, state string) []string {
			return without(t, upCommand(t, state), everywhere("postgres", "/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres")...)
		}},
		{"a state directory that cannot be written", "state_unusable", "--state", func(t *testing.T, state string) []string {
			asRoot(t)
			return within("mount -t tmpfs -o ro tmpfs '"+filepath.Dir(state)+"'", upCommand(t, state))
		}},
		{"a full disk", "disk_full", "--state", func(t *testing.T, state string) []string {
			asRoot(t)
			return within("mount -t tmpfs -o size=20m,mode=0755 tmpfs '"+filepath.Dir(state)+"'", upCommand(t, state))
		}},
		{"a port in use", "port_in_use", "--listen", func(t *testing.T, state string) []string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return append(upCommand(t, state), "--listen", l.Addr().String())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := stateDir(t)
			if out := refuse(t, c.code, c.argv(t, state)...); !strings.Contains(out, c.says) {
				t.Errorf("the error does not say %q:\n%s", c.says, out)
			}
			nothingLeft(t, state)
		})
	}
}

// TestDamage lets a server begin where another one is, was killed, and left
// files that cannot be read.
func TestDamage(t *testing.T) {
	state := stateDir(t)
	s := up(t, state, "--no-quickstart")
	refuse(t, "state_locked", upCommand(t, state)...)
	s.signal(syscall.SIGKILL) // its sockets stay
	<-s.done
	for _, pattern := range []string{"lock", "id", "runtime", "server.json", "catalog/overlay.lock.json", "catalog/index-*.json", "catalog/checked"} {
		found, err := filepath.Glob(filepath.Join(state, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if pattern == "catalog/overlay.lock.json" {
			found = []string{filepath.Join(state, pattern)} // only where pins were replaced
		}
		for _, name := range found {
			if err := os.WriteFile(name, []byte("{\x00 no such thing"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := cli(t, state, "list"); r.code != 5 || !strings.Contains(r.stderr, "nixspace up") {
		t.Errorf("without a server: exit code %d, %s", r.code, r.stderr)
	}
	s = up(t, state, "--no-quickstart")
	if out := s.output(); !strings.Contains(out, "overlay is damaged") {
		t.Errorf("nobody is told of the damaged overlay:\n%s", out)
	}
	ok(t, state, "catalog", "search", "postgresql")
	s.interrupt()
	nothingLeft(t, state)
}

// TestFullDisk fills the disk of the state directory under a running server,
// which says so, and goes on once there is space again.
func TestFullDisk(t *testing.T) {
	asRoot(t)
	state := stateDir(t)
	if err := os.Mkdir(state, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=1g,mode=0711"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, 0); err != nil {
			t.Error(err)
		}
	})
	s := up(t, state, "--no-quickstart")
	code := t.TempDir()
	big := make([]byte, 16<<20)
	rand.Read(big)
	for name, content := range map[string][]byte{"nixspace.toml": []byte("schema = 1\n[packages]\nbash = \"*\"\n"), "big": big} {
		if err := os.WriteFile(filepath.Join(code, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(state, &st); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(state, "filler")
	if err := os.WriteFile(filler, bytes.Repeat([]byte{1}, int(st.Bavail)*int(st.Bsize)-(4<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := cli(t, state, "--json", "create", "full", code)
	if r.code != 8 || !strings.Contains(r.stderr, `"code":"disk_full"`) || !strings.Contains(r.stderr, `"hint":"`) {
		t.Errorf("on a full disk: exit code %d, %s", r.code, r.stderr)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	ok(t, state, "create", "full", code)
	s.interrupt()
	noLoopLeft(t, state) // it would keep the disk busy
}

// TestOutputGone takes away who reads the server's output, as a terminal that is
// closed does, and then ends the server.
func TestOutputGone(t *testing.T) {
	state := stateDir(t)
	argv := upCommand(t, state, "--no-quickstart")
	cmd := exec.Command(argv[0], argv[1:]...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := bufio.NewScanner(r)
	for ready := false; !ready; ready = strings.Contains(lines.Text(), "NixSpace is ready") {
		if !lines.Scan() {
			t.Fatalf("it ended: %v", cmd.Wait())
		}
	}
	r.Close()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("nixspace up ended with %v", err)
	}
	nothingLeft(t, state)
}

// TestNoQEMU starts a session where there is no QEMU.
func TestNoQEMU(t *testing.T) {
	state := stateDir(t)
	s := launch(t, state, without(t, upCommand(t, state, "--no-quickstart"), everywhere("qemu-system-x86_64")...)...)
	s.waitFor("NixSpace is ready")
	code := t.TempDir()
	if err := os.WriteFile(filepath.Join(code, "nixspace.toml"), []byte("schema = 1\n[packages]\nbash = \"*\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ok(t, state, "create", "small", code)
	r := cli(t, state, "start", "small")
	if r.code != 5 || !strings.Contains(r.stderr, "qemu-system-x86") || strings.Contains(r.stderr, "goroutine") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	s.interrupt()
	nothingLeft(t, state)
}
