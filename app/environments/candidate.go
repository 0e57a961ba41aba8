package environments

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Candidate asks for a version to try something on.
type Candidate struct {
	Base    *nixspace.Version
	Edits   []Edit // made in Base
	Message string
}

// Candidate makes a version that no environment leads to: a branch that costs
// nothing and has no name to take away afterwards. Where Base, or the head of an
// environment of the project, is just that already, it is returned instead.
func (a *UseCases) Candidate(ctx context.Context, in Candidate) (*nixspace.Version, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, err := records.OneEnvironment(ctx, tx, in.Base.EnvironmentID)
	if err != nil {
		return nil, err
	}
	def, err := a.Redefine(ctx, in.Base, in.Edits)
	if err != nil {
		return nil, err
	}
	if def.hash == in.Base.ManifestHash {
		return in.Base, nil
	}
	heads, err := tx.Environments().List(ctx, env.ProjectID)
	if err != nil {
		return nil, err
	}
	for _, e := range heads {
		if e.Hash == def.hash {
			return records.OneVersion(ctx, tx, e.Head)
		}
	}
	var v *nixspace.Version
	var b *nixspace.Build
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		var err error
		if v, err = newVersion(actor, env.ID, def, in.Message, at, in.Base); err != nil {
			return err
		}
		if err := tx.Versions().Create(ctx, v, in.Base.ID); err != nil {
			return err
		}
		b, err = a.builds.OpenBuild(ctx, tx, v.ID, def.present, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = a.builds.Settle(ctx, b)
	return v, err
}
