// Package runner is one session's life in a process of its own: it prepares
// images and a disk, boots the machine, configures the guest, starts its
// services, and then serves whoever wants to work in it, until the machine ends.
//
// A runner belongs to a session's folder and outlives the server that started
// it. Everything it holds (the machine, its control group, its socket) ends with
// it, in every case but a kill; then the machine still dies at once, and whoever
// takes the session's lock next cleans up the rest.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/cgroup"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/egress"
	"github.com/nixspace/nixspace/vm/qemu"
	"github.com/nixspace/nixspace/vm/wire"
)

// ProbeKVM is what stands in the place of a session's folder when a runner is
// started only to try KVM.
const ProbeKVM = "probe-kvm"

// ReadyFD is the environment variable that names the file descriptor on which a
// runner says, by a line "ready", that it serves its socket.
const ReadyFD = "NIXSPACE_READY_FD"

// Time limits of a session's states. They are generous: software emulation on a
// loaded host is slow, and a limit only catches what would hang for ever.
const (
	imageTime     = 20 * time.Minute // to make the images of all layers
	bootTime      = 3 * time.Minute  // until the agent answers
	configureTime = 2 * time.Minute  // for each stage but the workspace and the services
	workspaceTime = 10 * time.Minute // to unpack the workspace
	servicesTime  = 10 * time.Minute // until all services are ready
	serviceStop   = 20 * time.Second // for services to end, then they are killed
	shutdownTime  = time.Minute      // for the guest to power off, then it is ended
	abandonedTime = 10 * time.Minute // without a server that watches
	farewellTime  = 5 * time.Second  // for watchers to hear of the end
)

// runner is the state of one run.
type runner struct {
	dir  string
	spec Spec
	log  *slog.Logger

	hub     *hub
	console *console
	egress  *egress.Gateway // nil where the machine may reach nothing

	stop     context.CancelCauseFunc // ends the session's life
	finished chan struct{}           // closed when the final state is written

	mu       sync.Mutex
	state    State
	client   *wire.Client // nil until the guest's agent answers
	machine  vm.Instance  // nil until the machine's process runs
	streams  int          // open streams: somebody works in the machine
	contacts int          // requests being served
	contact  time.Time    // when the last request ended
	builder  *builder     // nil until the session runs

	saving sync.Mutex // held while the machine is saved
}

// lowPriority is what nobody waits for has: processors that nobody else wants.
const lowPriority = 19

// Errors as causes of a session's end.
var (
	errStopped    = errors.New("asked to stop")
	errAbandoned  = errors.New("no server asked for this session any more")
	errHibernated = errors.New("the session hibernates")
)

// Main runs the session of a folder that holds a spec, and returns when the
// session has ended and nothing of it is left running. It fails where the
// session could not be run or did not end in order; the folder then says why.
// When ctx ends, the session is stopped as if somebody had asked for it.
//
// With dir [ProbeKVM], it only tries KVM and prints what it found.
func Main(ctx context.Context, dir string, log *slog.Logger) error {
	if filepath.Base(dir) == ProbeKVM {
		return qemu.ProbeMain()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	spec, err := ReadSpec(dir)
	if err != nil {
		return err
	}
	lock, err := TryLock(dir)
	if err != nil {
		return fmt.Errorf("run session %s: %w", spec.Machine.SessionID, err)
	}
	defer lock.Unlock()
	r := &runner{
		dir: dir, spec: spec, hub: newHub(), finished: make(chan struct{}), contact: time.Now(),
		log: log.With("session", spec.Machine.SessionID, "generation", spec.Machine.Generation),
	}
	return r.run(ctx)
}

func (r *runner) run(parent context.Context) (err error) {
	self, err := Identify(os.Getpid())
	if err != nil {
		return fmt.Errorf("identify this process: %w", err)
	}
	// The life of the session does not end with the parent's context by itself:
	// it takes notice and stops in order.
	ctx, stop := context.WithCancelCause(context.WithoutCancel(parent))
	defer stop(nil)
	r.stop = stop
	defer context.AfterFunc(parent, func() { stop(errStopped) })()

	if r.spec.Prewarm {
		// This process leads its group, and what it starts is in it.
		if err := unix.Setpriority(unix.PRIO_PGRP, 0, lowPriority); err != nil {
			r.log.Warn("a template is made at the priority of sessions", "err", err)
		}
	}
	now := time.Now()
	r.state = State{
		Runner: self, Socket: r.spec.Host.Socket,
		Machine: nixspace.MachineStatus{
			SessionID: r.spec.Machine.SessionID, Generation: r.spec.Machine.Generation,
			Status: nixspace.SessionCreating, StartedAt: now, LastActivity: now,
		},
	}
	if err := r.save(); err != nil {
		return err
	}
	var undo cleanup
	if r.console, err = openConsole(filepath.Join(r.dir, ConsoleFile)); err != nil {
		err = fmt.Errorf("open the console's log: %w", err)
		r.finish(err, nil)
		return err
	}
	undo.add("close the console's log", r.console.close)
	server, err := r.serve(&undo)
	if err != nil {
		r.finish(fmt.Errorf("serve the session's socket: %w", err), nil)
		return errors.Join(err, undo.run())
	}
	sayReady()

	var life cleanup
	err = r.live(ctx, &life)
	r.update(func(s *nixspace.MachineStatus) {
		if err == nil || errors.Is(err, errStopped) || errors.Is(err, errAbandoned) || errors.Is(err, errHibernated) {
			s.Status = nixspace.SessionStopping
		}
		s.Phase = ""
	})
	undoErr := errors.Join(life.run(), r.console.close())
	if undoErr != nil {
		r.log.Error("clean-up failed", "err", undoErr)
	}
	r.finish(err, undoErr)
	server.end()
	err = errors.Join(undo.run(), undoErr)
	if r.state.Machine.Status == nixspace.SessionFailed {
		return errors.Join(errors.New(r.state.Machine.Reason), err)
	}
	return err
}

// sayReady tells the process that started this one that its socket is served.
func sayReady() {
	fd, err := strconv.Atoi(os.Getenv(ReadyFD))
	if err != nil || fd < 3 {
		return
	}
	f := os.NewFile(uintptr(fd), "ready")
	_, _ = f.WriteString("ready\n") // who does not listen any more does not care
	f.Close()
}

// finish records how the session ended.
func (r *runner) finish(cause, undoErr error) {
	if r.egress != nil {
		e := r.egress.Status()
		r.egressChanged(e)
		r.log.Info("connections out of the machine", "made", e.Connections, "refused", e.Refused, "failed", e.Failed, "sent", e.Sent, "received", e.Received)
	}
	r.update(func(s *nixspace.MachineStatus) {
		s.Phase = ""
		for i := range s.Services {
			s.Services[i].State = "stopped"
		}
		switch {
		case undoErr != nil:
			s.Status, s.ReasonCode = nixspace.SessionFailed, "cleanup_failed"
			s.Reason = "something of the machine could not be ended: " + undoErr.Error()
		case errors.Is(cause, errStopped):
			s.Status, s.Reason, s.ReasonCode = nixspace.SessionStopped, "", ""
		case errors.Is(cause, errHibernated):
			s.Status, s.Reason, s.ReasonCode = nixspace.SessionHibernated, "", ""
		case errors.Is(cause, errAbandoned):
			s.Status, s.ReasonCode = nixspace.SessionStopped, "abandoned"
			s.Reason = "no server asked for the session any more"
		case cause == nil:
			s.Status, s.ReasonCode, s.Reason = nixspace.SessionStopped, "guest_poweroff", "the guest powered itself off"
		default:
			s.Status, s.ReasonCode, s.Reason = nixspace.SessionFailed, nixspace.ErrorCode(cause), cause.Error()
		}
		r.log.Info("session ended", "status", s.Status, "code", s.ReasonCode, "reason", s.Reason)
	})
	close(r.finished)
	r.hub.close()
}

// update changes the status, writes it down and tells watchers. That it cannot
// be written ends nothing: watchers hear it, and the next change tries again.
func (r *runner) update(change func(*nixspace.MachineStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.state.Machine)
	if r.state.Machine.Status != nixspace.SessionRunning {
		r.state.Machine.View = nixspace.MachineView{}
	}
	r.touch()
	if err := WriteState(r.dir, r.state); err != nil {
		r.log.Error("cannot write the session's state", "err", err)
	}
	status := cloneStatus(r.state.Machine)
	r.hub.publish(Update{Status: &status})
}

func cloneStatus(s nixspace.MachineStatus) nixspace.MachineStatus {
	s.Layers = append([]nixspace.LayerImage(nil), s.Layers...)
	s.Services = append([]nixspace.ServiceStatus(nil), s.Services...)
	return s
}

// save writes the state without telling anybody.
func (r *runner) save() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := WriteState(r.dir, r.state); err != nil {
		return fmt.Errorf("write the session's state: %w", err)
	}
	return nil
}

// touch is called with the lock held: while a stream is open, now is the time of
// the last activity.
func (r *runner) touch() {
	if r.streams > 0 {
		r.state.Machine.LastActivity = time.Now()
	}
}

func (r *runner) status() nixspace.MachineStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.touch()
	s := cloneStatus(r.state.Machine)
	if r.egress != nil {
		now := r.egress.Status()
		s.Egress = &now
	}
	return s
}

func (r *runner) phase(name string) {
	r.log.Info("phase", "name", name)
	r.update(func(s *nixspace.MachineStatus) { s.Phase = name })
}

func (r *runner) progress(p nixspace.Progress) { r.hub.publish(Update{Progress: &p}) }

// open opens a stream to the agent for a client, and counts it as activity.
func (r *runner) open(ctx context.Context) (net.Conn, func(), error) {
	r.mu.Lock()
	machine := r.machine
	ready := r.client != nil
	r.mu.Unlock()
	if !ready {
		return nil, nil, nixspace.Errorf(nixspace.KindUnavailable, "machine_not_ready", "the machine is not up yet").
			WithHint("wait until the session is running")
	}
	conn, err := machine.Transport().Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	r.streams++
	r.state.Machine.LastActivity = time.Now()
	r.mu.Unlock()
	return conn, func() {
		conn.Close()
		r.mu.Lock()
		r.touch()
		r.streams--
		r.mu.Unlock()
	}, nil
}

// limits puts the machine's process under the limits that its spec asks for.
func (r *runner) limits(accel string, undo *cleanup) (func(pid int) error, error) {
	m := r.spec.Machine
	name := string(m.SessionID)
	group, err := cgroup.Create(name, cgroup.Limits{
		CPUs:   float64(m.CPUs),
		Memory: (m.MemoryMiB + qemu.Overhead(accel)) << 20,
		PIDs:   int64(128 + 4*m.CPUs), // QEMU keeps up to 64 threads for its disks
	})
	if errors.Is(err, cgroup.ErrUnavailable) {
		r.log.Warn("the machine's use of the host is limited by its own size only", "why", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("make the machine's control group: %w", err)
	}
	undo.add("remove the control group", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		return group.Remove(ctx)
	})
	r.mu.Lock()
	r.state.Cgroup = name
	r.mu.Unlock()
	return group.Add, nil
}
