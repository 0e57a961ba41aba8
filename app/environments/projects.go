package environments

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// CreateProject asks for a project with its first environment.
type CreateProject struct {
	Slug      string
	Source    string // words for people
	Workspace string // digest of a stored archive; may be empty
	Manifest  string // nixspace.toml; when empty it is read from the workspace
	Message   string
}

// PutWorkspace stores an archive of code.
func (a *UseCases) PutWorkspace(ctx context.Context, r io.Reader) (nixspace.Workspace, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nixspace.Workspace{}, err
	}
	return a.workspaces.Put(ctx, r)
}

// CreateProject makes a project, its first environment (named as the project)
// and that one's first version, and queues its build.
func (a *UseCases) CreateProject(ctx context.Context, in CreateProject) (*nixspace.Project, *nixspace.Environment, *nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := nixspace.CheckName("a project", in.Slug); err != nil {
		return nil, nil, nil, err
	}
	if err := records.CheckText("the source", in.Source, records.MaxSource); err != nil {
		return nil, nil, nil, err
	}
	if _, err := tx.Projects().BySlug(ctx, in.Slug); err == nil {
		return nil, nil, nil, nixspace.Errorf(nixspace.KindExists, "project_exists", "there is already a project %q", in.Slug).
			WithHint("choose another name, or branch its environment: nixspace branch %s NAME", in.Slug)
	} else if !records.NotFound(err) {
		return nil, nil, nil, err
	}
	text, err := a.firstManifest(ctx, in)
	if err != nil {
		return nil, nil, nil, err
	}
	def, err := a.define(ctx, text)
	if err != nil {
		return nil, nil, nil, err
	}
	if in.Message == "" {
		in.Message = "Create " + in.Slug
	}

	var p *nixspace.Project
	var env *nixspace.Environment
	var b *nixspace.Build
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		p = &nixspace.Project{
			ID: nixspace.NewID(), Slug: in.Slug, Source: in.Source, Workspace: in.Workspace,
			CreatedAt: at, CreatedBy: actor.ID,
		}
		env = &nixspace.Environment{
			ID: nixspace.NewID(), ProjectID: p.ID, Project: p.Slug, Name: p.Slug,
			CreatedAt: at, UpdatedAt: at, CreatedBy: actor.ID,
		}
		v, err := newVersion(actor, env.ID, def, in.Message, at)
		if err != nil {
			return err
		}
		env.Hash, env.FlakeContent, env.Head = v.ManifestHash, v.FlakeContent, v.ID
		if err := tx.Projects().Create(ctx, p); err != nil {
			return err
		}
		if err := tx.Environments().Create(ctx, env, FirstMove(actor, nixspace.MoveCreate, in.Message)); err != nil {
			return err
		}
		if err := tx.Versions().Create(ctx, v, ""); err != nil {
			return err
		}
		if b, err = a.builds.OpenBuild(ctx, tx, v.ID, def.present, at); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "project.created", ProjectID: p.ID, EnvironmentID: env.ID, BuildID: b.ID, Actor: actor.Name,
			Message: "created project " + p.Slug, Data: map[string]any{"version": v.VersionHash},
		})
	})
	if err != nil {
		return nil, nil, nil, err
	}
	b, err = a.builds.Settle(ctx, b)
	return p, env, b, err
}

// firstManifest returns the text of a new project's manifest.
func (a *UseCases) firstManifest(ctx context.Context, in CreateProject) (string, error) {
	if in.Workspace != "" {
		if _, err := a.workspaces.Path(in.Workspace); err != nil {
			return "", err
		}
	}
	if in.Manifest != "" {
		return in.Manifest, nil
	}
	missing := nixspace.Errorf(nixspace.KindInvalid, "manifest_missing", "nothing says what the environment contains").
		WithHint("write a %s in the project's folder, for example:\n\nschema = 1\n\n[packages]\nnodejs = \"22\"\npostgresql = \"15\"\n\n[services.postgresql]\ndatabases = [%q]",
			manifest.FileName, in.Slug)
	if in.Workspace == "" {
		return "", missing
	}
	b, err := a.workspaces.ReadFile(ctx, in.Workspace, manifest.FileName)
	if records.NotFound(err) {
		missing.Message = "the code has no " + manifest.FileName + ", so nothing says what the environment contains"
		return "", missing
	}
	return string(b), err
}

// Projects lists all projects by slug.
func (a *UseCases) Projects(ctx context.Context) ([]nixspace.Project, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Projects().List(ctx)
}

// Project returns one, by slug or ID.
func (a *UseCases) Project(ctx context.Context, ref string) (*nixspace.Project, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return records.FindProject(ctx, tx, ref)
}
