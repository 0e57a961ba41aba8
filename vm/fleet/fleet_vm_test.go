//go:build vm

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/cgroup"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// host is a state directory for real machines.
type host struct {
	*testing.T
	kit *vmtest.Kit
	cfg Config
	ctx context.Context
}

func newHost(t *testing.T) *host {
	kit := vmtest.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*vmtest.Patience)
	t.Cleanup(cancel)
	cfg := testConfig(t)
	cfg.Store, cfg.Accel, cfg.DiskPool = kit.Store, "tcg", 2048
	return &host{T: t, kit: kit, cfg: cfg, ctx: ctx}
}

// fleet starts what a server has; its end is the test's end at the latest.
func (h *host) fleet() *Local {
	h.Helper()
	l, err := NewLocal(h.cfg)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		ids, err := l.Sessions(context.Background())
		if err != nil {
			h.Error(err)
		}
		for _, id := range ids {
			if err := errors.Join(l.Reap(context.Background(), id), l.Remove(context.Background(), id)); err != nil {
				h.Error(err)
			}
		}
		if err := l.Close(); err != nil {
			h.Error(err)
		}
		h.nothingLeft()
	})
	return l
}

func (h *host) nothingLeft() {
	h.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		h.Fatal(err)
	}
	if strings.Contains(string(mounts), h.cfg.StateDir) {
		h.Error("something is still mounted in the state directory")
	}
	if _, err := os.Stat(h.cfg.RunDir); err == nil {
		h.Error("the folder of sockets is left")
	}
}

func (h *host) spec() nixspace.MachineSpec {
	return nixspace.MachineSpec{
		SessionID: nixspace.NewID(), Generation: 1, Hostname: "vm", CPUs: 1, MemoryMiB: 256, DiskMiB: 128,
		Layers: []nixspace.StoreLayer{h.kit.Layer}, Base: h.kit.Base, Environment: h.kit.Base,
		Env: map[string]string{"FLEET": "local"},
	}
}

func (h *host) start(l *Local, spec nixspace.MachineSpec) nixspace.Machine {
	h.Helper()
	m, err := l.Start(h.ctx, spec, nil)
	if err != nil {
		h.Fatalf("%v\n%s", err, lastLines(filepath.Join(l.sessionDir(spec.SessionID), runner.LogFile)))
	}
	return m
}

func (h *host) output(m nixspace.Machine, argv ...string) string {
	h.Helper()
	out, err := vmtest.Output(h.ctx, m, argv...)
	if err != nil {
		h.Errorf("%v: %v", argv, err)
	}
	return out
}

// await waits until a session's status is one that accept wants.
func (h *host) await(l *Local, id nixspace.ID, accept func(nixspace.MachineStatus) bool) nixspace.MachineStatus {
	h.Helper()
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	for s := range l.Watch(ctx) {
		if s.SessionID == id && accept(s) {
			return s
		}
	}
	h.Fatal("the awaited status does not come")
	return nixspace.MachineStatus{}
}

func ended(s nixspace.MachineStatus) bool { return !s.Status.Live() }

// gone checks that nothing of a session runs.
func (h *host) gone(l *Local, id nixspace.ID, state runner.State) {
	h.Helper()
	if err := l.settle(h.ctx, id); err != nil {
		h.Fatal(err)
	}
	for _, p := range []runner.Process{state.Runner, state.VMM} {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if now, idErr := runner.Identify(p.PID); err == nil && idErr == nil && now == p && !strings.Contains(string(stat), ") Z ") {
			h.Errorf("process %d still runs: %s", p.PID, stat)
		}
	}
	if pids, err := cgroup.Open(string(id)).PIDs(); err != nil || len(pids) > 0 {
		h.Errorf("in the control group: %v, %v", pids, err)
	}
	if _, err := os.Stat(l.socket(id)); err == nil {
		h.Error("the socket is left")
	}
}

func (h *host) state(l *Local, id nixspace.ID) runner.State {
	h.Helper()
	s, err := runner.ReadState(l.sessionDir(id))
	if err != nil {
		h.Fatal(err)
	}
	return s
}

func TestSessionLife(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	spec.Services = []nixspace.Service{{
		Name: "echo", Argv: []string{"serve", "7000"}, Ready: nixspace.Probe{TCP: 7000}, Ports: []int{7000},
	}}
	var phases []string
	m, err := l.Start(h.ctx, spec, func(p nixspace.Progress) { phases = append(phases, p.Phase) })
	if err != nil {
		t.Fatalf("%v\n%s", err, lastLines(filepath.Join(l.sessionDir(spec.SessionID), runner.LogFile)))
	}
	s, err := m.Status(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Status != nixspace.SessionRunning || s.Driver != "qemu" || s.Isolation == "" || s.VMID == "" || s.Generation != 1 ||
		len(s.Layers) != 1 || len(s.Layers[0].Digest) != 64 || len(s.Services) != 1 || s.Services[0].State != "ready" {
		t.Errorf("status: %+v", s)
	}
	if len(phases) == 0 {
		t.Error("the layer was made without a word")
	}
	if got := h.output(m, "ids"); got != "1000 1000 vm" {
		t.Errorf("ids: %q", got)
	}
	conn, err := m.Dial(h.ctx, 7000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "ping"); err != nil {
		t.Error(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "ping" {
		t.Errorf("%q, %v", b, err)
	}
	conn.Close()
	if _, err := m.Exec(h.ctx, nixspace.Command{Argv: []string{"nonsense"}, Dir: "/"}); nixspace.ErrorCode(err) != "command_not_found" {
		t.Errorf("an unknown command: %v", err)
	}
	logs, err := m.Logs(h.ctx, "echo", false)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(logs); err != nil || !strings.Contains(string(text), "serving") {
		t.Errorf("log of the service: %q, %v", text, err)
	}
	logs.Close()
	if _, err := l.Start(h.ctx, spec, nil); nixspace.ErrorCode(err) != "session_runs" {
		t.Errorf("a second start: %v", err)
	}
	if err := l.Remove(h.ctx, spec.SessionID); nixspace.ErrorCode(err) != "session_runs" {
		t.Errorf("removal while it runs: %v", err)
	}
	state := h.state(l, spec.SessionID)
	if pids, err := cgroup.Open(state.Cgroup).PIDs(); state.Cgroup != "" && (err != nil || len(pids) != 1 || pids[0] != state.VMM.PID) {
		t.Errorf("in the control group: %v, %v; want %d", pids, err, state.VMM.PID)
	}
	h.output(m, "write", "/data/kept", "by the disk")
	if err := m.Stop(h.ctx); err != nil {
		t.Fatal(err)
	}
	if s := h.await(l, spec.SessionID, ended); s.Status != nixspace.SessionStopped || s.Reason != "" {
		t.Errorf("after Stop: %+v", s)
	}
	h.gone(l, spec.SessionID, state)
	if _, err := l.Attach(h.ctx, spec.SessionID); nixspace.ErrorKind(err) != nixspace.KindNotFound {
		t.Errorf("attach to a stopped session: %v", err)
	}
	if logs, err := m.Logs(h.ctx, "", false); err != nil {
		t.Errorf("the machine's log after its end: %v", err)
	} else {
		logs.Close()
	}

	spec.Generation = 2
	m = h.start(l, spec)
	if got := h.output(m, "cat", "/data/kept"); got != "by the disk" {
		t.Errorf("the disk holds %q", got)
	}
	if err := m.Stop(h.ctx); err != nil {
		t.Fatal(err)
	}
	h.await(l, spec.SessionID, func(s nixspace.MachineStatus) bool { return ended(s) && s.Generation == 2 })
	if err := l.Remove(h.ctx, spec.SessionID); err != nil {
		t.Fatal(err)
	}
	if ids, err := l.Sessions(h.ctx); err != nil || len(ids) > 0 {
		t.Errorf("after Remove: %v, %v", ids, err)
	}
}

func TestThreeAtOnce(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	var g errgroup.Group
	machines := make([]nixspace.Machine, 3)
	for i := range machines {
		g.Go(func() (err error) {
			spec := h.spec()
			spec.Hostname = fmt.Sprint("vm", i)
			if machines[i], err = l.Start(h.ctx, spec, nil); err != nil {
				return err
			}
			_, err = vmtest.Output(h.ctx, machines[i], "write", fmt.Sprintf("/data/of-%d", i), "secret")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, m := range machines {
		for j := range machines {
			_, err := vmtest.Output(h.ctx, m, "cat", fmt.Sprintf("/data/of-%d", j))
			if (err == nil) != (i == j) {
				t.Errorf("file of %d in machine %d: %v", j, i, err)
			}
		}
		if got := h.output(m, "ids"); got != fmt.Sprintf("1000 1000 vm%d", i) {
			t.Errorf("machine %d: %q", i, got)
		}
	}
	for _, m := range machines {
		if err := m.Stop(h.ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestRunnerIsKilled(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	m := h.start(l, spec)
	h.output(m, "write", "/data/kept", "x")
	state := h.state(l, spec.SessionID)
	if err := unix.Kill(state.Runner.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s := h.await(l, spec.SessionID, ended)
	if s.Status != nixspace.SessionFailed || s.ReasonCode != "runner_died" || s.Reason == "" {
		t.Errorf("status: %+v", s)
	}
	h.gone(l, spec.SessionID, state)
	if got := h.state(l, spec.SessionID).Machine.Status; got != nixspace.SessionFailed {
		t.Errorf("recorded as %s", got)
	}
	if _, err := os.Stat(l.pool.Path(spec.SessionID)); err != nil {
		t.Errorf("the disk: %v", err)
	}
	spec.Generation++
	m = h.start(l, spec)
	if err := m.Stop(h.ctx); err != nil {
		t.Error(err)
	}
}

func TestMachineIsKilled(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	h.start(l, spec)
	state := h.state(l, spec.SessionID)
	if err := unix.Kill(state.VMM.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s := h.await(l, spec.SessionID, ended)
	if s.Status != nixspace.SessionFailed || s.ReasonCode != "vmm_died" || !strings.Contains(s.Reason, "killed") {
		t.Errorf("status: %+v", s)
	}
	h.gone(l, spec.SessionID, state)
}

func TestServerRestarts(t *testing.T) {
	h := newHost(t)
	first := h.fleet()
	stays, dies := h.spec(), h.spec()
	h.start(first, stays)
	h.start(first, dies)
	state := h.state(first, dies.SessionID)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(state.Runner.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := state.VMM.Kill(h.ctx.Done()); err != nil {
		t.Fatal(err)
	}
	lock, err := runner.WaitLock(h.ctx, first.sessionDir(dies.SessionID))
	if err != nil {
		t.Fatal(err)
	}
	lock.Unlock()

	l := h.fleet()
	m, err := l.Attach(h.ctx, stays.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.output(m, "echo", "still here"); got != "still here" {
		t.Errorf("%q", got)
	}
	if s := h.await(l, stays.SessionID, func(nixspace.MachineStatus) bool { return true }); s.Status != nixspace.SessionRunning {
		t.Errorf("status: %+v", s)
	}
	if s := h.await(l, dies.SessionID, ended); s.ReasonCode != "runner_died" {
		t.Errorf("status: %+v", s)
	}
	h.gone(l, dies.SessionID, state)
	if err := m.Stop(h.ctx); err != nil {
		t.Error(err)
	}
}

func TestStartIsCancelled(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	ctx, cancel := context.WithCancel(h.ctx)
	watch := l.Watch(h.ctx)
	go func() {
		for s := range watch {
			if s.Phase == "boot" && s.VMID != "" {
				cancel()
				return
			}
		}
	}()
	if _, err := l.Start(ctx, spec, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	h.gone(l, spec.SessionID, h.state(l, spec.SessionID))
}

func TestReapWhatHangs(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	m := h.start(l, spec)
	state := h.state(l, spec.SessionID)
	if err := unix.Kill(state.Runner.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.ctx, time.Second)
	defer cancel()
	if err := m.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	h.gone(l, spec.SessionID, state)
	if s := h.await(l, spec.SessionID, ended); s.Status != nixspace.SessionFailed {
		t.Errorf("status: %+v", s)
	}
	for range 2 {
		if err := l.Reap(h.ctx, spec.SessionID); err != nil {
			t.Error(err)
		}
	}
}

func TestServiceFails(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	spec := h.spec()
	spec.Services = []nixspace.Service{{Name: "bad", Argv: []string{"exit", "3"}, Ready: nixspace.Probe{TCP: 7000}}}
	_, err := l.Start(h.ctx, spec, nil)
	if err == nil || !strings.Contains(err.Error(), "bad") {
		t.Errorf("got %v", err)
	}
	h.gone(l, spec.SessionID, h.state(l, spec.SessionID))
}

func TestMemoryLimitHolds(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	m := h.start(l, h.spec())
	if _, err := vmtest.Output(h.ctx, m, "allocate", "1000"); err == nil {
		t.Error("a program got 1000 MiB in a machine of 256")
	}
	if got := h.output(m, "echo", "alive"); got != "alive" {
		t.Errorf("the machine did not survive: %q", got)
	}
	// Everything that the guest touches, and a full disk, stay within the limit.
	h.output(m, "allocate", "120")
	if _, err := vmtest.Output(h.ctx, m, "fill", "/data/full", "500"); err == nil {
		t.Error("500 MiB were written on a disk of 128")
	}
	if got := h.output(m, "echo", "alive"); got != "alive" {
		t.Errorf("the machine did not survive a full disk: %q", got)
	}
	if err := m.Stop(h.ctx); err != nil {
		t.Error(err)
	}
}
