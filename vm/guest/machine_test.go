//go:build vm

package guest_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/image"
	"github.com/nixspace/nixspace/vm/qemu"
	"github.com/nixspace/nixspace/vm/volume"
	"github.com/nixspace/nixspace/vm/wire"
	"github.com/nixspace/nixspace/vm/wire/wiretest"
)

// machinePatience bounds what a machine may take, however loaded its host is.
const machinePatience = 4 * time.Minute

// hostPrograms are what the suite uses in a guest, taken from the host.
var hostPrograms = []string{
	"bash", "cat", "chmod", "env", "false", "head", "id", "ln", "ls", "mkdir", "mkfifo", "rm", "seq", "sleep", "stat", "stty",
	"test", "touch", "tr", "true", "wc",
}

// hostStore makes a store with a base system of the host's own programs, split
// into two paths so that the guest stacks two layers.
func hostStore(t *testing.T) (store, base, libs string) {
	t.Helper()
	store = t.TempDir()
	base = strings.Repeat("b", 32) + "-host-base"
	libs = strings.Repeat("c", 32) + "-host-libraries"
	for _, dir := range []string{base + "/bin", base + "/lib", libs + "/lib"} {
		if err := os.MkdirAll(filepath.Join(store, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copyFile := func(from, to string) {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(store, to), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	library := regexp.MustCompile(`(/\S+/([^/\s]+)) \(0x`)
	for _, name := range hostPrograms {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		copyFile(path, base+"/bin/"+name)
		out, err := exec.Command("ldd", path).Output()
		if err != nil {
			t.Fatalf("the libraries of %s: %v", path, err)
		}
		for _, m := range library.FindAllStringSubmatch(string(out), -1) {
			copyFile(m[1], libs+"/lib/"+m[2])
		}
	}
	for link, target := range map[string]string{
		base + "/bin/sh":                   "bash",
		base + "/lib/ld-linux-x86-64.so.2": nixspace.StoreDir + "/" + libs + "/lib/ld-linux-x86-64.so.2",
	} {
		if err := os.Symlink(target, filepath.Join(store, link)); err != nil {
			t.Fatal(err)
		}
	}
	return store, nixspace.StoreDir + "/" + base, nixspace.StoreDir + "/" + libs
}

// machines boots machines for tests.
type machines struct {
	boot       image.Boot
	layers     []vm.Drive
	base, libs string
}

func newMachines(t *testing.T) *machines {
	t.Helper()
	t.Setenv("NIXSPACE_AGENT", agentProgram(t))
	kernel, err := image.FindKernel("")
	if err != nil {
		t.Fatalf("there is no guest kernel: %v", err)
	}
	m := &machines{}
	if m.boot, err = image.PrepareBoot(t.Context(), t.TempDir(), kernel); err != nil {
		t.Fatal(err)
	}
	var store string
	store, m.base, m.libs = hostStore(t)
	layers := image.NewLayers(t.TempDir(), store)
	for i, p := range []string{m.base, m.libs} {
		img, err := layers.Ensure(t.Context(), nixspace.StoreLayer{Name: p, Paths: []string{p}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.layers = append(m.layers, vm.Drive{Serial: "layer" + string(rune('0'+i)), Path: img.Path})
	}
	return m
}

func newDisk(t *testing.T) string {
	t.Helper()
	disk, _, err := volume.At(t.TempDir()).Create(t.Context(), nixspace.NewID(), 512, nil)
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

// start boots a machine, configured, with that disk.
func (m *machines) start(t *testing.T, disk string) (vm.Instance, *wire.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), machinePatience)
	defer cancel()
	in, err := qemu.New(qemu.Config{Accel: "tcg"}).Create(context.WithoutCancel(ctx), vm.Spec{
		ID: string(nixspace.NewID()), CPUs: 1, MemoryMiB: 384, Kernel: m.boot.Kernel, Initramfs: m.boot.Initramfs,
		Layers: m.layers, Disks: []vm.Drive{{Serial: "disk", Path: disk}}, Console: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), machinePatience)
		defer cancel()
		if err := in.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := in.Transport().Reset(ctx); err != nil {
		t.Fatal(err)
	}
	c := wire.NewClient(in.Transport().Open)
	mount := wire.MountRequest{Layers: []string{"layer0", "layer1"}, Disk: "disk"}
	for range 2 { // a host that lost the answer asks again
		for _, err := range []error{
			c.Mount(ctx, mount),
			c.Identify(ctx, wire.IdentityRequest{
				Hostname: "suite", MachineID: strings.Repeat("0a", 16), Epoch: 7,
				UnixNano: time.Now().UnixNano(), Entropy: bytes.Repeat([]byte{1}, 64),
			}),
			c.Prepare(ctx, wire.PrepareRequest{Base: m.base, Environment: m.base, Env: map[string]string{
				"LD_LIBRARY_PATH": m.libs + "/lib", "QUOTED": "it's",
			}}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return in, c
}

// TestAgentInMachine runs the suite against the agent as the first process of a
// microVM.
func TestAgentInMachine(t *testing.T) {
	m := newMachines(t)
	wiretest.Run(t, func(t *testing.T) wiretest.Guest {
		in, _ := m.start(t, newDisk(t))
		return wiretest.Guest{Open: in.Transport().Open, Dir: "/workspace", Dev: true, Clock: true}
	})
}

// sh runs a script in a machine and returns what it prints.
func sh(t *testing.T, c *wire.Client, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), machinePatience)
	defer cancel()
	p, err := c.Exec(ctx, nixspace.Command{Argv: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	_ = p.Stdin().Close()
	out, err := io.ReadAll(p.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	errOut, _ := io.ReadAll(p.Stderr())
	if code, err := p.Wait(); code != 0 || err != nil {
		t.Fatalf("%s: %d, %v: %s", script, code, err, errOut)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func TestWhatProgramsFindInAMachine(t *testing.T) {
	m := newMachines(t)
	disk := newDisk(t)
	in, c := m.start(t, disk)
	for script, want := range map[string]string{
		`cat /etc/hostname /etc/machine-id /proc/sys/kernel/hostname`:               "suite\n" + strings.Repeat("0a", 16) + "\nsuite",
		`printf '#!/usr/bin/env bash\necho $BASH' >/tmp/s; chmod +x /tmp/s; /tmp/s`: m.base + "/bin/bash",
		`ls /nix/store`: filepath.Base(m.base) + "\n" + filepath.Base(m.libs),
		`(: >/nix/store/x) 2>/dev/null || echo read-only`:                                    "read-only",
		`for d in /workspace /data /home/dev; do : >$d/f && stat -c %U:%a $d; done`:          "dev:755\ndev:755\ndev:755",
		`env -i LD_LIBRARY_PATH=$LD_LIBRARY_PATH /bin/bash -lc 'echo "$QUOTED $HOME $PATH"'`: "it's /home/dev " + m.base + "/bin:" + m.base + "/bin",
		`stat -c %a /tmp /dev/shm /run /dev/null /dev/ptmx`:                                  "1777\n1777\n755\n666\n666",
		`test -e /proc/self/fd/0 && test -e /dev/fd/0 && ls /sys/class/net`:                  "lo",
		`stat -c %a / /etc /nix`:                            "755\n755\n755",
		`cat /proc/sys/net/ipv4/ip_unprivileged_port_start`: "0",
	} {
		if got := sh(t, c, script); got != want {
			t.Errorf("%s\n got %q\nwant %q", script, got, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), machinePatience)
	defer cancel()
	if err := c.Shutdown(ctx, wire.ShutdownRequest{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-in.Done():
		if err := in.Err(); err != nil {
			t.Errorf("the machine ended with %v", err)
		}
	case <-ctx.Done():
		t.Fatal("the machine does not power off")
	}
	if out, err := exec.Command("e2fsck", "-nf", disk).CombinedOutput(); err != nil {
		t.Errorf("the disk is not clean after a shutdown: %v\n%s", err, out)
	}
	_, c = m.start(t, disk)
	if got := sh(t, c, "ls /workspace /data"); got != "/data:\nf\n\n/workspace:\nf" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestADiskSurvivesPowerLoss(t *testing.T) {
	m := newMachines(t)
	disk := newDisk(t)
	in, c := m.start(t, disk)
	ctx, cancel := context.WithTimeout(t.Context(), machinePatience)
	defer cancel()
	var archive bytes.Buffer
	if err := writeTar(&archive, "kept", "content"); err != nil {
		t.Fatal(err)
	}
	put := wire.PutRequest{Dir: "/workspace", Once: "workspace"}
	if r, err := c.Put(ctx, put, bytes.NewReader(archive.Bytes())); err != nil || r.Files != 1 {
		t.Fatal(r, err)
	}
	if err := in.Stop(ctx); err != nil { // no guest is asked
		t.Fatal(err)
	}
	_, c = m.start(t, disk)
	if r, err := c.Put(ctx, put, bytes.NewReader(archive.Bytes())); err != nil || r.Files != 0 {
		t.Errorf("the archive was taken again: %+v, %v", r, err)
	}
	if got := sh(t, c, "cat /workspace/kept"); got != "content" {
		t.Errorf("%q", got)
	}
}

// writeTar writes an archive of one file.
func writeTar(w io.Writer, name, content string) error {
	a := tar.NewWriter(w)
	if err := a.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	if _, err := io.WriteString(a, content); err != nil {
		return err
	}
	return a.Close()
}
