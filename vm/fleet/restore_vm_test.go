//go:build vm

package fleet

import (
	"archive/tar"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// workspace returns an archive with one file.
func workspace(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "workspace.tar.zst")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAfterRestoreHook: the hook runs in the restored machine before anybody is
// let in, and a machine whose hook fails is not used.
func TestAfterRestoreHook(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	spec.Workspace = workspace(t, ".nixspace/after-restore", "#!"+h.kit.Base+"/bin/toolbox append\n")
	m := h.start(l, spec)
	h.hibernate(m)
	spec.Resume = true
	m = h.start(l, spec)
	h.cameUp(m, "resume")
	// The interpreter adds a line to the hook's own folder with each run.
	if got := h.output(m, "cat", "/workspace/appended"); got != "run" {
		t.Errorf("after one restore: %q", got)
	}
	h.output(m, "write", "/workspace/fail", "x")
	h.hibernate(m)
	m = h.start(l, spec)
	if s := h.cameUp(m, "boot"); !strings.Contains(s.Fallback, "after-restore") || !strings.Contains(s.Fallback, "told to fail") {
		t.Errorf("fallback: %q", s.Fallback)
	}
}

// TestKilledWhileItIsSaved kills the runner at random moments of a hibernation and
// of a snapshot: there is a whole saved machine or none, nothing is left running,
// and what was reported is there.
func TestKilledWhileItIsSaved(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	m := h.start(l, spec)
	h.output(m, "write", "/data/kept", "kept")
	h.hibernate(m)
	spec.Resume = true
	const rounds = 8
	reported := map[nixspace.ID]bool{}
	for n := range rounds {
		spec.Generation++
		m := h.start(l, spec)
		if got := h.output(m, "cat", "/data/kept"); got != "kept" {
			t.Fatalf("round %d: the disk holds %q", n, got)
		}
		state := h.state(l, spec.SessionID)
		done := make(chan error, 1)
		if n%2 == 0 {
			go func() { done <- m.(nixspace.Snapshotter).Hibernate(h.ctx) }()
		} else {
			id := nixspace.NewID()
			go func() {
				_, err := m.(nixspace.Snapshotter).Snapshot(h.ctx, id)
				if err == nil {
					reported[id] = true
				}
				done <- err
			}()
		}
		moment := time.NewTimer(time.Duration(rand.IntN(150)) * time.Millisecond)
		var err error
		select {
		case <-moment.C:
			// Only this very process: its number may be another's by now.
			if kerr := state.Runner.Kill(h.ctx.Done()); kerr != nil {
				t.Error(kerr)
			}
			err = <-done
		case err = <-done:
			if n%2 == 1 {
				if kerr := state.Runner.Kill(h.ctx.Done()); kerr != nil {
					t.Error(kerr)
				}
			}
		}
		s := h.await(l, spec.SessionID, func(s nixspace.MachineStatus) bool { return ended(s) && s.Generation == spec.Generation })
		h.gone(l, spec.SessionID, state)
		saved, herr := l.Hibernated(h.ctx, spec.SessionID)
		if herr != nil || err == nil && n%2 == 0 && !saved {
			t.Errorf("round %d: hibernated %v, %v, after %v", n, saved, herr, err)
		}
		if saved != (s.Status == nixspace.SessionHibernated) {
			t.Errorf("round %d: %+v, and a saved machine: %v", n, s, saved)
		}
		left, gerr := filepath.Glob(filepath.Join(l.pool.Dir(), string(spec.SessionID)+".memory"))
		if gerr != nil || !saved && len(left) > 0 {
			t.Errorf("round %d: memory of nobody is left: %v, %v", n, left, gerr)
		}
		list, lerr := l.Snapshots(h.ctx)
		if lerr != nil {
			t.Fatal(lerr)
		}
		listed := map[nixspace.ID]bool{}
		for _, info := range list {
			listed[info.ID] = true
			if _, err := l.saved.Snapshot(info.ID).Check(); err != nil {
				t.Errorf("round %d: a snapshot that is not whole: %v", n, err)
			}
		}
		for id := range reported {
			if !listed[id] {
				t.Errorf("round %d: snapshot %s was reported and is not there", n, id)
			}
		}
	}
	// A machine that is killed while it is saved leaves its session usable, too.
	spec.Generation++
	m = h.start(l, spec)
	state := h.state(l, spec.SessionID)
	if err := unix.Kill(state.VMM.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := m.(nixspace.Snapshotter).Hibernate(h.ctx); err == nil {
		t.Error("a dead machine hibernates")
	}
	h.await(l, spec.SessionID, func(s nixspace.MachineStatus) bool { return ended(s) && s.Generation == spec.Generation })
	spec.Generation++
	if got, err := vmtest.Output(h.ctx, h.start(l, spec), "cat", "/data/kept"); err != nil || got != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}
