package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/filelock"
)

// The files of a session's folder.
const (
	SpecFile    = "spec.json"   // [Spec]: what to run; written before the runner starts
	StateFile   = "status.json" // [State]: how it stands; written by the runner alone while it holds the lock
	LockFile    = "lock"        // held (flock) by the session's one runner
	LogFile     = "runner.log"  // what the runner logs
	ConsoleFile = "console.log" // what the guest's kernel and agent print; the part before is in console.log.1
)

// Spec is what a runner is asked to run.
type Spec struct {
	Machine nixspace.MachineSpec `json:"machine"`
	Host    Host                 `json:"host"`
	// Prewarm asks for the template that such a machine starts from, and for no
	// session: the runner ends when there is one.
	Prewarm bool `json:"prewarm,omitempty"`
}

// Host says where things are on this host.
type Host struct {
	Layers  string   `json:"layers"`           // folder of store layer images
	Boot    string   `json:"boot"`             // folder of kernels and initramfs
	Volumes string   `json:"volumes"`          // the prepared pool of disks
	Socket  string   `json:"socket"`           // path of the socket that the runner serves; under 104 bytes
	Store   string   `json:"store,omitempty"`  // where the Nix store lies; /nix/store when empty
	Kernel  string   `json:"kernel,omitempty"` // folder of the guest kernel; empty to look for one
	QEMU    string   `json:"qemu,omitempty"`   // the program; empty to look in PATH
	Accel   string   `json:"accel,omitempty"`  // "auto", "kvm" or "tcg"
	Runner  []string `json:"runner"`           // the command that starts a runner, without the folder
	// PrivateNetworks lets machines reach private networks, where their policy does.
	PrivateNetworks bool `json:"private_networks,omitempty"`
	// Abandoned is how long a session runs on without a server: 10 minutes when 0.
	Abandoned time.Duration `json:"abandoned,omitempty"`
}

// State is what is known about a runner and what belongs to it, for whoever
// must find or clean up what a crash left.
type State struct {
	Machine nixspace.MachineStatus `json:"machine"`
	Socket  string                 `json:"socket"`
	Runner  Process                `json:"runner"`
	VMM     Process                `json:"vmm"`              // zero before the machine's process runs
	Cgroup  string                 `json:"cgroup,omitempty"` // name of the machine's control group
}

// WriteSpec writes the spec into a session's folder, which it makes.
func WriteSpec(dir string, s Spec) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, SpecFile), s)
}

// ReadSpec reads the spec in a session's folder.
func ReadSpec(dir string) (Spec, error) {
	var s Spec
	if err := readJSON(filepath.Join(dir, SpecFile), &s); err != nil {
		return Spec{}, fmt.Errorf("read the session's spec: %w", err)
	}
	if !s.Machine.SessionID.Valid() {
		return Spec{}, fmt.Errorf("read the session's spec: %q is no session", s.Machine.SessionID)
	}
	return s, nil
}

// WriteState writes the state into a session's folder. Its caller holds the
// session's lock.
func WriteState(dir string, s State) error { return writeJSON(filepath.Join(dir, StateFile), s) }

// ReadState reads the state in a session's folder. The error is
// [fs.ErrNotExist] where no runner ever started.
func ReadState(dir string) (State, error) {
	var s State
	if err := readJSON(filepath.Join(dir, StateFile), &s); err != nil {
		return State{}, fmt.Errorf("read the session's state: %w", err)
	}
	return s, nil
}

// maxJSON bounds what is read. A spec names every store path of a closure.
const maxJSON = 64 << 20

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJSON))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// writeJSON replaces a file in one step, so that readers and a crash see the old
// or the new one.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Lock is the right to run a session, held by one process at a time.
type Lock struct{ l *filelock.Lock }

// ErrLocked says that a session's runner lives.
var ErrLocked = errors.New("the session has a runner")

// TryLock takes the lock of a session's folder, or returns [ErrLocked]. It
// fails with [fs.ErrNotExist] where the folder is missing.
func TryLock(dir string) (*Lock, error) {
	l, err := filelock.Try(filepath.Join(dir, LockFile))
	if errors.Is(err, filelock.ErrLocked) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return &Lock{l}, nil
}

// WaitLock takes the lock as soon as it is free, however long that takes: call it
// after the runner was told to end. When ctx ends first it gives up with
// [ErrLocked].
func WaitLock(ctx context.Context, dir string) (*Lock, error) {
	l, err := filelock.Wait(ctx, filepath.Join(dir, LockFile))
	if err != nil && ctx.Err() != nil {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return &Lock{l}, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() { _ = l.l.Unlock() }
