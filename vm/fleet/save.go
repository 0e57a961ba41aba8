package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/snapshot"
)

var (
	_ nixspace.Snapshotter    = (*machine)(nil)
	_ nixspace.SnapshotKeeper = (*Local)(nil)
)

// Hibernate implements [nixspace.Snapshotter].
func (m *machine) Hibernate(ctx context.Context) error {
	m.fleet.mu.Lock()
	f := m.fleet.followers[m.id]
	m.fleet.mu.Unlock()
	if _, err := m.client.Hibernate(ctx); err != nil {
		return err
	}
	if f != nil {
		select {
		case <-f.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := m.fleet.saved.Session(m.id).Check(); err != nil {
		return fmt.Errorf("hibernate session %s: %w", m.id, err)
	}
	m.fleet.makeLast(m.fleet.saved.Session(m.id))
	return nil
}

// Snapshot implements [nixspace.Snapshotter].
func (m *machine) Snapshot(ctx context.Context, id nixspace.ID) (nixspace.SnapshotInfo, error) {
	info, err := m.client.Snapshot(ctx, id)
	if err != nil {
		return nixspace.SnapshotInfo{}, err
	}
	m.fleet.makeLast(m.fleet.saved.Snapshot(id))
	return info, nil
}

// makeLast writes a saved machine to the disk, in the background: nobody has to
// wait for it, since after a crash of the host one that is not on the disk is
// known to be incomplete.
func (l *Local) makeLast(f snapshot.Files) {
	l.wg.Go(func() {
		if err := f.Sync(l.ctx); err != nil && l.ctx.Err() == nil && !errors.Is(err, fs.ErrNotExist) {
			l.log.Warn("a saved machine is not safe from a crash of this host yet", "files", f.Meta, "err", err)
		}
	})
}

// SnapshotFiles implements [nixspace.SnapshotKeeper]. It fails with code
// "session_runs" while the machine runs.
func (l *Local) SnapshotFiles(ctx context.Context, session, id nixspace.ID) (nixspace.SnapshotInfo, error) {
	none := nixspace.SnapshotInfo{}
	if !session.Valid() {
		return none, fmt.Errorf("take a snapshot: %q is no session", session)
	}
	if err := l.settle(ctx, session); err != nil {
		return none, err
	}
	lock, err := runner.TryLock(l.sessionDir(session))
	if errors.Is(err, runner.ErrLocked) {
		return none, nixspace.Errorf(nixspace.KindConflict, "session_runs", "the session's machine runs").
			WithHint("take the snapshot of its machine, or stop it first")
	}
	if err != nil {
		return none, fmt.Errorf("take a snapshot of session %s: %w", session, err)
	}
	defer lock.Unlock()
	own := l.saved.Session(session)
	meta, err := own.Check()
	if errors.Is(err, fs.ErrNotExist) {
		meta, err = diskOnly(own, session)
	}
	if err != nil {
		return none, fmt.Errorf("take a snapshot of session %s: %w", session, err)
	}
	draft, err := l.saved.NewSnapshot(id)
	if err != nil {
		return none, err
	}
	defer draft.Discard()
	if err := l.saved.Copy(ctx, own, draft.Files, meta.Info.Memory); err != nil {
		return none, err
	}
	if meta.Info.Memory {
		state, err := os.ReadFile(own.State)
		if err == nil {
			err = os.WriteFile(draft.State, state, 0o600)
		}
		if err != nil {
			return none, err
		}
	}
	meta.Info.ID, meta.Info.ParentID, meta.Info.CreatedAt = id, runner.Origin(l.sessionDir(session)), time.Now().UTC()
	meta.Info.Pause = 0
	if meta, err = draft.Publish(meta); err != nil {
		return none, err
	}
	l.makeLast(l.saved.Snapshot(id))
	return l.saved.Describe(draft.Files, meta)
}

// diskOnly describes a session that is not hibernated: only its disk counts.
func diskOnly(own snapshot.Files, session nixspace.ID) (snapshot.Meta, error) {
	clean, err := unmounted(own.Disk)
	if err != nil {
		return snapshot.Meta{}, err
	}
	m := snapshot.Meta{Info: nixspace.SnapshotInfo{SessionID: session, Consistency: nixspace.ConsistencyCrash}}
	if clean {
		m.Info.Consistency = nixspace.ConsistencyClean
	}
	return m, nil
}

// unmounted reports whether a disk was unmounted in order: its file system then
// needs no recovery (s_feature_incompat, EXT4_FEATURE_INCOMPAT_RECOVER; see the
// kernel's Documentation/filesystems/ext4/super.rst).
func unmounted(disk string) (bool, error) {
	f, err := os.Open(disk)
	if err != nil {
		return false, err
	}
	defer f.Close()
	super := make([]byte, 1024)
	if _, err := f.ReadAt(super, 1024); err != nil {
		return false, fmt.Errorf("read %s: %w", disk, err)
	}
	if binary.LittleEndian.Uint16(super[0x38:]) != 0xef53 {
		return false, fmt.Errorf("%s holds no ext4", disk)
	}
	return binary.LittleEndian.Uint32(super[0x60:])&0x4 == 0, nil
}

// Snapshots implements [nixspace.SnapshotKeeper].
func (l *Local) Snapshots(ctx context.Context) ([]nixspace.SnapshotInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.saved.List()
}

// RemoveSnapshot implements [nixspace.SnapshotKeeper].
func (l *Local) RemoveSnapshot(ctx context.Context, id nixspace.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.saved.Remove(id)
}

// Hibernated implements [nixspace.SnapshotKeeper].
func (l *Local) Hibernated(ctx context.Context, session nixspace.ID) (bool, error) {
	if err := ctx.Err(); err != nil || !session.Valid() {
		return false, err
	}
	_, ok := l.saved.Hibernated(session)
	return ok, nil
}
