package nixspace

import (
	"context"
	"time"
)

// VersionNode is what of a version says where it stands among the others. Every
// parent was made before its child: its Time and its Seq are less.
type VersionNode struct {
	Hash    string
	Parents []string // hashes; the first is the one that the version was made on
	Seq     int64
	Time    time.Time
}

// Commit is a version without its content.
type Commit struct {
	VersionNode
	ID            ID
	EnvironmentID ID
	Message       string
	Author        string
	Changes       []Change // against the first parent
}

// HeadMove is one step of an environment's head, from one version to another:
// an entry of its reflog.
type HeadMove struct {
	Seq           int64 // grows with each move of an environment; gaps are possible
	EnvironmentID ID
	From          ID // empty for the first one
	To            ID
	Action        MoveAction
	Message       string // one line for people
	Actor         string
	At            time.Time
}

// MoveAction says what moved a head.
type MoveAction string

// The actions that move a head.
const (
	MoveCreate      MoveAction = "create" // the environment was made
	MoveBranch      MoveAction = "branch"
	MoveChange      MoveAction = "change"
	MoveMerge       MoveAction = "merge"
	MoveFastForward MoveAction = "fast-forward"
	MoveRollback    MoveAction = "rollback"
	MoveRevert      MoveAction = "revert"
	MoveCherryPick  MoveAction = "cherry-pick"
	MoveImport      MoveAction = "import"
)

// Merges reports whether the action may move the head of a protected environment.
func (a MoveAction) Merges() bool { return a == MoveMerge || a == MoveFastForward }

// Tag is a name for a version that does not move.
type Tag struct {
	ProjectID ID
	Project   string // the project's slug
	Name      string // unique in its project; see [CheckName]
	VersionID ID
	Message   string
	CreatedAt time.Time
	CreatedBy ID
	Author    string
}

// Ref returns the tag's full name, project/name.
func (t *Tag) Ref() string { return t.Project + "/" + t.Name }

// Merge is a merge that was begun: its result is a version that becomes the head
// of an environment once it is built. The result of a fast-forward is the other
// side's own head.
//
// A merge that is [MergeBuilding] ends in the transaction that records the end of
// its version's build, so it is never left in between.
type Merge struct {
	ID            ID
	EnvironmentID ID // that is merged into
	VersionID     ID // what its head becomes
	FromHead      ID // what its head must still be then
	TheirsID      ID // the version that is merged
	FastForward   bool
	Status        MergeStatus
	Error         string // why it failed, for people; empty otherwise
	ErrorCode     string
	Message       string
	Actor         string
	CreatedAt     time.Time
	FinishedAt    time.Time // zero while it is building
}

// MergeStatus is where a [Merge] stands.
type MergeStatus string

// The states of a merge. All but the first are final.
const (
	MergeBuilding MergeStatus = "building"
	MergeDone     MergeStatus = "merged"
	MergeFailed   MergeStatus = "failed" // it could not be built, or its head moved meanwhile
)

// HistoryStore reads the graph of versions and where heads have been.
type HistoryStore interface {
	// Nodes returns the nodes of these hashes and, with them, as many of their
	// nearest ancestors as make up limit rows. Hashes that do not exist are left out.
	Nodes(ctx context.Context, hashes []string, limit int) ([]VersionNode, error)
	// Commits returns those of the hashes that exist, in any order.
	Commits(ctx context.Context, hashes []string) ([]Commit, error)
	// FirstParent goes n times to the first parent. Kind not_found, code
	// "version_too_far", where there are not as many.
	FirstParent(ctx context.Context, version ID, n int) (ID, error)
	// Moves lists the moves of an environment's head, newest first: limit of them,
	// those with Seq less than before (any when it is 0), after skip.
	Moves(ctx context.Context, environment ID, before int64, skip, limit int) ([]HeadMove, error)
	// MoveAt returns the last move at that time or before it.
	MoveAt(ctx context.Context, environment ID, at time.Time) (*HeadMove, error)
	// HeadsAt lists the environments whose head is one of these versions, by name.
	HeadsAt(ctx context.Context, versions ...ID) ([]Environment, error)
}

// TagStore keeps tags.
type TagStore interface {
	// Create adds a tag; with replace it takes the place of one of the same name.
	Create(ctx context.Context, t *Tag, replace bool) error
	// Named lists tags of that name, by project: of all projects when project (a
	// slug) is empty.
	Named(ctx context.Context, project, name string) ([]Tag, error)
	// List lists the tags of a project by name, or all by reference.
	List(ctx context.Context, project ID) ([]Tag, error)
	// At lists the tags of these versions, by name.
	At(ctx context.Context, versions ...ID) ([]Tag, error)
	// Delete removes a tag and reports whether there was one.
	Delete(ctx context.Context, project ID, name string) (bool, error)
}

// MergeStore keeps merges.
type MergeStore interface {
	Create(ctx context.Context, m *Merge) error
	ByID(ctx context.Context, id ID) (*Merge, error)
	// Building lists merges that are [MergeBuilding]: those that wait for a
	// version, or all when it is empty, oldest first.
	Building(ctx context.Context, version ID) ([]Merge, error)
	// End stores m's status, error and end if it is building, and reports whether
	// it was.
	End(ctx context.Context, m *Merge) (bool, error)
}
