package guest

import (
	"context"
	"net"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// control starts and stops one service, and returns once it has stopped, or is
// started. Only one of those who want something of a service gets it at a time.
func (s *supervisor) control(ctx context.Context, r wire.ControlRequest) error {
	switch r.Action {
	case nixspace.ServiceStart, nixspace.ServiceStop, nixspace.ServiceRestart:
	default:
		return nixspace.Errorf(nixspace.KindInvalid, "action_unknown", "%q cannot be done to a service: start, stop and restart can", r.Action)
	}
	sv, err := s.named(r.Name)
	if err != nil {
		return err
	}
	sv.turn.Lock()
	defer sv.turn.Unlock()
	if sv, err = s.named(r.Name); err != nil { // another may stand in its place now
		return err
	}
	if r.Action != nixspace.ServiceStart {
		sv.stop(ctx)
	}
	if r.Action == nixspace.ServiceStop {
		sv.rest()
		return nil
	}
	select {
	case <-sv.done:
		return s.replace(sv)
	default:
		return nil // it runs
	}
}

// rest says of a service that had ended by itself that somebody stopped it.
func (sv *service) rest() {
	sv.sup.mu.Lock()
	ended := sv.status.State == stateFailed || sv.status.State == stateDone
	sv.sup.mu.Unlock()
	if ended {
		sv.set(stateStopped, "")
	}
}

func (s *supervisor) named(name string) (*service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, nixspace.Errorf(nixspace.KindConflict, "machine_stopping", "the machine is stopping")
	}
	if sv := s.find(name); sv != nil {
		return sv, nil
	}
	names := make([]string, len(s.services))
	for i, sv := range s.services {
		names[i] = sv.spec.Name
	}
	err := nixspace.Errorf(nixspace.KindNotFound, "service_not_found", "there is no service %q in the machine", name)
	if len(names) > 0 {
		return nil, err.WithHint("there is %s", joined(names))
	}
	return nil, err.WithHint("services are written in nixspace.toml, as [services.NAME]")
}

// replace starts a service anew that has ended.
func (s *supervisor) replace(old *service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nixspace.Errorf(nixspace.KindConflict, "machine_stopping", "the machine is stopping")
	}
	for i, sv := range s.services {
		if sv == old {
			fresh := newService(s, old.spec, old.turn, old.timeout)
			fresh.status.ExitCode = old.status.ExitCode
			s.services[i] = fresh
			s.running.Go(fresh.run)
			s.announce()
		}
	}
	return nil
}

// controlService does something to a service and reports until it stands as it
// should.
func (a *Agent) controlService(ctx context.Context, conn net.Conn, r wire.ControlRequest) error {
	if _, err := a.services.named(r.Name); err != nil {
		return err
	}
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	ctx, done := whileOpen(ctx, conn)
	defer done()
	w := wire.NewFrameWriter(conn)
	// What was begun is not left half done when nobody waits for it any more.
	if err := a.services.control(context.WithoutCancel(ctx), r); err != nil {
		_ = w.WriteJSON(wire.FrameError, wire.EncodeError(err))
		return nil
	}
	wanted := []nixspace.Service{{Name: r.Name}}
	for {
		statuses, changed := a.services.statuses()
		if err := w.WriteJSON(wire.FrameStatus, statuses); err != nil {
			return nil
		}
		ready, err := settled(statuses, wanted)
		switch {
		case r.Action == nixspace.ServiceStop, ready:
			_ = w.WriteJSON(wire.FrameResult, struct{}{})
			return nil
		case err != nil:
			_ = w.WriteJSON(wire.FrameError, wire.EncodeError(err))
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func joined(names []string) string {
	text := ""
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			text += " and "
		default:
			text += ", "
		}
		text += n
	}
	return text
}
