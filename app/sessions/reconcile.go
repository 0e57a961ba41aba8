package sessions

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Reconcile brings the rows of sessions and the machines of this host together. One
// session that cannot be reconciled does not keep the others from it.
func (a *UseCases) Reconcile(ctx context.Context) error {
	owned, err := a.reconcileSessions(ctx)
	if err != nil {
		return err
	}
	if err := a.reapStrays(ctx, owned); err != nil {
		return err
	}
	if err := a.reconcileSnapshots(ctx); err != nil {
		return err
	}
	return a.prewarmAgain(ctx)
}

// reconcileSessions looks for the machine of every session that should have one,
// and returns the sessions that keep theirs.
func (a *UseCases) reconcileSessions(ctx context.Context) (map[nixspace.ID]bool, error) {
	live, err := a.records.Store.Read().Sessions().List(ctx, nixspace.SessionFilter{Statuses: nixspace.LiveStatuses()})
	if err != nil {
		return nil, err
	}
	owned := map[nixspace.ID]bool{}
	for _, s := range live {
		if a.reconcileSession(ctx, &s) {
			owned[s.ID] = true
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return owned, nil
}

// reconcileSession reports whether the session's machine goes on.
func (a *UseCases) reconcileSession(ctx context.Context, s *nixspace.Session) bool {
	from := []nixspace.SessionStatus{s.Status}
	if s.Status == nixspace.SessionStopping {
		a.settleEnd(ctx, s, nixspace.SessionChange{From: from, To: nixspace.SessionStopped, Reason: s.Reason, ReasonCode: s.ReasonCode})
		return false
	}
	status, err := a.machineStatus(ctx, s.ID)
	if records.NotFound(err) && s.Status != nixspace.SessionStopping && a.reconcileAsleep(ctx, s) {
		return true
	}
	switch {
	case err == nil && status.Generation == s.Generation && status.Status == nixspace.SessionRunning:
		a.reports.put(status)
		if s.Status == nixspace.SessionRunning {
			a.log.Info("found a session's machine again", "session", s.Ref())
			return true
		}
		_, err := a.step(ctx, nixspace.SessionChange{
			ID: s.ID, Generation: s.Generation, From: from, To: nixspace.SessionRunning,
			VMID: status.VMID, Driver: status.Driver, Isolation: status.Isolation,
		})
		switch {
		case err == nil:
			a.log.Info("a session's machine came up meanwhile", "session", s.Ref())
		case !records.IsCode(err, "session_moved"): // Run may have heard of it first
			a.log.Error("cannot record that a session runs", "session", s.ID, "error", err)
		}
		return true
	case err == nil && status.Generation == s.Generation && status.Status == nixspace.SessionCreating && s.Status == nixspace.SessionCreating:
		// Its runner goes on without the server that asked; Run hears how it ends.
		a.reports.put(status)
		a.log.Info("a session's machine is still starting", "session", s.Ref())
		return true
	case err == nil && status.Status == nixspace.SessionFailed && status.Generation == s.Generation:
		a.settleEnd(ctx, s, nixspace.SessionChange{
			From: from, To: nixspace.SessionFailed,
			Reason: cmp.Or(status.Reason, "its machine failed"), ReasonCode: cmp.Or(status.ReasonCode, "machine_failed"),
		})
		return false
	case err != nil && !records.NotFound(err):
		a.log.Warn("a session's machine does not answer", "session", s.Ref(), "error", err)
	}
	reason, code := "its machine was gone when the server started", "machine_lost"
	switch s.Status {
	case nixspace.SessionHibernated:
		reason, code = "its memory was gone when the server started; its disk was kept", "memory_lost"
	case nixspace.SessionCreating:
		reason, code = "the server ended while it was starting", "interrupted"
	}
	a.log.Warn("a session lost its machine", "session", s.Ref(), "reason", reason)
	a.settleEnd(ctx, s, nixspace.SessionChange{From: from, To: nixspace.SessionFailed, Reason: reason, ReasonCode: code})
	return false
}

// reconcileAsleep reports whether a session without a machine is hibernated, and
// records that where a crash came first: it was about to hibernate, or to resume.
func (a *UseCases) reconcileAsleep(ctx context.Context, s *nixspace.Session) bool {
	if s.Status == nixspace.SessionCreating && !s.Resuming || !a.hasMemory(ctx, s.ID) {
		return false
	}
	if s.Status == nixspace.SessionHibernated {
		return true
	}
	reason, code := "it hibernated while no server looked after it", "hibernated"
	if s.Resuming && s.Status == nixspace.SessionCreating {
		reason, code = "the server ended while it was resuming", "interrupted"
	}
	if _, err := a.recordHibernation(ctx, s, reason, code); err != nil {
		a.log.Error("cannot record that a session is hibernated", "session", s.ID, "error", err)
	}
	return true // its memory is kept either way
}

// attachLimit bounds how long one machine may take to answer.
const attachLimit = 10 * time.Second

func (a *UseCases) machineStatus(ctx context.Context, id nixspace.ID) (nixspace.MachineStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, attachLimit)
	defer cancel()
	m, err := a.machines.Attach(ctx, id)
	if err != nil {
		return nixspace.MachineStatus{}, err
	}
	return m.Status(ctx)
}

// reapStrays ends machines that no session owns, and removes what belongs to
// sessions that are not there, or that were ephemeral and have ended.
func (a *UseCases) reapStrays(ctx context.Context, owned map[nixspace.ID]bool) error {
	ids, err := a.machines.Sessions(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range ids {
		if owned[id] {
			continue
		}
		s, err := a.records.Store.Read().Sessions().ByID(ctx, id)
		if err != nil && !records.NotFound(err) {
			return err
		}
		if err := a.reap(ctx, id); err != nil {
			failures = append(failures, err)
			continue
		}
		if s == nil || s.Ephemeral {
			a.log.Info("removing what is left of a session", "session", id)
			failures = append(failures, a.machines.Remove(ctx, id))
		}
	}
	return errors.Join(failures...)
}
