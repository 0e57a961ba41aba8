// Package sessions runs versions of environments as machines: it starts, stops,
// hibernates, snapshots and forks them, keeps their records true to their machines,
// and branches environments with their data.
package sessions

import (
	"log/slog"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// UseCases are the use cases about sessions. They are safe for concurrent use.
// [UseCases.Run] must run while they are used.
type UseCases struct {
	records        *records.Records
	packages       builds.Packages
	machines       nixspace.Machines
	workspaces     environments.Workspaces
	builds         *builds.UseCases
	environments   *environments.UseCases
	prebuilds      Prebuilds // nil where nothing is prepared
	tasks          *work.Tasks
	progress       *work.ProgressHub
	hibernateAfter time.Duration
	log            *slog.Logger
	starting       *work.RunSet // sessions whose machine this process is starting
	reports        *machineTable
	gates          *gates
	activity       *activity
	prewarms       Prewarms // nil for none
	urgency        urgency
	lender         Lender // nil where nothing is lent
	idleness       idleness
}

// Config is what sessions work with. All fields but HibernateAfter, Prebuilds and Prewarms are
// required.
type Config struct {
	Records      *records.Records
	Packages     builds.Packages
	Machines     nixspace.Machines
	Workspaces   environments.Workspaces
	Builds       *builds.UseCases
	Environments *environments.UseCases
	Prebuilds    Prebuilds
	Tasks        *work.Tasks
	Progress     *work.ProgressHub
	// HibernateAfter is how long nobody must have worked in a session before it is
	// hibernated; never when 0.
	HibernateAfter time.Duration
	// Prewarms queues the making of templates; nil for none.
	Prewarms Prewarms
	Lender   Lender // may be nil
	Log      *slog.Logger
}

// New returns the use cases about sessions.
func New(cfg Config) *UseCases {
	return &UseCases{
		records: cfg.Records, packages: cfg.Packages, machines: cfg.Machines, workspaces: cfg.Workspaces,
		builds: cfg.Builds, environments: cfg.Environments, prebuilds: cfg.Prebuilds, tasks: cfg.Tasks, progress: cfg.Progress,
		hibernateAfter: cfg.HibernateAfter, log: cfg.Log,
		starting: work.NewRunSet(), reports: newMachineTable(), gates: newGates(), activity: newActivity(), prewarms: cfg.Prewarms, lender: cfg.Lender,
	}
}
