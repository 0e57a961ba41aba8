package sessions

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Prebuilds know machines in which the code of an environment was made ready.
type Prebuilds interface {
	// Begin says what a new session of a version begins from; nil for nothing. With
	// want, what would be better and is missing is made meanwhile.
	Begin(ctx context.Context, actor nixspace.Actor, tx records.Tx, env *nixspace.Environment, v *nixspace.Version, want bool) (*Beginning, error)
	// Refresh brings the code of a session up to date that began from a prebuild of
	// other code, before anybody is in it. It does nothing to other sessions.
	Refresh(ctx context.Context, s *nixspace.Session, m nixspace.Machine) error
}

// Beginning is what a session begins from.
type Beginning struct {
	Prebuild, Snapshot nixspace.ID
	DiskOnly           bool
	Earlier            bool // it is of other code, or of another manifest
}

// insert adds a new session of a version, which begins from a prebuild where there is
// one.
func (a *UseCases) insert(ctx context.Context, actor nixspace.Actor, tx records.Tx, env *nixspace.Environment, v *nixspace.Version, s *nixspace.Session) error {
	var begin *Beginning
	if a.prebuilds != nil {
		var err error
		// Who wants a session for one command alone does not wait for anything better.
		if begin, err = a.prebuilds.Begin(ctx, actor, tx, env, v, !s.Ephemeral); err != nil {
			return err
		}
	}
	if begin != nil {
		s.SnapshotID, s.NeedsSnapshot, s.DiskOnly = begin.Snapshot, begin.Snapshot, begin.DiskOnly
	}
	if err := tx.Sessions().Create(ctx, s); err != nil || begin == nil {
		return err
	}
	return tx.Prebuilds().Use(ctx, begin.Prebuild, s.ID, begin.Earlier, s.StartedAt)
}

// PrebuildSpec builds what the machine of a prebuild needs, where that was not done,
// and says what machine that is. Nothing of a person or a session is in it.
func (a *UseCases) PrebuildSpec(ctx context.Context, p *nixspace.Prebuild, report nixspace.ProgressFunc) (*nixspace.MachineSpec, error) {
	tx := a.records.Store.Read()
	v, err := records.OneVersion(ctx, tx, p.VersionID)
	if err != nil {
		return nil, err
	}
	if err := a.ensureBuilt(ctx, tx, v, report); err != nil {
		return nil, err
	}
	as := &nixspace.Session{ID: p.ID, EnvironmentID: p.EnvironmentID, EnvironmentVersionID: v.ID, Generation: 1, Ephemeral: true}
	spec, err := a.machineSpec(ctx, tx, as, v, report)
	if err != nil {
		return nil, err
	}
	spec.Workspace = ""
	if p.Workspace != "" {
		spec.Workspace, err = a.workspaces.Path(p.Workspace)
	}
	return spec, err
}

// PrebuildEnded ends whatever is left of the machine of a prebuild, and removes its
// files.
func (a *UseCases) PrebuildEnded(ctx context.Context, id nixspace.ID) error {
	if err := a.reap(ctx, id); err != nil {
		return err
	}
	a.reports.forget(id)
	return a.machines.Remove(ctx, id)
}

// CollectSnapshots removes the snapshots without a name that nothing needs any more.
func (a *UseCases) CollectSnapshots(ctx context.Context) { a.collectSnapshots(ctx) }

// refresh brings the code of a session up to date that begins from other code.
func (a *UseCases) refresh(ctx context.Context, s *nixspace.Session, m nixspace.Machine) error {
	if a.prebuilds == nil || s.NeedsSnapshot == "" || s.ForkOf != "" {
		return nil
	}
	return a.prebuilds.Refresh(ctx, s, m)
}
