package image

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/image/agent"
)

// Boot is what a machine starts from.
type Boot struct {
	Kernel    string // path of the ELF kernel
	Initramfs string // path of the first root file system
}

// PrepareBoot makes the ELF kernel and the initramfs in the folder dir, or finds
// them there. Both are named by the digests of what they are made from.
func PrepareBoot(ctx context.Context, dir string, k Kernel) (Boot, error) {
	from := stamp(k)
	if b, ok := recall(dir, from); ok {
		return b, nil
	}
	bin, err := agent.Binary()
	if err != nil {
		return Boot{}, err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return Boot{}, err
	}
	defer unlock()
	kernel, err := prepareVmlinux(dir, k)
	if err != nil {
		return Boot{}, err
	}
	initramfs, err := prepareInitramfs(dir, k, bin)
	if err != nil {
		return Boot{}, err
	}
	b := Boot{Kernel: kernel, Initramfs: initramfs}
	// Where nothing can be remembered, their age says that they are of use.
	now := time.Now()
	if err := errors.Join(os.Chtimes(kernel, now, now), os.Chtimes(initramfs, now, now)); err != nil {
		return Boot{}, err
	}
	memorise(dir, from, b)
	return b, nil
}

func prepareVmlinux(dir string, k Kernel) (string, error) {
	compressed, err := readBounded(k.Vmlinuz, maxVmlinuz)
	if err != nil {
		return "", fmt.Errorf("read the guest kernel: %w", err)
	}
	sum := sha256.Sum256(compressed)
	base := "vmlinux-" + hex.EncodeToString(sum[:])
	path := filepath.Join(dir, base)
	if complete(path) {
		return path, nil
	}
	sweep(dir, base)
	vmlinux, err := extractVmlinux(compressed)
	if err != nil {
		return "", nixspace.Errorf(nixspace.KindUnavailable, "kernel_unusable", "the guest kernel %s cannot be used: %w", k.Vmlinuz, err).
			WithHint("run scripts/kernel to fetch one that works")
	}
	if _, _, err := publish(path, writeBytes(vmlinux)); err != nil {
		return "", fmt.Errorf("store the guest kernel: %w", err)
	}
	return path, nil
}

// complete reports whether path is an ELF file that ends where its segments say.
func complete(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Off+p.Filesz > uint64(info.Size()) {
			return false
		}
	}
	return true
}

// initramfsDirs are the folders of the first root file system; the agent makes
// what else it needs.
var initramfsDirs = []struct {
	name string
	perm int
}{
	{"dev", 0o755},
	{"proc", 0o555},
	{"sys", 0o555},
	{"run", 0o755},
	{"tmp", 0o1777},
	{"etc", 0o755},
	{"bin", 0o755},
	{"usr", 0o755},
	{"usr/bin", 0o755},
	{"lib64", 0o755},
	{"home", 0o755},
	{"root", 0o700},
	{"var", 0o755},
	{"nix", 0o755},
	{"nix/store", 0o755},
	{"modules", 0o755},
}

// initramfs returns the first root file system: the agent as /init, modules in
// /modules and, in /modules/order, their file names in the order in which they
// are to be loaded, one per line.
func initramfs(bin []byte, modules []module) []byte {
	var w cpioWriter
	for _, d := range initramfsDirs {
		w.dir(d.name, d.perm)
	}
	w.char("dev/console", 0o600, 5, 1)
	w.char("dev/null", 0o666, 1, 3)
	var order []byte
	for _, m := range modules {
		w.file("modules/"+m.name+".ko", 0o444, m.data)
		order = append(order, m.name+".ko\n"...)
	}
	w.file("modules/order", 0o444, order)
	w.file("init", 0o555, bin)
	return w.bytes()
}

func prepareInitramfs(dir string, k Kernel, bin []byte) (string, error) {
	modules, err := loadModules(k.Modules, guestModules)
	if err != nil {
		return "", nixspace.Errorf(nixspace.KindUnavailable, "kernel_unusable", "the modules of the guest kernel cannot be used: %w", err).
			WithHint("run scripts/kernel to fetch a kernel that works")
	}
	b := initramfs(bin, modules)
	sum := sha256.Sum256(b)
	base := "initramfs-" + hex.EncodeToString(sum[:])
	path := filepath.Join(dir, base)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(b)) {
		return path, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	sweep(dir, base)
	if _, _, err := publish(path, writeBytes(b)); err != nil {
		return "", fmt.Errorf("store the initramfs: %w", err)
	}
	return path, nil
}

func writeBytes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
