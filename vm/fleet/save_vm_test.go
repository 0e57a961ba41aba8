//go:build vm

package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// status returns how a machine stands, and checks how it came up.
func (h *host) cameUp(m nixspace.Machine, how string) nixspace.MachineStatus {
	h.Helper()
	s, err := m.Status(h.ctx)
	if err != nil {
		h.Fatal(err)
	}
	if s.Start != how || s.Status != nixspace.SessionRunning {
		h.Errorf("the machine is %s and came up by %q (%s), want %q", s.Status, s.Start, s.Fallback, how)
	}
	return s
}

func (h *host) hibernate(m nixspace.Machine) {
	h.Helper()
	if err := m.(nixspace.Snapshotter).Hibernate(h.ctx); err != nil {
		h.Fatal(err)
	}
}

func (h *host) echo() nixspace.Service {
	return nixspace.Service{
		Name: "echo", Argv: []string{"serve", "7000"}, Ready: nixspace.Probe{TCP: 7000}, Ports: []int{7000}, Early: true,
	}
}

// clockOff returns how far a machine's clock is from the host's.
func (h *host) clockOff(m nixspace.Machine) time.Duration {
	h.Helper()
	ns, err := strconv.ParseInt(h.output(m, "clock"), 10, 64)
	if err != nil {
		h.Fatal(err)
	}
	return time.Since(time.Unix(0, ns)).Abs()
}

func TestHibernateAndResume(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	spec.Services = []nixspace.Service{h.echo()}
	m := h.start(l, spec)
	h.cameUp(m, "boot")
	h.output(m, "write", "/tmp/where", "memory")
	for n := range 3 {
		state := h.state(l, spec.SessionID)
		h.hibernate(m)
		if s := h.await(l, spec.SessionID, ended); s.Status != nixspace.SessionHibernated || s.Reason != "" {
			t.Errorf("after Hibernate: %+v", s)
		}
		h.gone(l, spec.SessionID, state)
		if ok, err := l.Hibernated(h.ctx, spec.SessionID); err != nil || !ok {
			t.Errorf("hibernated: %v, %v", ok, err)
		}
		spec.Resume, spec.Generation = true, spec.Generation+1
		m = h.start(l, spec)
		s := h.cameUp(m, "resume")
		if len(s.Services) != 1 || s.Services[0].State != "ready" || s.Fallback != "" {
			t.Errorf("status: %+v", s)
		}
		if got := h.output(m, "cat", "/tmp/where"); got != "memory" {
			t.Errorf("round %d: its memory holds %q", n, got)
		}
		if off := h.clockOff(m); off > 30*time.Second {
			t.Errorf("its clock is %v off", off)
		}
		if ok, err := l.Hibernated(h.ctx, spec.SessionID); err != nil || ok {
			t.Errorf("hibernated while it runs: %v, %v", ok, err)
		}
	}
	h.output(m, "write", "/data/where", "disk")
	h.hibernate(m)
	// A new server finds it.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = h.fleet()
	if s := h.await(l, spec.SessionID, ended); s.Status != nixspace.SessionHibernated {
		t.Errorf("after a restart of the server: %+v", s)
	}
	// What is damaged is not used, and costs no disk.
	own := l.saved.Session(spec.SessionID)
	b, err := os.ReadFile(own.State)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2]++
	if err := os.WriteFile(own.State, b, 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Generation++
	m = h.start(l, spec)
	if s := h.cameUp(m, "boot"); !strings.Contains(s.Fallback, "damaged") {
		t.Errorf("fallback: %q", s.Fallback)
	}
	if got := h.output(m, "cat", "/data/where"); got != "disk" {
		t.Errorf("its disk holds %q", got)
	}
	if _, err := vmtest.Output(h.ctx, m, "cat", "/tmp/where"); err == nil {
		t.Error("it booted and has its memory")
	}
	if err := m.Stop(h.ctx); err != nil {
		t.Fatal(err)
	}
	spec.Generation++
	m = h.start(l, spec)
	if s := h.cameUp(m, "boot"); s.Fallback == "" {
		t.Error("there was no memory to continue from, and nobody says so")
	}
	// Who gives a session up gives its memory up, and not its disk.
	h.hibernate(m)
	h.await(l, spec.SessionID, ended)
	if err := l.Reap(h.ctx, spec.SessionID); err != nil {
		t.Fatal(err)
	}
	if ok, err := l.Hibernated(h.ctx, spec.SessionID); err != nil || ok {
		t.Errorf("hibernated after it was given up: %v, %v", ok, err)
	}
	if _, err := os.Stat(own.Memory); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its memory is still there: %v", err)
	}
	if _, err := os.Stat(own.Disk); err != nil {
		t.Error(err)
	}
}

func TestTemplate(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	first := h.spec()
	first.Services = []nixspace.Service{h.echo(), {
		Name: "late", Argv: []string{"serve", "7001"}, Ready: nixspace.Probe{TCP: 7001}, Needs: []string{"echo"},
	}}
	if made, err := l.Prewarm(h.ctx, first); err != nil || !made {
		t.Fatal(made, err)
	}
	if ids, err := l.Sessions(h.ctx); err != nil || len(ids) > 0 {
		t.Errorf("the making of a template left %v, %v", ids, err)
	}
	if made, err := l.Prewarm(h.ctx, first); err != nil || made {
		t.Fatal(made, err)
	}
	second := first
	second.SessionID, second.Hostname = nixspace.NewID(), "other"
	machines := map[string]nixspace.Machine{}
	random := map[string]string{}
	for _, spec := range []nixspace.MachineSpec{first, second} {
		m := h.start(l, spec)
		s := h.cameUp(m, "template")
		if len(s.Services) != 2 || s.Services[0].State != "ready" || s.Services[1].State != "ready" {
			t.Errorf("services: %+v", s.Services)
		}
		if got := h.output(m, "ids"); got != "1000 1000 "+spec.Hostname {
			t.Errorf("ids: %q", got)
		}
		if got := h.output(m, "cat", "/etc/machine-id"); got != strings.ReplaceAll(string(spec.SessionID), "-", "") {
			t.Errorf("machine id: %q", got)
		}
		for _, file := range []string{"/run/nixspace/epoch", "/proc/sys/kernel/random/uuid"} {
			got := h.output(m, "cat", file)
			if got == "" || got == "0" || random[file] == got {
				t.Errorf("%s is %q twice", file, got)
			}
			random[file] = got
		}
		h.output(m, "write", "/data/who", spec.Hostname)
		machines[spec.Hostname] = m
	}
	for name, m := range machines {
		if got := h.output(m, "cat", "/data/who"); got != name {
			t.Errorf("the disk of %s holds %q", name, got)
		}
		// What started from a template hibernates like any other.
		h.hibernate(m)
	}
	second.Resume = true
	if got := h.output(h.start(l, second), "cat", "/data/who"); got != "other" {
		t.Errorf("after it was resumed, its disk holds %q", got)
	}

	t.Run("others do not fit", func(t *testing.T) {
		h := &host{t, h.kit, h.cfg, h.ctx}
		third := first
		third.SessionID, third.Env = nixspace.NewID(), map[string]string{"FLEET": "another"}
		m := h.start(l, third)
		h.cameUp(m, "boot")
		// It made a template of its own on the way.
		third.SessionID = nixspace.NewID()
		if _, err := l.Prewarm(h.ctx, third); err != nil {
			t.Fatal(err)
		}
		m = h.start(l, third)
		h.cameUp(m, "template")
		// What the other session started later is no part of it.
		for _, port := range []int{7000, 7001} {
			conn, err := m.Dial(h.ctx, port)
			if err != nil {
				t.Fatalf("port %d: %v", port, err)
			}
			conn.Close()
		}
	})
	t.Run("a damaged one is made anew", func(t *testing.T) {
		h := &host{t, h.kit, h.cfg, h.ctx}
		entries, err := os.ReadDir(l.dir("volumes/templates"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Truncate(l.saved.Template(e.Name()).State, 1000); err != nil {
				t.Fatal(err)
			}
		}
		spec := first
		spec.SessionID = nixspace.NewID()
		if s := h.cameUp(h.start(l, spec), "boot"); !strings.Contains(s.Fallback, "template") {
			t.Errorf("fallback: %q", s.Fallback)
		}
		spec.SessionID = nixspace.NewID()
		if _, err := l.Prewarm(h.ctx, spec); err != nil {
			t.Fatal(err)
		}
		h.cameUp(h.start(l, spec), "template")
	})
}

func TestFork(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	parent := h.spec()
	parent.Services = []nixspace.Service{h.echo()}
	m := h.start(l, parent)
	conn, err := m.Dial(h.ctx, 7000)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h.output(m, "write", "/tmp/where", "at the fork")
	h.output(m, "write", "/data/where", "at the fork")
	id := nixspace.NewID()
	info, err := m.(nixspace.Snapshotter).Snapshot(h.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", info)
	if info.ID != id || info.SessionID != parent.SessionID || !info.Memory || info.Pause <= 0 || info.Size == 0 ||
		info.Consistency != nixspace.ConsistencyMemory || info.CompatKey == "" || info.CreatedAt.IsZero() {
		t.Errorf("snapshot: %+v", info)
	}
	if _, err := m.(nixspace.Snapshotter).Snapshot(h.ctx, id); nixspace.ErrorCode(err) != "snapshot_exists" {
		t.Errorf("the same snapshot twice: %v", err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if n, err := conn.Read(make([]byte, 5)); err != nil || n == 0 {
		t.Errorf("the parent's connection: %d, %v", n, err)
	}
	h.output(m, "write", "/tmp/where", "in the parent")
	h.output(m, "write", "/data/where", "in the parent")

	// Eight at once, every other a throw-away.
	clones := make([]nixspace.Machine, 8)
	specs := make([]nixspace.MachineSpec, 8)
	var g errgroup.Group
	for i := range clones {
		specs[i] = parent
		specs[i].SessionID, specs[i].Hostname = nixspace.NewID(), fmt.Sprint("clone", i)
		specs[i].Snapshot, specs[i].Throwaway = id, i%2 == 1
		g.Go(func() (err error) {
			if clones[i], err = l.Start(h.ctx, specs[i], nil); err != nil {
				return err
			}
			for _, path := range []string{"/tmp/where", "/data/where"} {
				out, err := vmtest.Output(h.ctx, clones[i], "cat", path)
				if err != nil {
					return err
				}
				if out != "at the fork" {
					return fmt.Errorf("%s of clone %d holds %q", path, i, out)
				}
				if _, err := vmtest.Output(h.ctx, clones[i], "write", path, fmt.Sprint("clone", i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		for _, spec := range specs {
			t.Logf("%s", lastLines(filepath.Join(l.sessionDir(spec.SessionID), runner.LogFile)))
		}
		t.Fatal(err)
	}
	seen := map[string]bool{}
	defer func() {
		for i, spec := range specs {
			if t.Failed() {
				t.Logf("clone %d: %s\n%s", i, lastLines(filepath.Join(l.sessionDir(spec.SessionID), runner.LogFile)),
					lastLines(filepath.Join(l.sessionDir(spec.SessionID), runner.ConsoleFile)))
			}
		}
	}()
	for i, c := range clones {
		h.cameUp(c, "snapshot")
		for _, path := range []string{"/tmp/where", "/data/where"} {
			if got := h.output(c, "cat", path); got != fmt.Sprint("clone", i) {
				t.Errorf("%s of clone %d holds %q", path, i, got)
			}
		}
		if got := h.output(c, "ids"); got != fmt.Sprint("1000 1000 clone", i) {
			t.Errorf("clone %d: %q", i, got)
		}
		for _, path := range []string{"/run/nixspace/epoch", "/etc/machine-id", "/proc/sys/kernel/random/uuid"} {
			got := h.output(c, "cat", path)
			if seen[got] {
				t.Errorf("%s of clone %d is that of another", path, i)
			}
			seen[got] = true
		}
		if off := h.clockOff(c); off > 30*time.Second {
			t.Errorf("the clock of clone %d is %v off", i, off)
		}
	}
	if got := h.output(m, "cat", "/tmp/where") + ", " + h.output(m, "cat", "/data/where"); got != "in the parent, in the parent" {
		t.Errorf("the parent has %q", got)
	}
	if err := clones[1].(nixspace.Snapshotter).Hibernate(h.ctx); nixspace.ErrorCode(err) != "memory_shared" {
		t.Errorf("a throw-away hibernates: %v", err)
	}

	t.Run("a snapshot of a clone knows its origin", func(t *testing.T) {
		h := &host{t, h.kit, h.cfg, h.ctx}
		h.hibernate(clones[0])
		second := nixspace.NewID()
		info, err := l.SnapshotFiles(h.ctx, specs[0].SessionID, second)
		if err != nil || info.ParentID != id || !info.Memory || info.Shared == 0 {
			t.Fatalf("%+v, %v", info, err)
		}
		list, err := l.Snapshots(h.ctx)
		if err != nil || len(list) != 2 || list[0].ID != id || list[1].ID != second {
			t.Errorf("%+v, %v", list, err)
		}
		spec := parent
		spec.SessionID, spec.Hostname, spec.Snapshot = nixspace.NewID(), "again", second
		c := h.start(l, spec)
		h.cameUp(c, "snapshot")
		if got := h.output(c, "cat", "/tmp/where"); got != "clone0" {
			t.Errorf("%q", got)
		}
	})
	t.Run("the disk alone", func(t *testing.T) {
		h := &host{t, h.kit, h.cfg, h.ctx}
		if err := clones[2].Stop(h.ctx); err != nil {
			t.Fatal(err)
		}
		disk := nixspace.NewID()
		info, err := l.SnapshotFiles(h.ctx, specs[2].SessionID, disk)
		if err != nil || info.Memory || info.Consistency != nixspace.ConsistencyClean {
			t.Fatalf("%+v, %v", info, err)
		}
		for _, from := range []nixspace.ID{disk, id} {
			spec := parent
			spec.SessionID, spec.Snapshot, spec.DiskOnly = nixspace.NewID(), from, from == id
			c := h.start(l, spec)
			if s := h.cameUp(c, "boot"); s.Fallback != "" {
				t.Errorf("fallback: %q", s.Fallback)
			}
			want := map[nixspace.ID]string{disk: "clone2", id: "at the fork"}[from]
			if got := h.output(c, "cat", "/data/where"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if err := c.Stop(h.ctx); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("removed and missing", func(t *testing.T) {
		h := &host{t, h.kit, h.cfg, h.ctx}
		for range 2 {
			if err := l.RemoveSnapshot(h.ctx, id); err != nil {
				t.Error(err)
			}
		}
		if got := h.output(clones[3], "cat", "/tmp/where"); got != "clone3" {
			t.Errorf("a clone without its snapshot: %q", got)
		}
		spec := parent
		spec.SessionID, spec.Snapshot = nixspace.NewID(), id
		if _, err := l.Start(h.ctx, spec, nil); nixspace.ErrorCode(err) != "snapshot_not_found" {
			t.Errorf("a snapshot that is gone: %v", err)
		}
		if _, err := l.SnapshotFiles(h.ctx, parent.SessionID, nixspace.NewID()); nixspace.ErrorCode(err) != "session_runs" {
			t.Errorf("the files of a machine that runs: %v", err)
		}
		if _, err := l.SnapshotFiles(h.ctx, nixspace.NewID(), nixspace.NewID()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the files of no session: %v", err)
		}
	})
}
