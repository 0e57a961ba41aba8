package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/cgroup"
	"github.com/nixspace/nixspace/vm/runner"
)

// follower follows one runner from its start, or from when it was found, to its
// end.
type follower struct {
	client *runner.Client
	// first is closed when a status other than creating was seen, or the runner is
	// gone.
	first chan struct{}
	// ended is closed when the runner is gone and what it left is cleaned up.
	ended    chan struct{}
	progress nixspace.ProgressFunc
}

// follow begins to follow a runner that serves its socket, and returns the
// follower.
func (l *Local) follow(id nixspace.ID, socket string, progress nixspace.ProgressFunc) *follower {
	f := &follower{
		client: runner.NewClient(socket), progress: progress,
		first: make(chan struct{}), ended: make(chan struct{}),
	}
	l.mu.Lock()
	l.followers[id] = f
	l.mu.Unlock()
	l.wg.Go(func() { l.run(id, f) })
	return f
}

// run watches the runner until it is gone.
func (l *Local) run(id nixspace.ID, f *follower) {
	decided := false
	decide := func() {
		if !decided {
			decided = true
			close(f.first)
		}
	}
	defer decide()
	for l.ctx.Err() == nil {
		_ = f.client.Watch(l.ctx, func(u runner.Update) {
			if u.Progress != nil {
				f.progress.Report(*u.Progress)
			}
			if u.Status != nil {
				l.news.put(*u.Status)
				if u.Status.Status != nixspace.SessionCreating {
					decide()
				}
			}
		})
		if l.ctx.Err() != nil {
			return
		}
		// The stream ends when the session or its runner does. If the lock does not
		// become free soon, the runner lives and only the stream was lost.
		soon, cancel := context.WithTimeout(l.ctx, 30*time.Second)
		lock, err := runner.WaitLock(soon, l.sessionDir(id))
		cancel()
		switch {
		case err == nil:
			l.bury(id, lock)
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case errors.Is(err, runner.ErrLocked):
			continue
		default:
			l.log.Error("cannot tell whether a session's runner lives", "session", id, "err", err)
		}
		break
	}
	l.mu.Lock()
	if l.followers[id] == f {
		delete(l.followers, id)
	}
	l.mu.Unlock()
	close(f.ended)
}

// settle waits for the runner of a session that has ended already to be gone,
// which is a matter of moments.
func (l *Local) settle(ctx context.Context, id nixspace.ID) error {
	l.mu.Lock()
	f := l.followers[id]
	l.mu.Unlock()
	if f == nil || !l.news.ended(id) {
		return nil
	}
	select {
	case <-f.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bury records the last state of a session whose runner is gone, cleans up what a
// runner that was killed could not, and gives the lock back.
func (l *Local) bury(id nixspace.ID, lock *runner.Lock) {
	defer lock.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	state, err := l.clean(ctx, id, "runner_died", "its runner process was killed or crashed")
	if err != nil {
		l.log.Error("cannot clean up after a session", "session", id, "err", err)
	}
	if state.Machine.SessionID != "" {
		l.news.put(state.Machine)
	}
}

// clean ends what is left of a session, whose lock the caller holds, and records
// a state that was not final as failed.
func (l *Local) clean(ctx context.Context, id nixspace.ID, code, reason string) (runner.State, error) {
	dir := l.sessionDir(id)
	state, err := runner.ReadState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return runner.State{}, cgroup.Open(string(id)).Remove(ctx)
	}
	if err != nil {
		return runner.State{}, err
	}
	// Its lock is free, so a runner that still exists is about to exit.
	errs := []error{state.Runner.Kill(ctx.Done()), state.VMM.Kill(ctx.Done()), cgroup.Open(string(id)).Remove(ctx)}
	if state.Socket == l.socket(id) {
		if err := os.Remove(state.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	_, saved := l.saved.Hibernated(id)
	switch was := state.Machine.Status; {
	case saved && (was == nixspace.SessionRunning || was == nixspace.SessionStopping):
		// Its runner was killed between the last step of its hibernation and its end.
		state.Machine.Status = nixspace.SessionHibernated
		errs = append(errs, runner.WriteState(dir, state))
	case !saved:
		errs = append(errs, l.saved.Session(id).Remove()) // memory that nothing goes on from
	}
	if state.Machine.Status.Live() {
		l.log.Warn("session ended without its runner", "session", id, "reason", reason)
		m := &state.Machine
		m.Status, m.Phase, m.ReasonCode, m.Reason = nixspace.SessionFailed, "", code, reason
		for i := range m.Services {
			m.Services[i].State = "stopped"
		}
		errs = append(errs, runner.WriteState(dir, state))
	}
	return state, errors.Join(errs...)
}

// Reap implements [nixspace.Machines].
func (l *Local) Reap(ctx context.Context, id nixspace.ID) error { return l.end(ctx, id, false) }

// end ends whatever is left of a session's machine, and keeps the memory of a
// hibernation only where keep says so.
func (l *Local) end(ctx context.Context, id nixspace.ID, keep bool) error {
	if !id.Valid() {
		return fmt.Errorf("end session: %q is no session", id)
	}
	dir := l.sessionDir(id)
	lock, err := runner.TryLock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, runner.ErrLocked) {
		// The lock says that a runner lives; its identity says which process that is.
		state, readErr := runner.ReadState(dir)
		if readErr != nil {
			return fmt.Errorf("end session %s: %w", id, readErr)
		}
		if err := state.Runner.Kill(ctx.Done()); err != nil {
			return fmt.Errorf("end session %s: %w", id, err)
		}
		lock, err = runner.WaitLock(ctx, dir)
	}
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, errors.Join(err, ctx.Err()))
	}
	defer lock.Unlock()
	state, err := l.clean(ctx, id, "reaped", "it was ended by force")
	if own := l.saved.Session(id); err == nil && !keep {
		err = errors.Join(own.Forget(), own.Remove())
	}
	if state.Machine.SessionID != "" {
		l.news.put(state.Machine)
	}
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	return nil
}

// Remove implements [nixspace.Machines]. It fails with code "session_runs" while
// the machine runs.
func (l *Local) Remove(ctx context.Context, id nixspace.ID) error {
	if !id.Valid() {
		return fmt.Errorf("remove session: %q is no session", id)
	}
	if err := l.settle(ctx, id); err != nil {
		return err
	}
	dir := l.sessionDir(id)
	lock, err := runner.TryLock(dir)
	switch {
	case errors.Is(err, runner.ErrLocked):
		return nixspace.Errorf(nixspace.KindConflict, "session_runs", "the session's machine still runs").WithHint("stop it first")
	case errors.Is(err, fs.ErrNotExist):
		return errors.Join(l.saved.Session(id).Remove(), l.pool.Delete(id))
	case err != nil:
		return fmt.Errorf("remove session %s: %w", id, err)
	}
	defer lock.Unlock()
	if _, err := l.clean(ctx, id, "removed", "its session was removed"); err != nil {
		return fmt.Errorf("remove session %s: %w", id, err)
	}
	if err := errors.Join(l.saved.Session(id).Remove(), l.pool.Delete(id)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove session %s: %w", id, err)
	}
	l.news.forget(id)
	return nil
}
