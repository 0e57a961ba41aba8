package sessions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// snapshotLimit bounds taking or removing one snapshot.
const snapshotLimit = 5 * time.Minute

// TakeSnapshot asks for a snapshot.
type TakeSnapshot struct {
	Session string // a session that runs, is hibernated or is stopped
	Name    string // unique in its environment; the next of "s1", "s2"… when empty
}

// TakeSnapshot takes the memory, devices and disk of a session in one pause; the
// disk alone where it is stopped. It returns when the snapshot is complete.
func (a *UseCases) TakeSnapshot(ctx context.Context, in TakeSnapshot) (*nixspace.Snapshot, error) {
	if in.Name != "" {
		if err := nixspace.CheckName("a snapshot", in.Name); err != nil {
			return nil, err
		}
	}
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, in.Session)
	if err != nil {
		return nil, err
	}
	return a.takeSnapshot(ctx, snapshotTask{session: s.ID, name: in.Name, commit: func(ctx context.Context, actor nixspace.Actor, tx records.Tx, snap *nixspace.Snapshot) error {
		env, err := records.OneEnvironment(ctx, tx, snap.EnvironmentID)
		if err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "snapshot.taken", ProjectID: env.ProjectID, EnvironmentID: env.ID, SessionID: snap.SessionID, Actor: actor.Name,
			Message: fmt.Sprintf("took snapshot %s of session %s", snap.Ref(), snap.Session),
			Data:    map[string]any{"snapshot": snap.ID, "size": snap.Size, "pause_ms": snap.Pause.Milliseconds()},
		})
	}})
}

// snapshotTask is a snapshot to take, and what to do with it.
type snapshotTask struct {
	session  nixspace.ID
	name     string
	implicit bool
	// prepare, unless it is nil, runs once the files are complete; commit runs in
	// the transaction that says so. When either fails, nothing of it is left.
	prepare func(context.Context, *nixspace.Snapshot) error
	commit  func(context.Context, nixspace.Actor, records.Tx, *nixspace.Snapshot) error
}

// takeSnapshot takes one.
//
// Its row comes before its files and says that they may be there in part, until
// they are complete: whatever is cut off in between is found at the next start.
func (a *UseCases) takeSnapshot(ctx context.Context, task snapshotTask) (_ *nixspace.Snapshot, err error) {
	keeper, ok := a.machines.(nixspace.SnapshotKeeper)
	if !ok {
		return nil, unsupported("snapshot")
	}
	leave, err := a.gates.enter(ctx, task.session)
	if err != nil {
		return nil, err
	}
	defer leave()
	s, err := a.records.Store.Read().Sessions().ByID(ctx, task.session)
	if err != nil {
		return nil, err
	}
	take, err := a.snapshotter(ctx, s, keeper)
	if err != nil {
		return nil, err
	}
	snap := &nixspace.Snapshot{
		ID: nixspace.NewID(), SessionID: s.ID, SessionNumber: s.Number, EnvironmentID: s.EnvironmentID, Environment: s.Environment,
		VersionID: s.EnvironmentVersionID, ParentID: s.SnapshotID, Name: task.name, Implicit: task.implicit, State: nixspace.SnapshotTaking,
		CreatedAt: records.Now(),
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		snap.CreatedBy = actor.ID
		return tx.Snapshots().Create(ctx, snap)
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), snapshotLimit)
	defer cancel()
	info, err := take(ctx, snap.ID)
	if err == nil {
		snap.State, snap.Memory, snap.Consistency = nixspace.SnapshotReady, info.Memory, info.Consistency
		snap.Size, snap.Shared, snap.Pause, snap.CompatKey = info.Size, info.Shared, info.Pause, info.CompatKey
		if task.prepare != nil {
			err = task.prepare(ctx, snap)
		}
	}
	if err == nil {
		err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
			if err := tx.Snapshots().Update(ctx, snap); err != nil {
				return err
			}
			return task.commit(ctx, actor, tx, snap)
		})
	}
	if err != nil {
		if undo := a.dropSnapshot(ctx, snap.ID); undo != nil {
			a.log.Error("cannot remove a snapshot that was not completed", "snapshot", snap.ID, "error", undo)
		}
		return nil, err
	}
	return snap, nil
}

// snapshotter returns how a snapshot of a session is taken in the state that it
// is in.
func (a *UseCases) snapshotter(ctx context.Context, s *nixspace.Session, keeper nixspace.SnapshotKeeper) (func(context.Context, nixspace.ID) (nixspace.SnapshotInfo, error), error) {
	switch {
	case s.Throwaway:
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_throwaway", "session %s is a throw-away fork, which shares its memory and cannot be copied", s.Ref()).
			WithHint("fork what it was forked from once more")
	case s.Status == nixspace.SessionRunning:
		m, err := a.machines.Attach(ctx, s.ID)
		if records.NotFound(err) {
			if _, err := a.gone(ctx, s); err != nil {
				return nil, err
			}
			break // it is hibernated
		}
		if err != nil {
			return nil, err
		}
		snap, ok := m.(nixspace.Snapshotter)
		if !ok {
			return nil, unsupported("snapshot")
		}
		return snap.Snapshot, nil
	case s.Status.Transient():
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_busy", "session %s is %s", s.Ref(), s.Status).
			WithHint("wait until it runs or is stopped")
	case s.NeedsSnapshot != "" || s.Ephemeral && s.Status != nixspace.SessionHibernated:
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_empty", "session %s has no disk of its own", s.Ref()).
			WithHint("start it with `nixspace start %s`", s.Ref())
	}
	return func(ctx context.Context, id nixspace.ID) (nixspace.SnapshotInfo, error) {
		return keeper.SnapshotFiles(ctx, s.ID, id)
	}, nil
}

// dropSnapshot removes the row of a snapshot, and then its files: files without a
// row are found at the next start.
func (a *UseCases) dropSnapshot(ctx context.Context, id nixspace.ID) error {
	ctx, cancel := context.WithTimeout(nixspace.AsSystem(context.WithoutCancel(ctx)), snapshotLimit)
	defer cancel()
	err := a.records.Store.InTx(ctx, func(tx records.Tx) error { return tx.Snapshots().Delete(ctx, id) })
	if err != nil && !records.NotFound(err) {
		return err
	}
	if keeper, ok := a.machines.(nixspace.SnapshotKeeper); ok {
		return keeper.RemoveSnapshot(ctx, id)
	}
	return nil
}

// Snapshots lists snapshots, newest first: those of an environment or of a
// session, or all when ref is empty; the implicit ones of forks only if all.
func (a *UseCases) Snapshots(ctx context.Context, ref string, all bool) ([]nixspace.Snapshot, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	var f nixspace.SnapshotFilter
	if _, _, ok := records.SplitSession(ref); ok {
		s, err := records.FindSession(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		f.Session = s.ID
	} else if ref != "" {
		env, err := records.FindEnvironment(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		f.Environment = env.ID
	}
	found, err := tx.Snapshots().List(ctx, f)
	if err != nil {
		return nil, err
	}
	// What files share changes as others come and go.
	sizes := a.snapshotSizes(ctx)
	kept := found[:0]
	for _, s := range found {
		if s.Implicit && !all {
			continue
		}
		if info, ok := sizes[s.ID]; ok {
			s.Size, s.Shared = info.Size, info.Shared
		}
		kept = append(kept, s)
	}
	return kept, nil
}

func (a *UseCases) snapshotSizes(ctx context.Context) map[nixspace.ID]nixspace.SnapshotInfo {
	keeper, ok := a.machines.(nixspace.SnapshotKeeper)
	if !ok {
		return nil
	}
	infos, err := keeper.Snapshots(ctx)
	if err != nil {
		a.log.Warn("cannot list the snapshots of this host", "error", err)
	}
	byID := make(map[nixspace.ID]nixspace.SnapshotInfo, len(infos))
	for _, i := range infos {
		byID[i.ID] = i
	}
	return byID
}

// Snapshot returns one by reference: "env@name", "project/env@name" or its UUID.
func (a *UseCases) Snapshot(ctx context.Context, ref string) (*nixspace.Snapshot, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return findSnapshot(ctx, tx, ref)
}

func findSnapshot(ctx context.Context, tx records.Tx, ref string) (*nixspace.Snapshot, error) {
	if nixspace.ID(ref).Valid() {
		return tx.Snapshots().ByID(ctx, nixspace.ID(ref))
	}
	name, snap, ok := strings.Cut(ref, "@")
	if !ok || snap == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.200q does not name a snapshot", ref).
			WithHint("write ENVIRONMENT@NAME, as `nixspace snapshots` shows it")
	}
	env, err := records.FindEnvironment(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	found, err := tx.Snapshots().List(ctx, nixspace.SnapshotFilter{Environment: env.ID, Name: snap})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "snapshot_unknown", "%s has no snapshot %q", env.Ref(), snap).
			WithHint("see what there is with `nixspace snapshots`")
	}
	return &found[0], nil
}

// RemoveSnapshot deletes a snapshot and returns it as it was. It fails with kind
// conflict while a session needs it; snapshots that were taken of its sessions
// stand on their own, and become its parent's children.
func (a *UseCases) RemoveSnapshot(ctx context.Context, ref string) (*nixspace.Snapshot, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := findSnapshot(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	if s.State == nixspace.SnapshotTaking {
		return nil, nixspace.Errorf(nixspace.KindConflict, "snapshot_busy", "snapshot %s is being taken", s.Ref()).WithHint("wait until it is complete")
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if err := tx.Snapshots().Delete(ctx, s.ID); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "snapshot.removed", EnvironmentID: s.EnvironmentID, Actor: actor.Name, Message: "removed snapshot " + s.Ref(),
			Data: map[string]any{"snapshot": s.ID},
		})
	})
	if err != nil {
		return nil, err
	}
	return s, a.dropSnapshot(ctx, s.ID)
}

// collectSnapshots removes the snapshots that forks were made from and that no
// session needs any more.
func (a *UseCases) collectSnapshots(ctx context.Context) {
	all, err := a.records.Store.Read().Snapshots().List(ctx, nixspace.SnapshotFilter{})
	if err != nil {
		a.log.Warn("cannot look for snapshots that nothing needs", "error", err)
		return
	}
	for _, s := range all {
		if !s.Implicit || s.State == nixspace.SnapshotTaking {
			continue
		}
		if err := a.dropSnapshot(ctx, s.ID); err != nil && !records.IsCode(err, "snapshot_in_use") {
			a.log.Warn("cannot remove a snapshot that nothing needs", "snapshot", s.ID, "error", err)
		}
	}
}

// reconcileSnapshots brings the rows of snapshots and the files of this host
// together. What was not completed is removed, and so is what nobody knows; a
// snapshot whose files are gone is kept, and says so.
func (a *UseCases) reconcileSnapshots(ctx context.Context) error {
	keeper, ok := a.machines.(nixspace.SnapshotKeeper)
	if !ok {
		return nil
	}
	infos, err := keeper.Snapshots(ctx)
	if err != nil {
		return fmt.Errorf("list the snapshots of this host: %w", err)
	}
	rows, err := a.records.Store.Read().Snapshots().List(ctx, nixspace.SnapshotFilter{})
	if err != nil {
		return err
	}
	held := make(map[nixspace.ID]bool, len(infos))
	for _, i := range infos {
		held[i.ID] = true
	}
	var failures []error
	known := make(map[nixspace.ID]bool, len(rows))
	for _, s := range rows {
		state := nixspace.SnapshotReady
		switch {
		case s.State == nixspace.SnapshotTaking:
			a.log.Info("removing a snapshot that was not completed", "snapshot", s.ID)
			failures = append(failures, a.dropSnapshot(ctx, s.ID))
			known[s.ID] = true
			continue
		case !held[s.ID]:
			state = nixspace.SnapshotLost
		}
		known[s.ID] = true
		if s.State != state {
			a.log.Warn("a snapshot has changed", "snapshot", s.Ref(), "state", state)
			s.State = state
			failures = append(failures, a.records.Store.Read().Snapshots().Update(ctx, &s))
		}
	}
	for id := range held {
		if !known[id] {
			a.log.Info("removing the files of a snapshot that nobody knows", "snapshot", id)
			failures = append(failures, keeper.RemoveSnapshot(ctx, id))
		}
	}
	a.collectSnapshots(ctx)
	return errors.Join(failures...)
}
