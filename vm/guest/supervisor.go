package guest

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
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
	stateStarting = "starting"
	stateReady    = "ready"
	stateFailed   = "failed"
	stateStopped  = "stopped"
)

const (
	// An emulated processor of a loaded machine takes minutes to make a database.
	defaultReadyTimeout = 6 * time.Minute
	maxServices         = 64
	maxStatusText       = 700 // so that the states of all services fit in a frame
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
			fresh = append(fresh, newService(s, spec, timeout))
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

// checkNeeds refuses services that would wait for ever: for one that there is
// not, or for each other.
func checkNeeds(known, fresh []nixspace.Service) error {
	needs := map[string][]string{}
	for _, spec := range append(known, fresh...) {
		needs[spec.Name] = spec.Needs
	}
	done := map[string]bool{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		if i := slices.Index(path, name); i >= 0 {
			return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "services need each other: %s",
				strings.Join(append(path[i:], name), " needs "))
		}
		if done[name] {
			return nil
		}
		for _, n := range needs[name] {
			if _, ok := needs[n]; !ok {
				return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "service %s needs %q, and there is no such service", name, n)
			}
			if err := visit(n, append(path, name)); err != nil {
				return err
			}
		}
		done[name] = true
		return nil
	}
	for _, spec := range fresh {
		if err := visit(spec.Name, nil); err != nil {
			return err
		}
	}
	return nil
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
	services := s.services
	s.mu.Unlock()
	for i := len(services) - 1; i >= 0; i-- {
		services[i].stop(ctx)
	}
	s.running.Wait()
}

// checkService refuses what could not be run, and what would leave the paths
// that a service may use.
func checkService(spec *nixspace.Service) error {
	invalid := func(format string, args ...any) error {
		return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "service %s: %s", spec.Name, fmt.Sprintf(format, args...))
	}
	if err := nixspace.CheckName("a service", spec.Name); err != nil {
		return err
	}
	commands := append([][]string{spec.Argv}, spec.Init...)
	commands = append(commands, spec.After...)
	if len(spec.Ready.Exec) > 0 {
		commands = append(commands, spec.Ready.Exec)
	}
	for _, argv := range commands {
		if err := checkArgv(argv); err != nil {
			return invalid("%v", err)
		}
	}
	if err := checkEnv(spec.Env); err != nil {
		return invalid("%v", err)
	}
	paths := []string{spec.Dir, spec.InitDone, spec.Ready.Unix}
	for _, d := range spec.Dirs {
		paths = append(paths, d.Path)
	}
	for p := range spec.Files {
		paths = append(paths, p)
	}
	for _, p := range paths {
		if p != "" && (!filepath.IsAbs(p) || strings.Contains(p, "\x00")) {
			return invalid("%q is not an absolute path", p)
		}
	}
	if spec.StopSignal != "" && signalNumber(spec.StopSignal) == 0 {
		return invalid("there is no signal %q", spec.StopSignal)
	}
	return nil
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
				broken = append(broken, st.Name+": "+st.Message)
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
