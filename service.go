package nixspace

import (
	"context"
	"time"
)

// Service is a program that the guest keeps running.
type Service struct {
	Name string            `json:"name"`
	Argv []string          `json:"argv"`
	Env  map[string]string `json:"env,omitempty"`
	Dir  string            `json:"dir,omitempty"` // working directory; /data/<name> when empty
	// Needs names services that must be ready before this one starts.
	Needs []string `json:"needs,omitempty"`
	// Early says that the service has nothing of its session's own: it needs no
	// workspace, runs no code of the user and holds no secret. It may start before
	// the machine has an identity, and its data and its running state may become
	// part of a template from which other sessions start.
	Early bool `json:"early,omitempty"`
	// Dirs are created before the service starts, owned by the user dev.
	Dirs []ServiceDir `json:"dirs,omitempty"`
	// Files are written before each start, owned by the user dev, mode 0644.
	Files map[string]string `json:"files,omitempty"`
	// Init runs once, before the first start, and again only if it failed; it is
	// complete when the file named by InitDone exists.
	Init     [][]string `json:"init,omitempty"`
	InitDone string     `json:"init_done,omitempty"`
	// Seed is what Init would make, made before; nil where only Init makes it.
	Seed *ServiceSeed `json:"seed,omitempty"`
	// Ready is run until it succeeds; the service is then ready.
	Ready Probe `json:"ready"`
	// After runs once after the service became ready (to create a database, for
	// example), and again when it is another than before on the same disk: what
	// it does must not mind what is there already.
	After      [][]string    `json:"after,omitempty"`
	Ports      []int         `json:"ports,omitempty"`
	StopSignal string        `json:"stop_signal,omitempty"` // "SIGTERM" when empty
	StopAfter  time.Duration `json:"stop_after,omitempty"`  // then SIGKILL; 10 s when 0
	Restart    Restart       `json:"restart,omitzero"`      // what happens when it ends by itself
	// ReadyTimeout bounds the time from a start until it is ready, Init and After
	// included; the guest's own limit when 0.
	ReadyTimeout time.Duration `json:"ready_timeout,omitempty"`
}

// ServiceSeed is how to do a service's Init once for many machines, outside of
// them, where processors are not emulated. It uses nothing but programs of a package
// and of the base system, and nothing of a session's own.
type ServiceSeed struct {
	// Family is the family of the package whose programs make it.
	Family string `json:"family"`
	// Script is for sh, with Args: it makes the tree $out.
	Script string   `json:"script"`
	Args   []string `json:"args,omitempty"`
	// Dir is where a new disk has the tree: absolute, in /data, the user dev's own.
	Dir string `json:"dir"`
	// Path is the store path of the tree; empty as long as it is not made, and
	// Init then does it.
	Path string `json:"path,omitempty"`
	// Cluster says that the tree is a PostgreSQL cluster, of which each new disk
	// gets one with a system identifier of its own.
	Cluster bool `json:"cluster,omitempty"`
}

// Restart says when a service that ended by itself is started again.
type Restart struct {
	When  RestartWhen   `json:"when,omitempty"`  // always when empty
	Limit int           `json:"limit,omitempty"` // how often in a row; 10 when 0
	Delay time.Duration `json:"delay,omitempty"` // before the first restart, doubled up to 5 minutes; 250 ms when 0
}

// RestartWhen is after which ends a service is started again.
type RestartWhen string

// The policies of [Restart].
const (
	RestartAlways    RestartWhen = "always"
	RestartOnFailure RestartWhen = "on-failure" // an exit code other than 0, or a signal
	RestartNever     RestartWhen = "never"
)

// ServiceDir is a directory that a service needs.
type ServiceDir struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"` // permission bits
}

// Probe says how to see that a service is ready: when everything that is set
// succeeds. Sockets are tried first, they cost least.
type Probe struct {
	Unix string   `json:"unix,omitempty"` // this socket accepts
	TCP  int      `json:"tcp,omitempty"`  // this port on 127.0.0.1 accepts
	HTTP string   `json:"http,omitempty"` // a GET of this path on port TCP has a status of 200 to 399
	Exec []string `json:"exec,omitempty"` // it exits with 0
}

// ServiceStatus is how one service in a guest stands.
type ServiceStatus struct {
	Name     string `json:"name"`
	State    string `json:"state"`    // one of the constants below
	Restarts int    `json:"restarts"` // since it was last started by somebody
	Message  string `json:"message,omitempty"`
	// ExitCode is that of its program when it last ended by itself: 128 plus the
	// number for a signal. Nil where it never did.
	ExitCode *int      `json:"exit_code,omitempty"`
	Ports    []int     `json:"ports,omitempty"` // that it is to listen on
	Since    time.Time `json:"since,omitzero"`  // when it came into its State, by the guest's clock
}

// The states of a service.
const (
	ServiceStarting = "starting" // also while it waits for others, or to be started again
	ServiceReady    = "ready"
	ServiceDone     = "done"    // it ended as it should and is not started again
	ServiceFailed   = "failed"  // it was given up
	ServiceStopped  = "stopped" // somebody stopped it, or the machine ended
)

// ServiceAction is what somebody wants of one service.
type ServiceAction string

// The actions on a service.
const (
	ServiceStart   ServiceAction = "start"   // no effect on one that runs
	ServiceStop    ServiceAction = "stop"    // it stays stopped until it is started, or the machine is
	ServiceRestart ServiceAction = "restart" // stop, then start
)

// ServiceController is a [Machine] whose services can be controlled one by one.
type ServiceController interface {
	// ControlService does something to one service and returns how it then stands:
	// after a start or restart once it is ready or done. It fails with code
	// "service_not_found", with "service_failed" when it does not get ready, and
	// with "service_unsupported" where the machine's agent is older than that.
	ControlService(ctx context.Context, name string, action ServiceAction) (ServiceStatus, error)
}
