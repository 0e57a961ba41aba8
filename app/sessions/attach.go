package sessions

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// touchEvery is how often the time of a session's last activity is stored.
const touchEvery = 30 * time.Second

// Machine returns the running machine of a session, to work in it, and counts
// as activity. One that is hibernated is resumed first; whoever asks meanwhile
// waits for the same.
func (a *UseCases) Machine(ctx context.Context, ref string) (nixspace.Machine, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	for {
		if asleep(s) {
			if s, err = a.wake(ctx, s); err != nil {
				return nil, err
			}
		}
		if s.Status != nixspace.SessionRunning {
			return nil, notRunning(s)
		}
		m, now, err := a.attach(ctx, s)
		if err != nil || m != nil {
			return m, err
		}
		s = now
	}
}

// attach returns the machine of a session that runs, or the session when it does
// not after all.
func (a *UseCases) attach(ctx context.Context, s *nixspace.Session) (nixspace.Machine, *nixspace.Session, error) {
	leave, err := a.gates.enter(ctx, s.ID)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	tx := a.records.Store.Read()
	if s, err = tx.Sessions().ByID(ctx, s.ID); err != nil || s.Status != nixspace.SessionRunning {
		return nil, s, err
	}
	m, err := a.machines.Attach(ctx, s.ID)
	if records.NotFound(err) {
		s, err = a.gone(ctx, s)
		return nil, s, err
	}
	if err != nil {
		return nil, nil, err
	}
	a.activity.touch(s.ID, "") // what for is counted by whoever does it
	if at := records.Now(); a.reports.touch(s.ID, at, touchEvery) {
		if err := tx.Sessions().Touch(ctx, s.ID, at); err != nil {
			a.log.Warn("cannot store a session's activity", "session", s.ID, "error", err)
		}
	}
	lender := a.lender
	if s.Ephemeral {
		lender = nil // nobody works there: it runs one command, whose time may be measured
	}
	return activeMachine{m, s.ID, a.activity, lender}, s, nil
}

func notRunning(s *nixspace.Session) error {
	e := nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s is %s", s.Ref(), s.Status)
	switch s.Status {
	case nixspace.SessionCreating:
		return e.WithHint("wait until it runs")
	case nixspace.SessionStopping:
		return e.WithHint("start another with `nixspace start %s`", s.Environment)
	}
	return e.WithHint("start it again with `nixspace start %s`", s.Ref())
}
