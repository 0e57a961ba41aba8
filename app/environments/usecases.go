// Package environments changes what environments are: it creates, branches,
// changes, merges, rolls back, renames and deletes them.
package environments

import (
	"log/slog"

	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
)

// UseCases are the use cases about environments. They are safe for concurrent use.
type UseCases struct {
	records    *records.Records
	packages   builds.Packages
	workspaces Workspaces
	builds     *builds.UseCases
	log        *slog.Logger
}

// New returns the use cases about environments. Builds that merges wait for end
// these merges from then on.
func New(r *records.Records, p builds.Packages, w Workspaces, b *builds.UseCases, log *slog.Logger) *UseCases {
	u := &UseCases{records: r, packages: p, workspaces: w, builds: b, log: log}
	b.Ended = u.endMerges
	return u
}
