package nixspace

import (
	"context"
	"time"
)

// Garbage is something that nothing needs any more.
type Garbage struct {
	Kind     GarbageKind
	Name     string    // for people
	Reason   string    // why it may go: "not used since 2026-01-02"
	Size     int64     // bytes that go with it, as far as that is known; what it shares counts too
	LastUsed time.Time // zero where that is not known
	Removed  bool
	Error    string // why it could not be removed; empty otherwise
}

// GarbageKind is what a [Garbage] is.
type GarbageKind string

// The kinds of garbage.
const (
	GarbageSession   GarbageKind = "session"   // ended long ago, with its disk
	GarbageSnapshot  GarbageKind = "snapshot"  // lost, of a fork that is over, or old
	GarbageStray     GarbageKind = "stray"     // files of a session or snapshot that nobody knows
	GarbageTemplate  GarbageKind = "template"  // what sessions of one kind start from
	GarbageLayer     GarbageKind = "layer"     // image of a part of the store
	GarbageBoot      GarbageKind = "boot"      // kernel or first root file system of before
	GarbageWorkspace GarbageKind = "workspace" // archive of code
	GarbageRoot      GarbageKind = "root"      // link that keeps a store path
	GarbagePrebuild  GarbageKind = "prebuild"  // snapshot of code that was made ready
)

// GarbageCollector is what [Machines] can do besides.
type GarbageCollector interface {
	// CollectFiles finds the files that the host keeps to start machines faster,
	// that no session there needs and that were not used since before unused; with
	// remove, it removes them. Machines may start meanwhile: what they use stays.
	CollectFiles(ctx context.Context, unused time.Time, remove bool) ([]Garbage, error)
	// SessionSize returns how many bytes the files of a session hold.
	SessionSize(ctx context.Context, session ID) (int64, error)
}

// WorkspaceCollector is what a store of code can do besides.
type WorkspaceCollector interface {
	// CollectWorkspaces finds archives that keep does not name by their digest and
	// that were not stored since before unused; with remove, it removes them.
	CollectWorkspaces(ctx context.Context, keep map[string]bool, unused time.Time, remove bool) ([]Garbage, error)
}

// Reachable is what the records need of what lies outside of them.
type Reachable struct {
	Workspaces  map[string]bool // digests of archives of code
	Derivations map[string]bool // paths
}

// ReachableStore is what a [Database] can do besides.
type ReachableStore interface {
	// Reachable returns everything that the records need, as they are now.
	Reachable(ctx context.Context) (*Reachable, error)
}
