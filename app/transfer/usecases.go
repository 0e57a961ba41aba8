// Package transfer moves environments between machines: out of this one into a
// file, and out of a file into this one.
package transfer

import (
	"log/slog"

	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
)

// UseCases are export and import. They are safe for concurrent use.
type UseCases struct {
	records      *records.Records
	packages     builds.Packages
	workspaces   environments.Workspaces
	builds       *builds.UseCases
	environments *environments.UseCases
	log          *slog.Logger
}

// New returns export and import.
func New(r *records.Records, p builds.Packages, w environments.Workspaces, b *builds.UseCases, e *environments.UseCases, log *slog.Logger) *UseCases {
	return &UseCases{records: r, packages: p, workspaces: w, builds: b, environments: e, log: log}
}
