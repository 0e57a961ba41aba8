// Package qemu runs machines as QEMU microVMs, with hardware virtualisation
// where it works and in software where it does not.
//
// A machine is one QEMU process. It is given everything it needs as open files,
// runs under a user id of its own where the caller may choose one, inside QEMU's
// seccomp sandbox, has no network device, and dies with the process that started
// it.
package qemu

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
)

// Config is how a [Driver] runs machines. Its zero value is usable.
type Config struct {
	Binary string // the QEMU program; "qemu-system-x86_64" in PATH when empty
	Accel  string // "auto" (also when empty), "kvm" or "tcg"
	// Cache is a folder that keeps what a probe found until the host is booted
	// again; empty for none.
	Cache string
	// Self is how to run the KVM probe in a process of its own: a command that
	// calls [ProbeMain]. When empty, KVM is not used.
	Self []string
	// ProbeKernel is an ELF kernel that the probe boots with KVM; empty for none.
	ProbeKernel string
}

// Driver implements [vm.Driver] with QEMU.
type Driver struct {
	cfg Config

	mu     sync.Mutex
	probed *probe // nil until known
}

// probe is what a host can do.
type probe struct {
	binary string
	caps   vm.Capabilities
}

var _ vm.Driver = (*Driver)(nil)

// New returns a driver. It starts nothing.
func New(cfg Config) *Driver {
	if cfg.Binary == "" {
		cfg.Binary = "qemu-system-x86_64"
	}
	if cfg.Accel == "" {
		cfg.Accel = "auto"
	}
	return &Driver{cfg: cfg}
}

// Name returns "qemu".
func (d *Driver) Name() string { return "qemu" }

// Probe finds QEMU and decides about the accelerator. It fails with code
// "qemu_missing", "accel_invalid", or "kvm_unusable" where KVM was demanded.
func (d *Driver) Probe(ctx context.Context) (vm.Capabilities, error) {
	p, err := d.probe(ctx)
	if err != nil {
		return vm.Capabilities{}, err
	}
	return p.caps, nil
}

func (d *Driver) probe(ctx context.Context) (*probe, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.probed != nil {
		return d.probed, nil
	}
	binary, err := exec.LookPath(d.cfg.Binary)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "qemu_missing", "QEMU is not installed: %w", err).
			WithHint("install it (Debian and Ubuntu: qemu-system-x86; Fedora: qemu-system-x86-core; NixOS: qemu) or run make setup")
	}
	accel, reason := "tcg", "software emulation was asked for"
	switch d.cfg.Accel {
	case "tcg":
	case "auto", "kvm":
		v := d.kvm(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		reason = v.Reason
		if v.Usable {
			accel = "kvm"
		} else if d.cfg.Accel == "kvm" {
			return nil, nixspace.Errorf(nixspace.KindUnavailable, "kvm_unusable", "KVM was asked for and cannot be used: %s", v.Reason).
				WithHint("use --accel=auto, or enable nested virtualisation on this host")
		}
	default:
		return nil, nixspace.Errorf(nixspace.KindInvalid, "accel_invalid", "%q is no accelerator", d.cfg.Accel).
			WithHint("use auto, kvm or tcg")
	}
	isolation := "microVM (QEMU, KVM)"
	if accel == "tcg" {
		isolation = "microVM (QEMU, software emulation)"
	}
	d.probed = &probe{binary, vm.Capabilities{Accel: accel, Isolation: isolation, MaxLayers: maxLayers, Reason: reason}}
	return d.probed, nil
}

// Create starts a machine.
func (d *Driver) Create(ctx context.Context, spec vm.Spec) (vm.Instance, error) {
	if err := check(spec); err != nil {
		return nil, err
	}
	p, err := d.probe(ctx)
	if err != nil {
		return nil, err
	}
	var c clock
	if p.caps.Accel == "tcg" && spec.State == "" { // only a kernel that boots is told
		if c.khz, err = tscKHz(); err != nil {
			return nil, fmt.Errorf("measure the processor's clock: %w", err)
		}
	}
	return start(ctx, p.binary, p.caps.Accel, c, spec)
}

// check refuses what QEMU's command line would take for something else: its
// options are lists separated by commas.
func check(spec vm.Spec) error {
	bad := func(what, value string) error {
		return nixspace.Errorf(nixspace.KindInvalid, "machine_invalid", "%q cannot be %s of a machine", value, what)
	}
	if !plain(spec.ID) || len(spec.ID) > 64 {
		return bad("the name", spec.ID)
	}
	if spec.CPUs < 1 || spec.CPUs > 64 {
		return bad("the number of processors", fmt.Sprint(spec.CPUs))
	}
	if spec.MemoryMiB < 64 || spec.MemoryMiB > 1<<20 {
		return bad("the memory in MiB", fmt.Sprint(spec.MemoryMiB))
	}
	if len(spec.Layers) > maxLayers || len(spec.Disks) > 1 {
		return nixspace.Errorf(nixspace.KindLimit, "too_many_layers", "a machine can have %d layers and one disk, not %d and %d",
			maxLayers, len(spec.Layers), len(spec.Disks))
	}
	seen := make(map[string]bool)
	for _, drive := range append(append([]vm.Drive{}, spec.Layers...), spec.Disks...) {
		if !plain(drive.Serial) || len(drive.Serial) > 20 || seen[drive.Serial] {
			return bad("the serial of a drive", drive.Serial)
		}
		seen[drive.Serial] = true
	}
	if spec.State != "" && spec.Memory.Path == "" || spec.State == "" && spec.Memory.Shared {
		return bad("the memory", spec.Memory.Path)
	}
	if strings.ContainsAny(spec.Append, "\x00\n") {
		return bad("the kernel parameters", spec.Append)
	}
	return nil
}

// plain reports whether s is made of letters, digits and hyphens.
func plain(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != ""
}
