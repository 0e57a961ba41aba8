package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// verdict says whether KVM can be used on this host, and why or why not.
type verdict struct {
	Usable bool   `json:"usable"`
	Reason string `json:"reason"`
	BootID string `json:"boot_id,omitempty"` // of the boot that it holds for
}

const (
	kvmDevice = "/dev/kvm"
	// probeTime bounds the probe's own guest, bootTime QEMU's.
	probeTime = time.Second
	bootTime  = 5 * time.Second
)

// kvm decides whether KVM works by running guests. That /dev/kvm exists proves
// nothing: inside another virtual machine it may emulate every instruction, or
// end QEMU with an assertion.
func (d *Driver) kvm(ctx context.Context) verdict {
	if err := unix.Access(kvmDevice, unix.R_OK|unix.W_OK); err != nil {
		return verdict{Reason: fmt.Sprintf("%s: %v", kvmDevice, err)}
	}
	if len(d.cfg.Self) == 0 {
		return verdict{Reason: "nothing is configured that could try KVM"}
	}
	boot := bootID()
	cache := ""
	if d.cfg.Cache != "" {
		cache = filepath.Join(d.cfg.Cache, "kvm.json")
		if v, ok := readVerdict(cache, boot); ok {
			return v
		}
	}
	v := d.tryKVM(ctx)
	v.BootID = boot
	if cache != "" && ctx.Err() == nil && boot != "" {
		writeVerdict(cache, v)
	}
	return v
}

func (d *Driver) tryKVM(ctx context.Context) verdict {
	ctx1, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx1, d.cfg.Self[0], d.cfg.Self[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx1.Err() != nil {
		return verdict{Reason: "a guest of a few instructions did not end within a second: KVM is emulated here"}
	}
	var v verdict
	if jsonErr := json.Unmarshal(out, &v); jsonErr != nil {
		return verdict{Reason: fmt.Sprintf("the KVM probe failed: %v", errors.Join(err, jsonErr))}
	}
	if !v.Usable || d.cfg.ProbeKernel == "" {
		return v
	}
	if err := d.bootKVM(ctx); err != nil {
		return verdict{Reason: fmt.Sprintf("QEMU does not boot a kernel with KVM here: %v", err)}
	}
	return v
}

// bootKVM boots the guest kernel without a root file system: it panics, which
// resets the machine, which ends QEMU.
func (d *Driver) bootKVM(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.cfg.Binary, "-M", "microvm", "-accel", "kvm", "-cpu", "host", "-m", "128M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", d.cfg.ProbeKernel, "-append", "quiet panic=-1")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("it did not come up within %v", bootTime)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out[:min(len(out), 500)])))
	}
	return nil
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func readVerdict(path, boot string) (verdict, bool) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 1<<16 {
		return verdict{}, false
	}
	var v verdict
	if json.Unmarshal(b, &v) != nil || v.BootID != boot || boot == "" || v.Reason == "" {
		return verdict{}, false
	}
	return v, true
}

// writeVerdict keeps a verdict. It may fail: the next process probes again.
func writeVerdict(path string, v verdict) {
	if os.MkdirAll(filepath.Dir(path), 0o755) == nil {
		remember(path, v)
	}
}

// ProbeMain is what the process of [Config.Self] does: it runs a guest of a few
// instructions on KVM, measures it, and prints the verdict on standard output.
func ProbeMain() error {
	perLoop, err := timeLoop(kvmDevice)
	v := verdict{}
	switch {
	case err != nil:
		v.Reason = err.Error()
	case perLoop > maxPerLoop:
		v.Reason = fmt.Sprintf("KVM takes %v for each loop of a guest: it is emulated here", perLoop)
	default:
		v.Usable, v.Reason = true, "a guest ran at the processor's own speed"
	}
	return json.NewEncoder(os.Stdout).Encode(v)
}
