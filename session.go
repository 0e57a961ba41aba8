package nixspace

import (
	"fmt"
	"time"
)

// Session is a machine of one version: running, or with its disk kept while it
// does not run.
type Session struct {
	ID                   ID
	Number               int // counts sessions of an environment, from 1: shop/1
	EnvironmentID        ID
	EnvironmentVersionID ID
	Environment          string // project/name, for people
	VMID                 string // the driver's own name for the machine
	Status               SessionStatus
	Reason               string // why it failed or stopped; empty while it runs
	ReasonCode           string // stable and machine-readable
	// Generation fences stale writers: it grows whenever the session is started,
	// and a report that carries another generation is ignored.
	Generation int64
	Driver     string // "qemu", …; empty until known
	Isolation  string // for people: "microVM (QEMU, software emulation)"
	Ephemeral  bool   // its disk goes when it stops
	Throwaway  bool   // it may share memory with its snapshot; never hibernated or forked
	// Resuming says that this generation continues from the memory that the last
	// one's hibernation left.
	Resuming bool
	// SnapshotID is the snapshot that it began from, ForkOf the session that that
	// was taken of. Either may be gone; both are empty for none.
	SnapshotID, ForkOf ID
	// NeedsSnapshot is SnapshotID as long as the session cannot be without it:
	// until it has a disk of its own, and, where it is a throw-away, until it ends.
	NeedsSnapshot ID
	DiskOnly      bool // of its snapshot it took the disk alone
	StartedAt     time.Time
	Since         time.Time // when it came into its Status
	LastActivity  time.Time
	EndedAt       time.Time // zero while it has not ended
	CreatedBy     ID
}

// Ref returns the name people use: project/environment/number.
func (s *Session) Ref() string { return fmt.Sprintf("%s/%d", s.Environment, s.Number) }

// SessionStatus is where a [Session] stands.
type SessionStatus string

// The states of a session.
//
//	creating → running → hibernated → creating (resumed, with the next generation)
//	    │         │           │
//	    └────→ stopping ←─────┘
//	              │
//	    failed, stopped → creating (started again, with the next generation)
//
// A resume that is interrupted goes from creating back to hibernated. A machine
// that hibernates is running until its memory is safe, so there is no state in
// between that a crash could leave. Every state may turn into failed. Creating and stopping are transient: each
// has a time limit, after which the session is failed with a reason.
const (
	SessionCreating   SessionStatus = "creating"
	SessionRunning    SessionStatus = "running"
	SessionHibernated SessionStatus = "hibernated"
	SessionStopping   SessionStatus = "stopping"
	SessionStopped    SessionStatus = "stopped"
	SessionFailed     SessionStatus = "failed"
)

// LiveStatuses returns the states in which a session has a machine, or the memory
// of one.
func LiveStatuses() []SessionStatus {
	return []SessionStatus{SessionCreating, SessionRunning, SessionHibernated, SessionStopping}
}

// Transient reports whether a session must leave this state by itself.
func (s SessionStatus) Transient() bool { return s == SessionCreating || s == SessionStopping }

// Live reports whether a machine may exist for a session in this state.
func (s SessionStatus) Live() bool {
	return s == SessionCreating || s == SessionRunning || s == SessionStopping
}

// CanBecome reports whether a session may move from s to next.
func (s SessionStatus) CanBecome(next SessionStatus) bool {
	switch next {
	case SessionFailed:
		return s != SessionStopped && s != SessionFailed
	case SessionCreating:
		return s == SessionStopped || s == SessionFailed || s == SessionHibernated
	case SessionRunning:
		return s == SessionCreating || s == SessionHibernated
	case SessionHibernated:
		return s == SessionRunning || s == SessionCreating
	case SessionStopping:
		return s == SessionCreating || s == SessionRunning || s == SessionHibernated
	case SessionStopped:
		return s == SessionStopping || s == SessionCreating || s == SessionRunning || s == SessionHibernated
	}
	return false
}

// SessionUpdate is a session with its machine's status as they stand now.
type SessionUpdate struct {
	Session  Session
	Machine  *MachineStatus // nil where no machine is known
	Progress *Progress      // what a creating session is doing; nil otherwise
}

// Event is something that happened, for people and for subscribers.
type Event struct {
	Seq           int64 // grows; gaps are possible
	At            time.Time
	Kind          string // "environment.branched", "session.running", "build.failed"…
	ProjectID     ID
	EnvironmentID ID
	SessionID     ID
	BuildID       ID
	Actor         string
	Message       string // one line for people
	Data          map[string]any
}
