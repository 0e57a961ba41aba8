package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace/vm/image/agent"
)

// memo remembers what the boot files were made from last, by the looks of it: to
// unpack kernel, modules and agent only to find that everything is there already
// takes longer than to continue a machine.
type memo struct {
	Stamp         string `json:"stamp"`
	Boot          Boot   `json:"boot"`
	KernelSize    int64  `json:"kernel_size"`
	InitramfsSize int64  `json:"initramfs_size"`
}

const memoFile = "boot.json"

// stamp describes what boot files are made from: empty where that is uncertain.
func stamp(k Kernel) string {
	a := agent.Stamp()
	if a == "" {
		return ""
	}
	parts := []string{fmt.Sprint(initramfsFormat), a}
	for _, path := range []string{k.Vmlinuz, k.Modules, filepath.Join(k.Modules, "modules.dep")} {
		info, err := os.Stat(path)
		if err != nil {
			if path == k.Vmlinuz {
				return ""
			}
			continue
		}
		parts = append(parts, fmt.Sprint(path, info.Size(), info.ModTime().UnixNano()))
	}
	return strings.Join(parts, "\n")
}

// initramfsFormat counts changes of how this package makes boot files.
const initramfsFormat = 1

// recall returns the boot files of before, if they were made from the same.
func recall(dir, stamp string) (Boot, bool) {
	m, ok := readMemo(dir)
	if !ok || stamp == "" || m.Stamp != stamp {
		return Boot{}, false
	}
	for path, size := range map[string]int64{m.Boot.Kernel: m.KernelSize, m.Boot.Initramfs: m.InitramfsSize} {
		if info, err := os.Stat(path); err != nil || info.Size() != size || filepath.Dir(path) != dir {
			return Boot{}, false
		}
	}
	return m.Boot, true
}

// lastBoot returns the boot files that were used last.
func lastBoot(dir string) (Boot, bool) {
	m, ok := readMemo(dir)
	return m.Boot, ok
}

func readMemo(dir string) (memo, bool) {
	b, err := readBounded(filepath.Join(dir, memoFile), 1<<20)
	if err != nil {
		return memo{}, false
	}
	var m memo
	return m, json.Unmarshal(b, &m) == nil
}

// memorise may fail: the next start is only slower.
func memorise(dir, stamp string, b Boot) {
	if stamp == "" {
		return
	}
	m := memo{Stamp: stamp, Boot: b}
	for path, size := range map[string]*int64{b.Kernel: &m.KernelSize, b.Initramfs: &m.InitramfsSize} {
		info, err := os.Stat(path)
		if err != nil {
			return
		}
		*size = info.Size()
	}
	if out, err := json.Marshal(m); err == nil {
		_, _, _ = publish(filepath.Join(dir, memoFile), writeBytes(out))
	}
}
