package postgres

import (
	"cmp"
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type environments struct{ q *db.Queries }

func (s environments) Create(ctx context.Context, e *nixspace.Environment, first nixspace.HeadMove) error {
	e.Visibility = cmp.Or(e.Visibility, nixspace.VisibilityTeam)
	err := s.q.InsertEnvironment(ctx, db.InsertEnvironmentParams{
		ID: e.ID, Hash: e.Hash, ParentID: nullID(e.ParentID), Name: e.Name, FlakeContent: e.FlakeContent,
		CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy, ProjectID: e.ProjectID, HeadVersionID: e.Head,
		UpdatedAt: e.UpdatedAt, Visibility: string(e.Visibility), Action: string(first.Action), Message: first.Message, Actor: first.Actor,
	})
	return nameTaken(err, e, "create an environment")
}

func nameTaken(err error, e *nixspace.Environment, doing string) error {
	if violates(err, "environments_project_name_key") {
		return nixspace.Errorf(nixspace.KindExists, "environment_exists", "there is already an environment %q", e.Ref()).
			WithHint("choose another name")
	}
	return mapError(err, doing)
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

func (s environments) Deleted(ctx context.Context, project, name string) ([]nixspace.Environment, error) {
	rows, err := s.q.DeletedEnvironments(ctx, db.DeletedEnvironmentsParams{Name: name, Project: project})
	if err != nil {
		return nil, mapError(err, "find a deleted environment")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, nil
}

func (s environments) MoveHead(ctx context.Context, v *nixspace.Version, m nixspace.HeadMove) error {
	n, err := s.q.MoveHead(ctx, db.MoveHeadParams{
		ID: m.EnvironmentID, FromHead: &m.From, Head: v.ID, Hash: v.ManifestHash, FlakeContent: v.FlakeContent,
		Merges: m.Action.Merges(), Action: string(m.Action), Message: m.Message, Actor: m.Actor, At: m.At,
	})
	if err != nil {
		return mapError(err, "move an environment's head")
	}
	if n == 1 {
		return nil
	}
	found, err := s.ByIDs(ctx, m.EnvironmentID)
	if err != nil {
		return err
	}
	switch {
	case len(found) == 0:
		return notFound("environment", m.EnvironmentID)
	case !found[0].DeletedAt.IsZero():
		return nixspace.Errorf(nixspace.KindNotFound, "environment_deleted", "%s was deleted", found[0].Ref()).
			WithHint("bring it back with `nixspace undelete %s`", found[0].Ref())
	case found[0].Protected && !m.Action.Merges():
		return nixspace.Protected(&found[0])
	}
	return nixspace.Errorf(nixspace.KindConflict, "head_moved", "somebody else changed %s meanwhile", found[0].Ref()).
		WithHint("look at its newest version, then try again")
}

func (s environments) Lock(ctx context.Context, id nixspace.ID) (*nixspace.Environment, error) {
	if !id.Valid() {
		return nil, notFound("environment", id)
	}
	row, err := s.q.LockEnvironment(ctx, id)
	if err != nil {
		return nil, oneError(err, "environment", id)
	}
	return environment(row.Environment, row.Slug), nil
}

func (s environments) Update(ctx context.Context, e *nixspace.Environment) error {
	n, err := s.q.UpdateEnvironment(ctx, db.UpdateEnvironmentParams{
		ID: e.ID, Name: e.Name, Protected: e.Protected, DeletedAt: nullTime(e.DeletedAt),
	})
	if err == nil && n == 0 {
		return notFound("environment", e.ID)
	}
	return nameTaken(err, e, "change an environment")
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
		Hash: row.Hash, FlakeContent: row.FlakeContent, Head: row.HeadVersionID, Protected: row.Protected, DeletedAt: timeOf(row.DeletedAt),
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(), CreatedBy: row.CreatedBy, Visibility: nixspace.Visibility(row.Visibility),
	}
}
