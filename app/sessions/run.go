package sessions

import (
	"cmp"
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// How long a session may stay in a transient state before it is failed, whoever
// works on it: beyond every limit of a single step.
const (
	creatingLimit = startLimit + buildLimit + 5*time.Minute
	stoppingLimit = stopLimit + reapLimit + 5*time.Minute
)

// sweepEvery is how often sessions are looked at for it.
const sweepEvery = time.Minute

// Run keeps sessions' rows true to their machines until ctx ends. It fails when the
// machines can no longer be watched.
func (a *UseCases) Run(ctx context.Context) error {
	ctx = nixspace.AsSystem(ctx)
	statuses := a.machines.Watch(ctx)
	every := sweepEvery
	if idle := a.hibernateAfter; idle > 0 {
		every = max(min(every, idle/4), time.Second)
	}
	sweep := time.NewTicker(every)
	defer sweep.Stop()
	for {
		select {
		case s, open := <-statuses:
			if !open {
				if ctx.Err() != nil {
					return nil
				}
				return nixspace.Errorf(nixspace.KindInternal, "watch_ended", "machines can no longer be watched")
			}
			a.apply(ctx, s)
		case <-sweep.C:
			if err := a.Sweep(ctx, records.Now()); err != nil {
				a.log.Warn("cannot look for sessions that are stuck", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// apply brings what a runner says into the database. Reports of another
// generation, and of sessions that this process is starting or stopping, change
// nothing there.
func (a *UseCases) apply(ctx context.Context, m nixspace.MachineStatus) {
	previous := a.reports.get(m.SessionID)
	a.reports.put(m)
	defer a.progress.Poke(m.SessionID)
	a.applyServices(ctx, previous, m)
	if !m.LastActivity.IsZero() && a.reports.touch(m.SessionID, m.LastActivity, touchEvery) {
		if err := a.records.Store.Read().Sessions().Touch(ctx, m.SessionID, m.LastActivity); err != nil {
			a.log.Warn("cannot store a session's activity", "session", m.SessionID, "error", err)
		}
	}
	if a.starting.Get(m.SessionID) != nil || previous != nil && previous.Status == m.Status && previous.Generation == m.Generation {
		return
	}
	switch m.Status {
	case nixspace.SessionRunning:
		_, err := a.step(ctx, nixspace.SessionChange{
			ID: m.SessionID, Generation: m.Generation, To: nixspace.SessionRunning,
			From: []nixspace.SessionStatus{nixspace.SessionCreating},
			VMID: m.VMID, Driver: m.Driver, Isolation: m.Isolation,
		})
		if err != nil && !records.IsCode(err, "session_moved") && !records.NotFound(err) {
			a.log.Error("cannot record that a session runs", "session", m.SessionID, "error", err)
		}
	case nixspace.SessionStopped, nixspace.SessionFailed, nixspace.SessionHibernated:
		// Not here: to end what may be left can take a while, and others wait.
		if err := a.tasks.Start(ctx, func(ctx context.Context) { a.applyEnd(ctx, m) }); err != nil {
			a.log.Warn("a machine ended while the server stops", "session", m.SessionID)
		}
	}
}

// applyEnd records that a machine ended by itself.
func (a *UseCases) applyEnd(ctx context.Context, m nixspace.MachineStatus) {
	leave, err := a.gates.enter(ctx, m.SessionID)
	if err != nil {
		return
	}
	defer leave()
	s, err := a.records.Store.Read().Sessions().ByID(ctx, m.SessionID)
	if err != nil {
		if !records.NotFound(err) && ctx.Err() == nil {
			a.log.Error("cannot read a session", "session", m.SessionID, "error", err)
		}
		return
	}
	// A hibernated session has no machine that could end.
	if s.Generation != m.Generation || !s.EndedAt.IsZero() || s.Status == nixspace.SessionStopping || s.Status == nixspace.SessionHibernated {
		return
	}
	if m.Status == nixspace.SessionHibernated {
		if _, err := a.gone(ctx, s); err != nil {
			a.log.Warn("a machine hibernated by itself, and its memory is gone", "session", s.ID, "error", err)
		}
		return
	}
	a.settleEnd(ctx, s, nixspace.SessionChange{
		From: stoppable, To: m.Status,
		Reason: cmp.Or(m.Reason, "its machine ended"), ReasonCode: cmp.Or(m.ReasonCode, "machine_ended"),
	})
}

// Sweep fails sessions that have been in a transient state for too long, and
// sees again to those whose machine's end could not be recorded.
func (a *UseCases) Sweep(ctx context.Context, now time.Time) error {
	a.collectSnapshots(ctx)
	found, err := a.records.Store.Read().Sessions().List(ctx, nixspace.SessionFilter{Statuses: nixspace.LiveStatuses()})
	if err != nil {
		return err
	}
	for _, s := range found {
		change := nixspace.SessionChange{From: []nixspace.SessionStatus{s.Status}, To: nixspace.SessionFailed}
		switch {
		case s.Status == nixspace.SessionCreating && now.Sub(s.Since) > creatingLimit:
			change.Reason, change.ReasonCode = "it took too long to start", "start_timeout"
		case s.Status == nixspace.SessionStopping && now.Sub(s.Since) > stoppingLimit:
			change.Reason, change.ReasonCode = "it took too long to stop", "stop_timeout"
		default:
			m := a.reports.get(s.ID)
			if m != nil && m.Generation == s.Generation && a.starting.Get(s.ID) == nil && hasEnded(m.Status) {
				if err := a.tasks.Start(ctx, func(ctx context.Context) { a.applyEnd(ctx, *m) }); err != nil {
					return err
				}
			} else if s.Status == nixspace.SessionCreating && a.starting.Get(s.ID) == nil && now.Sub(s.Since) > launchGrace {
				// How its start ended could not be recorded, or its runner goes on alone.
				if err := a.tasks.Start(ctx, func(ctx context.Context) { a.reconcileSession(ctx, &s) }); err != nil {
					return err
				}
			} else if s.Status == nixspace.SessionRunning {
				a.hibernateIdle(ctx, &s, now)
			}
			continue
		}
		a.log.Warn("a session is stuck", "session", s.ID, "status", s.Status, "since", s.Since)
		err := a.tasks.Start(ctx, func(ctx context.Context) {
			a.starting.Stop(ctx, s.ID, errTooLong)
			if s.Resuming && s.Status == nixspace.SessionCreating {
				a.failStart(ctx, &s, change.Reason, change.ReasonCode)
				return
			}
			a.settleEnd(ctx, &s, change)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
