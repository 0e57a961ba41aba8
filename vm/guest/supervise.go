package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
)

// doneError says that the program ended as it should, and is not started again.
type doneError struct{ how string }

func (e *doneError) Error() string { return e.how }

const (
	// startAttempts is how often a service may end before it was ever ready.
	startAttempts = 3
	// crashesInARow is how often a service that was ready may end without getting
	// ready again before it is given up.
	crashesInARow = 10
	restartMin    = 250 * time.Millisecond
	restartMax    = 30 * time.Second
	// steady is how long a service must be ready for its crashes to be forgotten.
	steady = time.Minute
)

// supervise runs the service until it should stop, with errGaveUp, or cannot go
// on.
func (sv *service) supervise() error {
	if err := sv.awaitNeeds(); err != nil {
		return err
	}
	deadline := time.Now().Add(sv.timeout)
	if err := sv.initialise(deadline); err != nil {
		return err
	}
	crashes, restarts := 0, 0
	first, most := restartMin, restartMax
	if d := sv.spec.Restart.Delay; d > 0 {
		first, most = d, max(d, restartMax)
	}
	wait := first
	everReady := false
	for {
		ready, err := sv.attempt(deadline)
		if errors.Is(err, errGaveUp) || sv.ctx.Err() != nil {
			return errGaveUp // no failure: run sees that it should end
		}
		if !ready.IsZero() {
			everReady = true
			if time.Since(ready) >= steady {
				crashes, wait = 0, first
			}
		}
		var ended *endedError
		if !errors.As(err, &ended) {
			return err
		}
		crashes++
		if err := sv.giveUp(ended, crashes, everReady); err != nil {
			return err
		}
		restarts++
		sv.restarts(restarts)
		sv.set(stateStarting, fmt.Sprintf("it %v; starting it again in %v", err, wait))
		if !sleep(sv.ctx, wait) {
			return errGaveUp
		}
		wait = min(2*wait, most)
		if everReady {
			deadline = time.Now().Add(sv.timeout) // what bounds the first start has done so
		}
	}
}

// giveUp returns why a program that ended for the nth time in a row is not started
// again: nil where it is, and a *doneError where nothing is wrong with that.
func (sv *service) giveUp(ended *endedError, n int, everReady bool) error {
	policy := sv.spec.Restart
	again := policy.When != nixspace.RestartNever && (policy.When != nixspace.RestartOnFailure || ended.code != 0)
	switch {
	case !again && ended.code == 0:
		return &doneError{ended.how}
	case !again:
		return fmt.Errorf("it %w, and is not to be started again", ended)
	case policy.Limit > 0 && n > policy.Limit:
		return fmt.Errorf("it %w, %d times in a row", ended, n)
	case policy.Limit > 0:
		return nil
	case !everReady && n >= startAttempts:
		return fmt.Errorf("it %w, %d times before it was ready", ended, n)
	case n >= crashesInARow:
		return fmt.Errorf("it %w, %d times in a row", ended, n)
	}
	return nil
}

// awaitNeeds waits until every service that this one needs is ready. One that has
// failed will not get ready any more.
func (sv *service) awaitNeeds() error {
	for {
		statuses, changed := sv.sup.statuses()
		waits := ""
		for _, st := range statuses {
			if !slices.Contains(sv.spec.Needs, st.Name) {
				continue
			}
			switch st.State {
			case stateReady, stateDone:
				continue
			case stateFailed:
				return fmt.Errorf("it needs %s, which has failed", st.Name)
			case stateStopped:
				return fmt.Errorf("it needs %s, which is stopped", st.Name)
			}
			waits = st.Name
		}
		if waits == "" {
			return nil
		}
		select {
		case <-changed:
		case <-sv.ctx.Done():
			return errGaveUp
		}
	}
}

// endedError says that the program ended by itself.
type endedError struct {
	how  string
	code int
}

func (e *endedError) Error() string { return e.how }

// endOf records how a program ended.
func (sv *service) endOf(p *proc) error {
	sv.ended(p.exitCode())
	return &endedError{how: p.describe(), code: p.exitCode()}
}

// attempt starts the program, sees it through until it is ready, and waits until
// it ends. It returns since when it was ready, if it ever was.
func (sv *service) attempt(deadline time.Time) (ready time.Time, err error) {
	starting, cancel := context.WithDeadline(sv.ctx, deadline)
	defer cancel()
	if err := sv.writeFiles(); err != nil {
		return ready, err
	}
	p, err := sv.start(sv.spec.Argv)
	if err != nil {
		return ready, err
	}
	defer sv.terminate(p)
	if err := sv.awaitReady(starting, p); err != nil {
		return ready, err
	}
	if err := sv.runOnce(starting, sv.spec.After, sv.marker("after-"+digest(sv.spec.After))); err != nil {
		return ready, fmt.Errorf("it was ready, but what should run after that failed: %w", err)
	}
	ready = time.Now()
	sv.set(stateReady, "")
	select {
	case <-p.done:
		return ready, sv.endOf(p)
	case <-sv.ctx.Done():
		return ready, errGaveUp
	}
}

// awaitReady probes until the service is ready.
func (sv *service) awaitReady(starting context.Context, p *proc) error {
	wait := 20 * time.Millisecond
	var why error // what the last look at it found that was not cut short
	for {
		ctx, cancel := context.WithCancel(starting)
		stop := make(chan struct{})
		go func() {
			select {
			case <-p.done:
				cancel()
			case <-stop:
			}
		}()
		err := sv.probe(ctx)
		close(stop)
		cancel()
		select {
		case <-p.done:
			return sv.endOf(p)
		default:
		}
		switch {
		case err == nil:
			return nil
		case sv.ctx.Err() != nil:
			return errGaveUp
		case starting.Err() != nil && why != nil:
			return fmt.Errorf("it did not get ready in %v: %w", sv.timeout, why)
		case starting.Err() != nil:
			return fmt.Errorf("it did not get ready in %v: %w", sv.timeout, err)
		}
		why = err
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.done:
		case <-starting.Done():
		}
		timer.Stop()
		wait = min(wait*3/2, time.Second)
	}
}

// sleep waits, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
