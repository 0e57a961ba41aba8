package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/cgroup"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/vm/image"
	"github.com/nixspace/nixspace/vm/image/agent"
	"github.com/nixspace/nixspace/vm/qemu"
	"github.com/nixspace/nixspace/vm/runner"
)

// checkNix opens an engine of its own, which builds something in a sandbox.
func checkNix(ctx context.Context, _ Config) (_ Finding, err error) {
	dir, err := os.MkdirTemp("", "nxd-")
	if err != nil {
		return Finding{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e, err := nix.Open(ctx, nix.Config{StateDir: dir, RuntimeDir: filepath.Join(dir, "run")})
	if err != nil {
		return Finding{}, err
	}
	daemon := "through its daemon"
	if e.OwnDaemon() {
		daemon = "with a daemon of our own"
	}
	if err := e.Close(); err != nil {
		return Finding{}, fmt.Errorf("stop the nix daemon: %w", err)
	}
	return ok(fmt.Sprintf("Nix %s, %s; builds are sandboxed", e.Version(), daemon)), nil
}

// checkFlakes makes a box, as for a flake of a user, and runs Nix in it.
func checkFlakes(ctx context.Context, _ Config) (Finding, error) {
	bin, err := nix.Find("")
	if err != nil {
		return Finding{}, err
	}
	if err := evalbox.New(evalbox.Config{Nix: bin}).Probe(ctx); err != nil {
		if nixspace.ErrorCode(err) != evalbox.CodeUnavailable {
			return Finding{}, err
		}
		f := failure(err)
		return warn(f.Detail, "environments of nixspace.toml work; for flakes of users, "+f.Hint), nil
	}
	return ok("flakes of users can be evaluated in a sandbox"), nil
}

func checkQEMU(ctx context.Context, cfg Config) (Finding, error) {
	self, err := os.Executable()
	if err != nil {
		return Finding{}, fmt.Errorf("find this program: %w", err)
	}
	caps, err := qemu.New(qemu.Config{Accel: cfg.Accel, Self: []string{self, "runner", runner.ProbeKVM}}).Probe(ctx)
	if err != nil {
		return Finding{}, err
	}
	detail := fmt.Sprintf("%s: %s", caps.Isolation, caps.Reason)
	if caps.Accel != "kvm" && cfg.Accel != "tcg" {
		return warn(detail, "sessions run, several times slower than with KVM; on a virtual machine, enable nested virtualisation"), nil
	}
	return ok(detail), nil
}

func checkKernel(context.Context, Config) (Finding, error) {
	k, err := image.FindKernel("")
	if err != nil {
		return Finding{}, err
	}
	b, err := agent.Binary()
	if err != nil {
		return Finding{}, err
	}
	return ok(fmt.Sprintf("%s; agent of %.1f MB", k.Vmlinuz, float64(len(b))/1e6)), nil
}

// tools are programs that are run for images and disks, with the package that
// has them, the same in Debian and Fedora.
var tools = []struct{ program, pkg string }{{"mkfs.ext4", "e2fsprogs"}, {"mkfs.xfs", "xfsprogs"}, {"xz", "xz-utils (Fedora: xz)"}}

func checkTools(context.Context, Config) (Finding, error) {
	var found []string
	for _, tool := range tools {
		path, err := exec.LookPath(tool.program)
		switch {
		case err == nil:
			found = append(found, path)
		case tool.program == "mkfs.xfs":
			return warn("mkfs.xfs is not installed", "sessions work without, their disks are then slower to copy; it is in the package "+tool.pkg), nil
		default:
			return Finding{}, nixspace.Errorf(nixspace.KindUnavailable, "tool_missing", "%s is not installed", tool.program).
				WithHint("install the package %s", tool.pkg)
		}
	}
	return ok(strings.Join(found, ", ")), nil
}

// checkCgroups makes a group with limits, and removes it.
func checkCgroups(ctx context.Context, _ Config) (Finding, error) {
	g, err := cgroup.Create(fmt.Sprintf("doctor-%d", os.Getpid()), cgroup.Limits{CPUs: 1, Memory: 64 << 20, PIDs: 16})
	if errors.Is(err, cgroup.ErrUnavailable) {
		return warn(err.Error(), "sessions run, and only QEMU itself limits what they use; as root on a machine with the controllers cpu, memory and pids they are limited by the kernel"), nil
	}
	if err != nil {
		return Finding{}, err
	}
	if err := g.Remove(ctx); err != nil {
		return Finding{}, err
	}
	version := "version 1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		version = "version 2"
	}
	return ok(version + ", with limits for processors, memory and processes"), nil
}
