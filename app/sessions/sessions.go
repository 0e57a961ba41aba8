package sessions

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// StartSession asks for a machine.
type StartSession struct {
	Ref       string      // an environment or version reference, or a stopped session ("shop/1") to start again
	Ephemeral bool        // delete its disk once it stops
	ID        nixspace.ID // of the new session; chosen when empty
}

// Time limits of what must end by itself.
const (
	startLimit = 10 * time.Minute // of a machine, once everything it needs is built
	buildLimit = 60 * time.Minute // that a starting session waits for its build
	stopLimit  = 45 * time.Second // until a machine that was asked to stop is ended by force
	reapLimit  = 60 * time.Second // of ending it by force
)

var (
	stoppable = []nixspace.SessionStatus{nixspace.SessionCreating, nixspace.SessionRunning, nixspace.SessionHibernated}
	ended     = []nixspace.SessionStatus{nixspace.SessionStopped, nixspace.SessionFailed}
)

// StartSession starts a machine and returns at once, with the session creating;
// follow it with WatchSession. The version is built first where it was not. A
// session that is started again keeps its version and its disk.
func (a *UseCases) StartSession(ctx context.Context, in StartSession) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if old, err := a.restartable(ctx, tx, in.Ref); err != nil {
		return nil, err
	} else if old != nil {
		return a.startAgain(ctx, old)
	}
	env, v, err := records.FindVersion(ctx, tx, in.Ref)
	if err != nil {
		return nil, err
	}
	var s *nixspace.Session
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		s = &nixspace.Session{
			ID: cmp.Or(in.ID, nixspace.NewID()), EnvironmentID: env.ID, EnvironmentVersionID: v.ID, Status: nixspace.SessionCreating,
			Generation: 1, Ephemeral: in.Ephemeral, StartedAt: at, Since: at, LastActivity: at, CreatedBy: actor.ID,
		}
		if err := a.insert(ctx, actor, tx, env, v, s); err != nil {
			return err
		}
		return sessionEvent(ctx, tx, actor, s)
	})
	if err != nil {
		return nil, err
	}
	return s, a.launch(ctx, s)
}

// restartable returns the session that ref names, if it names one.
func (a *UseCases) restartable(ctx context.Context, tx records.Tx, ref string) (*nixspace.Session, error) {
	if _, _, ok := records.SplitSession(ref); ok {
		return records.FindSession(ctx, tx, ref)
	}
	if nixspace.ID(ref).Valid() {
		s, err := tx.Sessions().ByID(ctx, nixspace.ID(ref))
		if records.NotFound(err) {
			return nil, nil
		}
		return s, err
	}
	return nil, nil
}

func (a *UseCases) startAgain(ctx context.Context, old *nixspace.Session) (*nixspace.Session, error) {
	if old.Status == nixspace.SessionHibernated {
		return a.resume(ctx, old)
	}
	if old.Status != nixspace.SessionStopped && old.Status != nixspace.SessionFailed {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_stopped", "session %s is %s", old.Ref(), old.Status).
			WithHint("stop it first, or start another session of %s", old.Environment)
	}
	if old.Throwaway {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_throwaway", "session %s was a throw-away fork, and nothing of it is left", old.Ref()).
			WithHint("fork again what it was forked from")
	}
	// Somebody may remove it just now.
	leave, err := a.gates.enter(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	s, err := a.begin(ctx, old)
	leave()
	if err != nil {
		return nil, err
	}
	return s, a.launch(ctx, s)
}

// begin makes the next generation of a session that has ended.
func (a *UseCases) begin(ctx context.Context, old *nixspace.Session) (*nixspace.Session, error) {
	now, err := a.records.Store.Read().Sessions().ByID(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	if now.Generation != old.Generation || now.EndedAt.IsZero() {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_stopped", "session %s is %s", now.Ref(), now.Status)
	}
	// Nothing of the last generation may be left when the next one begins, and of
	// a disk that was not copied to its end, nothing at all.
	if err := a.reap(ctx, old.ID); err != nil {
		return nil, err
	}
	if old.NeedsSnapshot != "" {
		if err := a.machines.Remove(ctx, old.ID); err != nil {
			return nil, err
		}
	}
	return a.step(ctx, nixspace.SessionChange{
		ID: old.ID, Generation: old.Generation, From: ended, To: nixspace.SessionCreating, Restart: true,
	})
}

// step makes one step of a session's state machine and appends its event.
func (a *UseCases) step(ctx context.Context, c nixspace.SessionChange) (*nixspace.Session, error) {
	var s *nixspace.Session
	err := a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		var err error
		c.At = records.Now()
		if s, err = tx.Sessions().Transition(ctx, c); err != nil {
			return err
		}
		return sessionEvent(ctx, tx, actor, s)
	})
	return s, err
}

// record makes a step that has happened already, whether ctx has ended or not. A
// database that is away comes back in a moment, mostly: it is tried again for as long
// as records may take. What could not be recorded even so is left to Sweep.
func (a *UseCases) record(ctx context.Context, c nixspace.SessionChange) (*nixspace.Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), work.RecordLimit)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		s, err := a.step(ctx, c)
		if nixspace.ErrorKind(err) != nixspace.KindUnavailable {
			return s, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return s, err
		}
	}
}

// sessionEvent appends the event of the state that a session has now.
func sessionEvent(ctx context.Context, tx records.Tx, actor nixspace.Actor, s *nixspace.Session) error {
	env, err := records.OneEnvironment(ctx, tx, s.EnvironmentID)
	if err != nil {
		return err
	}
	message := fmt.Sprintf("session %s is %s", s.Ref(), s.Status)
	if s.Reason != "" {
		message += ": " + records.FirstLine(s.Reason)
	}
	return tx.Events().Append(ctx, &nixspace.Event{
		At: s.Since, Kind: "session." + string(s.Status), ProjectID: env.ProjectID, EnvironmentID: env.ID, SessionID: s.ID,
		Actor: actor.Name, Message: message, Data: map[string]any{"generation": s.Generation, "code": s.ReasonCode},
	})
}

// Sessions lists sessions, newest first: those of an environment, or all when
// ref is empty; only live ones unless all.
func (a *UseCases) Sessions(ctx context.Context, ref string, all bool) ([]nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	var f nixspace.SessionFilter
	if ref != "" {
		env, err := records.FindEnvironment(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		f.Environment = env.ID
	}
	if !all {
		f.Statuses = nixspace.LiveStatuses()
	}
	return tx.Sessions().List(ctx, f)
}

// Session returns one by reference.
func (a *UseCases) Session(ctx context.Context, ref string) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return records.FindSession(ctx, tx, ref)
}

// StopSession stops a session's machine and returns when it is stopped. One that
// has ended already is returned as it is.
func (a *UseCases) StopSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	actor, _ := nixspace.ActorFrom(ctx)
	notices, err := a.records.Store.Subscribe(ctx)
	if err != nil {
		return nil, err
	}
	if s.Status != nixspace.SessionStopping && !s.EndedAt.IsZero() {
		return s, nil
	}
	if s.Status != nixspace.SessionStopping {
		stopping, err := a.step(ctx, nixspace.SessionChange{
			ID: s.ID, Generation: s.Generation, From: stoppable, To: nixspace.SessionStopping,
			Reason: "stopped by " + actor.Name, ReasonCode: "stopped",
		})
		switch {
		case err == nil:
			err = a.tasks.Start(ctx, func(ctx context.Context) { a.stop(ctx, stopping) })
		case records.IsCode(err, "session_moved"):
			err = nil // somebody else stops it, or it ended by itself: wait and see
		}
		if err != nil {
			return nil, err
		}
	}
	for {
		now, err := tx.Sessions().ByID(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		if now.Generation != s.Generation || !now.EndedAt.IsZero() {
			return now, nil
		}
		if !work.NextNotice(ctx, notices, func(n nixspace.Notice) bool { return n.ID == s.ID }) {
			return nil, nixspace.Errorf(nixspace.KindCanceled, "canceled", "nobody waits for session %s to stop any more: %w", s.Ref(), ctx.Err())
		}
	}
}

// stop ends the machine of a session that is stopping: in order, then by force.
func (a *UseCases) stop(ctx context.Context, s *nixspace.Session) {
	a.starting.Stop(ctx, s.ID, work.ErrSuperseded)
	leave, err := a.gates.enter(context.WithoutCancel(ctx), s.ID)
	if err != nil {
		return
	}
	defer leave()
	graceful, cancel := context.WithTimeout(ctx, stopLimit)
	m, err := a.machines.Attach(graceful, s.ID)
	if err == nil {
		err = m.Stop(graceful)
	}
	cancel()
	if err != nil && !records.NotFound(err) {
		a.log.Warn("a machine did not stop in order", "session", s.ID, "error", err)
	}
	a.settleEnd(ctx, s, nixspace.SessionChange{
		From: []nixspace.SessionStatus{nixspace.SessionStopping}, To: nixspace.SessionStopped,
		Reason: s.Reason, ReasonCode: s.ReasonCode,
	})
}

// settleEnd makes sure that nothing of a machine is left, and then records how
// its session ended. When something is left the session is failed, and says so.
func (a *UseCases) settleEnd(ctx context.Context, s *nixspace.Session, c nixspace.SessionChange) {
	ctx = nixspace.AsSystem(context.WithoutCancel(ctx))
	if err := a.reap(ctx, s.ID); err != nil {
		a.log.Error("cannot end a machine", "session", s.ID, "error", err)
		text, _ := work.Explain(a.log, "end a machine", err)
		c.To, c.Reason, c.ReasonCode = nixspace.SessionFailed, "its machine could not be ended: "+text, "stop_failed"
	} else if s.Ephemeral {
		if err := a.machines.Remove(ctx, s.ID); err != nil {
			a.log.Error("cannot remove the disk of an ephemeral session", "session", s.ID, "error", err)
		}
	}
	a.reports.forget(s.ID)
	a.activity.forget(s.ID)
	c.ID, c.Generation = s.ID, s.Generation
	c.Reason, c.ReasonCode = records.CleanText(c.Reason), records.CleanText(c.ReasonCode)
	if _, err := a.record(ctx, c); err != nil && !records.IsCode(err, "session_moved") && !records.NotFound(err) {
		a.log.Error("cannot record the end of a session", "session", s.ID, "error", err)
	}
	if s.NeedsSnapshot != "" {
		a.collectSnapshots(ctx)
	}
}

// reap ends whatever is left of a session's machine, by force.
func (a *UseCases) reap(ctx context.Context, id nixspace.ID) error {
	ctx, cancel := context.WithTimeout(ctx, reapLimit)
	defer cancel()
	return a.machines.Reap(ctx, id)
}

// RemoveSession deletes a stopped or failed session with its disk.
func (a *UseCases) RemoveSession(ctx context.Context, ref string) error {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return err
	}
	// Nobody starts it, or copies its disk, meanwhile.
	leave, err := a.gates.enter(ctx, s.ID)
	if err != nil {
		return err
	}
	defer leave()
	if s, err = tx.Sessions().ByID(ctx, s.ID); err != nil {
		return err
	}
	if s.EndedAt.IsZero() {
		return nixspace.Errorf(nixspace.KindConflict, "session_not_stopped", "session %s is %s", s.Ref(), s.Status).
			WithHint("stop it first with `nixspace stop %s`", s.Ref())
	}
	// The disk goes first: should that fail, the session is still there to be
	// removed again.
	if err := a.reap(ctx, s.ID); err != nil {
		return err
	}
	if err := a.machines.Remove(ctx, s.ID); err != nil {
		return err
	}
	a.reports.forget(s.ID)
	if s.NeedsSnapshot != "" {
		defer a.collectSnapshots(ctx)
	}
	return a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if err := tx.Sessions().Delete(ctx, s.ID); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "session.removed", EnvironmentID: s.EnvironmentID, SessionID: s.ID, Actor: actor.Name,
			Message: "removed session " + s.Ref(),
		})
	})
}
