package sessions

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// hibernateLimit bounds writing the memory of a machine.
const hibernateLimit = 2 * time.Minute

// HibernateSession writes the memory of a running session to its files and ends
// its machine. One that is hibernated is returned as it is.
func (a *UseCases) HibernateSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	leave, err := a.gates.enter(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	defer leave()
	actor, _ := nixspace.ActorFrom(ctx)
	return a.hibernate(ctx, s.ID, "hibernated by "+actor.Name, "hibernated")
}

// hibernate does it, inside of the session's gate.
//
// The session is running in the database until its memory is safe. When this
// process dies in between, the next one asks the machine and the files which of
// the two it is (see [App.Reconcile]).
func (a *UseCases) hibernate(ctx context.Context, id nixspace.ID, reason, code string) (*nixspace.Session, error) {
	s, err := a.records.Store.Read().Sessions().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Status == nixspace.SessionHibernated:
		return s, nil
	case s.Status != nixspace.SessionRunning:
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s is %s: only a running one can be hibernated", s.Ref(), s.Status)
	case s.Throwaway:
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_throwaway", "session %s is a throw-away fork, which shares its memory and cannot be hibernated", s.Ref()).
			WithHint("stop it, or fork without --throwaway")
	}
	// It takes a moment, and half of it is worth nothing: whoever asked may leave.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hibernateLimit)
	defer cancel()
	m, err := a.machines.Attach(ctx, s.ID)
	if records.NotFound(err) {
		return a.gone(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	h, ok := m.(nixspace.Snapshotter)
	if !ok {
		return nil, unsupported("hibernate")
	}
	if err := h.Hibernate(ctx); err != nil {
		// It may have done it all the same, or have taken the machine with it.
		again, attach := a.machines.Attach(ctx, s.ID)
		if attach == nil {
			if _, attach = again.Status(ctx); attach == nil {
				return nil, nixspace.Errorf(orKind(err), "hibernate_failed", "session %s could not be hibernated and runs on: %w", s.Ref(), err)
			}
		}
		a.log.Warn("a machine ended while it hibernated", "session", s.ID, "error", err)
		return a.gone(ctx, s)
	}
	return a.recordHibernation(ctx, s, reason, code)
}

func orKind(err error) nixspace.Kind {
	if k := nixspace.ErrorKind(err); k != nixspace.KindInternal {
		return k
	}
	return nixspace.KindUnavailable
}

func unsupported(what string) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "not_supported", "this machine's driver cannot %s sessions", what)
}

func (a *UseCases) recordHibernation(ctx context.Context, s *nixspace.Session, reason, code string) (*nixspace.Session, error) {
	a.reports.forget(s.ID)
	a.activity.forget(s.ID)
	return a.record(nixspace.AsSystem(ctx), nixspace.SessionChange{
		ID: s.ID, Generation: s.Generation, From: []nixspace.SessionStatus{nixspace.SessionRunning, nixspace.SessionCreating},
		To: nixspace.SessionHibernated, Reason: records.CleanText(reason), ReasonCode: code,
	})
}

// gone says what became of a running session that has no machine: it is
// hibernated if its files hold its memory, and failed otherwise. The session is
// returned when it is hibernated.
func (a *UseCases) gone(ctx context.Context, s *nixspace.Session) (*nixspace.Session, error) {
	if a.hasMemory(ctx, s.ID) {
		return a.recordHibernation(ctx, s, "found hibernated", "hibernated")
	}
	a.settleEnd(ctx, s, nixspace.SessionChange{
		From: []nixspace.SessionStatus{nixspace.SessionRunning, nixspace.SessionHibernated}, To: nixspace.SessionFailed,
		Reason: "its machine is gone", ReasonCode: "machine_lost",
	})
	return nil, nixspace.Errorf(nixspace.KindConflict, "machine_lost", "the machine of session %s is gone", s.Ref()).
		WithHint("start it again with `nixspace start %s`; its disk was kept", s.Ref())
}

// hasMemory reports whether a session's files hold memory to continue from, and
// takes it that they do where that cannot be seen: a resume that finds none boots
// from the disk, but what was thrown away is gone.
func (a *UseCases) hasMemory(ctx context.Context, id nixspace.ID) bool {
	k, ok := a.machines.(nixspace.SnapshotKeeper)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), work.RecordLimit)
	defer cancel()
	has, err := k.Hibernated(ctx, id)
	if err != nil {
		a.log.Warn("cannot see whether a session is hibernated", "session", id, "error", err)
	}
	return has || err != nil
}

// ResumeSession continues a hibernated session from its memory. It returns at
// once, with the session creating; follow it with WatchSession. One that runs or
// is about to is returned as it is.
func (a *UseCases) ResumeSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	switch s.Status {
	case nixspace.SessionRunning, nixspace.SessionCreating:
		return s, nil
	case nixspace.SessionHibernated:
		return a.resume(ctx, s)
	}
	return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_hibernated", "session %s is %s", s.Ref(), s.Status).
		WithHint("start it with `nixspace start %s`", s.Ref())
}

// resume begins to continue a session. When somebody else was first it returns
// the session as it then is, so many may ask at once.
func (a *UseCases) resume(ctx context.Context, s *nixspace.Session) (*nixspace.Session, error) {
	leave, err := a.gates.enter(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	defer leave()
	next, err := a.step(ctx, nixspace.SessionChange{
		ID: s.ID, Generation: s.Generation, From: []nixspace.SessionStatus{nixspace.SessionHibernated}, To: nixspace.SessionCreating,
		Restart: true, Resume: true,
	})
	if records.IsCode(err, "session_moved") {
		return a.records.Store.Read().Sessions().ByID(ctx, s.ID)
	}
	if err != nil {
		return nil, err
	}
	a.activity.touch(s.ID, nixspace.ActivityStart) // it has just been asked for
	return next, a.launch(ctx, next)
}

// asleep reports whether a session is hibernated, or on its way out of it.
func asleep(s *nixspace.Session) bool {
	return s.Status == nixspace.SessionHibernated || s.Status == nixspace.SessionCreating && s.Resuming
}

// wake resumes a session that is asleep and waits until it runs.
func (a *UseCases) wake(ctx context.Context, s *nixspace.Session) (*nixspace.Session, error) {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	notices, err := a.records.Store.Subscribe(watch)
	if err != nil {
		return nil, err
	}
	if s.Status == nixspace.SessionHibernated {
		if s, err = a.resume(ctx, s); err != nil {
			return nil, err
		}
	}
	for s.Status == nixspace.SessionCreating && s.Resuming {
		if now, err := a.records.Store.Read().Sessions().ByID(ctx, s.ID); err != nil {
			return nil, err
		} else if *now != *s {
			s = now
			continue
		}
		if !work.NextNotice(ctx, notices, func(n nixspace.Notice) bool { return n.ID == s.ID }) {
			return nil, nixspace.Errorf(nixspace.KindCanceled, "canceled", "nobody waits for session %s to resume any more: %w", s.Ref(), ctx.Err())
		}
	}
	if s.Status == nixspace.SessionHibernated {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "resume_failed", "session %s could not be resumed: %s", s.Ref(), s.Reason).
			WithHint("try again, or begin from its disk with `nixspace recover %s`", s.Ref())
	}
	return s, nil
}

// failStart records that a session did not start. One that should have continued
// from its memory stays hibernated as long as it has that.
func (a *UseCases) failStart(ctx context.Context, s *nixspace.Session, reason, code string) {
	if s.Resuming && a.hasMemory(ctx, s.ID) {
		_, err := a.recordHibernation(ctx, s, reason, code)
		if err == nil || records.IsCode(err, "session_moved") || records.NotFound(err) {
			return
		}
		a.log.Error("cannot record that a session is still hibernated", "session", s.ID, "error", err)
		return // Sweep sees to it; ending it would throw its memory away
	}
	a.settleEnd(ctx, s, nixspace.SessionChange{
		From: []nixspace.SessionStatus{nixspace.SessionCreating}, To: nixspace.SessionFailed, Reason: reason, ReasonCode: code,
	})
}
