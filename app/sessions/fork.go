package sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// maxForks bounds how many sessions one call starts.
const maxForks = 32

// Fork asks for copies of a session.
type Fork struct {
	Session   string // a session that runs, is hibernated or is stopped
	Count     int    // how many; 1 when 0
	Throwaway bool   // they share memory with their origin as far as they can, and are gone when they stop
}

// RestoreSnapshot asks for a session that begins where a snapshot was taken.
type RestoreSnapshot struct {
	Ref       string
	Throwaway bool
	ID        nixspace.ID // of the new session; chosen when empty
}

// Fork copies a session with its memory and its disk, in one pause of it, into
// new sessions of the same environment. It returns once they are on their way;
// follow each with WatchSession, as each may fail by itself.
func (a *UseCases) Fork(ctx context.Context, in Fork) (*nixspace.Snapshot, []nixspace.Session, error) {
	if in.Count == 0 {
		in.Count = 1
	}
	if in.Count < 0 || in.Count > maxForks {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "count_invalid", "%d forks cannot be made at once", in.Count).WithHint("ask for 1 to %d", maxForks)
	}
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	origin, err := records.FindSession(ctx, tx, in.Session)
	if err != nil {
		return nil, nil, err
	}
	var forks []nixspace.Session
	snap, err := a.takeSnapshot(ctx, snapshotTask{session: origin.ID, implicit: true, commit: func(ctx context.Context, actor nixspace.Actor, tx records.Tx, snap *nixspace.Snapshot) error {
		forks = forks[:0]
		for range in.Count {
			s := a.sessionFrom(actor, snap, in.Throwaway)
			if err := tx.Sessions().Create(ctx, s); err != nil {
				return err
			}
			forks = append(forks, *s)
		}
		env, err := records.OneEnvironment(ctx, tx, snap.EnvironmentID)
		if err != nil {
			return err
		}
		for _, s := range forks {
			err := tx.Events().Append(ctx, &nixspace.Event{
				At: s.Since, Kind: "session.forked", ProjectID: env.ProjectID, EnvironmentID: env.ID, SessionID: s.ID, Actor: actor.Name,
				Message: fmt.Sprintf("forked session %s from %s", s.Ref(), origin.Ref()), Data: map[string]any{"from": origin.ID, "snapshot": snap.ID},
			})
			if err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return nil, nil, err
	}
	return snap, forks, a.launchAll(ctx, forks)
}

// launchAll launches sessions. One that cannot be is failed, with a reason, and
// keeps none of the others; an error is returned when that happened to all.
func (a *UseCases) launchAll(ctx context.Context, ss []nixspace.Session) error {
	var errs []error
	for i := range ss {
		if err := a.launch(ctx, &ss[i]); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(ss) {
		return errors.Join(errs...)
	}
	return nil
}

// sessionFrom is a new session that begins from a snapshot.
func (a *UseCases) sessionFrom(actor nixspace.Actor, snap *nixspace.Snapshot, throwaway bool) *nixspace.Session {
	at := records.Now()
	return &nixspace.Session{
		ID: nixspace.NewID(), EnvironmentID: snap.EnvironmentID, EnvironmentVersionID: snap.VersionID, Status: nixspace.SessionCreating,
		Generation: 1, Ephemeral: throwaway, Throwaway: throwaway, StartedAt: at, Since: at, LastActivity: at, CreatedBy: actor.ID,
		SnapshotID: snap.ID, NeedsSnapshot: snap.ID, ForkOf: snap.SessionID, DiskOnly: !snap.Memory,
	}
}

// RestoreSnapshot starts a new session from a snapshot, in the environment that
// it was taken in, and returns at once.
func (a *UseCases) RestoreSnapshot(ctx context.Context, in RestoreSnapshot) (*nixspace.Session, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	snap, err := findSnapshot(ctx, tx, in.Ref)
	if err != nil {
		return nil, err
	}
	switch snap.State {
	case nixspace.SnapshotTaking:
		return nil, nixspace.Errorf(nixspace.KindConflict, "snapshot_busy", "snapshot %s is being taken", snap.Ref()).WithHint("wait until it is complete")
	case nixspace.SnapshotLost:
		return nil, nixspace.Errorf(nixspace.KindNotFound, "snapshot_lost", "the files of snapshot %s are gone", snap.Ref()).
			WithHint("remove it with `nixspace snapshots rm %s`", snap.Ref())
	}
	var s *nixspace.Session
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		s = a.sessionFrom(actor, snap, in.Throwaway)
		s.ID = cmp.Or(in.ID, s.ID)
		if err := tx.Sessions().Create(ctx, s); err != nil {
			return err
		}
		return sessionEvent(ctx, tx, actor, s)
	})
	if err != nil {
		return nil, err
	}
	return s, a.launch(ctx, s)
}
