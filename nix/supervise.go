package nix

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/nixspace/nixspace/nix/daemon"
)

// supervisor keeps a Nix daemon of the engine's own running.
//
// It listens on the socket itself and hands the listening socket to the daemon, as
// systemd does (Nix: LISTEN_FDS in daemon.cc). So clients can connect before the
// daemon is ready and while it is being replaced, and no stale socket of another
// daemon can be in the way. The daemon serves each connection in a process of its
// own, which ends when the connection does: at our end, in whatever way it comes.
type supervisor struct {
	e        *Engine
	listener *net.UnixListener
	file     *os.File // the listener's descriptor, for the daemon
	stderr   *os.File // of every daemon; the processes that serve connections have it too
	cancel   context.CancelFunc
	logged   chan struct{} // closed when nothing more is read of what they say
	done     chan struct{} // closed when no daemon runs and none will be started

	mu   sync.Mutex
	last []string // what it said last
	pid  int      // of the daemon that runs
	err  error    // why it was given up
}

const (
	quickEnd     = 10 * time.Second // a daemon that ends sooner is broken
	maxQuickEnds = 5
	keptLines    = 5
)

func startDaemon(e *Engine, dir string) (*supervisor, error) {
	// Whoever owned the socket is gone: the state directory, which the runtime
	// directory belongs to, has one server.
	if err := os.Remove(e.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove a stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: e.socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for the nix daemon: %w", err)
	}
	if err := os.Chmod(e.socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f, err := l.File()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, f.Close(), l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &supervisor{
		e: e, listener: l, file: f, stderr: pw, cancel: cancel,
		logged: make(chan struct{}), done: make(chan struct{}),
	}
	go s.logLines(pr)
	go s.run(ctx, filepath.Clean(dir), pr)
	return s, nil
}

// run starts daemons until ctx ends, or until they end too often.
func (s *supervisor) run(ctx context.Context, dir string, said *os.File) {
	// The signal that a daemon gets when its parent ends is really sent when the
	// thread ends that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	defer func() {
		_ = s.listener.Close()
		_ = s.file.Close()
		_ = s.stderr.Close()
		// A process that serves a connection may take a moment longer to end; what
		// it says then is of no interest.
		_ = said.SetReadDeadline(time.Now())
		<-s.logged
		_ = said.Close()
	}()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 100 * time.Millisecond
	for quick := 0; ; {
		started := time.Now()
		err := s.once(ctx, dir)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) < quickEnd {
			quick++
		} else {
			quick = 0
			wait.Reset()
		}
		if quick >= maxQuickEnds {
			s.giveUp(err)
			return
		}
		s.e.log.Warn("the nix daemon ended; starting it again", "error", err, "said", s.said())
		t := time.NewTimer(wait.NextBackOff())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (s *supervisor) giveUp(err error) {
	s.mu.Lock()
	s.err = fmt.Errorf("the nix daemon ends as soon as it starts: %w", err)
	s.mu.Unlock()
	s.e.log.Error("the nix daemon does not stay up; given up", "error", err, "said", s.said())
}

// once runs one daemon to its end.
func (s *supervisor) once(ctx context.Context, dir string) error {
	// LISTEN_PID must be the daemon's process number, which is not known here.
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh", s.e.bin, "daemon")
	cmd.Dir = dir
	cmd.Env = s.e.environ("NIX_REMOTE=local", "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{s.file}
	// A group of its own, so that a Ctrl-C is ours to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = s.stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	s.pid = cmd.Process.Pid
	s.mu.Unlock()
	s.e.log.Debug("the nix daemon started", "pid", cmd.Process.Pid)
	err := cmd.Wait()
	if err == nil {
		err = errors.New("it ended without an error")
	}
	return err
}

// logLines passes on what the daemon says.
func (s *supervisor) logLines(r io.Reader) {
	defer close(s.logged)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(daemon.Plain(lines.Text()))
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "accepted connection from") {
			s.e.log.Debug("nix daemon", "line", line)
			continue
		}
		s.e.log.Info("nix daemon", "line", line)
		s.mu.Lock()
		s.last = append(s.last, line)
		s.last = s.last[max(0, len(s.last)-keptLines):]
		s.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long
}

// said returns what the daemon said last.
func (s *supervisor) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.last, " | ")
}

// whileRunning returns a context that ends when the daemon was given up.
func (s *supervisor) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		select {
		case <-s.done:
			s.mu.Lock()
			err := s.err
			s.mu.Unlock()
			cancel(err)
		case <-stopped:
		}
	}()
	var once sync.Once
	return ctx, func() {
		once.Do(func() { close(stopped) })
		cancel(nil)
	}
}

// close ends the daemon and returns when it has ended.
func (s *supervisor) close() error {
	s.cancel()
	<-s.done
	return nil
}
