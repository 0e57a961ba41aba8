//go:build system

package system

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

type session struct {
	ID      string `json:"id"`
	Ref     string `json:"ref"`
	Env     string `json:"environmentRef"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Machine *struct {
		Layers []struct{ Name, Digest string } `json:"layers"`
	} `json:"machine"`
}

// TestQuickStart walks through the life of a state directory: the quick start on
// an empty one, its sessions in use, a server and a runner that are killed, the
// end, and the beginning after it.
func TestQuickStart(t *testing.T) {
	whole := t
	state := stateDir(t)
	s := up(t, state)
	s.waitFor("microVMs run side by side")
	for _, major := range []string{"13", "14", "15"} {
		line := lineWith(t, s.output(), "shop/pg"+major+" ")
		if !strings.Contains(line, " "+major+".") || !strings.Contains(line, " 0 failed") {
			t.Errorf("the table's line for PostgreSQL %s: %s", major, line)
		}
	}
	if n := len(machinesOf(t, state)); n != 3 {
		t.Errorf("%d machines run, want 3", n)
	}

	t.Run("a command in three environments at once", func(t *testing.T) {
		type run struct {
			Results []struct {
				Environment, Session, Stdout string
				ExitCode                     int
			}
		}
		got := okJSON[run](t, state, "run", "pg13", "pg14", "pg15", "--", "psql", "-Atc", "show server_version")
		for i, major := range []string{"13.", "14.", "15."} {
			r := got.Results[i]
			if r.ExitCode != 0 || !strings.HasPrefix(r.Stdout, major) {
				t.Errorf("%s: exit code %d, printed %q, want %s…", r.Environment, r.ExitCode, r.Stdout, major)
			}
		}
		left := okJSON[struct{ Sessions []session }](t, state, "list", "sessions").Sessions
		if len(left) != 3 {
			t.Errorf("%d sessions are left, want the quick start's 3", len(left))
		}
	})

	t.Run("a file in one session is in no other", func(t *testing.T) {
		ok(t, state, "exec", "pg13/1", "--", "sh", "-c", "echo mine > /workspace/mine && echo mine > /data/mine && echo mine > /tmp/mine")
		for _, other := range []string{"pg14/1", "pg15/1"} {
			if r := cli(t, state, "exec", other, "--", "ls", "/workspace/mine", "/data/mine", "/tmp/mine"); r.code == 0 || r.stdout != "" {
				t.Errorf("%s sees it: %s", other, r.stdout)
			}
		}
	})

	t.Run("branches share every layer in which they do not differ", func(t *testing.T) {
		layers := func(ref string) map[string]string {
			m := map[string]string{}
			for _, l := range okJSON[struct{ Session session }](t, state, "show", ref).Session.Machine.Layers {
				m[l.Name] = l.Digest
			}
			return m
		}
		a, b := layers("pg14/1"), layers("pg15/1")
		shared, own := 0, 0
		for name, digest := range a {
			switch {
			case b[name] == digest:
				shared++
			case b[name] == "":
				own++ // postgresql_14
			case name != "environment":
				t.Errorf("layer %s differs", name)
			}
		}
		if shared < 2 || own > 1 {
			t.Errorf("%d layers shared, %d only in one: %v %v", shared, own, a, b)
		}
	})

	t.Run("the store is read-only and holds the closure only", func(t *testing.T) {
		if r := cli(t, state, "exec", "pg13/1", "--", "sh", "-c", "touch /nix/store/x"); r.code == 0 {
			t.Error("a file was made in /nix/store")
		}
		out := ok(t, state, "exec", "pg13/1", "--", "ls", "/nix/store")
		if strings.Contains(out, "-postgresql-14") || strings.Contains(out, "-postgresql-15") {
			t.Errorf("the store of pg13 holds another PostgreSQL:\n%s", out)
		}
	})

	t.Run("what goes wrong says so", func(t *testing.T) { badInput(t, state) })

	t.Run("sessions survive a killed server", func(t *testing.T) {
		before := machinesOf(t, state)
		s.signal(syscall.SIGKILL)
		<-s.done
		s = up(whole, state, "--no-quickstart") // it outlives this part
		if out := ok(t, state, "exec", "pg13/1", "--", "cat", "/tmp/mine"); out != "mine\n" {
			t.Errorf("the session has lost its memory: %q", out)
		}
		if after := machinesOf(t, state); len(before) != 3 || !slices.Equal(before, after) {
			t.Errorf("machines before %v, after %v", before, after)
		}
	})

	t.Run("a killed runner fails its session and leaves nothing", func(t *testing.T) {
		id := okJSON[struct{ Session session }](t, state, "show", "pg14/1").Session.ID
		for pid, cmdline := range processes(t, state) {
			if strings.Contains(cmdline, " runner ") && strings.Contains(cmdline, id) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		eventually(t, "the session is failed", func() bool {
			got := okJSON[struct{ Session session }](t, state, "show", "pg14/1").Session
			return got.Status == "failed" && got.Reason != ""
		})
		eventually(t, "two machines are left", func() bool { return len(machinesOf(t, state)) == 2 })
		ok(t, state, "start", "pg14/1") // its disk is still there
		ok(t, state, "exec", "pg14/1", "--", "psql", "-Atc", "select 1")
	})

	s.interrupt()
	nothingLeft(t, state)

	t.Run("the second run comes to the same table", func(t *testing.T) {
		began := time.Now()
		s := up(t, state)
		s.waitFor("microVMs run side by side")
		t.Logf("from start to table: %.1f s", time.Since(began).Seconds())
		if out := ok(t, state, "exec", "pg13/1", "--", "cat", "/data/mine"); out != "mine\n" {
			t.Errorf("the session's disk was not kept: %q", out)
		}
		s.interrupt()
		nothingLeft(t, state)
	})
}

// stateDir returns a state directory whose path any service user may pass, on
// the disk and not in memory.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "nixspace-system-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "state")
}

// nothingLeft fails the test where a process, mount, loop device or control
// group of the state directory is left.
func nothingLeft(t *testing.T, state string) {
	t.Helper()
	for pid, cmdline := range processes(t, state) {
		t.Errorf("process %d is left: %s", pid, cmdline)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), state) {
		t.Errorf("a mount is left:\n%s", mounts)
	}
	noLoopLeft(t, state)
	groups, err := filepath.Glob("/sys/fs/cgroup/*/nixspace*/*/")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("/sys/fs/cgroup/nixspace*/*/")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := os.ReadDir(filepath.Join(state, "sessions"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, g := range append(groups, more...) {
		// Others on this machine may have groups of theirs.
		if slices.ContainsFunc(sessions, func(s os.DirEntry) bool { return filepath.Base(g) == s.Name() }) {
			t.Errorf("a control group is left: %s", g)
		}
	}
}

// noLoopLeft waits until no loop device shows a file of the state directory. A
// worker of the nix daemon has a mount namespace of its own, and with it a copy
// of the mount; it ends after its client, in its own time.
func noLoopLeft(t *testing.T, state string) {
	t.Helper()
	eventually(t, "no loop device is left", func() bool {
		out, err := exec.Command("losetup", "--list").Output()
		return err != nil || !strings.Contains(string(out), state)
	})
}

func lineWith(t *testing.T, text, part string) string {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, part) {
			return line
		}
	}
	t.Errorf("no line begins with %q in:\n%s", part, text)
	return ""
}

// eventually waits until cond holds. It asks in growing intervals, since what it
// asks about is in another process.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for wait := 50 * time.Millisecond; !cond(); wait = min(2*wait, 2*time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came true that %s", what)
		}
		<-time.After(wait)
	}
}
