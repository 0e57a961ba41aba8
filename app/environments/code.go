package environments

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// AddEnvironment asks for an environment in a project that there is, from code of its
// own.
type AddEnvironment struct {
	Project   string // slug or ID
	Name      string
	Source    string // words for people
	Workspace string // digest of a stored archive; empty for the project's code
	Manifest  string // nixspace.toml; when empty it is read from the code
	Message   string
}

// AddEnvironment makes an environment that is no branch of another one: its first
// version has no parent. It queues the build.
func (a *UseCases) AddEnvironment(ctx context.Context, in AddEnvironment) (*nixspace.Environment, *nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := records.FindProject(ctx, tx, in.Project)
	if err != nil {
		return nil, nil, err
	}
	if err := nixspace.CheckName("an environment", in.Name); err != nil {
		return nil, nil, err
	}
	if err := records.CheckText("the source", in.Source, records.MaxSource); err != nil {
		return nil, nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, nil, err
	}
	code := in.Workspace
	if code == "" {
		code = p.Workspace
	}
	text, err := a.firstManifest(ctx, CreateProject{Slug: p.Slug, Workspace: code, Manifest: in.Manifest})
	if err != nil {
		return nil, nil, err
	}
	def, err := a.define(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	if in.Message == "" {
		in.Message = "Create " + in.Name
	}
	var env *nixspace.Environment
	var b *nixspace.Build
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		env = &nixspace.Environment{
			ID: nixspace.NewID(), ProjectID: p.ID, Project: p.Slug, Name: in.Name, CreatedAt: at, UpdatedAt: at, CreatedBy: actor.ID,
		}
		v, err := newVersion(actor, env.ID, def, in.Message, at)
		if err != nil {
			return err
		}
		env.Hash, env.FlakeContent, env.Head = v.ManifestHash, v.FlakeContent, v.ID
		if err := freeOfTags(ctx, tx, env); err != nil {
			return err
		}
		if err := tx.Environments().Create(ctx, env, FirstMove(actor, nixspace.MoveCreate, in.Message)); err != nil {
			return err
		}
		if err := tx.Versions().Create(ctx, v, ""); err != nil {
			return err
		}
		if in.Workspace != "" {
			if err := tx.Code().Put(ctx, env.ID, in.Workspace, in.Source, at); err != nil {
				return err
			}
		}
		if b, err = a.builds.OpenBuild(ctx, tx, v.ID, def.present, at); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "environment.created", ProjectID: p.ID, EnvironmentID: env.ID, BuildID: b.ID, Actor: actor.Name,
			Message: "created environment " + env.Ref(), Data: map[string]any{"version": v.VersionHash, "workspace": in.Workspace},
		})
	})
	if err != nil {
		return nil, nil, err
	}
	b, err = a.builds.Settle(ctx, b)
	return env, b, err
}

// ChangeCode asks for other code in an environment.
type ChangeCode struct {
	Ref       string
	Workspace string // digest of a stored archive
	Source    string // words for people
}

// ChangeCode gives an environment other code. Sessions that are started from then on
// have it; those that there are keep theirs, and so do other environments. The
// manifest stays.
func (a *UseCases) ChangeCode(ctx context.Context, in ChangeCode) (*nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, err := records.FindEnvironment(ctx, tx, in.Ref)
	if err != nil {
		return nil, err
	}
	if err := records.CheckText("the source", in.Source, records.MaxSource); err != nil {
		return nil, err
	}
	if _, err := a.workspaces.Path(in.Workspace); err != nil {
		return nil, err
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if _, err := tx.Environments().Lock(ctx, env.ID); err != nil {
			return err
		}
		before, err := tx.Code().Of(ctx, env.ID)
		if err != nil {
			return err
		}
		at := records.Now()
		if err := tx.Code().Put(ctx, env.ID, in.Workspace, in.Source, at); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "environment.code_changed", ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: actor.Name,
			Message: fmt.Sprintf("the code of %s is %s", env.Ref(), in.Source),
			Data:    map[string]any{"before": before.Workspace, "after": in.Workspace},
		})
	})
	return env, err
}

// CodeOf returns the code of an environment.
func (a *UseCases) CodeOf(ctx context.Context, env nixspace.ID) (*nixspace.EnvironmentCode, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Code().Of(ctx, env)
}
