package nixspace

import "time"

// Build is one attempt to realise a version.
type Build struct {
	ID         ID
	VersionID  ID
	Status     BuildStatus
	Error      string // why it failed, for people; empty otherwise
	ErrorCode  string
	CreatedAt  time.Time
	StartedAt  time.Time // zero until it started
	FinishedAt time.Time // zero until it ended
}

// BuildStatus is where a [Build] stands.
type BuildStatus string

// The states of a build. The last three are final.
const (
	BuildQueued    BuildStatus = "queued"
	BuildRunning   BuildStatus = "running"
	BuildSucceeded BuildStatus = "succeeded"
	BuildFailed    BuildStatus = "failed"
	BuildCanceled  BuildStatus = "canceled"
)

// Final reports whether the status can no longer change.
func (s BuildStatus) Final() bool {
	return s == BuildSucceeded || s == BuildFailed || s == BuildCanceled
}

// BuildLogLine is one line of a build's log.
type BuildLogLine struct {
	BuildID ID
	Seq     int64 // from 1, without gaps
	At      time.Time
	Text    string
}

// Progress reports how a long job stands. Reporters call it often; whoever
// shows it decides how much to show.
type Progress struct {
	Job   string `json:"job"`             // what the job is about: "postgresql_15", "layer base"
	Phase string `json:"phase"`           // "fetch", "import", "build", "smoke", "image", "boot", "services"…
	Done  int64  `json:"done"`            // in Unit
	Total int64  `json:"total"`           // 0 when unknown
	Unit  string `json:"unit,omitempty"`  // "B" for bytes, empty for a count
	Log   string `json:"log,omitempty"`   // a log line that belongs to the job; the other numbers are then unset
	Final bool   `json:"final,omitempty"` // this phase of the job is complete
}

// ProgressFunc receives progress. It must be safe for concurrent use and must
// not block for long. A nil ProgressFunc is allowed: use [ProgressFunc.Report].
type ProgressFunc func(Progress)

// Report calls f unless it is nil.
func (f ProgressFunc) Report(p Progress) {
	if f != nil {
		f(p)
	}
}

// BuildUpdate is one piece of news about a build. Exactly one field is set.
type BuildUpdate struct {
	Build    *Build // its state changed
	Progress *Progress
	Line     *BuildLogLine
}
