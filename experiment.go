package nixspace

import (
	"context"
	"encoding/json"
	"time"
)

// Experiment is a command that is run on several versions, each time in a machine
// of its own, to learn how they differ. All that it needs to be continued or
// repeated is recorded; the versions that it made for itself belong to no
// environment's history, and nothing else of it is left once it has ended.
type Experiment struct {
	ID        ID
	Number    int64 // counts all experiments, for people
	ProjectID ID
	Kind      ExperimentKind
	Status    BuildStatus
	Error     string // why it failed or was interrupted, for people; empty otherwise
	ErrorCode string
	Spec      ExperimentSpec
	// Answer is what it found, as far as it is: JSON whose form depends on Kind.
	Answer     json.RawMessage
	CreatedAt  time.Time
	CreatedBy  ID
	Author     string
	StartedAt  time.Time // zero until it started
	FinishedAt time.Time // zero while it goes on
}

// ExperimentKind says what an [Experiment] wants to know.
type ExperimentKind string

// The kinds of experiments.
const (
	ExperimentRunKind  ExperimentKind = "run"      // what comes of the command on each
	ExperimentCompare  ExperimentKind = "compare"  // how fast it is on each
	ExperimentBisect   ExperimentKind = "bisect"   // which change broke it
	ExperimentCheck    ExperimentKind = "check"    // whether a version passes its checks
	ExperimentUpgrades ExperimentKind = "upgrades" // which newer packages work
)

// ExperimentSpec is what an experiment does.
type ExperimentSpec struct {
	// Subjects are the versions that it is about, in order; the first is what others
	// are compared with.
	Subjects []ExperimentSubject `json:"subjects,omitempty"`
	Command  []string            `json:"command,omitempty"`
	Env      map[string]string   `json:"env,omitempty"`
	Dir      string              `json:"dir,omitempty"`
	// Setup is run once in each machine that clones are made of.
	Setup     []string `json:"setup,omitempty"`
	Timeout   int      `json:"timeout,omitempty"`  // seconds of one run
	Parallel  int      `json:"parallel,omitempty"` // machines at a time
	Artifacts []string `json:"artifacts,omitempty"`

	// Of comparisons.
	Confidence float64  `json:"confidence,omitempty"`
	Precision  float64  `json:"precision,omitempty"`
	MinRuns    int      `json:"minRuns,omitempty"`
	MaxRuns    int      `json:"maxRuns,omitempty"`
	Warmups    int      `json:"warmups,omitempty"`
	Seed       uint64   `json:"seed,omitempty"` // of the order of runs
	Numbers    []string `json:"numbers,omitempty"`

	// Of bisections: hashes of versions.
	Good   []string `json:"good,omitempty"`
	Bad    string   `json:"bad,omitempty"`
	Verify bool     `json:"verify,omitempty"` // run the command on good and bad first

	// Checks are the names of those to run; all when empty.
	Checks []string `json:"checks,omitempty"`
	// Axes are what a matrix varies, for those who draw it.
	Axes []ExperimentAxis `json:"axes,omitempty"`
}

// ExperimentAxis is a key of the manifest and the values that it takes.
type ExperimentAxis struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// ExperimentSubject is one of the versions of an experiment.
type ExperimentSubject struct {
	Label     string            `json:"label"` // unique in its experiment
	VersionID ID                `json:"versionId"`
	Hash      string            `json:"hash"`
	Values    map[string]string `json:"values,omitempty"` // of a matrix: what the axes are
}

// ExperimentRun is one run of a command in a machine.
type ExperimentRun struct {
	ExperimentID ID
	Seq          int    // from 1, in the order in which they began
	Subject      string // the label of its subject, or what else it is about
	// Key says what it was for, such that an experiment that goes on knows what was
	// done: unique in its experiment.
	Key         string
	VersionID   ID
	VersionHash string
	Status      BuildStatus
	ExitCode    *int // nil where the command did not end
	Error       string
	ErrorCode   string
	Usage       *Usage
	Report      json.RawMessage // tests and numbers that the output holds
	Stdout      string          // the end of it
	Stderr      string
	Truncated   bool // output was left out
	Artifact    []byte
	HasArtifact bool
	StartedAt   time.Time
	FinishedAt  time.Time
}

// ExperimentFilter selects experiments; its zero value selects all.
type ExperimentFilter struct {
	Project ID
	Kind    ExperimentKind
	Version ID // that is one of its subjects
	Open    bool
	Before  int64 // a number; 0 for none
	Limit   int
}

// ExperimentStore keeps experiments.
type ExperimentStore interface {
	// Create adds an experiment and sets its Number.
	Create(ctx context.Context, e *Experiment) error
	ByID(ctx context.Context, id ID) (*Experiment, error)
	ByNumber(ctx context.Context, n int64) (*Experiment, error)
	// List lists experiments, newest first.
	List(ctx context.Context, f ExperimentFilter) ([]Experiment, error)
	// Step stores e's status, error, answer and times if the stored status is one of
	// from, and reports whether it was.
	Step(ctx context.Context, e *Experiment, from ...BuildStatus) (bool, error)
	// Delete removes an experiment that has ended, with its runs, and reports whether
	// there was one.
	Delete(ctx context.Context, id ID) (bool, error)
}

// ExperimentRunStore keeps the runs of experiments, and what they hold.
type ExperimentRunStore interface {
	// Put stores a run in place of one of the same key, and sets its Seq if it is new.
	Put(ctx context.Context, r *ExperimentRun) error
	// List lists the runs of an experiment by Seq, without artefacts; without their
	// output and reports unless full.
	List(ctx context.Context, experiment ID, full bool) ([]ExperimentRun, error)
	// One returns a run with all that it has.
	One(ctx context.Context, experiment ID, seq int) (*ExperimentRun, error)
	// Hold says that an experiment is about to make a session, which goes with it.
	Hold(ctx context.Context, experiment, session ID) error
	Release(ctx context.Context, experiment, session ID) error
	Held(ctx context.Context, experiment ID) ([]ID, error)
}
