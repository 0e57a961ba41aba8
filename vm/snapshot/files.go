// Package snapshot keeps saved machines as files in the pool of disks: what
// sessions were hibernated to, snapshots, and templates from which sessions of
// one kind start.
//
// A saved machine is a disk, the memory, the state of processors and devices, and
// a description, which is written last: without it there is nothing. Whoever
// finds one can rely on it, whatever was killed at whatever moment.
package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nixspace/nixspace"
)

// Files are the files of one saved machine.
type Files struct {
	Disk   string
	Memory string
	State  string // of processors and devices
	// SharedMemory is a copy of Memory for machines that only read it, so that what
	// becomes of it harms no machine that is kept. It is empty where that is no use.
	SharedMemory string
	Meta         string // the description
}

// Meta describes a saved machine.
type Meta struct {
	Format int                   `json:"format"`
	Save   string                `json:"save"` // random; names this very save
	Info   nixspace.SnapshotInfo `json:"info"`
	// Key names what the memory needs to be continued; empty where there is none.
	Key        string `json:"key,omitempty"`
	DiskSize   int64  `json:"disk_size"`
	MemorySize int64  `json:"memory_size,omitempty"`
	StateSize  int64  `json:"state_size,omitempty"`
	StateSum   string `json:"state_sum,omitempty"` // SHA-256, lower-case hex
	// Services is how the machine's services stood.
	Services []nixspace.ServiceStatus `json:"services,omitempty"`
	// Boot is the boot of the host in which the files were written. In a later one
	// they count only if [Sync] was done.
	Boot string `json:"boot"`
}

const format = 1

// maxMeta bounds a description, maxState a state: the largest seen has 400 KB.
const (
	maxMeta  = 1 << 20
	maxState = 64 << 20
)

// WriteState writes the state of a machine as f gives it, and returns its digest
// for [Files.Publish].
func (f Files) WriteState(write func(io.Writer) error) (sum string, err error) {
	out, err := os.OpenFile(f.State, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	err = write(io.MultiWriter(out, h))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Publish reads again what was written, and then writes the description m, in
// which it fills in what the files say. The state must have the digest that m
// names.
func (f Files) Publish(m Meta) (Meta, error) {
	var err error
	m.Format, m.Save = format, string(nixspace.NewID())
	if m.Boot, err = bootID(); err != nil {
		return Meta{}, err
	}
	if m.DiskSize, err = size(f.Disk); err != nil {
		return Meta{}, err
	}
	if m.Info.Memory {
		if m.MemorySize, err = size(f.Memory); err != nil {
			return Meta{}, err
		}
		if m.StateSize, err = size(f.State); err != nil {
			return Meta{}, err
		}
	}
	if err := f.compare(m); err != nil {
		return Meta{}, fmt.Errorf("what was written is not what was to be: %w", err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return Meta{}, err
	}
	return m, replace(f.Meta, append(b, '\n'))
}

// Read returns the description. The error is [fs.ErrNotExist] where there is no
// saved machine.
func (f Files) Read() (Meta, error) {
	in, err := os.Open(f.Meta)
	if err != nil {
		return Meta{}, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxMeta))
	if err != nil {
		return Meta{}, err
	}
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil {
		return Meta{}, unusable("its description cannot be read: %w", err)
	}
	if m.Format != format {
		return Meta{}, unusable("its format is %d, not %d", m.Format, format)
	}
	return m, nil
}

// Check returns the description of a saved machine that can be used as it is: all
// of its files are there, and written in this boot of the host or known to last.
// It fails with code "snapshot_unusable" otherwise.
func (f Files) Check() (Meta, error) {
	m, err := f.Read()
	if err != nil {
		return Meta{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Meta{}, err
	}
	if boot != m.Boot {
		if b, err := os.ReadFile(f.lasting()); err != nil || strings.TrimSpace(string(b)) != m.Save {
			return Meta{}, unusable("the host was started again before it was safely on the disk")
		}
	}
	if err := f.compare(m); err != nil {
		return Meta{}, err
	}
	return m, nil
}

// CheckMemory is Check for one whose memory is to be continued by a machine with
// the given key.
func (f Files) CheckMemory(key string) (Meta, error) {
	m, err := f.Check()
	if err != nil {
		return Meta{}, err
	}
	if !m.Info.Memory {
		return Meta{}, unusable("it holds no memory")
	}
	if m.Key != key {
		return Meta{}, unusable("it was saved by another QEMU, on another processor, or for another machine")
	}
	return m, nil
}

// compare compares the files with their description.
func (f Files) compare(m Meta) error {
	check := func(path string, want int64) error {
		got, err := size(path)
		if err != nil {
			return unusable("%w", err)
		}
		if got != want {
			return unusable("%s has %d bytes, not %d", filepath.Base(path), got, want)
		}
		return nil
	}
	if err := check(f.Disk, m.DiskSize); err != nil || !m.Info.Memory {
		return err
	}
	if err := check(f.Memory, m.MemorySize); err != nil {
		return err
	}
	if m.StateSize > maxState {
		return unusable("its state has %d bytes", m.StateSize)
	}
	if err := check(f.State, m.StateSize); err != nil {
		return err
	}
	b, err := os.ReadFile(f.State)
	if err != nil {
		return unusable("%w", err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != m.StateSum {
		return unusable("its state is damaged")
	}
	return nil
}

// lasting is the file that says that a save survives a crash of the host.
func (f Files) lasting() string { return f.Meta + ".lasting" }

// Sync makes a saved machine last: from then on it survives a crash of the host.
func (f Files) Sync(ctx context.Context) error {
	m, err := f.Read()
	if err != nil {
		return err
	}
	paths := []string{f.Disk, f.Meta}
	if m.Info.Memory {
		paths = append(paths, f.Memory, f.State)
	}
	for _, p := range append(paths, filepath.Dir(f.Meta)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fsync(p); err != nil {
			return err
		}
	}
	if err := replace(f.lasting(), []byte(m.Save+"\n")); err != nil {
		return err
	}
	return errors.Join(fsync(f.lasting()), fsync(filepath.Dir(f.Meta)))
}

// Forget takes the description away: the files are no longer a saved machine. It
// succeeds where there was none. When it has, even a crash of the host does not
// bring the saved machine back.
func (f Files) Forget() error {
	err := os.Remove(f.Meta)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.Remove(f.lasting())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // without it, it would not count after a crash
	}
	return errors.Join(err, fsync(filepath.Dir(f.Meta)))
}

// Remove deletes memory, state and description, and leaves the disk.
func (f Files) Remove() error {
	var errs []error
	for _, p := range []string{f.Meta, f.lasting(), f.State, f.Memory, f.SharedMemory} {
		if err := os.Remove(p); p != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func unusable(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "snapshot_unusable", "the saved machine cannot be used: "+format, args...)
}

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// replace replaces a file in one step.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
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
	return err
}

// bootID names the present boot of the host.
var bootID = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
})
