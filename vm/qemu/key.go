package qemu

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace/vm"
)

// keyFormat counts changes of how machines are saved.
const keyFormat = 1

var _ vm.Keyer = (*Driver)(nil)

// Key implements [vm.Keyer]: QEMU itself, the accelerator, the host's processor,
// and everything of the command line that makes the machine. The kernel is no part
// of it, it lies in the saved memory.
func (d *Driver) Key(ctx context.Context, spec vm.Spec) (string, error) {
	if err := check(spec); err != nil {
		return "", err
	}
	p, err := d.probe(ctx)
	if err != nil {
		return "", err
	}
	program, err := d.digest(p.binary)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "nixspace qemu %d\n%s\n%s\n%s\n", keyFormat, program, p.caps.Accel, processorName())
	neutral := spec
	neutral.ID, neutral.Append, neutral.State, neutral.Memory = "machine", "", "", vm.Memory{}
	fd := fds{drives: make([]int, len(spec.Layers)+len(spec.Disks))}
	for _, arg := range arguments(neutral, p.caps.Accel, clock{}, fd) {
		fmt.Fprintf(h, "%d %s\n", len(arg), arg)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digest returns the SHA-256 of a program. It is remembered in the cache as long
// as the file looks the same, since to read it takes as long as to start it.
func (d *Driver) digest(binary string) (string, error) {
	info, err := os.Stat(binary)
	if err != nil {
		return "", err
	}
	type known struct {
		Path   string `json:"path"`
		Size   int64  `json:"size"`
		Time   int64  `json:"time"`
		Digest string `json:"digest"`
	}
	now := known{Path: binary, Size: info.Size(), Time: info.ModTime().UnixNano()}
	cache := filepath.Join(d.cfg.Cache, "qemu.json")
	if b, err := os.ReadFile(cache); d.cfg.Cache != "" && err == nil {
		var before known
		if json.Unmarshal(b, &before) == nil && before.Digest != "" {
			now.Digest = before.Digest
			if now == before {
				return now.Digest, nil
			}
		}
	}
	f, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", binary, err)
	}
	now.Digest = hex.EncodeToString(h.Sum(nil))
	if d.cfg.Cache != "" {
		remember(cache, now) // the next time is only slower without
	}
	return now.Digest, nil
}

// remember replaces a file of the cache.
func remember(path string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}

// processorName returns what the host's processor calls itself: a guest has seen
// its features and the speed of its clock.
func processorName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return ""
}
