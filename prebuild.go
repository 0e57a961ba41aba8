package nixspace

import (
	"context"
	"time"
)

// SetupScript is the name of the script in a manifest that makes code ready to
// work with: it fetches what the code depends on, and builds what it needs.
const SetupScript = "setup"

// Prebuild is one run of an environment's setup script over one state of its code,
// in a machine of its own, and the snapshot that it left. Its states are those of a
// build. Sessions of an equal manifest and equal code begin from the snapshot.
type Prebuild struct {
	ID  ID
	Key string // SHA-256 over project, code and manifest; equal keys, equal prebuilds

	ProjectID     ID
	EnvironmentID ID
	VersionID     ID
	Environment   string // project/name, for people
	Workspace     string // digest of the code; empty for none
	ManifestHash  string

	Status    BuildStatus
	Error     string
	ErrorCode string
	Snapshot  ID // once it succeeded
	CreatedAt time.Time
	CreatedBy ID
	// Zero until it started and ended.
	StartedAt, FinishedAt time.Time
	UsedAt                time.Time // when a session last began from it, or it was made
}

// PrebuildUpdate is one piece of news about a prebuild. One field is set. The
// BuildID of a line is the prebuild's.
type PrebuildUpdate struct {
	Prebuild *Prebuild
	Progress *Progress
	Line     *BuildLogLine
}

// EnvironmentCode is the code that sessions of an environment find in /workspace:
// the environment's own, or its project's.
type EnvironmentCode struct {
	Workspace string // digest; empty for none
	Source    string // in words
	// Fetch is how the code was fetched; nil where somebody sent it.
	Fetch *SourceFetch
}

// Commit is the code's commit; empty where it has none.
func (c *EnvironmentCode) Commit() string {
	if c.Fetch == nil || c.Fetch.Code == nil {
		return ""
	}
	return c.Fetch.Code.Commit
}

// CodeStore keeps which code environments have.
type CodeStore interface {
	// Of returns the code of an environment: its own, or its project's.
	Of(ctx context.Context, environment ID) (*EnvironmentCode, error)
	// Put gives an environment code of its own.
	Put(ctx context.Context, environment ID, workspace, source string, at time.Time) error
	// Inherit gives a new environment the code that another one has as its own, if it
	// has.
	Inherit(ctx context.Context, heir, origin ID) error
	// FetchOf returns the last fetch that brought code of this digest; nil for none.
	FetchOf(ctx context.Context, workspace string) (*SourceFetch, error)
}

// PrebuildStore keeps prebuilds.
type PrebuildStore interface {
	// Create adds a prebuild and sets its Environment. It fails with code
	// "prebuild_open" while one of that key is not final; a transaction goes on then.
	Create(ctx context.Context, p *Prebuild) error
	ByID(ctx context.Context, id ID) (*Prebuild, error)
	// List lists prebuilds, newest first.
	List(ctx context.Context, f PrebuildFilter) ([]Prebuild, error)
	// Transition stores p's status, error, snapshot and times if the stored status is
	// one of from, and reports whether it was.
	Transition(ctx context.Context, p *Prebuild, from ...BuildStatus) (bool, error)
	// Delete removes a prebuild that is final, and its log. Its snapshot is then
	// needed by nobody on its account.
	Delete(ctx context.Context, id ID) error
	PrebuildUse
}

// PrebuildUse is the part of a [PrebuildStore] that those use who begin from
// prebuilds, and who write their log.
type PrebuildUse interface {
	// Best returns the prebuild whose snapshot sessions like p had best begin from:
	// the one with its key, or else the last of its project, one with its manifest
	// and one of its environment before others. In a transaction it stays until that
	// ends. It fails with kind [KindNotFound] where there is none.
	Best(ctx context.Context, p *Prebuild) (*Prebuild, error)
	// Of returns the prebuild that a snapshot is of.
	Of(ctx context.Context, snapshot ID) (*Prebuild, error)
	// Use notes that a session begins from a prebuild, and whether that is one of other
	// code or another manifest than the session's.
	Use(ctx context.Context, id, session ID, earlier bool, at time.Time) error
	// BeganFrom returns what Use noted of a session. It fails with kind [KindNotFound]
	// where that is nothing, or the prebuild is gone.
	BeganFrom(ctx context.Context, session ID) (p *Prebuild, earlier bool, err error)
	LogStore
}

// LogStore keeps the lines that something prints.
type LogStore interface {
	// AppendLog adds lines, whose Seq go on from those that are there.
	AppendLog(ctx context.Context, lines []BuildLogLine) error
	// Log returns at most limit lines, in order, with a Seq greater than after.
	Log(ctx context.Context, id ID, after int64, limit int) ([]BuildLogLine, error)
}

// PrebuildFilter selects prebuilds; its zero value selects all.
type PrebuildFilter struct {
	Environment ID
	Key         string
	Open        bool // only those that are not final
}
