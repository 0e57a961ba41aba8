package nixspace

import (
	"context"
	"time"
)

// Snapshot is the memory, devices and disk of a session, taken in one pause.
// It never changes; sessions start from it as often as one likes.
type Snapshot struct {
	ID        ID
	SessionID ID // that it was taken of; the session may be gone
	VersionID ID // the environment version that the session ran
	ParentID  ID // the snapshot that the session itself began from; empty for none
	Name      string
	// Environment (project/name) and Session (project/name/number) are for people.
	Environment   string
	Session       string
	EnvironmentID ID
	SessionNumber int
	State         SnapshotState
	Implicit      bool // taken for a fork; it goes when nothing needs it
	Memory        bool // otherwise it is a disk
	// Consistency says what the disk holds: see the constants.
	Consistency string
	Size        int64         // bytes that the snapshot's files hold
	Shared      int64         // of these, bytes that other files hold too (reflinks)
	Pause       time.Duration // how long the machine stood still
	CompatKey   string
	CreatedAt   time.Time
	CreatedBy   ID
}

// Ref returns the name people use: project/environment@name; its ID for one that
// has no name.
func (s *Snapshot) Ref() string {
	if s.Name == "" {
		return string(s.ID)
	}
	return s.Environment + "@" + s.Name
}

// SnapshotState is where a [Snapshot] stands.
type SnapshotState string

// The states of a snapshot.
const (
	SnapshotTaking SnapshotState = "taking" // its files may be there in part
	SnapshotReady  SnapshotState = "ready"
	SnapshotLost   SnapshotState = "lost" // its files were gone when the server started
)

// What the disk of a [Snapshot] holds.
const (
	// ConsistencyMemory: the memory goes with the disk, so nothing is lost.
	ConsistencyMemory = "memory"
	// ConsistencyClean: services had written everything (a checkpoint) and the
	// file system was frozen, so the disk alone is complete.
	ConsistencyClean = "clean"
	// ConsistencyCrash: the disk alone is as after a power failure.
	ConsistencyCrash = "crash"
)

// SnapshotInfo is what a host says of a snapshot that it holds.
type SnapshotInfo struct {
	ID        ID     `json:"id"`
	SessionID ID     `json:"session_id"`
	ParentID  ID     `json:"parent_id,omitempty"`
	CompatKey string `json:"compat_key"` // changes whenever the memory could not be restored
	// Memory says whether memory and devices are in it; otherwise it is a disk.
	Memory      bool          `json:"memory"`
	Consistency string        `json:"consistency"`
	Size        int64         `json:"size"`
	Shared      int64         `json:"shared"`
	Pause       time.Duration `json:"pause"` // how long the machine stood still
	CreatedAt   time.Time     `json:"created_at"`
}

// Snapshotter is what a [Machine] can do besides, where its driver can.
type Snapshotter interface {
	// Hibernate writes memory and devices into the session's files and ends the
	// machine. It succeeds when what was written was read again and is whole; when
	// it fails, the machine runs on. [MachineSpec.Resume] continues it.
	Hibernate(ctx context.Context) error
	// Snapshot takes a snapshot under the name id. The machine goes on; its
	// connections live on too.
	Snapshot(ctx context.Context, id ID) (SnapshotInfo, error)
}

// SnapshotKeeper is what [Machines] can do besides, where its driver can.
// A hibernated or stopped session has no [Machine], so its snapshot is taken here.
type SnapshotKeeper interface {
	// SnapshotFiles takes a snapshot of a session whose machine does not run, from
	// its files: with memory if it is hibernated, its disk alone if it is stopped.
	SnapshotFiles(ctx context.Context, session, id ID) (SnapshotInfo, error)
	// Snapshots lists the snapshots that this host holds.
	Snapshots(ctx context.Context) ([]SnapshotInfo, error)
	// RemoveSnapshot deletes one; it succeeds when there is none.
	RemoveSnapshot(ctx context.Context, id ID) error
	// Hibernated reports whether the session's files hold memory to continue from.
	Hibernated(ctx context.Context, session ID) (bool, error)
}

// Prewarmer is what [Machines] can do besides, where its driver can.
type Prewarmer interface {
	// Prewarm makes what the next machine like spec starts fast from: the images
	// of its layers, and a snapshot of such a machine with its early services
	// running (see [Service.Early]). It takes as long as a cold boot, and moments
	// where everything is there, which made says. It takes processors only as far as
	// nobody else wants them. Nothing in spec that belongs to a session matters.
	Prewarm(ctx context.Context, spec MachineSpec) (made bool, err error)
}
