package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/sessions"
)

// The stand-in has no snapshots: tests of them work with the real use cases.
var errNoSnapshots = nixspace.Errorf(nixspace.KindUnavailable, "not_supported", "the stand-in has no snapshots")

// TakeSnapshot fails.
func (a *App) TakeSnapshot(context.Context, sessions.TakeSnapshot) (*nixspace.Snapshot, error) {
	return nil, errNoSnapshots
}

// Snapshots lists nothing.
func (a *App) Snapshots(context.Context, string, bool) ([]nixspace.Snapshot, error) { return nil, nil }

// Snapshot finds nothing.
func (a *App) Snapshot(_ context.Context, ref string) (*nixspace.Snapshot, error) {
	return nil, notFound("snapshot", ref)
}

// RemoveSnapshot fails.
func (a *App) RemoveSnapshot(_ context.Context, ref string) (*nixspace.Snapshot, error) {
	return nil, notFound("snapshot", ref)
}

// RestoreSnapshot fails.
func (a *App) RestoreSnapshot(_ context.Context, in sessions.RestoreSnapshot) (*nixspace.Session, error) {
	return nil, notFound("snapshot", in.Ref)
}

// Fork fails.
func (a *App) Fork(context.Context, sessions.Fork) (*nixspace.Snapshot, []nixspace.Session, error) {
	return nil, nil, errNoSnapshots
}

// BranchWithData fails.
func (a *App) BranchWithData(context.Context, sessions.BranchWithData) (*sessions.DataBranch, error) {
	return nil, errNoSnapshots
}

// MigrateData fails.
func (a *App) MigrateData(context.Context, sessions.MigrateData) (*sessions.DataMigration, error) {
	return nil, errNoSnapshots
}
