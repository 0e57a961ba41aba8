package apptest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// Machines runs machines that exist in memory only. Like real ones they outlive
// the App that started them: give the same Machines to the next one.
type Machines struct {
	mu            sync.Mutex
	machines      map[nixspace.ID]*machine // that run
	disks         map[nixspace.ID]bool
	memory        map[nixspace.ID]bool // of hibernated sessions
	began         map[nixspace.ID]nixspace.ID
	snapshots     map[nixspace.ID]nixspace.SnapshotInfo
	specs         map[nixspace.ID]nixspace.MachineSpec
	watchers      map[chan nixspace.MachineStatus]context.Context
	fail          error
	failSnapshots error
	gate          chan struct{}
	reaped        []nixspace.ID
	templates     map[string]bool // by environment
	prewarmGate   chan struct{}
	commands      Commands
}

// NewMachines returns a host without machines.
func NewMachines() *Machines {
	return &Machines{
		machines: map[nixspace.ID]*machine{}, disks: map[nixspace.ID]bool{}, specs: map[nixspace.ID]nixspace.MachineSpec{},
		watchers: map[chan nixspace.MachineStatus]context.Context{}, memory: map[nixspace.ID]bool{},
		began: map[nixspace.ID]nixspace.ID{}, snapshots: map[nixspace.ID]nixspace.SnapshotInfo{},
	}
}

type machine struct {
	host   *Machines
	status nixspace.MachineStatus
}

// Fail makes every later Start fail with err; nil ends that.
func (h *Machines) Fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = err
}

// Hold makes every later Start wait until release is called or its context ends.
func (h *Machines) Hold() (release func()) {
	gate := make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate = gate
	return sync.OnceFunc(func() {
		h.mu.Lock()
		h.gate = nil
		h.mu.Unlock()
		close(gate)
	})
}

// Spec returns what the session's machine was started with last.
func (h *Machines) Spec(id nixspace.ID) nixspace.MachineSpec {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs[id]
}

// Running reports whether a session has a machine.
func (h *Machines) Running(id nixspace.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.machines[id] != nil
}

// Live returns the sessions that have a machine.
func (h *Machines) Live() []nixspace.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.machines))
}

// HasDisk reports whether a session has a disk.
func (h *Machines) HasDisk(id nixspace.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.disks[id]
}

// Reaped returns the sessions that were reaped.
func (h *Machines) Reaped() []nixspace.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.reaped)
}

// Put makes a machine run that nobody started through Start.
func (h *Machines) Put(s nixspace.MachineStatus) {
	h.mu.Lock()
	h.machines[s.SessionID] = &machine{host: h, status: s}
	h.disks[s.SessionID] = true
	h.mu.Unlock()
	h.Tell(s)
}

// Crash ends a machine by itself, and says so unless silent.
func (h *Machines) Crash(id nixspace.ID, reason string, silent bool) {
	h.mu.Lock()
	m := h.machines[id]
	delete(h.machines, id)
	h.mu.Unlock()
	if m == nil || silent {
		return
	}
	s := m.status
	s.Status, s.Reason, s.ReasonCode = nixspace.SessionFailed, reason, "crashed"
	h.Tell(s)
}

// Tell makes watchers hear a status.
func (h *Machines) Tell(s nixspace.MachineStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, ctx := range h.watchers {
		select {
		case c <- s:
		case <-ctx.Done():
		}
	}
}

// Start implements nixspace.Machines.
func (h *Machines) Start(ctx context.Context, spec nixspace.MachineSpec, progress nixspace.ProgressFunc) (nixspace.Machine, error) {
	h.mu.Lock()
	gate, fail := h.gate, h.fail
	h.specs[spec.SessionID] = spec
	h.mu.Unlock()
	progress.Report(nixspace.Progress{Job: spec.Hostname, Phase: "boot"})
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		return nil, fail
	}
	h.mu.Lock()
	start, fallback, err := h.begin(spec)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	m := &machine{host: h, status: nixspace.MachineStatus{
		SessionID: spec.SessionID, Generation: spec.Generation, Status: nixspace.SessionRunning, Driver: "fake",
		Isolation: "none (a test)", VMID: "vm-" + spec.Hostname, StartedAt: now, LastActivity: now,
		Start: start, Fallback: fallback,
	}}
	h.mu.Lock()
	if h.machines[spec.SessionID] != nil {
		h.mu.Unlock()
		return nil, errors.New("start: the session has a machine already")
	}
	h.machines[spec.SessionID] = m
	h.mu.Unlock()
	h.Tell(m.status)
	return m, nil
}

// Attach implements nixspace.Machines.
func (h *Machines) Attach(_ context.Context, session nixspace.ID) (nixspace.Machine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.machines[session]
	if m == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "machine_unknown", "session %s has no machine", session)
	}
	return m, nil
}

// Watch implements nixspace.Machines.
func (h *Machines) Watch(ctx context.Context) <-chan nixspace.MachineStatus {
	c := make(chan nixspace.MachineStatus)
	out := make(chan nixspace.MachineStatus)
	h.mu.Lock()
	var now []nixspace.MachineStatus
	for _, m := range h.machines {
		now = append(now, m.status)
	}
	h.watchers[c] = ctx
	h.mu.Unlock()
	go func() {
		defer close(out)
		defer func() {
			h.mu.Lock()
			delete(h.watchers, c)
			h.mu.Unlock()
		}()
		for {
			for _, s := range now {
				select {
				case out <- s:
				case <-ctx.Done():
					return
				}
			}
			select {
			case s := <-c:
				now = []nixspace.MachineStatus{s}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Reap implements nixspace.Machines.
func (h *Machines) Reap(_ context.Context, session nixspace.ID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.machines, session)
	delete(h.memory, session)
	h.reaped = append(h.reaped, session)
	return nil
}

// Remove implements nixspace.Machines.
func (h *Machines) Remove(_ context.Context, session nixspace.ID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.machines[session] != nil {
		return errors.New("remove: the session's machine runs")
	}
	delete(h.disks, session)
	delete(h.memory, session)
	return nil
}

// Sessions implements nixspace.Machines.
func (h *Machines) Sessions(context.Context) ([]nixspace.ID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []nixspace.ID
	for id := range h.disks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// Status implements nixspace.Machine.
func (m *machine) Status(context.Context) (nixspace.MachineStatus, error) { return m.status, nil }

// Exec implements nixspace.Machine.
func (m *machine) Exec(_ context.Context, c nixspace.Command) (nixspace.Process, error) {
	m.host.mu.Lock()
	commands, spec := m.host.commands, m.host.specs[m.status.SessionID]
	m.host.mu.Unlock()
	if commands != nil {
		return startCommand(commands, spec, c), nil
	}
	return nil, nixspace.Errorf(nixspace.KindNotFound, "command_not_found", "a fake machine has no commands")
}

// Dial implements nixspace.Machine. At port 8080 somebody answers, and says
// nothing; the other ports are closed.
func (m *machine) Dial(_ context.Context, port int) (net.Conn, error) {
	if port != 8080 {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "port_closed", "nothing listens on port %d of a fake machine", port)
	}
	here, there := net.Pipe()
	there.Close()
	return here, nil
}

// Logs implements nixspace.Machine.
func (m *machine) Logs(context.Context, string, bool) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("")), nil
}

// ControlService implements nixspace.ServiceController. There is a service web,
// and one broken that never gets ready.
func (m *machine) ControlService(_ context.Context, name string, action nixspace.ServiceAction) (nixspace.ServiceStatus, error) {
	s := nixspace.ServiceStatus{Name: name, State: nixspace.ServiceReady}
	switch {
	case name != "web" && name != "broken":
		return s, nixspace.Errorf(nixspace.KindNotFound, "service_not_found", "there is no service %q", name)
	case action == nixspace.ServiceStop:
		s.State = nixspace.ServiceStopped
	case name == "broken":
		s.State = nixspace.ServiceFailed
		return s, nixspace.Errorf(nixspace.KindUnavailable, "service_failed", "service broken: it exited with status 1")
	}
	return s, nil
}

// Stop implements nixspace.Machine.
func (m *machine) Stop(context.Context) error {
	m.host.mu.Lock()
	defer m.host.mu.Unlock()
	delete(m.host.machines, m.status.SessionID)
	return nil
}
