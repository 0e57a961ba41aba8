package apptest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
)

var (
	_ nixspace.Snapshotter    = (*machine)(nil)
	_ nixspace.SnapshotKeeper = (*Machines)(nil)
)

// FailSnapshots makes every later Hibernate and Snapshot fail with err; the
// machine runs on. Nil ends that.
func (h *Machines) FailSnapshots(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failSnapshots = err
}

// Began returns the snapshot that a session's disk was cloned from last.
func (h *Machines) Began(id nixspace.ID) nixspace.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.began[id]
}

// Forget loses the memory of a hibernated session, as a broken disk does.
func (h *Machines) Forget(id nixspace.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.memory, id)
}

// PutSnapshot makes the host hold a snapshot that nobody asked for.
func (h *Machines) PutSnapshot(s nixspace.SnapshotInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.snapshots[s.ID] = s
}

// Hibernate implements nixspace.Snapshotter.
func (m *machine) Hibernate(context.Context) error {
	h := m.host
	h.mu.Lock()
	id := m.status.SessionID
	if h.failSnapshots != nil {
		h.mu.Unlock()
		return h.failSnapshots
	}
	delete(h.machines, id)
	h.memory[id] = true
	status := m.status
	status.Status = nixspace.SessionHibernated
	h.mu.Unlock()
	h.Tell(status)
	return nil
}

// Snapshot implements nixspace.Snapshotter.
func (m *machine) Snapshot(_ context.Context, id nixspace.ID) (nixspace.SnapshotInfo, error) {
	m.host.mu.Lock()
	defer m.host.mu.Unlock()
	return m.host.snapshot(m.status.SessionID, id, true)
}

func (h *Machines) snapshot(session, id nixspace.ID, memory bool) (nixspace.SnapshotInfo, error) {
	if h.failSnapshots != nil {
		return nixspace.SnapshotInfo{}, h.failSnapshots
	}
	if _, taken := h.snapshots[id]; taken {
		return nixspace.SnapshotInfo{}, fmt.Errorf("snapshot %s: there is one already", id)
	}
	s := nixspace.SnapshotInfo{
		ID: id, SessionID: session, CompatKey: "fake", Memory: memory, Consistency: nixspace.ConsistencyMemory,
		Size: 64 << 20, Shared: 48 << 20, Pause: 10 * time.Millisecond, CreatedAt: time.Now(),
	}
	if !memory {
		s.Consistency, s.Pause = nixspace.ConsistencyClean, 0
	}
	h.snapshots[id] = s
	return s, nil
}

// SnapshotFiles implements nixspace.SnapshotKeeper.
func (h *Machines) SnapshotFiles(_ context.Context, session, id nixspace.ID) (nixspace.SnapshotInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.machines[session] != nil:
		return nixspace.SnapshotInfo{}, fmt.Errorf("snapshot %s: the session's machine runs", id)
	case !h.disks[session]:
		return nixspace.SnapshotInfo{}, nixspace.Errorf(nixspace.KindNotFound, "disk_unknown", "session %s has no disk", session)
	}
	return h.snapshot(session, id, h.memory[session])
}

// Snapshots implements nixspace.SnapshotKeeper.
func (h *Machines) Snapshots(context.Context) ([]nixspace.SnapshotInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.snapshots), func(a, b nixspace.SnapshotInfo) int { return cmp.Compare(a.ID, b.ID) }), nil
}

// RemoveSnapshot implements nixspace.SnapshotKeeper.
func (h *Machines) RemoveSnapshot(_ context.Context, id nixspace.ID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.snapshots, id)
	return nil
}

// Hibernated implements nixspace.SnapshotKeeper.
func (h *Machines) Hibernated(_ context.Context, session nixspace.ID) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.memory[session], nil
}

// begin does what a spec asks of the files of a session, and says how its machine
// comes up. The lock is held.
func (h *Machines) begin(spec nixspace.MachineSpec) (start, fallback string, err error) {
	start = "boot"
	switch {
	case spec.Resume && h.memory[spec.SessionID]:
		start = "resume"
	case spec.Resume:
		fallback = "there is no memory"
	}
	delete(h.memory, spec.SessionID)
	if spec.Snapshot != "" && !h.disks[spec.SessionID] {
		s, ok := h.snapshots[spec.Snapshot]
		if !ok {
			return "", "", nixspace.Errorf(nixspace.KindNotFound, "snapshot_unknown", "there is no snapshot %s", spec.Snapshot)
		}
		h.began[spec.SessionID] = spec.Snapshot
		if s.Memory && !spec.DiskOnly {
			start = "snapshot"
		}
	}
	h.disks[spec.SessionID] = true
	return start, fallback, nil
}
