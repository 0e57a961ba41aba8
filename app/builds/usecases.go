// Package builds makes environments real: it queues and runs builds of versions,
// keeps their logs, and proves what they made.
package builds

import (
	"context"
	"log/slog"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// UseCases are the use cases about builds. They are safe for concurrent use.
type UseCases struct {
	records  *records.Records
	packages Packages
	jobs     Jobs
	tasks    *work.Tasks
	progress *work.ProgressHub
	building *work.RunSet // builds that this process works on
	log      *slog.Logger
	// Ended is called in the transaction that records the end of a build. It must be
	// set before the first one.
	Ended func(ctx context.Context, tx records.Tx, b *nixspace.Build) error
	// Built is called in that transaction when it succeeded. It may be nil.
	Built func(ctx context.Context, tx records.Tx, version nixspace.ID) error
}

// New returns the use cases about builds.
func New(r *records.Records, p Packages, j Jobs, t *work.Tasks, h *work.ProgressHub, log *slog.Logger) *UseCases {
	return &UseCases{records: r, packages: p, jobs: j, tasks: t, progress: h, building: work.NewRunSet(), log: log}
}
