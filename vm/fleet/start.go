package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
)

// Start implements [nixspace.Machines]. It fails with code "session_runs" where
// the session has a machine, and otherwise with the code of what went wrong.
func (l *Local) Start(ctx context.Context, spec nixspace.MachineSpec, progress nixspace.ProgressFunc) (nixspace.Machine, error) {
	id := spec.SessionID
	if !id.Valid() {
		return nil, fmt.Errorf("start session: %q is no session", id)
	}
	f, err := l.launch(ctx, spec, progress)
	if err != nil {
		return nil, err
	}
	m := &machine{id: id, fleet: l, client: f.client}
	select {
	case <-f.first:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), l.abort(id))
	}
	status, err := m.Status(ctx)
	if err != nil {
		return nil, errors.Join(err, l.abort(id))
	}
	if status.Status == nixspace.SessionRunning {
		return m, nil
	}
	// It has failed or was stopped; nothing of it is left once its runner is gone.
	select {
	case <-f.ended:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), l.abort(id))
	}
	if status, err = m.Status(ctx); err != nil {
		return nil, err
	}
	return nil, startError(status)
}

// startError is the error of a start that ended in a state other than running.
func startError(s nixspace.MachineStatus) error {
	if s.Status == nixspace.SessionStopped {
		return nixspace.Errorf(nixspace.KindCanceled, "session_stopped", "the session was stopped while it started")
	}
	code := s.ReasonCode
	if code == "" {
		code = "session_failed"
	}
	kind := nixspace.KindUnavailable
	if code == "disk_full" {
		kind = nixspace.KindLimit
	}
	return nixspace.Errorf(kind, code, "the session did not start: %s", s.Reason)
}

// abort ends a start that nobody waits for any more. What a session was to be
// continued from is kept, for another try.
func (l *Local) abort(id nixspace.ID) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return l.end(ctx, id, true)
}

// launch starts the runner's process and returns once it serves its socket.
func (l *Local) launch(ctx context.Context, spec nixspace.MachineSpec, progress nixspace.ProgressFunc) (*follower, error) {
	id, dir := spec.SessionID, l.sessionDir(spec.SessionID)
	if err := l.settle(ctx, id); err != nil {
		return nil, err
	}
	l.mu.Lock()
	if l.starting[id] || l.followers[id] != nil {
		l.mu.Unlock()
		return nil, errRuns()
	}
	l.starting[id] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.starting, id)
		l.mu.Unlock()
	}()

	socket := l.socket(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := runner.TryLock(dir)
	if errors.Is(err, runner.ErrLocked) {
		return nil, errRuns()
	}
	if err != nil {
		return nil, err
	}
	_, err = l.clean(ctx, id, "runner_died", "its runner process was killed or crashed")
	if err == nil {
		err = runner.WriteSpec(dir, runner.Spec{Machine: spec, Host: l.host(socket)})
	}
	lock.Unlock()
	if err != nil {
		return nil, fmt.Errorf("start session %s: %w", id, err)
	}
	if err := l.spawn(ctx, dir); err != nil {
		return nil, err
	}
	return l.follow(id, socket, progress), nil
}

func (l *Local) host(socket string) runner.Host {
	return runner.Host{
		Layers: l.dir("layers"), Boot: l.dir("boot"), Volumes: l.pool.Dir(), Socket: socket,
		Store: l.cfg.Store, Kernel: l.cfg.Kernel, QEMU: l.cfg.QEMU, Accel: l.cfg.Accel, Runner: l.cfg.Runner,
		PrivateNetworks: l.cfg.PrivateNetworks, Abandoned: l.cfg.Abandoned,
	}
}

func errRuns() error {
	return nixspace.Errorf(nixspace.KindConflict, "session_runs", "the session's machine runs already").
		WithHint("stop it first, or use it as it is")
}

// spawn starts a runner in a session of its own, so that no signal to this
// process's terminal reaches it, and waits until it says that it is ready.
func (l *Local) spawn(ctx context.Context, dir string) error {
	logPath := filepath.Join(dir, runner.LogFile)
	logFile, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	ready, readyWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(l.cfg.Runner[0], append(append([]string{}, l.cfg.Runner[1:]...), dir)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = logFile, logFile, "/"
	cmd.ExtraFiles = []*os.File{readyWrite}
	cmd.Env = append(os.Environ(), runner.ReadyFD+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	readyWrite.Close()
	if err != nil {
		return fmt.Errorf("start the runner %s: %w", l.cfg.Runner[0], err)
	}
	go func() { _ = cmd.Wait() }() // only to bury the process; its state says how it ended
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	line, err := bufio.NewReader(io.LimitReader(ready, 64)).ReadString('\n')
	if !stop() {
		_ = cmd.Process.Kill() // it has not begun anything that would outlive it
		return ctx.Err()
	}
	if err == nil && line == "ready\n" {
		return nil
	}
	_ = cmd.Process.Kill()
	return nixspace.Errorf(nixspace.KindInternal, "runner_failed", "the session's runner did not start: %s", lastLines(logPath))
}

// lastLines returns the end of a log, for an error.
func lastLines(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	const most = 1000
	b := make([]byte, most)
	n, err := f.ReadAt(b, max(0, info.Size()-most))
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	if n == 0 {
		return "it said nothing"
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(b[:n]), ""))
}
