// Package vmtest has what tests of machines need: a guest with a few programs in
// it, and one suite that every driver must pass.
package vmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/image"
	"github.com/nixspace/nixspace/vm/volume"
)

// Patience bounds every wait in tests of machines. Software emulation on a busy
// host is slow; a test that waits this long has found something that hangs.
const Patience = 4 * time.Minute

// Kit is a guest for tests: a kernel, the agent of this source tree, and a store
// with one path, whose programs are those of the command toolbox.
type Kit struct {
	Store string              // where the store lies on the host
	Base  string              // store path of the base system
	Layer nixspace.StoreLayer // its layer
	Agent string              // the agent's program
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// New builds what the kit needs, or skips the test, loudly, where there is no
// guest kernel or QEMU. It sets NIXSPACE_AGENT for the test.
func New(t testing.TB) *Kit {
	t.Helper()
	if _, err := image.FindKernel(""); err != nil {
		t.Skipf("no machine can be tested here: %v", err)
	}
	built.once.Do(func() {
		built.dir, built.err = os.MkdirTemp("", "nixspace-vmtest-")
		for _, p := range []string{"cmd/nixspace-agent", "vm/vmtest/toolbox"} {
			if built.err != nil {
				return
			}
			cmd := exec.Command("go", "build", "-o", filepath.Join(built.dir, filepath.Base(p)), "github.com/nixspace/nixspace/"+p)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			var out []byte
			if out, built.err = cmd.CombinedOutput(); built.err != nil {
				built.err = fmt.Errorf("%w: %s", built.err, out)
			}
		}
	})
	if built.err != nil {
		t.Fatalf("build the guest's programs: %v", built.err)
	}
	base := strings.Repeat("b", 32) + "-vmtest-base"
	k := &Kit{
		Store: t.TempDir(), Base: nixspace.StoreDir + "/" + base,
		Agent: filepath.Join(built.dir, "nixspace-agent"),
	}
	k.Layer = nixspace.StoreLayer{Name: "base", Paths: []string{k.Base}}
	bin := filepath.Join(k.Store, base, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(built.dir, "toolbox"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "toolbox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "env", "echo", "cat", "write", "fill", "allocate", "processors", "interfaces", "clock", "sleep", "exit", "ids", "serve", "fetch", "flood", "bomb"} {
		if err := os.Symlink("toolbox", filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NIXSPACE_AGENT", k.Agent)
	return k
}

// Clean removes what [New] has built; call it at the end of a TestMain.
func Clean() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}

// Spec returns a machine with the kit's layer and a new disk.
func (k *Kit) Spec(ctx context.Context, t testing.TB) vm.Spec {
	t.Helper()
	kernel, err := image.FindKernel("")
	if err != nil {
		t.Fatal(err)
	}
	boot, err := image.PrepareBoot(ctx, cacheDir(t), kernel)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := image.NewLayers(t.TempDir(), k.Store).Ensure(ctx, k.Layer, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := nixspace.NewID()
	disk, _, err := volume.At(t.TempDir()).Create(ctx, id, 128, nil)
	if err != nil {
		t.Fatal(err)
	}
	return vm.Spec{
		ID: string(id), CPUs: 1, MemoryMiB: 256, Kernel: boot.Kernel, Initramfs: boot.Initramfs,
		Layers: []vm.Drive{{Serial: "layer0", Path: layer.Path}},
		Disks:  []vm.Drive{{Serial: "disk", Path: disk}},
	}
}

// cacheDir keeps boot files for all tests of a process: unpacking a kernel takes a
// second.
func cacheDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(built.dir, "boot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
