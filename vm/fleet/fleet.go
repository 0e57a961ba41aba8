// Package fleet decides where runners go. There is one kind so far: [Local], which
// starts them as processes on this host.
package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/snapshot"
	"github.com/nixspace/nixspace/vm/volume"
)

// Config is how a [Local] runs machines. StateDir is required.
type Config struct {
	StateDir string // absolute; holds sessions/, layers/, boot/ and volumes/
	// RunDir is the folder for sockets, whose paths must be short. When empty it
	// is chosen from StateDir; see [DefaultRunDir].
	RunDir string
	Log    *slog.Logger // slog.Default() when nil
	// Runner is the command that runs a session, without the session's folder,
	// which is added. When empty it is this program with the argument "runner",
	// which must then call [runner.Main].
	Runner []string
	Store  string // where the Nix store lies on this host; /nix/store when empty
	Kernel string // folder of the guest kernel; empty to look for one
	QEMU   string // the program; empty to look in PATH
	Accel  string // "auto" (also when empty), "kvm" or "tcg"
	// DiskPool is the size, in MiB, of the file system for session disks that is
	// made where the state directory cannot share blocks between files; most of
	// the free space when 0. PlainDisks forbids to make one.
	DiskPool   int64
	PlainDisks bool
	// PrivateNetworks lets machines reach private networks, where the policy of
	// their environment does.
	PrivateNetworks bool
	// Abandoned is how long a session runs on without a server: 10 minutes when 0.
	Abandoned time.Duration
}

// Local runs machines on this host, each by a process of its own that outlives
// this one. It implements [nixspace.Machines]. There must be one per state
// directory at a time.
type Local struct {
	cfg  Config
	log  *slog.Logger
	pool *volume.Pool
	news *board
	// saved keeps hibernated sessions, snapshots and templates in the pool.
	saved *snapshot.Store

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	followers map[nixspace.ID]*follower
	starting  map[nixspace.ID]bool // between the checks and the follower
}

var _ nixspace.Machines = (*Local)(nil)

// DefaultRunDir returns a short path for the sockets of a state directory: below
// /run for root, else below XDG_RUNTIME_DIR or the temporary directory.
func DefaultRunDir(stateDir string) string {
	sum := sha256.Sum256([]byte(stateDir))
	name := "nixspace-" + hex.EncodeToString(sum[:4])
	switch {
	case os.Geteuid() == 0:
		return filepath.Join("/run", name)
	case os.Getenv("XDG_RUNTIME_DIR") != "":
		return filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), name)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", name, os.Getuid()))
}

// NewLocal prepares the folders and the pool of disks, finds the sessions that
// run already, and records as failed those whose runner is gone.
func NewLocal(cfg Config) (*Local, error) {
	if !filepath.IsAbs(cfg.StateDir) {
		return nil, fmt.Errorf("%q is no absolute path of a state directory", cfg.StateDir)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.RunDir == "" {
		cfg.RunDir = DefaultRunDir(cfg.StateDir)
	}
	if len(cfg.Runner) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		cfg.Runner = []string{self, "runner"}
	}
	if err := privateDir(cfg.RunDir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Local{
		cfg: cfg, log: cfg.Log, news: newBoard(), ctx: ctx, cancel: cancel,
		followers: make(map[nixspace.ID]*follower), starting: make(map[nixspace.ID]bool),
	}
	// Machines read layers and boot files without privileges, by open files; the
	// folders need not be open to anybody.
	for _, dir := range []string{l.cfg.StateDir, l.sessionsDir(), l.dir("layers"), l.dir("boot")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			cancel()
			return nil, err
		}
	}
	if err := os.Chmod(l.sessionsDir(), 0o700); err != nil {
		cancel()
		return nil, err
	}
	var err error
	l.pool, err = volume.Open(ctx, l.dir("volumes"), volume.Options{Size: cfg.DiskPool, Plain: cfg.PlainDisks, Log: l.log})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("prepare the disks of sessions: %w", err)
	}
	l.saved = snapshot.In(l.pool)
	l.saved.Sweep()
	if err := errors.Join(l.adopt(), l.endPrewarms()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// privateDir makes a folder that only this user may enter. In a world-writable
// place somebody else may have made it first.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("%s belongs to somebody else: %w", dir, err)
	}
	return nil
}

func (l *Local) dir(name string) string { return filepath.Join(l.cfg.StateDir, name) }

func (l *Local) sessionsDir() string { return l.dir("sessions") }

func (l *Local) sessionDir(id nixspace.ID) string { return filepath.Join(l.sessionsDir(), string(id)) }

// socket returns the path of a session's socket.
func (l *Local) socket(id nixspace.ID) string {
	return filepath.Join(l.cfg.RunDir, string(id)[:13]+".sock")
}

// Close stops watching. Machines go on; when none runs, the pool of disks is
// unmounted and the folder of sockets removed.
func (l *Local) Close() error {
	l.cancel()
	l.wg.Wait()
	l.news.close()
	_ = os.Remove(l.cfg.RunDir) // it stays while there are sockets in it
	return l.pool.Close()
}

// adopt looks at every session's folder.
func (l *Local) adopt() error {
	ids, err := l.folders()
	if err != nil {
		return err
	}
	for _, id := range ids {
		state, err := runner.ReadState(l.sessionDir(id))
		if err != nil {
			continue // it never started; Remove deletes it
		}
		lock, err := runner.TryLock(l.sessionDir(id))
		switch {
		case errors.Is(err, runner.ErrLocked):
			l.log.Info("session runs already", "session", id)
			l.follow(id, state.Socket, nil)
		case err != nil:
			return fmt.Errorf("look at session %s: %w", id, err)
		default:
			l.bury(id, lock)
		}
	}
	return nil
}

// folders returns the sessions that have a folder.
func (l *Local) folders() ([]nixspace.ID, error) {
	entries, err := os.ReadDir(l.sessionsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []nixspace.ID
	for _, e := range entries {
		if id := nixspace.ID(e.Name()); id.Valid() && e.IsDir() {
			out = append(out, id)
		}
	}
	return out, nil
}

// Sessions lists every session that has a folder or a disk on this host.
func (l *Local) Sessions(ctx context.Context) ([]nixspace.ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ids, err := l.folders()
	if err != nil {
		return nil, err
	}
	disks, err := l.pool.List()
	if err != nil {
		return nil, err
	}
	ids = append(ids, disks...)
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), l.prewarms), nil
}

// Watch implements [nixspace.Machines]. A slow receiver misses intermediate
// states and never the last one.
func (l *Local) Watch(ctx context.Context) <-chan nixspace.MachineStatus { return l.news.watch(ctx) }
