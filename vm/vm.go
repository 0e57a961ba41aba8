// Package vm says what a virtual machine is to NixSpace: how one is described
// ([Spec]), who can run it ([Driver]), how it is held ([Instance]) and how the
// host talks to the agent in it ([Transport]).
//
// A driver's further abilities are further interfaces, found by type assertion,
// so that a driver that lacks one does not have to pretend.
package vm

import (
	"context"
	"io"
	"net"
)

// Driver runs machines. Its methods are safe for concurrent use.
type Driver interface {
	// Name is the driver's stable name: "qemu".
	Name() string
	// Probe says what the driver can do on this host, after trying it. It fails
	// with a *nixspace.Error where the driver cannot run here at all. The answer
	// may be cached.
	Probe(ctx context.Context) (Capabilities, error)
	// Create starts a machine from cold. It returns once the machine's process
	// runs, before the guest is up: the first Reset of its Transport waits for the
	// guest's agent. The machine ends with the calling process at the latest.
	Create(ctx context.Context, spec Spec) (Instance, error)
}

// Capabilities is what a driver found that it can do on this host.
type Capabilities struct {
	Accel     string // "kvm" or "tcg"
	Isolation string // for people: "microVM (QEMU, software emulation)"
	MaxLayers int    // read-only layers that a machine can have beside one disk
	Reason    string // why the accelerator was chosen, for people
}

// Spec describes a machine.
type Spec struct {
	ID        string // names it on this host; letters, digits and hyphens
	CPUs      int
	MemoryMiB int64
	Kernel    string  // host path of an ELF kernel with a PVH entry
	Initramfs string  // host path
	Append    string  // further kernel parameters; may be empty
	Layers    []Drive // read-only
	Disks     []Drive // writable
	// Limit puts the machine's process under limits, by its process id, before
	// the guest runs. A failure ends the machine. It may be nil.
	Limit func(pid int) error
	// Console receives what the guest's kernel prints. Writes must not block. It
	// may be nil.
	Console io.Writer
}

// Drive is a file on the host that the guest sees as a block device.
type Drive struct {
	Serial string // how the guest finds it; at most 20 characters
	Path   string // of a raw image
}

// Instance is one running machine. Its methods are safe for concurrent use.
type Instance interface {
	// ID is the name that the machine was created with.
	ID() string
	// PID is the process id of the machine's process on the host.
	PID() int
	// Transport is the way to the agent in the guest.
	Transport() Transport
	// Stop ends the machine by force, without asking the guest, and returns once
	// nothing of it is left running. It may be called more than once.
	Stop(ctx context.Context) error
	// Done is closed when the machine's process has ended.
	Done() <-chan struct{}
	// Err says why the machine ended: nil after a power-off that the guest asked
	// for and after Stop. It is meaningful once Done is closed.
	Err() error
}

// Transport opens streams to the agent in a guest. Its methods are safe for
// concurrent use.
type Transport interface {
	// Open opens a new stream to the agent. What is said on it is up to the wire
	// protocol. It fails when there was no successful Reset yet.
	Open(ctx context.Context) (net.Conn, error)
	// Reset makes the agent forget all streams and returns when the agent answers
	// again: after a boot and after every later doubt about the connection. Open
	// streams end with an error. It is idempotent.
	Reset(ctx context.Context) error
}
