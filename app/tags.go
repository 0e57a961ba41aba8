package app

import (
	"context"

	"github.com/nixspace/nixspace"
)

// CreateTag asks for a name for a version.
type CreateTag struct {
	Name    string // in the project of the version's environment
	Version string
	Message string
	Force   bool // take the name from the version that has it
}

// CreateTag names a version.
func (a *App) CreateTag(ctx context.Context, in CreateTag) (*nixspace.Tag, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := nixspace.CheckName("a tag", in.Name); err != nil {
		return nil, err
	}
	if err := checkText("the message", in.Message, maxMessage); err != nil {
		return nil, err
	}
	env, v, err := findVersion(ctx, tx, in.Version)
	if err != nil {
		return nil, err
	}
	var t *nixspace.Tag
	err = a.write(ctx, func(actor Actor, tx Tx) error {
		at := a.now()
		t = &nixspace.Tag{
			ProjectID: env.ProjectID, Project: env.Project, Name: in.Name, VersionID: v.ID, Message: in.Message,
			CreatedAt: at, CreatedBy: actor.ID, Author: actor.Name,
		}
		taken, err := tx.Environments().Named(ctx, env.Project, in.Name)
		if err != nil {
			return err
		}
		if len(taken) > 0 {
			return nixspace.Errorf(nixspace.KindExists, "environment_exists", "%s is the name of an environment", t.Ref()).
				WithHint("choose another name")
		}
		if err := tx.Tags().Create(ctx, t, in.Force); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "tag.created", ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: actor.Name,
			Message: "tagged " + short(v.VersionHash) + " as " + t.Ref(), Data: map[string]any{"version": v.VersionHash, "tag": t.Name},
		})
	})
	return t, err
}

// DeleteTag takes a tag away and returns it as it was. The version stays.
func (a *App) DeleteTag(ctx context.Context, ref string) (*nixspace.Tag, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	t, err := findTag(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	err = a.write(ctx, func(actor Actor, tx Tx) error {
		gone, err := tx.Tags().Delete(ctx, t.ProjectID, t.Name)
		if err != nil || !gone {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: a.now(), Kind: "tag.deleted", ProjectID: t.ProjectID, Actor: actor.Name, Message: "deleted tag " + t.Ref(),
			Data: map[string]any{"tag": t.Name},
		})
	})
	return t, err
}

// Tags lists the tags of a project, or of all when it is empty.
func (a *App) Tags(ctx context.Context, project string) ([]nixspace.Tag, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if project == "" {
		return tx.Tags().List(ctx, "")
	}
	p, err := findProject(ctx, tx, project)
	if err != nil {
		return nil, err
	}
	return tx.Tags().List(ctx, p.ID)
}
