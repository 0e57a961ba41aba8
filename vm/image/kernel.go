// Package image makes what a machine boots from and reads: the guest kernel as
// an ELF file, the initramfs with the agent, and the read-only images of store
// layers. All are content-addressed files in the state directory, made once,
// shared by every machine, and safe to be made by several processes at the same
// time.
package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// DefaultKernelDir is where scripts/kernel puts the guest kernel.
const DefaultKernelDir = "/usr/local/lib/nixspace/kernel"

// Kernel is a guest kernel on the host: a compressed image and its modules.
type Kernel struct {
	Vmlinuz string // path of the compressed kernel image
	Modules string // folder that holds the modules, at any depth
}

// FindKernel returns the guest kernel: that of dir where dir is not empty, else
// that of NIXSPACE_KERNEL, else the one that scripts/kernel fetched, else the
// newest one installed in /boot. It fails with code "kernel_missing".
func FindKernel(dir string) (Kernel, error) {
	from := "the setting"
	if dir == "" {
		dir, from = os.Getenv("NIXSPACE_KERNEL"), "NIXSPACE_KERNEL"
	}
	if dir != "" {
		k, err := kernelIn(dir)
		if err != nil {
			return Kernel{}, nixspace.Errorf(nixspace.KindUnavailable, "kernel_missing", "no guest kernel in %s, which %s names: %w", dir, from, err).
				WithHint("run scripts/kernel %s", dir)
		}
		return k, nil
	}
	if k, err := kernelIn(DefaultKernelDir); err == nil {
		return k, nil
	}
	if k, err := installedKernel("/boot", "/lib/modules"); err == nil {
		return k, nil
	}
	return Kernel{}, nixspace.Errorf(nixspace.KindUnavailable, "kernel_missing", "there is no kernel for guests in %s or /boot", DefaultKernelDir).
		WithHint("run scripts/kernel (or make setup), or name a folder with vmlinuz and modules in NIXSPACE_KERNEL")
}

func kernelIn(dir string) (Kernel, error) {
	k := Kernel{Vmlinuz: filepath.Join(dir, "vmlinuz"), Modules: filepath.Join(dir, "modules")}
	return k, k.check()
}

func (k Kernel) check() error {
	info, err := os.Stat(k.Vmlinuz)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", k.Vmlinuz)
	}
	if info, err = os.Stat(k.Modules); err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", k.Modules)
	}
	f, err := os.Open(k.Vmlinuz)
	if err != nil {
		return err
	}
	return f.Close()
}

// installedKernel returns the newest kernel of a running distribution whose
// image can be read and whose modules are there.
func installedKernel(boot, modules string) (Kernel, error) {
	images, err := filepath.Glob(filepath.Join(boot, "vmlinuz-*"))
	if err != nil {
		return Kernel{}, err
	}
	slices.SortFunc(images, compareVersions)
	for _, image := range slices.Backward(images) {
		release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		k := Kernel{Vmlinuz: image, Modules: filepath.Join(modules, release)}
		if k.check() == nil {
			return k, nil
		}
	}
	return Kernel{}, fmt.Errorf("kernel in %s: %w", boot, fs.ErrNotExist)
}

// compareVersions orders names so that runs of digits compare as numbers:
// 6.1.9 before 6.1.56.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		x, ra := leadingRun(a)
		y, rb := leadingRun(b)
		if isDigit(x[0]) && isDigit(y[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = ra, rb
	}
	return len(a) - len(b)
}

// leadingRun splits s, which is not empty, after its leading run of digits or
// of non-digits.
func leadingRun(s string) (run, rest string) {
	i := 1
	for i < len(s) && isDigit(s[i]) == isDigit(s[0]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// errNoPayload says that an image holds no kernel that we can unpack.
var errNoPayload = errors.New("no compressed kernel found in it")
