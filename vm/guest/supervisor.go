package guest

import (
	"cmp"
	"context"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// The states of a service, as [nixspace.ServiceStatus] has them.
const (
	stateStarting = nixspace.ServiceStarting
	stateReady    = nixspace.ServiceReady
	stateDone     = nixspace.ServiceDone
	stateFailed   = nixspace.ServiceFailed
	stateStopped  = nixspace.ServiceStopped
)

const (
	// An emulated processor of a loaded machine takes minutes to make a database.
	defaultReadyTimeout = 6 * time.Minute
	maxServices         = 64
	maxStatusText       = 800 // as JSON, so that the states of all services fit in a frame
)

// supervisor keeps services running.
type supervisor struct {
	agent *Agent

	mu       sync.Mutex
	services []*service
	changed  chan struct{} // closed and replaced when the state of a service changed
	stopped  bool
	running  sync.WaitGroup
}

func newSupervisor(a *Agent) *supervisor {
	return &supervisor{agent: a, changed: make(chan struct{})}
}

// start starts services; those that run already are left alone when they are
// described as they were.
func (s *supervisor) start(r wire.StartRequest) error {
	if len(r.Services) > maxServices {
		return nixspace.Errorf(nixspace.KindLimit, "services_too_many", "%d services are more than the limit of %d", len(r.Services), maxServices)
	}
	seen := map[string]bool{}
	for i := range r.Services {
		if err := checkService(&r.Services[i]); err != nil {
			return err
		}
		if seen[r.Services[i].Name] {
			return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "there are two services %s", r.Services[i].Name)
		}
		seen[r.Services[i].Name] = true
	}
	timeout := r.ReadyTimeout
	if timeout <= 0 {
		timeout = defaultReadyTimeout
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nixspace.Errorf(nixspace.KindConflict, "machine_stopping", "the machine is stopping")
	}
	if err := checkNeeds(s.specs(), r.Services); err != nil {
		return err
	}
	var fresh []*service
	for _, spec := range r.Services {
		if old := s.find(spec.Name); old == nil {
			fresh = append(fresh, newService(s, spec, new(sync.Mutex), timeout))
		} else if !reflect.DeepEqual(old.spec, spec) {
			return nixspace.Errorf(nixspace.KindConflict, "service_exists", "service %s runs already, with other settings", spec.Name).
				WithHint("stop the machine and start it again")
		}
	}
	for _, sv := range fresh {
		s.services = append(s.services, sv)
		s.running.Go(sv.run)
	}
	s.announce()
	return nil
}

// specs returns what runs already. The lock must be held.
func (s *supervisor) specs() []nixspace.Service {
	list := make([]nixspace.Service, len(s.services))
	for i, sv := range s.services {
		list[i] = sv.spec
	}
	return list
}

func (s *supervisor) find(name string) *service {
	for _, sv := range s.services {
		if sv.spec.Name == name {
			return sv
		}
	}
	return nil
}

// announce wakes everybody who watches. The lock must be held.
func (s *supervisor) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// statuses returns the states of all services, and a channel that is closed when
// one has changed.
func (s *supervisor) statuses() ([]nixspace.ServiceStatus, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]nixspace.ServiceStatus, len(s.services))
	for i, sv := range s.services {
		list[i] = sv.status
	}
	return list, s.changed
}

// stop ends all services, the last that was started first, each with its own
// signal and time; once ctx has ended they are killed. It returns when none runs.
// No service can be started afterwards.
func (s *supervisor) stop(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	services := slices.Clone(s.services)
	s.mu.Unlock()
	for i := len(services) - 1; i >= 0; i-- {
		services[i].stop(ctx)
	}
	s.running.Wait()
}

// startServices starts services and reports until all of them are ready or have
// failed.
func (a *Agent) startServices(ctx context.Context, conn net.Conn, r wire.StartRequest) error {
	if err := a.services.start(r); err != nil {
		return err
	}
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	ctx, done := whileOpen(ctx, conn)
	defer done()
	w := wire.NewFrameWriter(conn)
	for {
		statuses, changed := a.services.statuses()
		if err := w.WriteJSON(wire.FrameStatus, statuses); err != nil {
			return nil
		}
		if ready, err := settled(statuses, r.Services); err != nil {
			_ = w.WriteJSON(wire.FrameError, wire.EncodeError(err))
			return nil
		} else if ready {
			_ = w.WriteJSON(wire.FrameResult, struct{}{})
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// settled reports whether the services are all ready. Once none of them is still
// starting, it fails for those that are not.
func settled(statuses []nixspace.ServiceStatus, wanted []nixspace.Service) (bool, error) {
	var broken []string
	starting := false
	for _, w := range wanted {
		for _, st := range statuses {
			if st.Name != w.Name {
				continue
			}
			switch st.State {
			case stateStarting:
				starting = true
			case stateFailed, stateStopped:
				broken = append(broken, st.Name+": "+cmp.Or(st.Message, st.State))
			}
		}
	}
	if starting {
		return false, nil
	}
	if len(broken) == 0 {
		return true, nil
	}
	return false, nixspace.Errorf(nixspace.KindUnavailable, "service_failed", "service %s", strings.Join(broken, "; service ")).
		WithHint("see the whole log with nixspace logs")
}

// watchServices reports the states of all services until the stream ends.
func (a *Agent) watchServices(ctx context.Context, conn net.Conn) error {
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	ctx, done := whileOpen(ctx, conn)
	defer done()
	w := wire.NewFrameWriter(conn)
	for {
		statuses, changed := a.services.statuses()
		if err := w.WriteJSON(wire.FrameStatus, statuses); err != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
