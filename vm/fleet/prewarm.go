package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/cgroup"
	"github.com/nixspace/nixspace/vm/runner"
)

var _ nixspace.Prewarmer = (*Local)(nil)

func (l *Local) prewarmDir() string { return l.dir("prewarm") }

// prewarms reports whether id names the making of a template.
func (l *Local) prewarms(id nixspace.ID) bool {
	_, err := os.Lstat(filepath.Join(l.prewarmDir(), string(id)))
	return err == nil
}

// Prewarm implements [nixspace.Prewarmer]. What it runs has a folder, but is no
// session: nobody hears of it.
func (l *Local) Prewarm(ctx context.Context, spec nixspace.MachineSpec) (made bool, err error) {
	id := nixspace.NewID()
	spec.SessionID, spec.Hostname, spec.Workspace = id, "prewarm", ""
	spec.Resume, spec.Snapshot, spec.Throwaway = false, "", false
	dir := filepath.Join(l.prewarmDir(), string(id))
	if err := runner.WriteSpec(dir, runner.Spec{Machine: spec, Host: l.host(l.socket(id)), Prewarm: true}); err != nil {
		return false, fmt.Errorf("prepare a template: %w", err)
	}
	defer func() { err = errors.Join(err, l.endPrewarm(id)) }()
	logFile, err := os.OpenFile(filepath.Join(dir, runner.LogFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	defer logFile.Close()
	cmd := exec.CommandContext(ctx, l.cfg.Runner[0], append(append([]string{}, l.cfg.Runner[1:]...), dir)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = logFile, logFile, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		state, readErr := runner.ReadState(dir)
		if readErr != nil || state.Machine.Reason == "" {
			return false, nixspace.Errorf(nixspace.KindInternal, "runner_failed", "no template was made: %s", lastLines(logFile.Name()))
		}
		return false, nixspace.Errorf(nixspace.KindUnavailable, state.Machine.ReasonCode, "no template was made: %s", state.Machine.Reason)
	}
	state, err := runner.ReadState(dir)
	return err == nil && state.Machine.Start != "", err
}

// endPrewarm removes what is left of the making of a template.
func (l *Local) endPrewarm(id nixspace.ID) error {
	dir := filepath.Join(l.prewarmDir(), string(id))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var errs []error
	if state, err := runner.ReadState(dir); err == nil {
		errs = append(errs, state.Runner.Kill(ctx.Done()), state.VMM.Kill(ctx.Done()))
	}
	errs = append(errs, cgroup.Open(string(id)).Remove(ctx), l.saved.Session(id).Remove(), l.pool.Delete(id), os.RemoveAll(dir))
	if err := os.Remove(l.socket(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// endPrewarms removes what a server that was killed was making.
func (l *Local) endPrewarms() error {
	entries, err := os.ReadDir(l.prewarmDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if id := nixspace.ID(e.Name()); id.Valid() {
			errs = append(errs, l.endPrewarm(id))
		}
	}
	return errors.Join(errs...)
}
