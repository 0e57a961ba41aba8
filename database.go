package nixspace

import (
	"context"
	"time"
)

// Database is what NixSpace remembers. Its use cases are written against it;
// package state/postgres implements it. It is safe for concurrent use.
//
// Methods that find one record fail with kind [KindNotFound] when there is none,
// and those that create one with kind [KindExists] when its name is taken.
type Database interface {
	// Read gives access outside of a transaction: every call is one by itself.
	Read() Tx
	// InTx runs fn in a transaction (read committed) and commits it unless fn
	// fails. It may run fn again after a failure to serialise, so fn has no
	// effect but on its Tx.
	InTx(ctx context.Context, fn func(Tx) error) error
	// Subscribe sends a [Notice] for each commit that touches what a notice can
	// name, until ctx ends; the channel is then closed. Commits that happen after
	// Subscribe returned are not missed. Equal notices that wait are merged.
	Subscribe(ctx context.Context) (<-chan Notice, error)
}

// Tx gives access to the records, inside or outside of a transaction. One that
// was handed out by [Database.InTx] must be used by one goroutine at a time and
// not after the function returned.
type Tx interface {
	Projects() ProjectStore
	Environments() EnvironmentStore
	Versions() VersionStore
	History() HistoryStore
	Tags() TagStore
	Merges() MergeStore
	Builds() BuildStore
	Sessions() SessionStore
	Snapshots() SnapshotStore
	Fetches() FetchStore
	Templates() TemplateStore
	Code() CodeStore
	Prebuilds() PrebuildStore
	Experiments() ExperimentStore
	ExperimentRuns() ExperimentRunStore
	Git() GitStore
	Events() EventStore
	People() PeopleStore
}

// Notice says that something changed; read it to see how.
type Notice struct {
	Topic NoticeTopic
	ID    ID // of the build, session, fetch or experiment; empty for other topics
}

// NoticeTopic is what a [Notice] is about.
type NoticeTopic string

// The topics.
const (
	NoticeEvent      NoticeTopic = "event"      // events were appended
	NoticeBuild      NoticeTopic = "build"      // a build or its log changed
	NoticeSession    NoticeTopic = "session"    // a session changed or went away
	NoticeFetch      NoticeTopic = "fetch"      // a fetch of code changed
	NoticePrebuild   NoticeTopic = "prebuild"   // a prebuild or its log changed, or went away
	NoticeResync     NoticeTopic = "resync"     // notices may have been lost: read everything again
	NoticeExperiment NoticeTopic = "experiment" // an experiment or one of its runs changed
	NoticeAccess     NoticeTopic = "access"     // what somebody may do changed; ID is the user's, empty for any
)

// ProjectStore keeps projects and users.
type ProjectStore interface {
	Create(ctx context.Context, p *Project) error
	ByID(ctx context.Context, id ID) (*Project, error)
	BySlug(ctx context.Context, slug string) (*Project, error)
	List(ctx context.Context) ([]Project, error) // by slug
	// EnsureUser makes sure that the user exists, and returns the one with that
	// name: its ID is the stored one, whatever ID was given.
	EnsureUser(ctx context.Context, u User) (*User, error)
}

// EnvironmentStore keeps environments. All methods but ByIDs and Deleted leave
// out those that were deleted.
type EnvironmentStore interface {
	// Create adds an environment and the first entry of its reflog, whose To is the
	// head. Its head may be a version of another environment, or one that is
	// created later in the same transaction.
	Create(ctx context.Context, e *Environment, first HeadMove) error
	// ByIDs returns those that exist, in any order, deleted ones too.
	ByIDs(ctx context.Context, ids ...ID) ([]Environment, error)
	// Named lists environments of that name, by project: of all projects when
	// project (a slug) is empty.
	Named(ctx context.Context, project, name string) ([]Environment, error)
	// List lists the environments of a project by name, or all by reference.
	List(ctx context.Context, project ID) ([]Environment, error)
	// Deleted lists deleted environments like Named, the last deleted first.
	Deleted(ctx context.Context, project, name string) ([]Environment, error)
	// MoveHead makes v the head of m's environment and records the move, if the
	// head is still m.From. Otherwise it fails with kind [KindConflict] and code
	// "head_moved"; or with kind [KindForbidden] and code "environment_protected"
	// when only merges may move it and m is none; or with kind [KindNotFound] when
	// it was deleted. The environment stays locked until the transaction ends.
	MoveHead(ctx context.Context, v *Version, m HeadMove) error
	// Lock returns an environment, deleted or not, and keeps others from changing it
	// until the transaction ends.
	Lock(ctx context.Context, id ID) (*Environment, error)
	// Update stores an environment's name, protection and deletion.
	Update(ctx context.Context, e *Environment) error
	// Page lists at most limit environments of a project, or of all, in the order of
	// List, from the first one after another, or from the beginning where that is nil;
	// and says how many there are in all.
	Page(ctx context.Context, project ID, after *Environment, limit int) (page []Environment, total int, err error)
	// Search lists environments whose project/name holds every word, in any case;
	// short names first, at most limit.
	Search(ctx context.Context, words []string, limit int) ([]Environment, error)
	// Refs lists every project/name, for suggestions; at most limit.
	Refs(ctx context.Context, limit int) ([]string, error)
}

// VersionStore keeps versions, which never change, and realisations.
type VersionStore interface {
	// Create adds a version; parent is its first parent, empty for a first one.
	Create(ctx context.Context, v *Version, parent ID) error
	// ByIDs returns those that exist, in any order.
	ByIDs(ctx context.Context, ids ...ID) ([]Version, error)
	// Hashes returns the hashes of those versions that exist, in any order.
	Hashes(ctx context.Context, ids ...ID) ([]string, error)
	// ByHash lists versions whose hash begins with prefix; at most limit.
	ByHash(ctx context.Context, prefix string, limit int) ([]Version, error)
	// History walks from head along the first parents, newest first: limit
	// versions whose Seq is less than before (any when before is 0).
	History(ctx context.Context, head ID, before int64, limit int) ([]Version, error)
	// Realisation returns what was built from a derivation.
	Realisation(ctx context.Context, drvPath string) (*Realisation, error)
	// PutRealisation records a realisation, in place of an older one.
	PutRealisation(ctx context.Context, r *Realisation) error
}

// BuildStore keeps builds and their logs.
type BuildStore interface {
	// Create adds a build. It fails with kind [KindExists] where a build of that
	// version is under way.
	Create(ctx context.Context, b *Build) error
	ByID(ctx context.Context, id ID) (*Build, error)
	// Lock returns a build and keeps others from changing it until the transaction
	// ends.
	Lock(ctx context.Context, id ID) (*Build, error)
	// List lists builds, newest first: those of a version, or, when it is empty,
	// all that are not final.
	List(ctx context.Context, version ID) ([]Build, error)
	// Transition stores b's status, error and times if the stored status is one
	// of from, and reports whether it was.
	Transition(ctx context.Context, b *Build, from ...BuildStatus) (bool, error)
	// AppendLog adds lines, which follow each other in Seq.
	AppendLog(ctx context.Context, lines []BuildLogLine) error
	// Log returns at most limit lines of a build with Seq greater than after.
	Log(ctx context.Context, build ID, after int64, limit int) ([]BuildLogLine, error)
}

// SessionStore keeps sessions.
type SessionStore interface {
	// Create adds a session, sets its Number to the next one of its environment
	// and its Environment.
	Create(ctx context.Context, s *Session) error
	ByID(ctx context.Context, id ID) (*Session, error)
	// List lists sessions, newest first.
	List(ctx context.Context, f SessionFilter) ([]Session, error)
	// Transition applies c if the stored session has c's generation and one of
	// its From states, and returns the session as it then is. Otherwise it fails
	// with kind [KindConflict] and code "session_moved".
	Transition(ctx context.Context, c SessionChange) (*Session, error)
	// Touch sets the time of the last activity.
	Touch(ctx context.Context, id ID, at time.Time) error
	// Delete removes a session that is stopped or failed.
	Delete(ctx context.Context, id ID) error
}

// SessionFilter selects sessions; its zero value selects all.
type SessionFilter struct {
	Environment ID
	Number      int             // 0 for any
	Statuses    []SessionStatus // none for any
	Limit       int             // 0 for no limit
}

// SessionChange is a step of a session's state machine.
type SessionChange struct {
	ID         ID
	Generation int64           // that the session must have
	From       []SessionStatus // that it must have one of
	To         SessionStatus
	At         time.Time
	Reason     string
	ReasonCode string
	// VMID, Driver and Isolation replace the stored ones unless they are empty.
	VMID, Driver, Isolation string
	// Restart begins the next generation: To is [SessionCreating], the start time
	// is At, and what was known of the old machine is forgotten. Resume says that
	// it continues from the memory of the last one.
	Restart, Resume bool
}

// SnapshotStore keeps snapshots.
type SnapshotStore interface {
	// Create adds a snapshot that is being taken. Without a name it gets the next
	// number of its environment for one ("s3"), unless it is implicit. It sets
	// Environment and Session.
	Create(ctx context.Context, s *Snapshot) error
	ByID(ctx context.Context, id ID) (*Snapshot, error)
	// List lists snapshots, newest first.
	List(ctx context.Context, f SnapshotFilter) ([]Snapshot, error)
	// Update stores the state of a snapshot and what its host says of it.
	Update(ctx context.Context, s *Snapshot) error
	// Delete removes a snapshot; its children become its parent's. It fails with
	// kind [KindConflict] and code "snapshot_in_use" while a session needs it.
	Delete(ctx context.Context, id ID) error
}

// SnapshotFilter selects snapshots; its zero value selects all.
type SnapshotFilter struct {
	Environment, Session ID
	Name                 string
}

// FetchStore keeps fetches of code.
type FetchStore interface {
	Create(ctx context.Context, f *SourceFetch) error
	ByID(ctx context.Context, id ID) (*SourceFetch, error)
	// Open lists those that are not final, oldest first.
	Open(ctx context.Context) ([]SourceFetch, error)
	// Transition stores f's status, error, code and times if the stored status is
	// one of from, and reports whether it was.
	Transition(ctx context.Context, f *SourceFetch, from ...BuildStatus) (bool, error)
}

// TemplateStore keeps the templates that people saved.
type TemplateStore interface {
	Create(ctx context.Context, t *Template) error
	ByName(ctx context.Context, name string) (*Template, error)
	List(ctx context.Context) ([]Template, error) // by name
	Delete(ctx context.Context, name string) error
}

// EventStore keeps events.
type EventStore interface {
	// Append adds an event and sets its Seq. Transactions that append commit in
	// the order of their events' Seq, so a reader that has seen one will not find
	// an earlier one later. Make it the last step of a transaction: others wait
	// for it to end.
	Append(ctx context.Context, e *Event) error
	// After returns at most limit events with Seq greater than seq, oldest first.
	After(ctx context.Context, seq int64, limit int) ([]Event, error)
	// Last returns the Seq of the newest event; 0 when there is none.
	Last(ctx context.Context) (int64, error)
}
