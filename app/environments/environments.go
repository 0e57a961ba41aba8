package environments

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
)

// Branch asks for a new environment that starts where another one is.
type Branch struct {
	From    string // an environment or version reference
	Name    string
	Edits   []Edit // made in the first version of the branch; it may be none
	Message string
}

// Environments lists the environments of a project, or of all when it is empty.
func (a *UseCases) Environments(ctx context.Context, project string) ([]nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return records.EnvironmentsOf(ctx, tx, project)
}

// Environment returns one by reference.
func (a *UseCases) Environment(ctx context.Context, ref string) (*nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return records.FindEnvironment(ctx, tx, ref)
}

// EnvironmentsByID returns those of the environments that exist, in any order.
func (a *UseCases) EnvironmentsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Environments().ByIDs(ctx, ids...)
}

// Branch makes an environment from another one's version.
//
// Without edits it writes one row: the branch's head is the very version that it
// was made from, as in git, so the version that is returned belongs to the other
// environment and the message goes to the event only. With edits the branch gets
// a first version of its own, whose parent is that one.
func (a *UseCases) Branch(ctx context.Context, in Branch) (*nixspace.Environment, *nixspace.Version, *nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := nixspace.CheckName("an environment", in.Name); err != nil {
		return nil, nil, nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, nil, nil, err
	}
	from, base, err := records.FindVersion(ctx, tx, in.From)
	if err != nil {
		return nil, nil, nil, err
	}
	var def *Definition
	if len(in.Edits) > 0 {
		if def, err = a.Redefine(ctx, base, in.Edits); err != nil {
			return nil, nil, nil, err
		}
		if in.Message == "" {
			in.Message = describe(in.Edits)
		}
	}

	var env *nixspace.Environment
	var v *nixspace.Version
	var b *nixspace.Build
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		env = &nixspace.Environment{
			ID: nixspace.NewID(), ProjectID: from.ProjectID, Project: from.Project, Name: in.Name, ParentID: from.ID,
			CreatedAt: at, UpdatedAt: at, CreatedBy: actor.ID,
		}
		if from.Visibility == nixspace.VisibilityPrivate {
			env.Visibility = from.Visibility // what nobody sees is not shown by a branch of it
		}
		v = base
		if def != nil {
			var err error
			if v, err = newVersion(actor, env.ID, def, in.Message, at, base); err != nil {
				return err
			}
		}
		env.Hash, env.FlakeContent, env.Head = v.ManifestHash, v.FlakeContent, v.ID
		if err := freeOfTags(ctx, tx, env); err != nil {
			return err
		}
		first := FirstMove(actor, nixspace.MoveBranch, "branched from "+in.From)
		if err := tx.Environments().Create(ctx, env, first); err != nil {
			return err
		}
		if err := tx.Code().Inherit(ctx, env.ID, from.ID); err != nil {
			return err
		}
		if def != nil {
			if err := tx.Versions().Create(ctx, v, base.ID); err != nil {
				return err
			}
			var err error
			if b, err = a.builds.OpenBuild(ctx, tx, v.ID, def.present, at); err != nil {
				return err
			}
		}
		e := &nixspace.Event{
			At: at, Kind: "environment.branched", ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: actor.Name,
			Message: fmt.Sprintf("branched %s from %s", env.Ref(), from.Ref()),
			Data:    map[string]any{"from": from.Ref(), "version": v.VersionHash, "message": in.Message},
		}
		if b != nil {
			e.BuildID = b.ID
		}
		return tx.Events().Append(ctx, e)
	})
	if err != nil {
		return nil, nil, nil, err
	}
	if def == nil {
		b, err = builds.NewestBuild(ctx, tx, v.ID)
		return env, v, b, err
	}
	b, err = a.builds.Settle(ctx, b)
	return env, v, b, err
}
