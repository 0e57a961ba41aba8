package app

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
)

// Branch asks for a new environment that starts where another one is.
type Branch struct {
	From    string // an environment or version reference
	Name    string
	Edits   []Edit // made in the first version of the branch; it may be none
	Message string
}

// Environments lists the environments of a project, or of all when it is empty.
func (a *App) Environments(ctx context.Context, project string) ([]nixspace.Environment, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if project == "" {
		return tx.Environments().List(ctx, "")
	}
	p, err := findProject(ctx, tx, project)
	if err != nil {
		return nil, err
	}
	return tx.Environments().List(ctx, p.ID)
}

// Environment returns one by reference.
func (a *App) Environment(ctx context.Context, ref string) (*nixspace.Environment, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	return findEnvironment(ctx, tx, ref)
}

// EnvironmentsByID returns those of the environments that exist, in any order.
func (a *App) EnvironmentsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Environment, error) {
	tx, err := a.read(ctx)
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
func (a *App) Branch(ctx context.Context, in Branch) (*nixspace.Environment, *nixspace.Version, *nixspace.Build, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := nixspace.CheckName("an environment", in.Name); err != nil {
		return nil, nil, nil, err
	}
	if err := checkText("the message", in.Message, maxMessage); err != nil {
		return nil, nil, nil, err
	}
	from, base, err := findVersion(ctx, tx, in.From)
	if err != nil {
		return nil, nil, nil, err
	}
	var def *definition
	if len(in.Edits) > 0 {
		if def, err = a.redefine(ctx, from.Project, base, in.Edits); err != nil {
			return nil, nil, nil, err
		}
		if in.Message == "" {
			in.Message = describe(in.Edits)
		}
	}

	var env *nixspace.Environment
	var v *nixspace.Version
	var b *nixspace.Build
	err = a.write(ctx, func(actor Actor, tx Tx) error {
		at := a.now()
		env = &nixspace.Environment{
			ID: nixspace.NewID(), ProjectID: from.ProjectID, Project: from.Project, Name: in.Name, ParentID: from.ID,
			CreatedAt: at, UpdatedAt: at, CreatedBy: actor.ID,
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
		first := firstMove(actor, nixspace.MoveBranch, "branched from "+in.From)
		if err := tx.Environments().Create(ctx, env, first); err != nil {
			return err
		}
		if def != nil {
			if err := tx.Versions().Create(ctx, v, base.ID); err != nil {
				return err
			}
			var err error
			if b, err = a.openBuild(ctx, tx, v.ID, def.present, at); err != nil {
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
		b, err = newestBuild(ctx, tx, v.ID)
		return env, v, b, err
	}
	b, err = a.settle(ctx, b)
	return env, v, b, err
}

// newestBuild returns the newest build of a version; every version has one.
func newestBuild(ctx context.Context, tx Tx, version nixspace.ID) (*nixspace.Build, error) {
	bs, err := tx.Builds().List(ctx, version)
	if err != nil {
		return nil, err
	}
	if len(bs) == 0 {
		return nil, fmt.Errorf("version %s has no build", version)
	}
	return &bs[0], nil
}
