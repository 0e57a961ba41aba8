package sessions

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// discardLimit bounds how long it takes until nothing of a session is left.
const discardLimit = 3 * time.Minute

// Discard ends a session by force, whatever it is doing, and deletes it with its
// disk. It succeeds when nothing is left, also when there was nothing. It goes on
// when ctx ends.
func (a *UseCases) Discard(ctx context.Context, id nixspace.ID) error {
	ctx, cancel := context.WithTimeout(nixspace.AsSystem(context.WithoutCancel(ctx)), discardLimit)
	defer cancel()
	tx := a.records.Store.Read()
	s, err := tx.Sessions().ByID(ctx, id)
	if records.NotFound(err) {
		if err := a.reap(ctx, id); err != nil {
			return err
		}
		return a.machines.Remove(ctx, id)
	}
	if err != nil {
		return err
	}
	if s.EndedAt.IsZero() {
		a.starting.Stop(ctx, id, work.ErrSuperseded)
		if err := a.endNow(ctx, id); err != nil {
			return err
		}
	}
	if err := a.RemoveSession(ctx, string(id)); !records.NotFound(err) {
		return err
	}
	return nil
}

// endNow ends a session's machine by force and records that.
func (a *UseCases) endNow(ctx context.Context, id nixspace.ID) error {
	leave, err := a.gates.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	s, err := a.records.Store.Read().Sessions().ByID(ctx, id)
	if err != nil || !s.EndedAt.IsZero() {
		return err
	}
	a.settleEnd(ctx, s, nixspace.SessionChange{
		From: append([]nixspace.SessionStatus{nixspace.SessionStopping}, stoppable...), To: nixspace.SessionStopped,
		Reason: "it is not needed any more", ReasonCode: "discarded",
	})
	return nil
}

// TakeNamed is [UseCases.TakeSnapshot] that removes an older one of that name.
func (a *UseCases) TakeNamed(ctx context.Context, s *nixspace.Session, name string) (*nixspace.Snapshot, error) {
	if err := a.DropNamed(ctx, s.EnvironmentID, name); err != nil {
		return nil, err
	}
	return a.TakeSnapshot(ctx, TakeSnapshot{Session: string(s.ID), Name: name})
}

// DropNamed removes the snapshot of that name, if there is one.
func (a *UseCases) DropNamed(ctx context.Context, environment nixspace.ID, name string) error {
	ctx = nixspace.AsSystem(context.WithoutCancel(ctx))
	found, err := a.records.Store.Read().Snapshots().List(ctx, nixspace.SnapshotFilter{Environment: environment, Name: name})
	if err != nil {
		return err
	}
	for _, s := range found {
		if err := a.dropSnapshot(ctx, s.ID); err != nil {
			return err
		}
	}
	return nil
}
