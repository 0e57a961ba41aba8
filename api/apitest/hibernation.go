package apitest

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

// HibernateSession hibernates a session.
func (a *App) HibernateSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	return a.become(ctx, "HibernateSession", ref, nixspace.SessionHibernated)
}

// ResumeSession makes a hibernated session run again.
func (a *App) ResumeSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	return a.become(ctx, "ResumeSession", ref, nixspace.SessionRunning)
}

// RecoverSession stops a session.
func (a *App) RecoverSession(ctx context.Context, ref string, _ bool) (*nixspace.Session, error) {
	return a.StopSession(ctx, ref)
}

func (a *App) become(ctx context.Context, call, ref string, status nixspace.SessionStatus) (*nixspace.Session, error) {
	unlock, err := a.enter(ctx, call)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := a.session(ref)
	if err != nil {
		return nil, err
	}
	if !s.Status.CanBecome(status) {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s is %s", s.Ref(), s.Status)
	}
	s.Status = status
	return copied(s), nil
}

// SessionActivity says that somebody works in a session that runs.
func (a *App) SessionActivity(ctx context.Context, ref string) ([]nixspace.Activity, error) {
	s, err := a.Session(ctx, ref)
	if err != nil || s.Status != nixspace.SessionRunning {
		return []nixspace.Activity{}, err
	}
	return []nixspace.Activity{{Kind: nixspace.ActivityTerminal, Open: 1, Last: s.StartedAt}}, nil
}

// HibernateAfter is half an hour.
func (a *App) HibernateAfter(context.Context, nixspace.ID) (time.Duration, error) {
	return 30 * time.Minute, nil
}
