package nixspace

import (
	"context"
	"io"
	"net"
	"time"
)

// MachineSpec says what machine to run for a session.
type MachineSpec struct {
	SessionID  ID     `json:"session_id"`
	Generation int64  `json:"generation"`
	Hostname   string `json:"hostname"`

	CPUs      int   `json:"cpus"`       // virtual processors
	MemoryMiB int64 `json:"memory_mib"` // guest memory
	DiskMiB   int64 `json:"disk_mib"`   // size of the session's disk

	// Layers are the store paths that the guest sees, and nothing else: together
	// they hold the closure of the environment and of the base system.
	Layers []StoreLayer `json:"layers"`
	// Base is the store path of the base system (sh, env, coreutils…), part of
	// the layers. Its bin comes last in the guest's PATH.
	Base string `json:"base"`
	// Environment is the store path whose bin comes first in the guest's PATH.
	Environment string            `json:"environment"`
	Env         map[string]string `json:"env,omitempty"` // variables of every process in the guest
	Services    []Service         `json:"services,omitempty"`
	// Egress is what it may reach outside of itself. Where that is anything, the
	// guest has a proxy on [EgressPort].
	Egress Egress `json:"egress,omitzero"`
	// Workspace is the host path of the archive (zstd-compressed tar) that is
	// unpacked at /workspace when the disk is new; empty for none.
	Workspace string `json:"workspace,omitempty"`

	// Resume continues the session from the memory that its hibernation left. If
	// that cannot be restored, the machine boots from its disk, and its status
	// says why (see [MachineStatus.Fallback]). A start without it begins from the
	// disk and drops memory that an earlier hibernation left.
	Resume bool `json:"resume,omitempty"`
	// Snapshot starts a new session as a clone of a snapshot: its disk and, if it
	// has one, its memory. It is of no account once the session has a disk. A start
	// fails with code "snapshot_not_found" where the host does not have it.
	Snapshot ID `json:"snapshot,omitempty"`
	// DiskOnly takes only the disk of Snapshot; the machine boots.
	DiskOnly bool `json:"disk_only,omitempty"`
	// Throwaway says that the machine will never be hibernated or forked, so a
	// clone may share its memory with the snapshot.
	Throwaway bool `json:"throwaway,omitempty"`
	// Ephemeral says that the session is gone once its machine is. One that is not
	// hibernates by itself when no server asks for it any more.
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// MachineStatus is what a runner says of its machine.
type MachineStatus struct {
	SessionID    ID              `json:"session_id"`
	Generation   int64           `json:"generation"`
	Status       SessionStatus   `json:"status"`
	Phase        string          `json:"phase,omitempty"` // what a creating machine is doing: "image", "boot", "services"
	Reason       string          `json:"reason,omitempty"`
	ReasonCode   string          `json:"reason_code,omitempty"`
	Driver       string          `json:"driver,omitempty"`
	Isolation    string          `json:"isolation,omitempty"`
	VMID         string          `json:"vm_id,omitempty"`
	Layers       []LayerImage    `json:"layers,omitempty"`
	Services     []ServiceStatus `json:"services,omitempty"`
	StartedAt    time.Time       `json:"started_at"`
	LastActivity time.Time       `json:"last_activity"`
	// Start says how the machine came up: "boot", "template" (a snapshot of the
	// booted, empty machine), "resume" (its own hibernation) or "snapshot".
	Start string `json:"start,omitempty"`
	// Fallback says why it booted although a snapshot was wanted; empty otherwise.
	Fallback string `json:"fallback,omitempty"`
	// View is what goes on inside, while it runs.
	View MachineView `json:"view,omitzero"`
	// Egress is what it has reached since it came up; nil where it may reach
	// nothing. It lags behind by some seconds.
	Egress *EgressStatus `json:"egress,omitempty"`
}

// LayerImage is a store layer as an image on this host.
type LayerImage struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // SHA-256 of the image, lower-case hex: equal layers, equal digests
	Size   int64  `json:"size"`   // bytes
	Path   string `json:"path"`   // on the host
}

// Command is a program to run in a machine, as the user dev.
type Command struct {
	Argv []string          `json:"argv"` // Argv[0] is looked up in PATH
	Env  map[string]string `json:"env,omitempty"`
	Dir  string            `json:"dir,omitempty"` // /workspace when empty
	TTY  bool              `json:"tty,omitempty"` // run on a terminal; stderr is then part of stdout
	Cols uint16            `json:"cols,omitempty"`
	Rows uint16            `json:"rows,omitempty"`
	Term string            `json:"term,omitempty"` // the TERM variable, with TTY
	// Usage asks for what the command used; see [UsageReporter].
	Usage bool `json:"usage,omitempty"`
}

// Usage is what a command used, with all of its descendants that it waited for.
type Usage struct {
	Wall    time.Duration `json:"wall"`    // from its start to its end, by the guest's clock
	User    time.Duration `json:"user"`    // processor time in programs
	System  time.Duration `json:"system"`  // and in the kernel for them
	Memory  int64         `json:"memory"`  // bytes, the most that any one process held
	Read    int64         `json:"read"`    // bytes from disks; what was cached does not count
	Written int64         `json:"written"` // bytes to disks
}

// UsageReporter is what a [Process] can do besides, where its machine can.
type UsageReporter interface {
	// Usage returns what the command used, once Wait returned an exit code; nil where
	// that was not asked for or is not known.
	Usage() *Usage
}

// Process is a command that runs in a machine. Its methods are safe for
// concurrent use.
type Process interface {
	// Stdin is the process's standard input; closing it sends end of file.
	Stdin() io.WriteCloser
	// Stdout and Stderr end with io.EOF after the process ended. Both must be
	// read, or the process blocks.
	Stdout() io.Reader
	Stderr() io.Reader
	// Resize sets the size of the terminal of a process with a TTY.
	Resize(cols, rows uint16) error
	// Signal sends a signal by its name ("SIGINT") to the process group.
	Signal(name string) error
	// Wait returns the exit code, after all output was read: 128 plus the number
	// for a process that a signal ended. It returns an error when the machine or
	// the connection went away first.
	Wait() (int, error)
	// Close ends the process, if it still runs, and frees what belongs to it.
	Close() error
}

// Machine is one running machine.
type Machine interface {
	// Status returns how it stands now.
	Status(ctx context.Context) (MachineStatus, error)
	// Exec starts a command. It fails with code "command_not_found" when
	// Argv[0] is not in the guest.
	Exec(ctx context.Context, c Command) (Process, error)
	// Dial connects to a TCP port on the guest's loopback interface.
	Dial(ctx context.Context, port int) (net.Conn, error)
	// Logs streams the log of one service, or of the machine itself (its kernel
	// and agent) when service is empty; with follow, until ctx ends.
	Logs(ctx context.Context, service string, follow bool) (io.ReadCloser, error)
	// Stop ends the machine: services first, then the guest, then by force once
	// ctx ends. It succeeds when nothing is left running.
	Stop(ctx context.Context) error
}

// Machines runs machines on this host. It is safe for concurrent use.
type Machines interface {
	// Start runs a machine and returns once its services are ready. When it
	// fails or ctx ends, nothing of the machine is left running. A disk that the
	// session already has is used again.
	Start(ctx context.Context, spec MachineSpec, progress ProgressFunc) (Machine, error)
	// Attach finds the machine of a session that runs already. It fails with
	// kind [KindNotFound] where none runs.
	Attach(ctx context.Context, session ID) (Machine, error)
	// Watch sends every change of every machine's status until ctx ends; at
	// first the present status of each.
	Watch(ctx context.Context) <-chan MachineStatus
	// Reap ends whatever is left of a session's machine, by force, and keeps its
	// disk, but not the memory of a hibernation. It succeeds when nothing is left,
	// also when there was nothing.
	Reap(ctx context.Context, session ID) error
	// Remove deletes a session's disk and files. The machine must not run.
	Remove(ctx context.Context, session ID) error
	// Sessions lists every session that has anything on this host.
	Sessions(ctx context.Context) ([]ID, error)
}
