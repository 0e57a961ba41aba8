package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// undo is what must happen to a part at the end.
type undo struct {
	name string
	stop Stop
}

// onStop remembers how to stop a part. Parts stop in the opposite order of their
// start, so each still has what it needs. A nil stop is ignored.
func (s *server) onStop(name string, stop Stop) {
	if stop != nil {
		s.undo = append(s.undo, undo{name, stop})
	}
}

// unwind stops all parts. It goes on after a failure, so that as little as
// possible is left, and returns all failures.
func (s *server) unwind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if s.cfg.Force != nil {
		watched := make(chan struct{})
		defer close(watched)
		go func() {
			select {
			case <-s.cfg.Force:
				cancel()
			case <-watched:
			}
		}()
	}
	var errs []error
	for len(s.undo) > 0 {
		last := s.undo[len(s.undo)-1]
		s.undo = s.undo[:len(s.undo)-1]
		begin := time.Now()
		err := last.stop(ctx)
		if err != nil {
			err = fmt.Errorf("stop %s: %w", last.name, err)
			errs = append(errs, err)
		}
		s.cfg.Report(Step{Name: "stop " + last.name, Took: time.Since(begin), Err: err})
	}
	return errors.Join(errs...)
}

// reapLimit is how long it may take to end a machine by force.
const reapLimit = 30 * time.Second

// restSessions does with every live session of this server what its
// configuration says, as careful as ctx lets it. What can only be stopped is, in
// the end by force.
func (s *server) restSessions(ctx context.Context) error {
	hard, cancel := context.WithTimeout(nixspace.WithActor(context.WithoutCancel(ctx), nixspace.SystemActor), reapLimit)
	defer cancel()
	live, err := s.running.App.Sessions(hard, "", false)
	if err != nil {
		return s.reapAll(ctx, err)
	}
	errs := make([]error, len(live))
	var wg sync.WaitGroup
	for i, session := range live {
		wg.Go(func() { errs[i] = s.rest(ctx, &session) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// rest does it with one.
func (s *server) rest(ctx context.Context, session *nixspace.Session) error {
	lasting := !session.Ephemeral && !session.Throwaway
	switch {
	case session.Status == nixspace.SessionHibernated:
		return nil
	case lasting && session.Status == nixspace.SessionRunning && s.cfg.OnExit == OnExitKeep:
		return nil
	case lasting && session.Status == nixspace.SessionRunning && s.cfg.OnExit != OnExitStop:
		_, err := s.running.App.HibernateSession(nixspace.WithActor(ctx, nixspace.SystemActor), string(session.ID))
		if err == nil {
			return nil
		}
		s.cfg.Log.Warn("session cannot be hibernated, stopping it", "session", session.Ref(), "error", err)
	}
	return s.stopSession(ctx, session.ID)
}

func (s *server) stopSession(ctx context.Context, id nixspace.ID) error {
	_, err := s.running.App.StopSession(nixspace.WithActor(ctx, nixspace.SystemActor), string(id))
	if err == nil {
		return nil
	}
	s.cfg.Log.Warn("session did not stop by itself, ending it", "session", id, "error", err)
	return s.reap(ctx, id)
}

// reapAll ends the machines of all sessions without asking the database, which
// failed with cause.
func (s *server) reapAll(ctx context.Context, cause error) error {
	errs := []error{cause}
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), reapLimit)
	defer cancel()
	ids, err := s.machines.Sessions(hard)
	errs = append(errs, err)
	for _, id := range ids {
		errs = append(errs, s.reap(ctx, id))
	}
	return errors.Join(errs...)
}

func (s *server) reap(ctx context.Context, id nixspace.ID) error {
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), reapLimit)
	defer cancel()
	if err := s.machines.Reap(hard, id); err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	return nil
}
