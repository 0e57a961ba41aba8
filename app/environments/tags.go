package environments

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// CreateTag asks for a name for a version.
type CreateTag struct {
	Name    string // in the project of the version's environment
	Version string
	Message string
	Force   bool // take the name from the version that has it
}

// CreateTag names a version.
func (a *UseCases) CreateTag(ctx context.Context, in CreateTag) (*nixspace.Tag, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := nixspace.CheckName("a tag", in.Name); err != nil {
		return nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, err
	}
	env, v, err := records.FindVersion(ctx, tx, in.Version)
	if err != nil {
		return nil, err
	}
	var t *nixspace.Tag
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
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
			Message: "tagged " + records.Short(v.VersionHash) + " as " + t.Ref(), Data: map[string]any{"version": v.VersionHash, "tag": t.Name},
		})
	})
	return t, err
}

// DeleteTag takes a tag away and returns it as it was. The version stays.
func (a *UseCases) DeleteTag(ctx context.Context, ref string) (*nixspace.Tag, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	t, err := records.FindTag(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		gone, err := tx.Tags().Delete(ctx, t.ProjectID, t.Name)
		if err != nil || !gone {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "tag.deleted", ProjectID: t.ProjectID, Actor: actor.Name, Message: "deleted tag " + t.Ref(),
			Data: map[string]any{"tag": t.Name},
		})
	})
	return t, err
}

// Tags lists the tags of a project, or of all when it is empty.
func (a *UseCases) Tags(ctx context.Context, project string) ([]nixspace.Tag, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if project == "" {
		return tx.Tags().List(ctx, "")
	}
	p, err := records.FindProject(ctx, tx, project)
	if err != nil {
		return nil, err
	}
	return tx.Tags().List(ctx, p.ID)
}
