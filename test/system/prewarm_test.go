//go:build system

package system

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPrewarm waits for what sessions start from to be made in the background, is
// interrupted in it once, and starts the first session from it.
func TestPrewarm(t *testing.T) {
	state := stateDir(t)
	s := up(t, state, "--no-quickstart", "--prewarm")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nixspace.toml"), []byte("schema = 1\n[packages]\npostgresql = \"15\"\n[services.postgresql]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ok(t, state, "create", "warm", dir)
	// The first try is killed with its server, as soon as it has a machine.
	eventually(t, "a template is being made", func() bool { return len(machinesOf(t, state)) > 0 })
	s.signal(syscall.SIGKILL)
	<-s.done
	s = up(t, state, "--no-quickstart", "--prewarm")
	eventually(t, "a template is there", func() bool {
		found, err := filepath.Glob(filepath.Join(state, "volumes/templates/*/saved"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found) == 1 && len(machinesOf(t, state)) == 0
	})
	ok(t, state, "start", "warm")
	got := okJSON[struct {
		Session struct {
			Machine struct{ Start, Fallback string }
		}
	}](t, state, "show", "warm/1").Session.Machine
	if got.Start != "template" || got.Fallback != "" {
		t.Errorf("the first session came up by %q (%s)", got.Start, got.Fallback)
	}
	s.interrupt()
	if left := processes(t, state); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
