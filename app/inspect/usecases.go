// Package inspect answers questions about environments and changes nothing: their
// history, who brought what into them, how two differ, why a path is in one.
package inspect

import (
	"log/slog"

	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
)

// UseCases are the use cases that answer questions. They are safe for concurrent
// use.
type UseCases struct {
	records  *records.Records
	packages builds.Packages
	builds   *builds.UseCases
	log      *slog.Logger
}

// New returns the use cases that answer questions.
func New(r *records.Records, p builds.Packages, b *builds.UseCases, log *slog.Logger) *UseCases {
	return &UseCases{records: r, packages: p, builds: b, log: log}
}
