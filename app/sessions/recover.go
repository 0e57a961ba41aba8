package sessions

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// gatePatience is how long a recovery waits for what works on a session, which
// may be the very thing that is stuck.
const gatePatience = 5 * time.Second

// launchGrace is how old a start must be before it is held against it that nobody
// works on it.
const launchGrace = time.Minute

// RecoverSession is the way out of every state: it ends whatever is left of a
// session's machine, by force, and leaves the session stopped or failed, with
// its disk, to be started again. What is well is left alone, with kind conflict,
// unless force: a machine that answers, and memory to continue from.
func (a *UseCases) RecoverSession(ctx context.Context, ref string, force bool) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	if !force {
		if err := a.checkUnwell(ctx, s); err != nil {
			return nil, err
		}
	}
	actor, _ := nixspace.ActorFrom(ctx)
	patience, cancel := context.WithTimeout(ctx, gatePatience)
	defer cancel()
	a.starting.Stop(patience, s.ID, work.ErrSuperseded)
	if leave, err := a.gates.enter(patience, s.ID); err == nil {
		defer leave()
	} else {
		a.log.Warn("recovering a session while something works on it", "session", s.ID)
	}
	if s, err = tx.Sessions().ByID(ctx, s.ID); err != nil {
		return nil, err
	}
	if !s.EndedAt.IsZero() {
		return s, a.reap(ctx, s.ID)
	}
	a.settleEnd(ctx, s, nixspace.SessionChange{
		From: []nixspace.SessionStatus{s.Status}, To: nixspace.SessionStopped, Reason: "recovered by " + actor.Name, ReasonCode: "recovered",
	})
	return tx.Sessions().ByID(ctx, s.ID)
}

// checkUnwell refuses to end what works.
func (a *UseCases) checkUnwell(ctx context.Context, s *nixspace.Session) error {
	well := func(hint string) error {
		return nixspace.Errorf(nixspace.KindConflict, "session_well", "session %s is %s, and nothing is wrong with it", s.Ref(), s.Status).
			WithHint(hint, s.Ref())
	}
	age := records.Now().Sub(s.Since)
	switch s.Status {
	case nixspace.SessionRunning:
		status, err := a.machineStatus(ctx, s.ID)
		if err == nil && status.Generation == s.Generation && status.Status == nixspace.SessionRunning {
			return well("stop it with `nixspace stop %s`, or end it with --force")
		}
	case nixspace.SessionHibernated:
		if a.hasMemory(ctx, s.ID) {
			return well("resume it with `nixspace resume %s`, or drop its memory with --force")
		}
	case nixspace.SessionCreating:
		// What was asked for just now may not have begun yet.
		if age < launchGrace || a.starting.Get(s.ID) != nil && age < creatingLimit {
			return well("stop it with `nixspace stop %s`, or end it with --force")
		}
	case nixspace.SessionStopping:
		if age < stopLimit+reapLimit {
			return well("wait, or end it with --force; see it with `nixspace show %s`")
		}
	}
	return nil
}
