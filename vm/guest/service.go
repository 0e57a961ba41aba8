package guest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

const (
	stopAfterDefault = 10 * time.Second
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

// service is one supervised service. One goroutine, in run, does everything to
// it; others only ask it to stop.
type service struct {
	spec    nixspace.Service
	sup     *supervisor
	agent   *Agent
	log     *logbook
	timeout time.Duration

	status nixspace.ServiceStatus // guarded by sup.mu

	ctx  context.Context // ends when the service should
	end  context.CancelFunc
	kill chan struct{} // closed when it should end at once
	once sync.Once     // closes kill
	done chan struct{} // closed when run has returned

	drained <-chan struct{} // the output of the program started last is in the log
}

func newService(s *supervisor, spec nixspace.Service, timeout time.Duration) *service {
	sv := &service{
		spec: spec, sup: s, agent: s.agent, timeout: timeout,
		log:    s.agent.journal.open(spec.Name),
		status: nixspace.ServiceStatus{Name: spec.Name, State: stateStarting},
		kill:   make(chan struct{}), done: make(chan struct{}),
	}
	sv.ctx, sv.end = context.WithCancel(context.Background())
	return sv
}

// stop asks the service to end and waits until it has. Once ctx has ended it is
// killed.
func (sv *service) stop(ctx context.Context) {
	sv.end()
	select {
	case <-sv.done:
	case <-ctx.Done():
		sv.once.Do(func() { close(sv.kill) })
		<-sv.done
	}
}

func (sv *service) set(state, message string) {
	if len(message) > maxStatusText {
		message = message[:maxStatusText/2] + " … " + message[len(message)-maxStatusText/2:]
	}
	message = strings.ToValidUTF8(message, "�")
	sv.sup.mu.Lock()
	sv.status.State, sv.status.Message = state, message
	sv.sup.announce()
	sv.sup.mu.Unlock()
	sv.agent.log.Info("service", "name", sv.spec.Name, "state", state, "message", message)
}

func (sv *service) restarts(n int) {
	sv.sup.mu.Lock()
	sv.status.Restarts = n
	sv.sup.mu.Unlock()
}

// errGaveUp says that the service has to end, not that something failed.
var errGaveUp = errors.New("the service is stopping")

func (sv *service) run() {
	defer close(sv.done)
	defer sv.end()
	err := sv.supervise()
	switch {
	case sv.ctx.Err() != nil:
		sv.set(stateStopped, "")
	case err != nil:
		sv.set(stateFailed, sv.explain(err))
	}
}

// explain adds the last lines of the log to what went wrong.
func (sv *service) explain(err error) string {
	if sv.drained != nil {
		timer := time.NewTimer(time.Second) // something may have kept it open
		defer timer.Stop()
		select {
		case <-sv.drained:
		case <-timer.C:
		}
	}
	if last := sv.log.last(5, 400); last != "" {
		return err.Error() + "; the last lines of its log:\n" + last
	}
	return err.Error()
}

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
	wait := restartMin
	everReady := false
	for {
		ready, err := sv.attempt(deadline)
		if errors.Is(err, errGaveUp) || sv.ctx.Err() != nil {
			return errGaveUp // no failure: run sees that it should end
		}
		if !ready.IsZero() {
			everReady = true
			if time.Since(ready) >= steady {
				crashes, wait = 0, restartMin
			}
		}
		var ended *endedError
		if !errors.As(err, &ended) {
			return err
		}
		crashes++
		if !everReady && crashes >= startAttempts {
			return fmt.Errorf("it %w, %d times before it was ready", err, crashes)
		}
		if crashes >= crashesInARow {
			return fmt.Errorf("it %w, %d times in a row", err, crashes)
		}
		restarts++
		sv.restarts(restarts)
		sv.set(stateStarting, fmt.Sprintf("it %v; starting it again in %v", err, wait))
		if !sleep(sv.ctx, wait) {
			return errGaveUp
		}
		wait = min(2*wait, restartMax)
		if everReady {
			deadline = time.Now().Add(sv.timeout) // what bounds the first start has done so
		}
	}
}

// awaitNeeds waits until every service that this one needs is ready. One that has
// failed will not get ready any more.
func (sv *service) awaitNeeds() error {
	for {
		statuses, changed := sv.sup.statuses()
		waits := ""
		for _, st := range statuses {
			if !slices.Contains(sv.spec.Needs, st.Name) || st.State == stateReady {
				continue
			}
			if st.State == stateFailed || st.State == stateStopped {
				return fmt.Errorf("it needs %s, which has %s", st.Name, st.State)
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
type endedError struct{ how string }

func (e *endedError) Error() string { return e.how }

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
		return ready, &endedError{p.describe()}
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
			return &endedError{p.describe()}
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

// initialise makes the directories and runs Init where it did not succeed yet.
func (sv *service) initialise(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(sv.ctx, deadline)
	defer cancel()
	dirs := append([]nixspace.ServiceDir{{Path: sv.dir(), Mode: 0o755}}, sv.spec.Dirs...)
	for _, d := range dirs {
		err := sv.agent.asDev(func() error { return makeDir(d) })
		if errors.Is(err, fs.ErrPermission) {
			// Such as a directory in /run, which only the agent may make.
			err = sv.agent.makeDirFor(d)
		}
		if err != nil {
			return fmt.Errorf("its directory cannot be made: %w", err)
		}
	}
	if err := sv.writeFiles(); err != nil {
		return err
	}
	if err := sv.runOnce(ctx, sv.spec.Init, sv.marker("init")); err != nil {
		return fmt.Errorf("its initialisation failed: %w", err)
	}
	return nil
}

// marker returns the file that remembers that Init, or After, succeeded. That of
// After goes by what it does: the data may be from an earlier manifest.
func (sv *service) marker(stage string) string {
	switch {
	case sv.spec.InitDone == "":
		return filepath.Join(sv.agent.path("/data"), ".nixspace", sv.spec.Name+"."+stage)
	case stage == "init":
		return sv.spec.InitDone
	default:
		return sv.spec.InitDone + "." + stage
	}
}

// digest tells lists of commands apart.
func digest(commands [][]string) string {
	b, _ := json.Marshal(commands) // lists of texts can always be written
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// runOnce runs commands, unless they succeeded before.
func (sv *service) runOnce(ctx context.Context, commands [][]string, marker string) error {
	if len(commands) == 0 {
		return nil
	}
	err := sv.agent.asDev(func() error { _, err := os.Stat(marker); return err })
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, argv := range commands {
		if err := sv.runCommand(ctx, argv); err != nil {
			return err
		}
	}
	return sv.agent.asDev(func() error {
		if _, err := os.Stat(marker); err == nil {
			return nil // a command made it
		}
		return writeAnew(marker, "")
	})
}

// runCommand runs one command to its end.
func (sv *service) runCommand(ctx context.Context, argv []string) error {
	if ctx.Err() != nil {
		return sv.outOfTime(argv)
	}
	p, err := sv.start(argv)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.signal(unix.SIGKILL)
		<-p.done
		return sv.outOfTime(argv)
	}
	if p.exitCode() != 0 {
		return fmt.Errorf("%s %s", filepath.Base(argv[0]), p.describe())
	}
	return nil
}

func (sv *service) outOfTime(argv []string) error {
	if sv.ctx.Err() != nil {
		return errGaveUp
	}
	return fmt.Errorf("%s was not done in %v", filepath.Base(argv[0]), sv.timeout)
}

func (sv *service) dir() string {
	if sv.spec.Dir != "" {
		return sv.spec.Dir
	}
	return filepath.Join(sv.agent.path("/data"), sv.spec.Name)
}

// terminate ends a program in its own way and time.
func (sv *service) terminate(p *proc) {
	sig := signalNumber(sv.spec.StopSignal)
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	after := sv.spec.StopAfter
	if after <= 0 {
		after = stopAfterDefault
	}
	_ = p.signal(sig)
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
		sv.agent.log.Warn("service does not stop", "name", sv.spec.Name, "after", after)
	case <-sv.kill:
	}
	_ = p.signal(syscall.SIGKILL)
	<-p.done
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
