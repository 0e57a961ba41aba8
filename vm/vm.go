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
	"time"
)

// Driver runs machines. Its methods are safe for concurrent use.
type Driver interface {
	// Name is the driver's stable name: "qemu".
	Name() string
	// Probe says what the driver can do on this host, after trying it. It fails
	// with a *nixspace.Error where the driver cannot run here at all. The answer
	// may be cached.
	Probe(ctx context.Context) (Capabilities, error)
	// Create starts a machine: from cold, or, with [Spec.State], from where it was
	// saved. It returns once the machine's process runs, before the guest is up:
	// the first Reset of its Transport waits for the guest's agent. The machine
	// ends with the calling process at the latest. It fails with code
	// "state_unusable" where the saved state cannot be loaded.
	Create(ctx context.Context, spec Spec) (Instance, error)
}

// Keyer is a [Driver] whose machines can be saved and started again.
type Keyer interface {
	// Key names what a saved machine needs to be loaded again: it is equal for two
	// specs when a machine of the one can be loaded as one of the other, as far as
	// the driver knows. That the content of drives and memory is the same is the
	// caller's to see to.
	Key(ctx context.Context, spec Spec) (string, error)
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
	// Memory is the file that is the guest's memory.
	Memory Memory
	// State is the host path of what [Saver.Save] wrote; empty for a cold boot.
	// Memory and disks must be as they were then.
	State string
	// Commit is called when State is loaded, before anything in the guest moves:
	// from then on memory and disks are no longer what State belongs to. When it
	// fails, the machine ends. It may be nil.
	Commit func() error
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

// Memory is a file in the place of a guest's memory.
type Memory struct {
	Path string // empty for memory without a file; such a machine cannot be saved
	// Shared leaves the file as it is: what the guest writes is the machine's own
	// and ends with it. Several machines can have the same file, and share what
	// none of them has changed. Such a machine cannot be saved.
	Shared bool
}

// Saver is an [Instance] that can be saved, if its memory is a file of its own.
type Saver interface {
	// Save stops the guest, writes its disks through, writes the state of its
	// processors and devices, and calls what r names, while nothing in the guest
	// moves. Then the guest goes on, or the machine ends if r.End and everything
	// succeeded. It returns how long the guest stood still. When it fails, the
	// guest goes on; it ends where even that is impossible. It fails with code
	// "memory_shared" where the memory is not the machine's own.
	Save(ctx context.Context, r SaveRequest) (time.Duration, error)
}

// SaveRequest says how to save a machine.
type SaveRequest struct {
	State io.Writer // receives the state of processors and devices
	// Copy is called while the state is written, to copy memory and disks; Still
	// when everything is written. Either may be nil.
	Copy, Still func(context.Context) error
	End         bool // the machine ends once it is saved
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
