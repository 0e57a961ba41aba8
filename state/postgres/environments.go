package postgres

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type environments struct{ q *db.Queries }

func (s environments) Create(ctx context.Context, e *nixspace.Environment) error {
	err := s.q.InsertEnvironment(ctx, db.InsertEnvironmentParams{
		ID: e.ID, Hash: e.Hash, ParentID: nullID(e.ParentID), Name: e.Name, FlakeContent: e.FlakeContent,
		CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy, ProjectID: e.ProjectID, HeadVersionID: e.Head,
		UpdatedAt: e.UpdatedAt,
	})
	if violates(err, "environments_project_name_key") {
		return nixspace.Errorf(nixspace.KindExists, "environment_exists", "there is already an environment %q", e.Ref()).
			WithHint("choose another name")
	}
	return mapError(err, "create an environment")
}

func (s environments) ByIDs(ctx context.Context, ids ...nixspace.ID) ([]nixspace.Environment, error) {
	rows, err := s.q.EnvironmentsByID(ctx, validIDs(ids))
	if err != nil {
		return nil, mapError(err, "read environments")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, nil
}

func (s environments) Named(ctx context.Context, project, name string) ([]nixspace.Environment, error) {
	rows, err := s.q.EnvironmentsNamed(ctx, db.EnvironmentsNamedParams{Name: name, Project: project})
	if err != nil {
		return nil, mapError(err, "find an environment")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, nil
}

func (s environments) List(ctx context.Context, project nixspace.ID) ([]nixspace.Environment, error) {
	rows, err := s.q.Environments(ctx, nullID(project))
	if err != nil {
		return nil, mapError(err, "list environments")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, nil
}

func (s environments) MoveHead(ctx context.Context, v *nixspace.Version, from nixspace.ID) error {
	n, err := s.q.MoveHead(ctx, db.MoveHeadParams{
		Head: v.ID, Hash: v.ManifestHash, FlakeContent: v.FlakeContent, UpdatedAt: v.CreatedAt,
		ID: v.EnvironmentID, FromHead: from,
	})
	if err != nil {
		return mapError(err, "move an environment's head")
	}
	if n == 0 {
		return nixspace.Errorf(nixspace.KindConflict, "head_moved", "somebody else changed the environment meanwhile").
			WithHint("look at its newest version, then try again")
	}
	return nil
}

func (s environments) Refs(ctx context.Context, limit int) ([]string, error) {
	rows, err := s.q.EnvironmentRefs(ctx, int32(limit))
	if err != nil {
		return nil, mapError(err, "list environments")
	}
	refs := make([]string, len(rows))
	for i, row := range rows {
		refs[i] = row.Slug + "/" + row.Name
	}
	return refs, nil
}

func environment(row db.Environment, slug string) *nixspace.Environment {
	return &nixspace.Environment{
		ID: row.ID, ProjectID: row.ProjectID, Project: slug, Name: row.Name, ParentID: idOf(row.ParentID),
		Hash: row.Hash, FlakeContent: row.FlakeContent, Head: row.HeadVersionID,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(), CreatedBy: row.CreatedBy,
	}
}
