package guest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/journal"
)

// stopAfterDefault is how long a service has to end after its signal.
const stopAfterDefault = 10 * time.Second

// service is one supervised service. One goroutine, in run, does everything to
// it; others only ask it to stop.
type service struct {
	spec    nixspace.Service
	turn    *sync.Mutex // held by who starts or stops it; shared with those before and after it
	sup     *supervisor
	agent   *Agent
	log     *journal.Log
	timeout time.Duration

	status nixspace.ServiceStatus // guarded by sup.mu

	ctx  context.Context // ends when the service should
	end  context.CancelFunc
	kill chan struct{} // closed when it should end at once
	once sync.Once     // closes kill
	done chan struct{} // closed when run has returned

	drained <-chan struct{} // the output of the program started last is in the log
}

func newService(s *supervisor, spec nixspace.Service, turn *sync.Mutex, timeout time.Duration) *service {
	if spec.ReadyTimeout > 0 {
		timeout = spec.ReadyTimeout
	}
	sv := &service{
		spec: spec, turn: turn, sup: s, agent: s.agent, timeout: timeout,
		log:    s.agent.journal.Open(spec.Name),
		status: nixspace.ServiceStatus{Name: spec.Name, State: stateStarting, Ports: spec.Ports, Since: time.Now()},
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
	message = clipStatus(printable(message))
	sv.sup.mu.Lock()
	if sv.status.State != state {
		sv.status.Since = time.Now()
	}
	sv.status.State, sv.status.Message = state, message
	sv.sup.announce()
	sv.sup.mu.Unlock()
	sv.agent.log.Info("service", "name", sv.spec.Name, "state", state, "message", message)
}

// printable keeps what a program says from growing when it is written as JSON.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// clipStatus leaves out the middle of what is too long as JSON.
func clipStatus(s string) string {
	for keep := len(s); ; keep -= keep/4 + 1 {
		short := s
		if keep < len(s) {
			short = strings.ToValidUTF8(s[:keep/2], "") + " … " + strings.ToValidUTF8(s[len(s)-keep/2:], "")
		}
		if b, err := json.Marshal(short); err == nil && len(b) <= maxStatusText {
			return short
		}
	}
}

// ended records how the program ended.
func (sv *service) ended(code int) {
	sv.sup.mu.Lock()
	sv.status.ExitCode = &code
	sv.sup.mu.Unlock()
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
	var done *doneError
	switch {
	case sv.ctx.Err() != nil:
		sv.set(stateStopped, "")
	case errors.As(err, &done):
		sv.set(stateDone, "it "+done.how)
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
	if last := sv.log.Last(5, 400); last != "" {
		return err.Error() + "; the last lines of its log:\n" + last
	}
	return err.Error()
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
