// Package nix is where environments come from: it writes derivations, has them
// built, reads closures out of the store and keeps what is in use from the garbage
// collector.
//
// It works with any Nix from 2.8 on, through a Nix daemon: the machine's own where
// one runs, else one that it starts. Nix as a program is run only to evaluate Nix
// expressions.
package nix

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// defaultSocket is where Nix's daemon listens when nobody says otherwise.
const defaultSocket = "/nix/var/nix/daemon-socket/socket"

// maxSocket is how long the path of a unix socket may be.
const maxSocket = 103

// Config says how the engine works. Only StateDir is required.
type Config struct {
	// StateDir is a directory of the engine's own: what Nix needs at home, and the
	// links that keep store paths from the garbage collector. It must stay where
	// it is. It is made when missing.
	StateDir string
	// RuntimeDir is for the daemon's socket, so its path must be short. When it is
	// empty, a directory below $XDG_RUNTIME_DIR or /run is used. Only this user
	// may enter it.
	RuntimeDir string
	// NixBin is the program nix; empty for the one that [Find] finds.
	NixBin string
	// Socket is a daemon to use. When it is empty, that of
	// $NIX_DAEMON_SOCKET_PATH or of the default socket is used if there is one;
	// otherwise the engine starts its own.
	Socket string
	// OwnDaemon starts a daemon even if another one runs.
	OwnDaemon bool
	// Substituters are the caches to fetch from, and TrustedKeys the keys that sign
	// what they have. With none, everything is built here.
	Substituters []string
	TrustedKeys  []string
	// Settings are further settings of Nix; they win over the engine's.
	Settings map[string]string
	// MaxJobs is how many builds run at the same time; the number of processors
	// when 0. Cores is how many of them each build may use; all when 0.
	MaxJobs, Cores int
	Log            *slog.Logger
}

// Engine is a Nix that is ready for use. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	dir     string // <StateDir>/nix
	bin     string // the program nix
	version string // of the program
	info    daemon.Info
	socket  string
	client  *daemon.Client
	own     *supervisor // nil where the daemon is somebody else's
	drvs    *derivations
	paths   *pathCache
	rootsMu sync.Mutex

	closeOnce sync.Once
	closeErr  error
}

// Open finds Nix, connects to a daemon or starts one, and checks that it builds in
// a sandbox. It fails with code "nix_missing", "nix_too_old", "nix_daemon" or
// "nix_unsandboxed". The caller closes the engine.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, log: cfg.Log, drvs: newDerivations(), paths: newPathCache()}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if e.dir, err = filepath.Abs(filepath.Join(cfg.StateDir, "nix")); err != nil {
		return nil, err
	}
	if err := e.prepare(); err != nil {
		return nil, fmt.Errorf("prepare the directory of the Nix engine: %w", err)
	}
	if e.bin, err = Find(cfg.NixBin); err != nil {
		return nil, err
	}
	if err := e.detect(ctx); err != nil {
		return nil, err
	}
	if err := e.connect(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := e.Preflight(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.log.Info("nix is ready", "version", e.info.Version, "socket", e.socket, "own_daemon", e.own != nil)
	return e, nil
}

// prepare makes what the engine keeps on disk.
func (e *Engine) prepare() error {
	for _, d := range []string{"home", "conf", "roots"} {
		if err := os.MkdirAll(filepath.Join(e.dir, d), 0o755); err != nil {
			return err
		}
	}
	return writeFile(e.registryFile(), []byte(`{"flakes":[],"version":2}`+"\n"))
}

// writeFile replaces a file as a whole.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (e *Engine) connect(ctx context.Context) error {
	if err := e.chooseDaemon(ctx); err != nil {
		return err
	}
	e.client = e.newClient()
	ctx, cancel := context.WithTimeoutCause(ctx, 60*time.Second, errors.New("it does not answer"))
	defer cancel()
	if e.own != nil {
		// A daemon that ends at once says why; do not wait for its answer.
		var stop context.CancelFunc
		ctx, stop = e.own.whileRunning(ctx)
		defer stop()
	}
	info, err := e.client.Info(ctx)
	if err != nil {
		return e.explain(err)
	}
	e.info = info
	if info.Trust == daemon.NotTrusted {
		e.log.Warn("the nix daemon does not trust this user, so its own settings count", "socket", e.socket)
	}
	return nil
}

func (e *Engine) newClient() *daemon.Client {
	settings := map[string]string{"sandbox": "true", "sandbox-fallback": "false"}
	if len(e.cfg.Substituters) > 0 {
		settings["substituters"] = e.settings()["substituters"]
	}
	return daemon.NewClient(daemon.Config{Socket: e.socket, Options: daemon.Options{
		MaxJobs: e.maxJobs(), Cores: e.cfg.Cores, Substitute: len(e.cfg.Substituters) > 0, Settings: settings,
	}})
}

// chooseDaemon finds a daemon, or starts one.
func (e *Engine) chooseDaemon(ctx context.Context) error {
	if !e.cfg.OwnDaemon {
		for _, s := range []string{e.cfg.Socket, os.Getenv("NIX_DAEMON_SOCKET_PATH"), defaultSocket} {
			if s == "" {
				continue
			}
			c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", s)
			if err == nil {
				_ = c.Close()
				e.socket = s
				return nil
			}
			if s == e.cfg.Socket {
				return nixspace.Errorf(nixspace.KindUnavailable, "nix_daemon", "no nix daemon answers at %s: %w", s, err).
					WithHint("start it, or let NixSpace run its own")
			}
		}
	}
	if err := writable(); err != nil {
		return err
	}
	dir, err := e.runtimeDir()
	if err != nil {
		return err
	}
	e.socket = filepath.Join(dir, "nix.sock")
	if len(e.socket) > maxSocket {
		return fmt.Errorf("the path of the socket %s is longer than %d bytes", e.socket, maxSocket)
	}
	e.own, err = startDaemon(e, dir)
	return err
}

// writable reports whether this user may run a daemon of its own.
func writable() error {
	if os.Geteuid() == 0 {
		return nil
	}
	probe, err := os.CreateTemp("/nix/var/nix", ".nixspace-*")
	if err != nil {
		return nixspace.Errorf(nixspace.KindUnavailable, "nix_daemon",
			"no nix daemon runs, and this user may not write to the Nix store: %w", err).
			WithHint("start the machine's daemon (systemctl start nix-daemon), or run NixSpace as root")
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (e *Engine) runtimeDir() (string, error) {
	dir := e.cfg.RuntimeDir
	if dir == "" {
		base := os.Getenv("XDG_RUNTIME_DIR")
		if base == "" {
			base = "/run"
		}
		sum := sha256.Sum256([]byte(e.dir))
		dir = filepath.Join(base, "nixspace-"+hex.EncodeToString(sum[:5]))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the runtime directory: %w", err)
	}
	return dir, nil
}

// Close ends the engine's daemon, if it started one, and with it the builds that
// still run.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		if e.client != nil {
			e.closeErr = e.client.Close()
		}
		if e.own != nil {
			e.closeErr = errors.Join(e.closeErr, e.own.close())
		}
	})
	return e.closeErr
}

// Store is the client of the engine's daemon.
func (e *Engine) Store() *daemon.Client { return e.client }

// Version returns the version of the daemon's Nix, for people.
func (e *Engine) Version() string { return e.info.Version }

// Socket returns the path of the socket of the engine's daemon.
func (e *Engine) Socket() string { return e.socket }

// OwnDaemon reports whether the engine runs a daemon of its own.
func (e *Engine) OwnDaemon() bool { return e.own != nil }

// explain turns a failure to reach the daemon into one that says what to do.
func (e *Engine) explain(err error) error {
	var p *daemon.ProtocolError
	if !errors.As(err, &p) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	out := nixspace.Errorf(nixspace.KindUnavailable, "nix_daemon", "the nix daemon at %s does not work: %w", e.socket, p.Err)
	if e.own != nil {
		if said := e.own.said(); said != "" {
			return out.WithHint("it said: %s", said)
		}
		return out.WithHint("see the server's log for what it says")
	}
	return out.WithHint("see whether it runs and whether it is Nix 2.8 or newer")
}

// Program returns the path of the program nix.
func (e *Engine) Program() string { return e.bin }
